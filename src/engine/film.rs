//! The pictures of a film, painted one after the other.

use super::motion::{self, Follower};
use super::timings::{FrameTimings, Stopwatch};
use super::{Engine, EngineError, Image};
use crate::network::StyleMix;
use crate::ops::Size;

/// While the mix of styles changes, key frames are not farther apart.
const FADE_EVERY: usize = 4;

/// Decides which pictures the network paints, and makes the others of those.
pub struct Film {
    follower: Follower,
    smoothing: f32,
    /// From one key frame to the next, in pictures.
    network_every: usize,
    /// The mix of styles of the next key frame.
    mix: StyleMix,
    /// Whether the last key frame had another one.
    mix_changed: bool,
    spread: bool,
    /// The picture that is being painted part by part, and of how many pictures each did
    /// a part. Nothing if none is.
    key: Image,
    parts: Option<usize>,
    /// Whether a key frame was finished with the last picture.
    key_frame: bool,
    repaired: Option<f32>,
}

impl Default for Film {
    fn default() -> Self {
        Film {
            follower: Follower::default(),
            smoothing: 0.0,
            network_every: 1,
            mix: StyleMix::default(),
            mix_changed: false,
            spread: false,
            key: Image::default(),
            parts: None,
            key_frame: false,
            repaired: None,
        }
    }
}

impl Film {
    /// See [`Painter::set_smoothing`](super::Painter::set_smoothing).
    pub fn set_smoothing(&mut self, smoothing: f32) {
        self.smoothing = smoothing.clamp(0.0, 1.0);
        self.forget_what_is_not_needed();
    }

    /// See [`Painter::set_network_every`](super::Painter::set_network_every).
    pub fn set_network_every(&mut self, every: usize) {
        self.network_every = every.max(1);
        self.forget_what_is_not_needed();
    }

    /// See [`Painter::set_spread`](super::Painter::set_spread).
    pub fn set_spread(&mut self, spread: bool) {
        self.spread = spread;
        if !spread {
            self.parts = None;
        }
    }

    /// Takes the mix of styles to paint in from the next key frame on. One that has been
    /// begun keeps its own.
    pub fn set_mix(&mut self, mix: &StyleMix) {
        if self.mix != *mix {
            self.mix.clone_from(mix);
            self.mix_changed = true;
        }
    }

    /// The next picture does not follow the one before.
    pub fn reset(&mut self) {
        self.follower.reset();
        self.parts = None;
    }

    /// See [`Painter::key_frame`](super::Painter::key_frame).
    pub fn key_frame(&self) -> bool {
        self.key_frame
    }

    /// See [`Painter::repaired`](super::Painter::repaired).
    pub fn repaired(&self) -> Option<f32> {
        self.repaired
    }

    /// The next frame is not painted or, as `key_frame`, by others.
    pub fn skip(&mut self, key_frame: bool) {
        self.key_frame = key_frame;
        self.repaired = None;
    }

    /// Bytes that it takes for pictures of this size.
    pub fn memory_needed(&self, size: Size) -> usize {
        match self.follows() {
            false => 0,
            true => motion::memory_needed(size),
        }
    }

    /// Makes a painting of the next picture, in `styled` or in memory of its own. Works on
    /// the current rayon pool.
    ///
    /// # Errors
    /// Those of [`Engine::stylize`].
    pub fn paint<'a>(
        &'a mut self,
        engine: &mut Engine,
        picture: &Image,
        styled: &'a mut Image,
        timings: &mut FrameTimings,
    ) -> Result<&'a Image, EngineError> {
        let mut watch = Stopwatch::start();
        self.skip(false);
        if !self.follows() {
            self.use_mix(engine)?;
            engine.stylize(picture, styled)?;
            self.key_frame = true;
            timings.network += watch.lap();
            return Ok(styled);
        }
        let every = self.every();
        let spread = self.spread && every > 1;
        self.follower.look(picture);
        // What is painted part by part is finished in time.
        let due = if spread { usize::MAX } else { every };
        self.repaired = self.follower.carry(picture, due);
        timings.motion += watch.lap();
        if self.repaired.is_none() {
            self.use_mix(engine)?;
            engine.stylize(picture, styled)?;
            timings.network += watch.lap();
            self.follower.paint(styled, self.smoothing);
            timings.motion += watch.lap();
            self.key_frame = true;
            self.parts = None;
        } else if spread {
            self.key_frame = self.paint_part(engine, picture, styled, every)?;
            timings.network += watch.lap();
            if self.key_frame {
                self.follower.join(&self.key, styled, self.smoothing);
                timings.motion += watch.lap();
            }
        }
        Ok(self.follower.painting())
    }

    /// Paints one of `every` parts of a key frame, which is `picture` if none has been
    /// begun. Whether the painting in `styled` is complete.
    fn paint_part(
        &mut self,
        engine: &mut Engine,
        picture: &Image,
        styled: &mut Image,
        every: usize,
    ) -> Result<bool, EngineError> {
        if self.parts.is_none() {
            self.use_mix(engine)?;
            self.key.resize(picture.size());
            self.key.data.copy_from_slice(&picture.data);
            engine.begin();
        }
        let parts = self.parts.unwrap_or(0) + 1;
        let share = parts as f64 / every as f64;
        let done = engine.advance(&self.key, share, styled)?;
        self.parts = (!done).then_some(parts);
        Ok(done)
    }

    fn use_mix(&mut self, engine: &mut Engine) -> Result<(), EngineError> {
        self.mix_changed = false;
        engine.set_mix(&self.mix)
    }

    fn every(&self) -> usize {
        match self.mix_changed {
            true => self.network_every.min(FADE_EVERY),
            false => self.network_every,
        }
    }

    /// Whether paintings depend on those before.
    fn follows(&self) -> bool {
        self.smoothing > 0.0 || self.network_every > 1
    }

    fn forget_what_is_not_needed(&mut self) {
        if !self.follows() {
            self.reset();
        }
    }
}
