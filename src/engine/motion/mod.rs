//! Motion between the pictures of a film, and paintings that follow it.
//!
//! A network that paints each picture by itself flickers: noise that nobody sees
//! in the film moves strokes in the painting. So a new painting is blended with
//! the one before, which is carried along the film's motion, wherever the film
//! itself shows the same as before:
//!
//! ```text
//! out = k * carried + (1 - k) * painted        k = MOST * smoothing * agreement
//! ```
//!
//! `flow` finds the motion, `agreement` where the film follows it, `blend` carries and
//! blends. All but the last work at half the picture's size: motion is smooth, and means
//! of four pixels have half the noise.
//!
//! M. Ruder, A. Dosovitskiy, T. Brox, "Artistic Style Transfer for Videos", 2016,
//! section 4, demand such consistency of a slow optimisation; here it is made
//! afterwards, from the past alone, so that no frame waits for another.

mod agreement;
mod blend;
mod field;
mod flow;
mod pyramid;

use super::Image;
use crate::ops::Size;
use crate::ops::cpu::Level;
use agreement::Agreement;
use blend::Blender;
pub use field::MotionField;
use flow::FlowFinder;
use pyramid::Pyramid;

/// The most that is taken of the painting before. With more, what carrying sharpens
/// would add up from picture to picture.
const MOST: f32 = 0.9;

/// How much is taken unless somebody asks for more or less, of what [`Smoother::smooth`]
/// can take.
pub const DEFAULT_SMOOTHING: f64 = 0.8;

/// Makes the paintings of consecutive pictures calm. Its memory is kept from
/// picture to picture.
pub struct Smoother {
    level: Level,
    /// The size of what `before` and `painting` hold; empty if there is nothing.
    size: Size,
    before: Pyramid,
    now: Pyramid,
    flow: FlowFinder,
    agreement: Agreement,
    /// The painting before, as it was shown, and room for the next.
    painting: Image,
    next: Image,
}

impl Default for Smoother {
    fn default() -> Self {
        Smoother::at(Level::current())
    }
}

impl Smoother {
    /// A smoother that uses this level's instructions. All levels give the same
    /// numbers.
    pub fn at(level: Level) -> Self {
        Smoother {
            level,
            size: Size::default(),
            before: Pyramid::default(),
            now: Pyramid::default(),
            flow: FlowFinder::default(),
            agreement: Agreement::default(),
            painting: Image::default(),
            next: Image::default(),
        }
    }

    /// Forgets the past: the next painting stays as it is. For pictures that do
    /// not follow the one before.
    pub fn reset(&mut self) {
        self.size = Size::default();
    }

    /// Blends `painted`, a painting of `picture`, with the one before.
    ///
    /// `smoothing` is how much of the painting before is taken, from 0 (nothing) to 1
    /// (nine tenths, where the pictures agree). After a cut, and where pictures change
    /// their size, nothing is. Works on the current rayon pool; the result does not
    /// depend on its threads.
    ///
    /// # Panics
    /// If the two differ in size.
    pub fn smooth(&mut self, picture: &Image, painted: &mut Image, smoothing: f32) {
        let size = picture.size();
        assert_eq!(painted.size(), size, "a painting of the picture");
        self.now.fill(self.level, picture);
        self.next.resize(size);
        match self.size == size && self.find_motion(smoothing) {
            true => Blender {
                flow: self.flow.finest(),
                weights: self.agreement.weights(),
                before: &self.painting,
            }
            .run(self.level, painted, &mut self.next),
            false => self.next.data.copy_from_slice(&painted.data),
        }
        self.size = size;
        std::mem::swap(&mut self.before, &mut self.now);
        std::mem::swap(&mut self.painting, &mut self.next);
    }

    /// Finds where things were in the picture before, and how much of it is still
    /// to be seen. Whether this one follows it at all.
    fn find_motion(&mut self, smoothing: f32) -> bool {
        let (now, before) = (&self.now, &self.before);
        self.flow.find(self.level, now, before);
        if agreement::is_cut(now, before, self.flow.flows()) {
            return false;
        }
        let flow = self.flow.finest();
        (self.agreement).measure(self.level, now, before, flow, MOST * smoothing);
        true
    }
}

/// Bytes that a [`Smoother`] takes for pictures of this size.
pub fn memory_needed(size: Size) -> usize {
    // Two paintings; of each of two pictures a quarter of red, green, blue and luma,
    // and a third more of luma; motion and agreement at a quarter.
    const NUMBERS_PER_4_PIXELS: usize = 2 * 12 + 2 * 5 + 6 + 2;
    let numbers = size.area().saturating_mul(NUMBERS_PER_4_PIXELS) / 4;
    numbers.saturating_mul(size_of::<f32>())
}

#[cfg(test)]
mod tests;
