//! The streaming thread's state: the painter, the caps, the pace.

use super::buffers::{FrameBuffer, frame, frame_mut, planes, wrong_buffer};
use super::caps;
use super::cuda_memory::Context;
use super::metas::MetasRead;
use super::pace::{Pace, SizePolicy};
use super::painted::Painted;
use super::settings::FrameSettings;
use super::styles::{Choice, Fade};
use crate::engine::frame::FrameInfo;
use crate::engine::{Blend, FrameTimings, Painter, Prepared, Size, error_chain};
use gst_video::{VideoCropMeta, VideoInfo, VideoMeta};
use std::sync::Arc;
use std::time::Duration;

/// Input and output as negotiated.
struct Negotiated {
    input: VideoInfo,
    output: VideoInfo,
    input_frame: FrameInfo,
    output_frame: FrameInfo,
    same_caps: bool,
}

/// What frames are painted with. Its lock is held while one is painted.
pub struct Streaming {
    painter: Painter,
    /// The styles that frames are painted in.
    fade: Fade,
    /// The model's style where none is set.
    default_style: usize,
    /// The property `style` as it was applied last.
    style: Option<String>,
    negotiated: Option<Negotiated>,
    pace: Pace,
    /// What the pace was made for.
    pace_key: Option<PaceKey>,
    /// When the frame painted last is to be shown.
    last_shown: Option<Duration>,
    /// Whether frames must be done in time: the source is live, or the sink
    /// waits for the clock.
    real_time: bool,
    /// The context in which frames can be painted without a copy.
    cuda: Option<Context>,
}

/// What a [`Pace`] depends on: with another one, it starts anew.
#[derive(Clone, Copy, PartialEq)]
struct PaceKey {
    frame: Size,
    policy: SizePolicy,
    real_time: bool,
}

impl Streaming {
    pub fn new(painter: Painter) -> Self {
        Streaming {
            painter,
            fade: Fade::new(Choice::of_model(0, 1)),
            default_style: 0,
            style: None,
            negotiated: None,
            pace: Pace::default(),
            pace_key: None,
            last_shown: None,
            real_time: false,
            cuda: None,
        }
    }

    /// Sets the context in which frames can be painted without a copy.
    pub fn set_cuda(&mut self, cuda: Option<Context>) {
        self.cuda = cuda;
    }

    /// Prepares for frames of these caps.
    pub fn negotiate(
        &mut self,
        input: &VideoInfo,
        output: &VideoInfo,
        same_caps: bool,
    ) -> Result<(), String> {
        self.negotiated = None;
        self.reset();
        self.negotiated = Some(Negotiated {
            input_frame: caps::frame_info(input)?,
            output_frame: caps::frame_info(output)?,
            input: input.clone(),
            output: output.clone(),
            same_caps,
        });
        Ok(())
    }

    /// Takes another model, or none, and the style to paint in where none is set.
    /// What is set is still to be [applied](Self::set_style).
    pub fn set_model(&mut self, model: Option<Arc<Prepared>>, default_style: usize) {
        self.default_style = default_style;
        // Another style of the same model, to which a fade is possible.
        if let (Some(old), Some(new)) = (self.model(), &model)
            && Arc::ptr_eq(old, new)
        {
            return;
        }
        self.fade = Fade::new(self.default_choice(model.as_deref()));
        if let (Some(old), Some(new)) = (self.painter.model(), &model) {
            let cost = |model: &Prepared| model.architecture().products_per_pixel();
            self.pace.model_changed(cost(new) / cost(old));
        }
        self.painter.set_model(model);
        // Other sizes may be possible now.
        self.limit_sizes();
    }

    /// The model in use.
    pub fn model(&self) -> Option<&Arc<Prepared>> {
        self.painter.model()
    }

    fn default_choice(&self, model: Option<&Prepared>) -> Choice {
        let styles = model.map_or(1, |model| model.architecture().styles);
        Choice::of_model(self.default_style, styles)
    }

    /// Whether this `style` has been applied.
    pub fn has_style(&self, style: Option<&str>) -> bool {
        self.style.as_deref() == style
    }

    /// Applies the property `style` to the model: fades to it if frames have been
    /// painted with that model.
    ///
    /// # Errors
    /// What is wrong with it. The style stays as it is.
    pub fn set_style(&mut self, style: Option<&str>) -> Result<(), String> {
        self.style = style.map(str::to_owned);
        if let Some(model) = self.painter.model() {
            let choice = match style.filter(|style| !style.trim().is_empty()) {
                Some(style) => Choice::parse(style, model.styles())?,
                None => self.default_choice(Some(model)),
            };
            self.fade.choose(choice);
        }
        Ok(())
    }

    /// The chosen styles, as property `style` would have them.
    pub fn style_text(&self) -> String {
        let styles = self.model().map_or(&[][..], |model| model.styles());
        self.fade.choice().text(styles)
    }

    /// Moves a fade on to the frame at running time `time`.
    pub fn advance_style(&mut self, settings: &FrameSettings, time: Option<Duration>) {
        (self.fade).advance(time, settings.style_fade, settings.style_position);
    }

    /// Whether frames of this `strength` pass through unchanged.
    pub fn passes(&self, strength: f32) -> bool {
        let same_caps = self.negotiated.as_ref().is_some_and(|n| n.same_caps);
        same_caps && (strength <= 0.0 || self.model().is_none())
    }

    /// Whether those who read these metas find the frame in `buffer`.
    pub fn is_readable(&self, buffer: &gst::BufferRef, read: MetasRead) -> bool {
        (read.video || self.has_default_layout(buffer))
            && (read.crop || buffer.meta::<VideoCropMeta>().is_none())
    }

    /// Whether `buffer` has the layout that its caps alone imply.
    fn has_default_layout(&self, buffer: &gst::BufferRef) -> bool {
        let (Some(meta), Some(negotiated)) = (buffer.meta::<VideoMeta>(), &self.negotiated) else {
            return true;
        };
        let caps = &negotiated.input;
        meta.offset() == caps.offset() && meta.stride() == caps.stride()
    }

    /// From now on frames must be done in time.
    pub fn set_real_time(&mut self) {
        self.real_time = true;
    }

    /// Lets the pace know that a frame came to the sink too late.
    pub fn frame_was_late(&mut self) {
        self.pace.frame_was_late();
    }

    /// The next frame does not follow the one before.
    pub fn reset(&mut self) {
        self.last_shown = None;
        self.painter.reset();
    }

    /// Resets if a frame shown at `time` cannot follow the last one.
    fn follow(&mut self, time: Option<Duration>, duration: Option<Duration>) {
        let gap = 3 * duration.unwrap_or_default().max(DEFAULT_DURATION * 5);
        let follows = match (self.last_shown, time) {
            (Some(last), Some(time)) => time >= last && time - last < gap,
            (last, _) => last.is_none(),
        };
        if !follows {
            self.reset();
        }
        self.last_shown = time;
    }

    /// The time for a frame, if frames must be done in time. `duration` is that
    /// of the buffer.
    pub fn budget(&self, settings: &FrameSettings, duration: Option<Duration>) -> Option<Duration> {
        let seconds = |time: f64| Duration::try_from_secs_f64(time).unwrap_or(LONGEST_DURATION);
        if settings.target_fps > 0.0 {
            return Some(seconds(1.0 / settings.target_fps).min(LONGEST_DURATION));
        }
        let fps = self.negotiated.as_ref()?.input.fps();
        let time = match fps.numer() > 0 && fps.denom() > 0 {
            true => seconds(f64::from(fps.denom()) / f64::from(fps.numer())),
            false => duration.unwrap_or(DEFAULT_DURATION),
        };
        Some(time.min(LONGEST_DURATION)).filter(|_| self.real_time)
    }

    /// Repaints one frame.
    pub fn repaint(
        &mut self,
        input: &gst::BufferRef,
        output: &mut gst::BufferRef,
        settings: &FrameSettings,
    ) -> Result<Painted, gst::ErrorMessage> {
        let duration = input.duration().map(Duration::from);
        self.painter.set_smoothing(settings.smoothing);
        self.follow(input.pts().map(Duration::from), duration);
        self.update_pace(settings, duration);
        self.painter.set_network_every(self.pace.every());
        self.fit_memory();
        let Some(negotiated) = &self.negotiated else {
            return Err(gst::error_msg!(
                gst::CoreError::Negotiation,
                ["Got a buffer before its caps"]
            ));
        };
        let input = FrameBuffer {
            planes: planes(input, &negotiated.input, &negotiated.input_frame)
                .map_err(|reason| wrong_buffer("input", &reason))?,
            buffer: input,
            info: negotiated.input_frame,
        };
        let mut output = FrameBuffer {
            planes: planes(output, &negotiated.output, &negotiated.output_frame)
                .map_err(|reason| wrong_buffer("output", &reason))?,
            buffer: output,
            info: negotiated.output_frame,
        };
        let failed = |error| gst::error_msg!(gst::StreamError::Failed, ("{}", error_chain(&error)));
        self.painter.set_mix(self.fade.mix()).map_err(failed)?;
        let size = self.pace.size();
        let blend = Blend {
            strength: settings.strength,
            keep_color: settings.keep_color,
        };
        let directly = match &self.cuda {
            Some(cuda) => cuda.paint(&mut self.painter, &input, &mut output, size, blend)?,
            None => None,
        };
        let timings = match directly {
            Some(timings) => timings,
            None => paint(&mut self.painter, &input, &mut output, size, blend)?,
        };
        // The network does not run on other frames.
        let painted = blend.strength > 0.0 && self.painter.model().is_some();
        if painted {
            self.pace.observe(timings);
        }
        Ok(Painted {
            timings,
            size: painted.then_some(size),
            key_frame: self.painter.key_frame(),
            repaired: self.painter.repaired(),
        })
    }

    /// Starts another pace if what it depends on has changed.
    fn update_pace(&mut self, settings: &FrameSettings, duration: Option<Duration>) {
        let Some(negotiated) = &self.negotiated else {
            return;
        };
        let budget = self.budget(settings, duration);
        let mut policy = settings.size;
        if self.model().is_some_and(|model| model.device().is_cuda()) {
            // There, all frames are key frames.
            policy.network_every = 1;
        }
        let key = PaceKey {
            frame: negotiated.input_frame.size(),
            policy,
            real_time: budget.is_some(),
        };
        // Where frames are shown as they come, all are to take the same time.
        self.painter.set_spread(key.real_time);
        if self.pace_key != Some(key) {
            let before = std::mem::take(&mut self.pace);
            self.pace = Pace::after(before, key.frame, key.policy, budget);
            self.pace_key = Some(key);
            self.limit_sizes();
        } else if let Some(budget) = budget {
            self.pace.set_budget(budget);
        }
    }

    /// Chooses a smaller size if memory has become too scarce for the current
    /// one.
    fn fit_memory(&mut self) {
        if let Some(key) = self.pace_key
            && (self.painter)
                .check_memory(key.frame, self.pace.size())
                .is_err()
        {
            self.limit_sizes();
        }
    }

    /// Excludes sizes for which there is too little memory.
    fn limit_sizes(&mut self) {
        if let Some(key) = self.pace_key {
            self.pace
                .limit(|size| self.painter.check_memory(key.frame, size).is_ok());
        }
    }
}

/// The duration of frames if neither caps nor buffers give it.
const DEFAULT_DURATION: Duration = Duration::from_millis(33);

/// The longest time for a frame, whatever caps and properties say.
const LONGEST_DURATION: Duration = Duration::from_secs(3600);

/// Paints from one buffer into the other in the host's memory.
fn paint(
    painter: &mut Painter,
    input: &FrameBuffer<&gst::BufferRef>,
    output: &mut FrameBuffer<&mut gst::BufferRef>,
    size: Size,
    blend: Blend,
) -> Result<FrameTimings, gst::ErrorMessage> {
    let bytes = input
        .buffer
        .map_readable()
        .map_err(|error| wrong_buffer("input", &error.message))?;
    let mut to_bytes = output
        .buffer
        .map_writable()
        .map_err(|error| wrong_buffer("output", &error.message))?;
    let from = frame(&bytes, &input.planes, input.info)
        .map_err(|reason| wrong_buffer("input", &reason))?;
    let mut to = frame_mut(&mut to_bytes, &output.planes, output.info)
        .map_err(|reason| wrong_buffer("output", &reason))?;
    painter
        .paint(&from, &mut to, size, blend)
        .map_err(|error| gst::error_msg!(gst::StreamError::Failed, ("{}", error_chain(&error))))
}
