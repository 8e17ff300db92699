//! Whole video frames, from one memory into another.

#[cfg(feature = "cuda")]
use super::CudaNetwork;
#[cfg(feature = "cuda")]
use super::cuda::{Source, Target};
use super::film::Film;
use super::frame::{Frame, FrameMut};
use super::pixels;
use super::timings::{FrameTimings, Stopwatch};
use super::upsample::{self, Upsampler};
use super::{Blend, Engine, EngineError, Image, Prepared, Size, Threads};
use super::{memory, resize, styles, tiles};
use crate::network::StyleMix;
use std::sync::Arc;

/// Paints frames one after the other, with a model or without.
pub struct Painter {
    threads: Threads,
    engine: Option<Engine>,
    upsampler: Upsampler,
    film: Film,
    /// The frame, before and after.
    picture: Image,
    styled: Image,
    /// The same at the network's size, if that is another.
    small: Image,
    small_styled: Image,
    /// The most memory that a frame was found to need and to get, in bytes.
    granted: usize,
}

impl Painter {
    /// A painter without a model, which leaves pictures as they are. What it
    /// does besides the network, it does on `threads`.
    pub fn new(threads: Threads) -> Self {
        Painter {
            threads,
            engine: None,
            upsampler: Upsampler::default(),
            film: Film::default(),
            picture: Image::default(),
            styled: Image::default(),
            small: Image::default(),
            small_styled: Image::default(),
            granted: 0,
        }
    }

    /// Takes another model, or none, from the next frame on, and the first of its
    /// styles. Forgets the frames before, see [`Self::reset`].
    pub fn set_model(&mut self, model: Option<Arc<Prepared>>) {
        self.reset();
        self.film.set_mix(&StyleMix::default());
        match (&mut self.engine, model) {
            (Some(engine), Some(model)) => engine.set_model(model),
            (engine, model) => {
                *engine = model.map(Engine::of);
                self.granted = 0;
            }
        }
    }

    /// Paints in this mix of the model's styles from the next key frame on, which is the
    /// next frame unless [`Self::set_network_every`] says otherwise. Without a model, it
    /// does nothing. See [`Engine::set_mix`].
    ///
    /// # Errors
    /// [`EngineError::NoStyle`], and what the device reports.
    pub fn set_mix(&mut self, mix: &StyleMix) -> Result<(), EngineError> {
        let Some(engine) = &mut self.engine else {
            return Ok(());
        };
        styles::check(mix, engine.prepared().architecture().styles)?;
        self.film.set_mix(mix);
        #[cfg(feature = "cuda")]
        if let Some(network) = engine.on_cuda() {
            network.set_mix(mix)?;
        }
        Ok(())
    }

    /// How much of the painting before is kept, carried along the film's motion, where
    /// the film shows the same: from 0, each frame by itself, to 1. Takes effect with
    /// the next frame. A painter begins with 0.
    ///
    /// Frames are then to be painted in their order, and [`Self::reset`] says where
    /// one does not follow the one before.
    pub fn set_smoothing(&mut self, smoothing: f32) {
        self.film.set_smoothing(smoothing);
    }

    /// Lets the network paint every `every`th frame alone: key frames. To the frames in
    /// between, the painting before is carried along the film's motion, and repaired from
    /// the frame where that shows something else than before. That takes a small part of
    /// the network's time. From 1, all frames, the default; 0 counts as 1. Takes effect
    /// with the next frame.
    ///
    /// A frame becomes a key frame earlier after a cut or a [reset](Self::reset), and
    /// where too much of it would have to be repaired. While the mix of styles changes, key
    /// frames are at most four frames apart. Frames are to be painted in their order, as
    /// with [smoothing](Self::set_smoothing). On a CUDA device all frames are key frames.
    pub fn set_network_every(&mut self, every: usize) {
        self.film.set_network_every(every);
    }

    /// Whether key frames that are not all frames are painted part by part, a part with
    /// each frame, so that all frames take the same time. Their paintings come so many
    /// frames late and are carried to where things have moved by then: more of what is
    /// seen is carried farther. For films that play while they are painted. Not at the
    /// beginning. Frames that cannot be carried are painted whole, and all with networks
    /// that have no fast kernels.
    pub fn set_spread(&mut self, spread: bool) {
        self.film.set_spread(spread);
    }

    /// Whether the network has finished a key frame with the frame painted last.
    pub fn key_frame(&self) -> bool {
        self.film.key_frame()
    }

    /// The share of the frame painted last, from 0 to 1, that motion could not explain
    /// and that was repaired, if the painting before was carried to it.
    pub fn repaired(&self) -> Option<f32> {
        self.film.repaired()
    }

    /// Forgets the frames before: the next is the first of another film or place.
    /// Cuts within a film need no reset, they are found.
    pub fn reset(&mut self) {
        self.film.reset();
    }

    /// The model in use.
    pub fn model(&self) -> Option<&Arc<Prepared>> {
        self.engine.as_ref().map(Engine::prepared)
    }

    /// Whether there is memory for frames of size `frame` with the network at
    /// `size`. Looks at the system's free memory.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn check_memory(&self, frame: Size, size: Size) -> Result<(), EngineError> {
        let needed = self.memory_needed(frame, size);
        if needed <= self.granted {
            return Ok(());
        }
        match memory::free().saturating_add(self.granted) {
            available if needed > available => Err(EngineError::OutOfMemory {
                needed_mib: needed.div_ceil(1 << 20),
                available_mib: available >> 20,
            }),
            _ => Ok(()),
        }
    }

    fn memory_needed(&self, frame: Size, size: Size) -> usize {
        let network = match &self.engine {
            Some(engine) => engine.memory_needed(size),
            None => 0,
        };
        let upsampler = match size == frame {
            true => 0,
            false => upsample::memory_needed(size),
        };
        network
            .saturating_add(upsampler)
            .saturating_add(self.film.memory_needed(size))
            .saturating_add(tiles::pictures_memory(frame))
    }

    /// Paints `input` into `output`, a frame of the same size. The network sees
    /// a picture of `size`, no side of which is larger than the frame's.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] if the frame is too large for the machine,
    /// [`EngineError::Frame`] if the frames' sizes differ, and those of
    /// [`Engine::stylize`].
    pub fn paint(
        &mut self,
        input: &Frame<'_>,
        output: &mut FrameMut<'_>,
        size: Size,
        blend: Blend,
    ) -> Result<FrameTimings, EngineError> {
        let frame = input.info().size();
        self.check_memory(frame, size)?;
        self.granted = self.granted.max(self.memory_needed(frame, size));
        // All at once on the threads: this one would only wait.
        let threads = self.threads.clone();
        threads.run(|| self.paint_here(input, output, size, blend))
    }

    fn paint_here(
        &mut self,
        input: &Frame<'_>,
        output: &mut FrameMut<'_>,
        size: Size,
        blend: Blend,
    ) -> Result<FrameTimings, EngineError> {
        let mut timings = FrameTimings::default();
        let mut watch = Stopwatch::start();
        self.film.skip(false);
        #[cfg(feature = "cuda")]
        if let Some(network) = self.network_on_cuda(blend) {
            let kernels = network.paint(input, output, size, blend)?;
            self.film.skip(true);
            return Ok(FrameTimings::on_device(kernels, watch.lap()));
        }
        pixels::read(input, &mut self.picture);
        timings.convert += watch.lap();
        let engine = self.engine.as_mut().filter(|_| blend.strength > 0.0);
        let Some(engine) = engine else {
            pixels::write(&self.picture, None, Some(input), output)?;
            timings.convert += watch.lap();
            return Ok(timings);
        };

        let picture = &self.picture;
        let styled;
        if size == picture.size() {
            styled = (self.film).paint(engine, picture, &mut self.styled, &mut timings)?;
            watch.lap();
        } else {
            resize::shrink(picture, size, &mut self.small);
            timings.upsample += watch.lap();
            let (small, small_styled) = (&self.small, &mut self.small_styled);
            let painting = (self.film).paint(engine, small, small_styled, &mut timings)?;
            watch.lap();
            (self.upsampler).run(picture, small, painting, &mut self.styled);
            styled = &self.styled;
            timings.upsample += watch.lap();
        }

        pixels::write(styled, Some((picture, blend)), Some(input), output)?;
        timings.convert += watch.lap();
        Ok(timings)
    }
}

#[cfg(feature = "cuda")]
impl Painter {
    /// Paints where one of the frames lies on the device or both do. Nothing is
    /// done if the network is elsewhere, or has nothing to do.
    ///
    /// # Errors
    /// As [`Painter::paint`].
    pub fn paint_directly(
        &mut self,
        input: Source<'_>,
        output: &mut Target<'_, '_>,
        size: Size,
        blend: Blend,
    ) -> Result<Option<FrameTimings>, EngineError> {
        let mut watch = Stopwatch::start();
        // What lies on this side is copied by them.
        let threads = self.threads.clone();
        let Some(network) = self.network_on_cuda(blend) else {
            return Ok(None);
        };
        let kernels = threads.run(|| network.paint_directly(input, output, size, blend))?;
        self.film.skip(true);
        Ok(Some(FrameTimings::on_device(kernels, watch.lap())))
    }

    /// Whether frames blended like this are painted on a CUDA device.
    pub fn paints_on_cuda(&mut self, blend: Blend) -> bool {
        self.network_on_cuda(blend).is_some()
    }

    fn network_on_cuda(&mut self, blend: Blend) -> Option<&mut CudaNetwork> {
        let engine = self.engine.as_mut().filter(|_| blend.strength > 0.0);
        engine.and_then(Engine::on_cuda)
    }
}
