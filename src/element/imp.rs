//! The element's behaviour: what GStreamer calls.

use super::caps;
use super::settings::{FastStylePrecision, Settings};
use super::streaming::Streaming;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_video::VideoInfo;
use gst_video::subclass::prelude::*;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "faststyle",
        gst::DebugColorFlags::empty(),
        Some("Style transfer"),
    )
});

/// The instance of `faststyle`.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::FastStyle)]
pub struct FastStyle {
    #[property(
        name = "model",
        nick = "Model",
        blurb = "Path of the model file (*.safetensors); applied at the next start",
        type = Option<String>,
        member = model,
        get, set, mutable_ready
    )]
    #[property(
        name = "device",
        nick = "Device",
        blurb = "Where to run: auto, cpu, cuda or cuda:N; applied at the next start",
        type = Option<String>,
        member = device,
        default = Settings::default().device.as_deref(),
        get, set, mutable_ready
    )]
    #[property(
        name = "precision",
        nick = "Precision",
        blurb = "How exactly to compute; applied at the next start",
        type = FastStylePrecision,
        member = precision,
        get, set, mutable_ready, builder(FastStylePrecision::default())
    )]
    #[property(
        name = "threads",
        nick = "Threads",
        blurb = "Threads of the CPU to use, 0 for one a core; elements with as many share them; applied at the next start",
        type = u32,
        member = threads,
        maximum = 1024, default = Settings::default().threads,
        get, set, mutable_ready
    )]
    #[property(
        name = "strength",
        nick = "Strength",
        blurb = "How much of the style shows, from 0 (the picture as it was) to 1",
        type = f64,
        member = strength,
        minimum = 0.0, maximum = 1.0, default = Settings::default().strength,
        get, set, mutable_playing, controllable
    )]
    settings: Mutex<Settings>,
    streaming: Mutex<Streaming>,
}

/// Locks, even after a panic elsewhere: that has become an error already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for FastStyle {
    const NAME: &'static str = "GstFastStyle";
    type Type = super::FastStyle;
    type ParentType = gst_video::VideoFilter;
}

#[glib::derived_properties]
impl ObjectImpl for FastStyle {}

impl GstObjectImpl for FastStyle {}

impl ElementImpl for FastStyle {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Style transfer",
                "Filter/Effect/Video",
                "Repaints each frame in the style of a painting",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let pads = [
                ("sink", gst::PadDirection::Sink),
                ("src", gst::PadDirection::Src),
            ];
            let template = |(name, direction)| {
                let always = gst::PadPresence::Always;
                gst::PadTemplate::new(name, direction, always, &caps::template())
            };
            pads.into_iter().flat_map(template).collect()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for FastStyle {
    const MODE: BaseTransformMode = BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let engine = settings.open()?;
        gst::info!(
            CAT,
            imp = self,
            "{settings:?} on {:?}, precision {}, {} threads",
            engine.device(),
            engine.precision(),
            engine.threads().count()
        );
        *lock(&self.streaming) = Streaming::new(engine);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.streaming) = Streaming::default();
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let mut others = caps::other_side(caps);
        if let Some(filter) = filter {
            others = filter.intersect_with_mode(&others, gst::CapsIntersectMode::First);
        }
        gst::debug!(
            CAT,
            imp = self,
            "{direction:?} {caps}: the other side {others}"
        );
        Some(others)
    }

    fn fixate_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        others: gst::Caps,
    ) -> gst::Caps {
        let chosen = caps::fixate(caps, others);
        gst::debug!(CAT, imp = self, "{direction:?} {caps}: chose {chosen}");
        chosen
    }

    fn before_transform(&self, buffer: &gst::BufferRef) {
        let element = self.obj();
        let segment = element.segment();
        let time = segment
            .downcast_ref::<gst::ClockTime>()
            .and_then(|segment| segment.to_stream_time(buffer.pts()));
        if let Some(time) = time
            && let Err(error) = element.sync_values(time)
        {
            gst::warning!(CAT, imp = self, "{error}");
        }
        let passthrough = self.strength() <= 0.0 && lock(&self.streaming).same_caps();
        if passthrough != element.is_passthrough() {
            element.set_passthrough(passthrough);
            // The buffers so far were the neighbours' affair.
            if !passthrough {
                element.reconfigure_src();
            }
        }
    }

    fn transform(
        &self,
        input: &gst::Buffer,
        output: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let strength = self.strength();
        let result = lock(&self.streaming).repaint(input, output, strength);
        result.map_err(|message| {
            self.post_error_message(message);
            gst::FlowError::Error
        })?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn transform_meta<'a>(
        &self,
        output: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        input: &'a gst::BufferRef,
    ) -> bool {
        // Places in the picture stay what they are.
        meta.tags_contain_only(&["video", "size", "orientation"])
            || self.parent_transform_meta(output, meta, input)
    }
}

impl VideoFilterImpl for FastStyle {
    fn set_info(
        &self,
        input_caps: &gst::Caps,
        input: &VideoInfo,
        output_caps: &gst::Caps,
        output: &VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        let same_caps = input_caps == output_caps;
        lock(&self.streaming)
            .negotiate(input, output, same_caps)
            .map_err(|reason| gst::loggable_error!(CAT, "{reason}"))?;
        // Buffers of other caps must not slip through in the meantime.
        if !same_caps {
            self.obj().set_passthrough(false);
        }
        Ok(())
    }
}

impl FastStyle {
    fn strength(&self) -> f32 {
        lock(&self.settings).strength()
    }
}
