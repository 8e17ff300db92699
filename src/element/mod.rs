//! The GStreamer element `faststyle`.

/**
 * SECTION:element-faststyle
 * @short_description: Repaints video in the style of a painting
 *
 * Runs every frame through a style network, a safetensors file made by
 * `faststyle-train`, on the CPU or on an NVIDIA GPU.
 *
 * Input and output formats are independent of each other: no `videoconvert` is
 * needed on either side. Opacity is kept where both formats have it. Late
 * frames are dropped, see #GstBaseTransform:qos.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 v4l2src ! faststyle model=scream.safetensors ! autovideosink
 * ]| Repaint what a camera sees.
 * |[
 * gst-launch-1.0 videotestsrc ! faststyle model=scream.safetensors strength=0.5 ! autovideosink
 * ]| Half of the painting's style, half of the original picture.
 *
 * Since: 0.1.0
 */
use gst::glib;
use gst::prelude::*;

mod caps;
mod imp;
mod loader;
mod models;
mod pace;
mod report;
mod settings;
mod streaming;

glib::wrapper! {
    /// The element's type.
    pub struct FastStyle(ObjectSubclass<imp::FastStyle>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/// Makes `faststyle` known to GStreamer.
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
