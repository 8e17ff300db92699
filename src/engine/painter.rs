//! Whole video frames, from one memory into another.

#[cfg(feature = "cuda")]
use super::CudaNetwork;
use super::colour::keep_colours;
#[cfg(feature = "cuda")]
use super::cuda::{Overlay, Source, Target};
use super::frame::{Frame, FrameMut};
use super::pixels::{self, Mix};
use super::upsample::{self, Upsampler};
use super::{Engine, EngineError, Image, Prepared, Threads, memory, resize, tiles};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a frame is to be painted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// How much of the new picture shows: 0 nothing, 1 everything.
    pub strength: f32,
    /// Whether the frame keeps its colours and takes light and dark alone.
    pub keep_colours: bool,
    /// Width and height of the picture that the network sees. No side is
    /// larger than the frame's.
    pub size: (usize, usize),
}

/// How long the parts of the work on a frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// From the frame's format and into the other's.
    pub convert: Duration,
    /// The network.
    pub network: Duration,
    /// Down to the network's size, and up again.
    pub upsample: Duration,
}

/// Paints frames one after the other, with a model or without.
pub struct Painter {
    threads: Threads,
    engine: Option<Engine>,
    upsampler: Upsampler,
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
            picture: Image::default(),
            styled: Image::default(),
            small: Image::default(),
            small_styled: Image::default(),
            granted: 0,
        }
    }

    /// Takes another model, or none, from the next frame on.
    pub fn set_model(&mut self, model: Option<Arc<Prepared>>) {
        match (&mut self.engine, model) {
            (Some(engine), Some(model)) => engine.set_model(model),
            (engine, model) => {
                *engine = model.map(Engine::of);
                self.granted = 0;
            }
        }
    }

    /// The model in use.
    pub fn model(&self) -> Option<&Arc<Prepared>> {
        self.engine.as_ref().map(Engine::prepared)
    }

    /// Whether there is memory for frames of `frame` with the network at
    /// `size`, in pixels: width and height. Looks at the system's free memory.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn check_memory(
        &self,
        frame: (usize, usize),
        size: (usize, usize),
    ) -> Result<(), EngineError> {
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

    fn memory_needed(&self, frame: (usize, usize), size: (usize, usize)) -> usize {
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
            .saturating_add(tiles::pictures_memory(frame))
    }

    /// Paints `input` into `output`, a frame of the same size.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`] if the frame is too large for the machine,
    /// [`EngineError::Frame`] if the frames' sizes differ, and those of
    /// [`Engine::stylize`].
    pub fn paint(
        &mut self,
        input: &Frame<'_>,
        output: &mut FrameMut<'_>,
        look: Look,
    ) -> Result<Spent, EngineError> {
        let frame = (input.info().width, input.info().height);
        self.check_memory(frame, look.size)?;
        self.granted = self.granted.max(self.memory_needed(frame, look.size));
        // All at once on the threads: this one would only wait.
        let threads = self.threads.clone();
        threads.run(|| self.paint_here(input, output, look))
    }

    fn paint_here(
        &mut self,
        input: &Frame<'_>,
        output: &mut FrameMut<'_>,
        look: Look,
    ) -> Result<Spent, EngineError> {
        let mut spent = Spent::default();
        let mut watch = Stopwatch::start();
        #[cfg(feature = "cuda")]
        if let Some(kernels) = self.paint_on_cuda(input, output, look)? {
            // What is not spent there are copies.
            spent.network = kernels;
            spent.convert = watch.lap().saturating_sub(kernels);
            return Ok(spent);
        }
        pixels::read(input, &mut self.picture);
        spent.convert += watch.lap();
        let engine = self.engine.as_mut().filter(|_| look.strength > 0.0);
        let Some(engine) = engine else {
            pixels::write(&self.picture, None, Some(input), output)?;
            spent.convert += watch.lap();
            return Ok(spent);
        };

        let (picture, styled) = (&self.picture, &mut self.styled);
        if look.size == (picture.width, picture.height) {
            engine.stylize(picture, styled)?;
            spent.network += watch.lap();
        } else {
            resize::shrink(picture, look.size, &mut self.small);
            spent.upsample += watch.lap();
            engine.stylize(&self.small, &mut self.small_styled)?;
            spent.network += watch.lap();
            self.upsampler
                .run(picture, &self.small, &self.small_styled, styled);
            spent.upsample += watch.lap();
        }

        if look.keep_colours {
            keep_colours(picture, styled);
        }
        let mix = (look.strength < 1.0).then_some(Mix {
            original: picture,
            strength: look.strength,
        });
        pixels::write(styled, mix, Some(input), output)?;
        spent.convert += watch.lap();
        Ok(spent)
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
        look: Look,
    ) -> Result<Option<Spent>, EngineError> {
        let mut watch = Stopwatch::start();
        // What lies on this side is copied by them.
        let threads = self.threads.clone();
        let Some(network) = self.network_on_cuda(look) else {
            return Ok(None);
        };
        let overlay = Overlay::of(look);
        let kernels = threads.run(|| network.paint_directly(input, output, look.size, overlay))?;
        Ok(Some(Spent {
            network: kernels,
            convert: watch.lap().saturating_sub(kernels),
            ..Spent::default()
        }))
    }

    /// Does all of it on the device, where the network is there. Tells how long
    /// the kernels took.
    fn paint_on_cuda(
        &mut self,
        input: &Frame<'_>,
        output: &mut FrameMut<'_>,
        look: Look,
    ) -> Result<Option<Duration>, EngineError> {
        match self.network_on_cuda(look) {
            Some(network) => {
                let overlay = Overlay::of(look);
                network.paint(input, output, look.size, overlay).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Whether frames of this look are painted on a CUDA device.
    pub fn paints_on_cuda(&mut self, look: Look) -> bool {
        self.network_on_cuda(look).is_some()
    }

    fn network_on_cuda(&mut self, look: Look) -> Option<&mut CudaNetwork> {
        let engine = self.engine.as_mut().filter(|_| look.strength > 0.0);
        engine.and_then(Engine::on_cuda)
    }
}

#[cfg(feature = "cuda")]
impl Overlay {
    fn of(look: Look) -> Self {
        Overlay {
            strength: look.strength,
            keep_colours: look.keep_colours,
        }
    }
}

struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// The time since the last lap.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.0, now)
    }
}
