//! Motion at each pixel of a picture, for measures of films and paintings.

use super::agreement;
use super::carry::{MotionRow, RUN};
use super::flow::FlowFinder;
use super::pyramid::Pyramid;
use crate::engine::Image;
use crate::ops::Size;
use crate::ops::cpu::Level;

/// Where the things in a picture were in the one before, as a
/// [`Follower`](super::Follower) finds it.
pub struct MotionField {
    level: Level,
    size: Size,
    before: Pyramid,
    now: Pyramid,
    flow: FlowFinder,
    /// To the right, and down.
    motion: [Vec<f32>; 2],
}

impl Default for MotionField {
    fn default() -> Self {
        MotionField {
            level: Level::current(),
            size: Size::default(),
            before: Pyramid::default(),
            now: Pyramid::default(),
            flow: FlowFinder::default(),
            motion: Default::default(),
        }
    }
}

impl MotionField {
    /// Finds the motion between consecutive pictures of a film. Whether `now` follows
    /// `before` at all: after a cut, and if their sizes differ, it does not.
    pub fn find(&mut self, before: &Image, now: &Image) -> bool {
        self.size = now.size();
        if before.size() != self.size {
            return false;
        }
        self.before.fill(self.level, before);
        self.now.fill(self.level, now);
        self.flow.find(self.level, &self.now, &self.before);
        let follows = !agreement::is_cut(&self.now, &self.before, self.flow.flows());
        if follows {
            self.enlarge();
        }
        follows
    }

    /// The motion of a row of pixels that [`Self::find`] has found last, to the right and
    /// down, in pixels: where each was before, relative to where it is now.
    pub fn row(&self, y: usize) -> [&[f32]; 2] {
        let width = self.size.width;
        (self.motion.each_ref()).map(|plane| &plane[y * width..][..width])
    }

    /// From half the picture's size to all of it.
    fn enlarge(&mut self) {
        let Size { width, height } = self.size;
        for plane in &mut self.motion {
            plane.resize(width * height, 0.0);
        }
        for y in 0..height {
            let row = MotionRow::of(self.flow.finest(), y);
            for x in (0..width).step_by(RUN) {
                let count = RUN.min(width - x);
                for (plane, motion) in self.motion.iter_mut().zip(row.at(x)) {
                    plane[y * width + x..][..count].copy_from_slice(&motion[..count]);
                }
            }
        }
    }
}
