//! The GStreamer element `faststyle`.

/**
 * SECTION:element-faststyle
 * @short_description: Repaints video in the style of a painting
 *
 * Runs every frame through a style network, a safetensors file made by
 * `faststyle-train`, on the CPU or on an NVIDIA GPU.
 *
 * Input and output formats are independent of each other: no `videoconvert` is
 * needed on either side. Opacity is kept where both formats have it, and so are
 * timestamps, flags and metas. Of a frame that upstream has cropped by a
 * #GstVideoCropMeta, the cropped part is painted, and metas move with it.
 *
 * ## Models
 *
 * #faststyle:model is a path, or a bare name such as `scream`, which is looked up as
 * `scream.safetensors` in the folders that the environment variable
 * `GST_FASTSTYLE_MODEL_PATH` names, in `faststyle/models` of the user's data
 * folder (`~/.local/share`) and of the system's (`/usr/local/share`,
 * `/usr/share`), beside the plugin, in its folder and `models` therein, and above
 * it, in `share/faststyle/models` where it is installed or in the repository's
 * `models` where it has only been built.
 *
 * A model that predicts styles (`faststyle-train train-any`) also paints in the style of
 * the picture that #faststyle:style-image names; in #faststyle:style it is called `image`.
 *
 * A model that is set in PAUSED or PLAYING is loaded in the background. The
 * previous model is used until then; no frame mixes the two. If loading fails, a
 * warning is posted and the previous model stays. When the element starts, a
 * model that cannot be loaded is an error. Elements with the same file, device,
 * precision and threads share its weights. Without a model, frames pass through,
 * or are converted to the output caps.
 *
 * ## Styles
 *
 * A model can hold several styles, whose names #faststyle:styles lists.
 * #faststyle:style is one of them, or a mix such as `scream:0.7,starry-night:0.3`. A
 * change is faded over #faststyle:style-fade, from what is on the screen. A style that
 * the model lacks is an error when the element starts; later a warning is posted and
 * the style stays. #faststyle:style-position rides along the styles, for a
 * #GstControlBinding of absolute values.
 *
 * A bare name in #faststyle:model that is no file's is looked up as a style's in files
 * of several.
 *
 * ## Size of the network's picture
 *
 * The network can run on a smaller picture than the frame. The result is scaled
 * up to the frame's size, guided by the frame's edges. Strokes are then larger in
 * the frame, since their size in the network's picture is fixed.
 *
 * #faststyle:stroke-scale and #faststyle:max-height set the size of that picture, by
 * default that of the frame. #faststyle:scale, if not 0, is a fixed factor on top.
 * If it is 0 and the pipeline runs in real time, because the source is live, an
 * element downstream is synchronized to a clock (its property `sync` is true, or it
 * sends QoS events), or #faststyle:target-fps is set, then the size adapts to the available time: the first frames are small, then
 * a frame takes about three quarters of its duration. The size goes down at once
 * when that grows to more than nine tenths, and up in small steps. Where even the
 * smallest size takes too long, late frames are dropped, see #GstBaseTransform:qos.
 * Otherwise, for example from file to file, the size is not reduced.
 *
 * ## Key frames
 *
 * With #faststyle:network-every the network paints some frames alone. To the others the
 * painting before is carried along the motion, and repaired where the frame shows
 * something new. At 0, key frames become rare, up to every fourth frame, before the size
 * of the network's picture goes down. On an NVIDIA GPU all frames are key frames.
 *
 * ## Memory of an NVIDIA GPU
 *
 * Builds with CUDA also accept and produce `video/x-raw(memory:CUDAMemory)` if
 * GStreamer's CUDA library is installed and #faststyle:device is not `cpu`. The
 * network then reads and writes the frames in place, on input, output or both. The
 * element shares its CUDA context with its neighbours; frames of another context,
 * which an application may have set, are copied through host memory. None of this
 * has been run on a GPU yet.
 *
 * ## Latency and statistics
 *
 * The reported latency is the 95th percentile of the time per key frame. In live
 * pipelines it is a frame's duration until that has been measured. It is reported
 * again when it has changed by a quarter.
 *
 * #faststyle:stats is a structure `faststyle-stats`, which #faststyle:stats-interval also posts as
 * element messages:
 *
 * - `frames-in`, `styled`, `dropped`, `passed-through` (guint64): frames since
 *   the start; dropped frames were late, passed-through frames had no model or
 *   #faststyle:strength 0,
 * - `key-frames`, `carried-frames` (guint64): frames that the network has painted, and
 *   frames to which the painting before was carried; `repaired-share` (gdouble): the mean
 *   share of these that was repaired, from 0 to 1,
 * - `convert`, `network`, `upsample`, `motion`, `total`, each with `-mean-ms` and `-p95-ms`
 *   (gdouble): milliseconds of the last 256 frames, mean and 95th percentile,
 * - `network-width`, `network-height` (guint): size of the network's picture,
 * - `model`, `style`, `device`, `precision`, `cpu-level` (string): the model, the
 *   style that is chosen, and how it runs,
 * - `latency` (guint64): nanoseconds reported.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 v4l2src ! faststyle model=scream.safetensors ! autovideosink
 * ]| Repaint what a camera sees.
 * |[
 * gst-launch-1.0 videotestsrc ! faststyle model=scream.safetensors strength=0.5 ! autovideosink
 * ]| Half of the painting's style, half of the original picture.
 * |[
 * gst-launch-1.0 filesrc location=film.mp4 ! decodebin ! faststyle model=scream.safetensors stroke-scale=2 keep-color=true ! autovideosink
 * ]| Large strokes in the film's own colors, as fast as the film plays.
 * |[
 * gst-launch-1.0 filesrc location=film.mp4 ! parsebin ! nvh264dec ! faststyle model=scream.safetensors ! nvh264enc ! h264parse ! matroskamux ! filesink location=styled.mkv
 * ]| From file to file on an NVIDIA GPU, in a build with CUDA.
 *
 * Since: 0.1.0
 */
use gst::glib;
use gst::prelude::*;

mod buffers;
mod caps;
#[cfg_attr(not(feature = "cuda"), path = "cuda_memory/absent.rs")]
mod cuda_memory;
mod downstream;
mod imp;
mod loader;
mod metas;
mod pace;
mod painted;
mod report;
mod settings;
mod started;
mod streaming;
mod styles;

pub use settings::IMAGE;

glib::wrapper! {
    /// The element `faststyle`.
    pub struct FastStyle(ObjectSubclass<imp::FastStyle>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Registers the element `faststyle` with GStreamer.
///
/// # Errors
/// If GStreamer does not accept it.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "faststyle",
        gst::Rank::NONE,
        FastStyle::static_type(),
    )
}
