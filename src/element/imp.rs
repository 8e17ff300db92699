//! The element's behaviour: what GStreamer calls.

// The accessors that `glib::Properties` generates carry no documentation; the
// properties' blurbs do.
#![allow(missing_docs)]

use super::caps;
use super::cuda_memory::{self, Context};
use super::downstream;
use super::loader::{Job, Loader};
use super::metas::{self, Fate, MetasRead};
use super::report::Report;
use super::settings::{FastStylePrecision, Fault, Loaded, Settings};
use super::started::Started;
use super::streaming::Streaming;
use crate::engine::{DeviceChoice, Painter};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::BaseTransformMode;
use gst_video::VideoInfo;
use gst_video::subclass::prelude::*;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
        blurb = "Model file (*.safetensors): a path, or a bare name to look up. Without a model, frames pass through. While playing, a new model is loaded in the background and used from the next frame on",
        type = Option<PathBuf>,
        member = model,
        get, set = Self::set_model, mutable_playing
    )]
    #[property(
        name = "device",
        nick = "Device",
        blurb = "Device to run on: auto, cpu, cuda or cuda:N; takes effect at the next start",
        type = Option<String>,
        member = device,
        default = Settings::default().device.as_deref(),
        get, set, mutable_ready
    )]
    #[property(
        name = "precision",
        nick = "Precision",
        blurb = "Numeric precision of the network; takes effect at the next start",
        type = FastStylePrecision,
        member = precision,
        get, set, mutable_ready, builder(FastStylePrecision::default())
    )]
    #[property(
        name = "threads",
        nick = "Threads",
        blurb = "Number of CPU threads, 0 = one per core; elements with the same number share them; takes effect at the next start",
        type = u32,
        member = threads,
        maximum = 1024, default = Settings::default().threads,
        get, set, mutable_ready
    )]
    #[property(
        name = "strength",
        nick = "Strength",
        blurb = "Strength of the style, from 0 (original picture) to 1 (fully styled)",
        type = f64,
        member = strength,
        minimum = 0.0, maximum = 1.0, default = Settings::default().strength,
        get, set, mutable_playing, controllable, lax_validation
    )]
    #[property(
        name = "keep-color",
        nick = "Keep color",
        blurb = "Keep the frame's colors (chroma) and take only the brightness (luma) from the styled picture",
        type = bool,
        member = keep_color,
        default = Settings::default().keep_color,
        get, set, mutable_playing, controllable
    )]
    #[property(
        name = "smoothing",
        nick = "Smoothing",
        blurb = "Calm in films: how much of the painting before, carried along the motion, stays where the frame shows the same; 0 = none, each frame by itself",
        type = f64,
        member = smoothing,
        minimum = 0.0, maximum = 1.0, default = Settings::default().smoothing,
        get, set, mutable_playing, controllable
    )]
    #[property(
        name = "network-every",
        nick = "Network every",
        blurb = "Frames from one that the network paints to the next; to those between, the painting before is carried along the motion and repaired where the frame shows something new; 1 = the network paints all, 0 = as few as real time allows, up to 4, in live and synchronized pipelines, else 1",
        type = u32,
        member = network_every,
        minimum = 0, maximum = 60, default = Settings::default().network_every,
        get, set, mutable_playing, controllable, lax_validation
    )]
    #[property(
        name = "style",
        nick = "Style",
        blurb = "The model's style to paint in: a name, or a mix such as scream:0.7,starry-night:0.3; not set = the model's first, or the one that property model names",
        type = Option<String>,
        member = style,
        get, set, mutable_playing
    )]
    #[property(
        name = "style-fade",
        nick = "Style fade",
        blurb = "Time in milliseconds that a change of style takes, 0 = none",
        type = u32,
        member = style_fade,
        default = Settings::default().style_fade,
        get, set, mutable_playing
    )]
    #[property(
        name = "style-position",
        nick = "Style position",
        blurb = "Position along the styles in property style, or all of the model's if that is not set: 0 = the first, 1.5 = halfway between the second and the third; -1 = off",
        type = f64,
        member = style_position,
        minimum = -1.0, maximum = 1000.0, default = Settings::default().style_position,
        get, set, mutable_playing, controllable, lax_validation
    )]
    #[property(
        name = "styles",
        nick = "Styles",
        blurb = "The names of the model's styles, once the element is started",
        type = Vec<String>,
        get = |element: &Self| lock(&element.report).styles()
    )]
    #[property(
        name = "scale",
        nick = "Scale",
        blurb = "Size of the network's picture relative to the frame; 0 = as large as real time allows in live and synchronized pipelines, else 1",
        type = f64,
        member = scale,
        minimum = 0.0, maximum = 1.0, default = Settings::default().scale,
        get, set, mutable_playing, lax_validation
    )]
    #[property(
        name = "max-height",
        nick = "Maximum height",
        blurb = "Maximum height of the network's picture in pixels, 0 = no limit",
        type = u32,
        member = max_height,
        default = Settings::default().max_height,
        get, set, mutable_playing
    )]
    #[property(
        name = "stroke-scale",
        nick = "Stroke scale",
        blurb = "Size of the strokes relative to those in a 480-pixel-high picture, whatever the frame's size; 0 = not set, strokes follow the size of the network's picture",
        type = f64,
        member = stroke_scale,
        minimum = 0.0, maximum = 100.0, default = Settings::default().stroke_scale,
        get, set, mutable_playing, lax_validation
    )]
    #[property(
        name = "target-fps",
        nick = "Target frame rate",
        blurb = "Frame rate to keep up with when scale is 0; 0 = the stream's, in live and synchronized pipelines",
        type = f64,
        member = target_fps,
        minimum = 0.0, maximum = 1000.0, default = Settings::default().target_fps,
        get, set, mutable_playing, lax_validation
    )]
    #[property(
        name = "stats-interval",
        nick = "Statistics interval",
        blurb = "Interval in nanoseconds at which statistics are posted as element messages, 0 = never",
        type = u64,
        member = stats_interval,
        default = Settings::default().stats_interval,
        get, set, mutable_playing
    )]
    settings: Mutex<Settings>,
    /// What there is from the start to the stop. As the settings' lock, this one
    /// is never held while a frame is painted. Locked after the settings, if
    /// both are.
    started: Mutex<Option<Started>>,
    report: Mutex<Report>,
    loader: Loader,
}

/// The property with the model's path or name.
const MODEL: &str = "model";

/// The property with the element's statistics.
const STATS: &str = "stats";

/// Locks, even after a panic elsewhere: that panic was reported as an error.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for FastStyle {
    const NAME: &'static str = "GstFastStyle";
    type Type = super::FastStyle;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for FastStyle {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            // A type that the derived ones do not know.
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>(STATS)
                .nick("Statistics")
                .blurb(
                    "Frame counts, key frames, times of the last 256 frames (mean and 95th percentile, \
                     milliseconds), the network's size and device, latency (nanoseconds)",
                )
                .read_only()
                .build();
            let derived = FastStyle::derived_properties().iter().cloned();
            derived.chain([stats]).collect()
        });
        &PROPERTIES
    }

    fn property(&self, id: usize, spec: &glib::ParamSpec) -> glib::Value {
        match spec.name() {
            STATS => lock(&self.report).structure().to_value(),
            _ => self.derived_property(id, spec),
        }
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        match unicode(value) {
            // A path is bytes.
            Some(text) if spec.name() != MODEL => self.derived_set_property(id, &text, spec),
            _ => self.derived_set_property(id, value, spec),
        }
    }
}

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

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // Before its neighbours, from the sink on, look for a context.
        if transition == gst::StateChange::NullToReady
            && let Some(cuda) = self.cuda_context()
        {
            cuda.announce(self.obj().upcast_ref());
        }
        self.parent_change_state(transition)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let pads = [
                ("sink", gst::PadDirection::Sink),
                ("src", gst::PadDirection::Src),
            ];
            let template = |(name, direction)| {
                let always = gst::PadPresence::Always;
                let caps = caps::template(cuda_memory::is_available());
                gst::PadTemplate::new(name, direction, always, &caps)
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
        self.loader.cancel();
        let result = self.begin();
        if result.is_err() {
            *lock(&self.started) = None;
        }
        Ok(result?)
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.started) = None;
        self.loader.cancel();
        Ok(())
    }

    fn query(&self, direction: gst::PadDirection, query: &mut gst::QueryRef) -> bool {
        if query.type_() == gst::QueryType::Context
            && let Some(cuda) = self.cuda_context()
            && cuda.answer(self.obj().upcast_ref(), query)
        {
            return true;
        }
        let answered = BaseTransformImplExt::parent_query(self, direction, query);
        if direction == gst::PadDirection::Src
            && answered
            && let gst::QueryViewMut::Latency(query) = query.view_mut()
        {
            self.add_latency(query);
        }
        answered
    }

    fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Qos(qos) => {
                let (_, _, jitter, _) = qos.get();
                if let Some(started) = &mut *lock(&self.started) {
                    started.sink.observe(jitter);
                }
            }
            // Sent when a pipeline begins to play, and when it changes.
            gst::EventView::Latency(_) | gst::EventView::Reconfigure(_) => self.watch_downstream(),
            _ => (),
        }
        self.parent_src_event(event)
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let mut others = caps::other_side(caps, self.takes_cuda());
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
        let on_cuda = self.runs_on_cuda() == Some(true);
        let chosen = caps::fixate(caps, others, on_cuda && self.takes_cuda());
        gst::debug!(CAT, imp = self, "{direction:?} {caps}: chose {chosen}");
        chosen
    }

    fn propose_allocation(
        &self,
        decide_query: Option<&gst::query::Allocation>,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        match cuda_caps(query) {
            // In passthrough, downstream elements answer.
            Some(caps) if decide_query.is_some() => self.propose_cuda(&caps, query),
            _ => self.parent_propose_allocation(decide_query, query),
        }
    }

    fn decide_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        let video = query.find_allocation_meta::<gst_video::VideoMeta>();
        let crop = query.find_allocation_meta::<gst_video::VideoCropMeta>();
        let cuda_caps = cuda_caps(query);
        if let Some(started) = &mut *lock(&self.started) {
            started.metas_read = MetasRead {
                // Everyone who takes CUDA memory reads its meta.
                video: video.is_some() || cuda_caps.is_some(),
                crop: crop.is_some(),
            };
        }
        if let Some(caps) = cuda_caps {
            self.decide_on_cuda(&caps, query)?;
        }
        self.parent_decide_allocation(query)
    }

    fn submit_input_buffer(
        &self,
        is_discont: bool,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.post_stats();
        lock(&self.report).input();
        let result = self.parent_submit_input_buffer(is_discont, buffer);
        if result == Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED) {
            lock(&self.report).dropped();
        } else if result.is_ok() && self.obj().is_passthrough() {
            lock(&self.report).passed_through();
        }
        result
    }

    fn before_transform(&self, buffer: &gst::BufferRef) {
        let element = self.obj();
        let segment = element.segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let stream_time = segment.and_then(|segment| segment.to_stream_time(buffer.pts()));
        if let Some(time) = stream_time
            && let Err(error) = element.sync_values(time)
        {
            gst::warning!(CAT, imp = self, "{error}");
        }
        let running_time = segment.and_then(|segment| segment.to_running_time(buffer.pts()));
        let settings = lock(&self.settings).frame();
        let (streaming, sink, metas_read) = match &mut *lock(&self.started) {
            None => return,
            Some(started) => (
                started.streaming.clone(),
                mem::take(&mut started.sink),
                started.metas_read,
            ),
        };
        let mut streaming = lock(&streaming);
        let model = self.loader.take();
        let model_changed = model.is_some();
        if let Some(model) = model {
            self.use_model(model, &mut streaming);
        }
        let style = self.follow_style(model_changed, &mut streaming);
        streaming.advance_style(&settings, running_time.map(Duration::from));
        if sink.waits_for_clock {
            streaming.set_real_time();
        }
        if sink.was_late {
            streaming.frame_was_late();
        }
        let passthrough =
            streaming.passes(settings.strength) && streaming.is_readable(buffer, metas_read);
        drop(streaming);
        if model_changed {
            element.notify_styles();
        }
        if let Err(fault) = style {
            self.warn(&fault);
        }
        if passthrough != element.is_passthrough() {
            element.set_passthrough(passthrough);
            // In passthrough, the neighbours agree on buffers and metas; else each
            // of them agrees with this element.
            element.reconfigure_sink();
            element.reconfigure_src();
        }
    }

    fn transform(
        &self,
        input: &gst::Buffer,
        output: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let begin = Instant::now();
        let settings = lock(&self.settings).frame();
        let streaming = self.streaming().ok_or(gst::FlowError::Flushing)?;
        let result = lock(&streaming).repaint(input, output, &settings);
        let painted = result.map_err(|message| {
            self.post_error_message(message);
            gst::FlowError::Error
        })?;
        gst::trace!(CAT, imp = self, "{painted:?}");
        let mut report = lock(&self.report);
        match painted.size {
            Some(size) => report.styled(&painted, begin.elapsed(), size),
            None => report.passed_through(),
        }
        let latency_changed = report.latency_changed();
        drop(report);
        if latency_changed {
            self.post_latency();
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn transform_meta<'a>(
        &self,
        output: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        input: &'a gst::BufferRef,
    ) -> bool {
        match metas::transform(output, &meta, input) {
            Fate::Kept => true,
            Fate::Dropped => false,
            Fate::Usual => self.parent_transform_meta(output, meta, input),
        }
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
        let live = self.upstream_is_live() || downstream::keeps_time(self.obj().src_pad());
        let shared = self.streaming();
        let shared = shared.ok_or_else(|| gst::loggable_error!(CAT, "not started"))?;
        let mut streaming = lock(&shared);
        streaming
            .negotiate(input, output, same_caps)
            .map_err(|reason| gst::loggable_error!(CAT, "{reason}"))?;
        if live {
            streaming.set_real_time();
        }
        let settings = lock(&self.settings).frame();
        let budget = streaming.budget(&settings, None);
        let passthrough = streaming.passes(settings.strength);
        drop(streaming);
        // Reported until the latency has been measured.
        if let Some(budget) = budget
            && lock(&self.report).expect_latency(budget)
        {
            self.post_latency();
        }
        // In passthrough, the neighbours negotiate their buffers.
        if let Some(started) = &mut *lock(&self.started) {
            started.metas_read = match passthrough {
                true => MetasRead::ALL,
                false => MetasRead::default(),
            };
        }
        self.obj().set_passthrough(passthrough);
        Ok(())
    }
}

impl FastStyle {
    /// Prepares for the first frame. Models that are set from now on are loaded
    /// in the background.
    fn begin(&self) -> Result<(), Fault> {
        let (settings, streaming) = {
            let settings = lock(&self.settings);
            let painter = Painter::new(settings.threads()?);
            let started = Started::new(settings.clone(), Streaming::new(painter));
            let streaming = started.streaming.clone();
            *lock(&self.started) = Some(started);
            (settings.clone(), streaming)
        };
        let model = settings.load(self.plugin().as_deref())?;
        if let Some(started) = &mut *lock(&self.started) {
            // Negotiated caps stay as they are with later models, wherever
            // those run.
            started.on_cuda = model.as_ref().map(|m| m.prepared.device().is_cuda());
        }
        *lock(&self.report) = Report::default();
        let cuda = self.cuda_context();
        let mut streaming = lock(&streaming);
        streaming.set_cuda(cuda);
        self.use_model(model, &mut streaming);
        let style = self.follow_style(true, &mut streaming);
        drop(streaming);
        self.obj().notify_styles();
        style
    }

    /// What frames are painted with, if the element has been started.
    fn streaming(&self) -> Option<Arc<Mutex<Streaming>>> {
        let started = lock(&self.started);
        started.as_ref().map(|started| started.streaming.clone())
    }

    /// Whether the network runs on a CUDA device, once that is known.
    fn runs_on_cuda(&self) -> Option<bool> {
        lock(&self.started).as_ref()?.on_cuda
    }

    /// The device to run on: as set at the start or, before it, as set now.
    fn device_choice(&self) -> Result<DeviceChoice, Fault> {
        let started = lock(&self.started);
        let choice = started.as_ref().map(|s| s.settings.device_choice());
        drop(started);
        choice.unwrap_or_else(|| lock(&self.settings).device_choice())
    }

    /// The context for frames on a CUDA device, if there can be any.
    fn cuda_context(&self) -> Option<Context> {
        let ordinal = self.device_choice().ok()?.cuda_ordinal()?;
        if !cuda_memory::is_available() {
            return None;
        }
        let context = Context::of_device(ordinal);
        context
            .inspect_err(|reason| {
                gst::info!(CAT, imp = self, "CUDA memory is not available: {reason}")
            })
            .ok()
    }

    /// Whether frames may be in CUDA memory.
    fn takes_cuda(&self) -> bool {
        cuda_memory::is_available()
            && (self.device_choice()).is_ok_and(|choice| choice.cuda_ordinal().is_some())
            && self.runs_on_cuda() != Some(false)
    }

    /// Offers CUDA memory to the upstream element.
    fn propose_cuda(
        &self,
        caps: &gst::Caps,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        if let Some(cuda) = self.cuda_context() {
            let (pool, size) = cuda.pool(caps, frame_bytes(caps)?, (0, 0))?;
            query.add_allocation_pool(Some(&pool), size, 0, 0);
        }
        Ok(())
    }

    /// Takes CUDA memory for output frames from this element's pool: other pools
    /// may be in another context.
    fn decide_on_cuda(
        &self,
        caps: &gst::Caps,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        let Some(cuda) = self.cuda_context() else {
            return Err(gst::loggable_error!(CAT, "no CUDA context for {caps}"));
        };
        let asked = query.allocation_pools().next();
        let (least, most) = asked.map_or((0, 0), |(_, _, least, most)| (least, most));
        let (pool, size) = cuda.pool(caps, frame_bytes(caps)?, (least, most))?;
        let count = query.allocation_pools().count();
        match count {
            0 => query.add_allocation_pool(Some(&pool), size, least, most),
            _ => query.set_nth_allocation_pool(0, Some(&pool), size, least, most),
        }
        Ok(())
    }

    /// Sets another model: used from the next start on or, while started, as soon
    /// as it is loaded.
    fn set_model(&self, model: Option<PathBuf>) {
        let plugin = self.plugin();
        let element = self.obj().downgrade();
        let failed = move |fault: Fault| {
            if let Some(element) = element.upgrade() {
                element.imp().warn(&fault);
            }
        };
        let loading = {
            // Held until the request is made: the last model set is the last one
            // loaded.
            let mut settings = lock(&self.settings);
            settings.model = model.clone();
            let wanted = match &*lock(&self.started) {
                None => return,
                Some(started) => Settings {
                    model,
                    ..started.settings.clone()
                },
            };
            self.loader.load(Job {
                load: Box::new(move || wanted.load(plugin.as_deref())),
                failed: Box::new(failed),
            })
        };
        if let Err(error) = loading {
            self.warn(&Fault::failed(format!(
                "Cannot start loading the model: {error}"
            )));
        }
    }

    fn use_model(&self, model: Option<Loaded>, streaming: &mut Streaming) {
        let name = model.as_ref().map(|model| model.name.as_str());
        let prepared = model.as_ref().map(|model| &model.prepared);
        match prepared {
            None => gst::info!(CAT, imp = self, "using no model"),
            Some(prepared) => gst::info!(
                CAT,
                imp = self,
                "using model {name:?} on {:?} with precision {}, {} threads",
                prepared.device(),
                prepared.precision(),
                prepared.threads().count()
            ),
        }
        if let Some(reason) = prepared.and_then(|prepared| prepared.fallback()) {
            gst::warning!(
                CAT,
                imp = self,
                "running on the CPU, no CUDA device can be used: {reason}"
            );
        }
        lock(&self.report).model(prepared.map(Arc::as_ref), name.unwrap_or_default());
        let default_style = model.as_ref().map_or(0, |model| model.default_style);
        streaming.set_model(model.map(|model| model.prepared), default_style);
    }

    /// Applies the property `style` if it or the model has changed.
    fn follow_style(&self, model_changed: bool, streaming: &mut Streaming) -> Result<(), Fault> {
        let style = {
            let settings = lock(&self.settings);
            // A style may be one of the model that is being loaded.
            let due = model_changed
                || !streaming.has_style(settings.style.as_deref()) && !self.loader.is_busy();
            if !due {
                return Ok(());
            }
            settings.style.clone()
        };
        let result = streaming.set_style(style.as_deref());
        let text = streaming.style_text();
        gst::info!(CAT, imp = self, "painting in style {text:?}");
        lock(&self.report).style(text);
        result.map_err(|reason| {
            let text = format!("Property `style`: {reason}");
            Fault::new(gst::ResourceError::Settings, text)
        })
    }

    /// The file that this element comes from.
    fn plugin(&self) -> Option<PathBuf> {
        let factory = self.obj().factory()?;
        factory.plugin()?.filename()
    }

    /// Posts a warning about a fault that does not stop the stream.
    fn warn(&self, fault: &Fault) {
        let error = fault.error();
        gst::warning!(CAT, imp = self, "{error}");
        let element = self.obj();
        let message = gst::message::Warning::builder_from_error(error).src(&*element);
        // Without a bus, the message is dropped.
        let _ = element.post_message(message.build());
    }

    fn post_stats(&self) {
        let interval = Duration::from_nanos(lock(&self.settings).stats_interval);
        let structure = {
            let mut report = lock(&self.report);
            report.message_due(interval).then(|| report.structure())
        };
        if let Some(structure) = structure {
            let element = self.obj();
            let message = gst::message::Element::builder(structure).src(&*element);
            let _ = element.post_message(message.build());
        }
    }

    /// Looks for elements downstream that keep time.
    fn watch_downstream(&self) {
        if downstream::keeps_time(self.obj().src_pad())
            && let Some(started) = &mut *lock(&self.started)
        {
            started.sink.waits_for_clock = true;
        }
    }

    fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        let pad = self.obj().sink_pad().clone();
        pad.peer_query(&mut query) && query.result().0
    }

    /// Adds this element's latency to that of the upstream elements.
    fn add_latency(&self, query: &mut gst::query::Latency) {
        let (live, least, most) = query.result();
        let own = lock(&self.report).latency();
        let own = gst::ClockTime::try_from(own).unwrap_or_default();
        gst::debug!(
            CAT,
            imp = self,
            "upstream latency {least} to {most:?}, own latency {own}"
        );
        query.set(live, least + own, most.map(|most| most + own));
    }

    fn post_latency(&self) {
        let element = self.obj();
        let message = gst::message::Latency::builder().src(&*element).build();
        let _ = element.post_message(message);
    }
}

/// A text that is not UTF-8, with U+FFFD for what is wrong in it: bindings of
/// other languages hand any bytes over.
fn unicode(value: &glib::Value) -> Option<glib::Value> {
    // What is taken for a path is not checked.
    let bytes = value.get::<Option<PathBuf>>().ok()??;
    match bytes.to_str() {
        Some(_) => None,
        None => Some(bytes.to_string_lossy().to_value()),
    }
}

/// The query's caps, if they are of CUDA memory.
fn cuda_caps(query: &gst::query::Allocation) -> Option<gst::Caps> {
    let caps = query.get().0?;
    caps::is_cuda(caps).then(|| caps.to_owned())
}

/// Bytes of a frame of these caps in host memory.
fn frame_bytes(caps: &gst::Caps) -> Result<u32, gst::LoggableError> {
    let info = VideoInfo::from_caps(caps)?;
    u32::try_from(info.size()).map_err(|_| gst::loggable_error!(CAT, "{caps}: too large"))
}
