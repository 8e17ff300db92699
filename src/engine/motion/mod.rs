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
//! And a network takes long. So not every picture needs to be painted: between key
//! frames, the painting before is carried alone. Where the film shows something else than
//! before, the carried painting is repaired from the picture:
//!
//! ```text
//! out = k * carried + (1 - k) * repaired       k = min(1, TRUST * agreement)
//! ```
//!
//! `flow` finds the motion, `agreement` where the film follows it, `carry` reads the
//! painting before along it, `blend` and `repair` do as above. Motion and agreement are
//! found at half the picture's size: motion is smooth, and means of four pixels have half
//! the noise.
//!
//! M. Ruder, A. Dosovitskiy, T. Brox, "Artistic Style Transfer for Videos", 2016,
//! section 4, demand such consistency of a slow optimisation; here it is made
//! afterwards, from the past alone, so that no frame waits for another. X. Zhu et al.,
//! "Deep Feature Flow for Video Recognition", 2017, carry what a network has found in
//! key frames.

mod agreement;
mod blend;
mod carry;
mod field;
mod flow;
mod pyramid;
mod repair;

use super::Image;
use crate::ops::Size;
use crate::ops::cpu::Level;
use agreement::Agreement;
use blend::Blender;
pub use field::MotionField;
use flow::FlowFinder;
use pyramid::Pyramid;
use repair::Repairer;

/// The most that is taken of the painting before. With more, what carrying sharpens
/// would add up from picture to picture.
const MOST: f32 = 0.9;

/// How much is taken unless somebody asks for more or less, of what [`Follower::paint`]
/// can take.
pub const DEFAULT_SMOOTHING: f64 = 0.8;

/// A carried painting counts in full where the agreement reaches the inverse of this: it
/// has strokes, which a repaired place has not.
const TRUST: f32 = 3.0;

/// A picture becomes a key frame when, since the last one, the repaired shares of the
/// pictures have reached this sum.
const MOST_REPAIRED: f32 = 0.15;

/// Follows a film: makes the paintings of consecutive pictures calm, and carries them
/// from picture to picture. Its memory is kept.
///
/// Each picture is [looked at](Self::look) first, and then [carried](Self::carry) to or
/// [painted](Self::paint).
pub struct Follower {
    level: Level,
    before: Pyramid,
    now: Pyramid,
    /// The size of the picture looked at.
    size: Size,
    /// Whether `now` follows `before`, along `flow`.
    follows: bool,
    flow: FlowFinder,
    agreement: Agreement,
    repairer: Repairer,
    /// The painting before as it was shown, empty if there is none, and room for the
    /// next.
    painting: Image,
    next: Image,
    /// The picture of a painting that comes late.
    key: Pyramid,
    /// Pictures since the last key frame, and the sum of what has been repaired in them.
    since_key: usize,
    repaired: f32,
}

impl Default for Follower {
    fn default() -> Self {
        Follower::at(Level::current())
    }
}

impl Follower {
    /// A follower that uses this level's instructions. All levels give the same
    /// numbers.
    pub fn at(level: Level) -> Self {
        Follower {
            level,
            before: Pyramid::default(),
            now: Pyramid::default(),
            size: Size::default(),
            follows: false,
            flow: FlowFinder::default(),
            agreement: Agreement::default(),
            repairer: Repairer::default(),
            painting: Image::default(),
            next: Image::default(),
            key: Pyramid::default(),
            since_key: 0,
            repaired: 0.0,
        }
    }

    /// Forgets the past: the next picture is a key frame whose painting stays as it is.
    /// For pictures that do not follow the one before.
    pub fn reset(&mut self) {
        self.painting.resize(Size::default());
    }

    /// Looks at the next picture: finds where things were in the one before, and how much
    /// of that is still to be seen. After a cut, and where pictures change their size,
    /// nothing is.
    ///
    /// Works on the current rayon pool, as all of this does; the results do not depend on
    /// its threads.
    pub fn look(&mut self, picture: &Image) {
        self.now.fill(self.level, picture);
        self.size = picture.size();
        self.follows = self.painting.size() == self.size && self.find_motion();
    }

    /// Whether there is a scene before the picture looked at, and that follows it.
    fn find_motion(&mut self) -> bool {
        let (now, before) = (&self.now, &self.before);
        self.flow.find(self.level, now, before);
        if agreement::is_cut(now, before, self.flow.flows()) {
            return false;
        }
        (self.agreement).compare(self.level, now, before, self.flow.finest());
        true
    }

    /// Carries the painting before to `picture`, the one looked at, unless it must be
    /// painted: after a cut or a reset, `every` pictures after the last key frame, or when
    /// too much of the scene is new. Gives the share of it that was repaired.
    pub fn carry(&mut self, picture: &Image, every: usize) -> Option<f32> {
        if !self.follows || self.since_key + 1 >= every {
            return None;
        }
        let share = 1.0 - self.agreement.weigh(self.level, TRUST);
        if self.repaired + share > MOST_REPAIRED {
            return None;
        }
        self.since_key += 1;
        self.repaired += share;
        self.next.resize(self.size);
        let flow = self.flow.finest();
        carry::carry(self.level, flow, &self.painting, &mut self.next);
        let luma = &self.now.luma()[0];
        let weights = self.agreement.weights();
        (self.repairer).run(self.level, picture, luma, weights, &mut self.next);
        self.finish();
        Some(share)
    }

    /// Blends `painted`, a painting of the picture looked at, with the one before, which
    /// was carried or painted.
    ///
    /// `smoothing` is how much of the painting before is taken, from 0 (nothing) to 1
    /// (nine tenths, where the pictures agree).
    ///
    /// # Panics
    /// If the painting's size is not the picture's.
    pub fn paint(&mut self, painted: &Image, smoothing: f32) {
        assert_eq!(painted.size(), self.size, "a painting of the picture");
        self.since_key = 0;
        self.repaired = 0.0;
        self.next.resize(self.size);
        match self.follows && smoothing > 0.0 {
            true => {
                self.agreement.weigh(self.level, MOST * smoothing);
                Blender {
                    flow: self.flow.finest(),
                    weights: self.agreement.weights(),
                    before: &self.painting,
                }
                .run(self.level, painted, &mut self.next);
            }
            false => self.next.data.copy_from_slice(&painted.data),
        }
        self.finish();
    }

    /// Blends `painted`, a painting of the next picture, in place. See [`Self::look`] and
    /// [`Self::paint`].
    ///
    /// # Panics
    /// If the two differ in size.
    pub fn smooth(&mut self, picture: &Image, painted: &mut Image, smoothing: f32) {
        self.look(picture);
        self.paint(painted, smoothing);
        painted.data.copy_from_slice(&self.painting.data);
    }

    /// Blends `painted`, a painting of an earlier picture `key` of the same size that was
    /// finished only now, into the painting carried last: where the last picture shows
    /// the same as `key`, nothing of what was carried is taken but by `smoothing`, as in
    /// [`Self::paint`].
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn join(&mut self, key: &Image, painted: &Image, smoothing: f32) {
        assert_eq!(painted.size(), key.size(), "a painting of the picture");
        assert_eq!(self.painting.size(), key.size(), "pictures of one size");
        self.key.fill(self.level, key);
        let now = &self.before;
        self.flow.find(self.level, now, &self.key);
        let flow = self.flow.finest();
        (self.agreement).compare(self.level, now, &self.key, flow);
        (self.agreement).weigh(self.level, 1.0 - MOST * smoothing);
        Blender {
            flow,
            weights: self.agreement.weights(),
            before: painted,
        }
        .run(self.level, &self.painting, &mut self.next);
        std::mem::swap(&mut self.painting, &mut self.next);
        self.since_key = 0;
        self.repaired = 0.0;
    }

    /// The painting of the last picture, as it is to be shown.
    pub fn painting(&self) -> &Image {
        &self.painting
    }

    fn finish(&mut self) {
        std::mem::swap(&mut self.before, &mut self.now);
        std::mem::swap(&mut self.painting, &mut self.next);
    }
}

/// Bytes that a [`Follower`] takes for pictures of this size.
pub fn memory_needed(size: Size) -> usize {
    // Two paintings; of each of three pictures a quarter of red, green, blue and luma,
    // and a third more of luma; motion and agreement at a quarter; less than two more
    // for what repairs.
    const NUMBERS_PER_4_PIXELS: usize = 2 * 12 + 3 * 5 + 6 + 2 + 2;
    let numbers = size.area().saturating_mul(NUMBERS_PER_4_PIXELS) / 4;
    numbers.saturating_mul(size_of::<f32>())
}

#[cfg(test)]
mod tests;
