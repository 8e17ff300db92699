//! Finds out whether the elements downstream keep time.

use gst::glib::translate::{ToGlibPtr, from_glib_full};
use gst::prelude::*;

/// So many pads are looked at.
const MOST_PADS: usize = 1000;

/// Whether an element downstream of this source pad waits for the clock: a sink
/// with `sync=true`, as those for screens have by default, or a `clocksync`. Only
/// some of them send QoS events, by which they are found out as well.
pub fn keeps_time(source: &gst::Pad) -> bool {
    let mut seen = Vec::new();
    let mut open = vec![source.clone()];
    while let Some(sink) = open.pop().map(|pad| pad.peer()) {
        let Some(sink) = sink.filter(|sink| !seen.contains(sink)) else {
            continue;
        };
        if seen.len() == MOST_PADS {
            return false;
        }
        if (sink.parent_element()).is_some_and(|element| waits_for_clock(&element)) {
            return true;
        }
        // Through bins, too: the pads behind their ghost pads.
        open.extend(internal_links(&sink));
        seen.push(sink);
    }
    false
}

/// The pads of the same element that buffers of this one go to.
fn internal_links(pad: &gst::Pad) -> Vec<gst::Pad> {
    // SAFETY: the pad lives. Some pads have no iterator, which the safe function
    // takes for one.
    let links: Option<gst::Iterator<gst::Pad>> = unsafe {
        let links = gst::ffi::gst_pad_iterate_internal_links(pad.to_glib_none().0);
        (!links.is_null()).then(|| from_glib_full(links))
    };
    links.into_iter().flatten().flatten().collect()
}

fn waits_for_clock(element: &gst::Element) -> bool {
    let sync = element.find_property("sync");
    sync.is_some_and(|sync| sync.value_type() == bool::static_type())
        && element.property::<bool>("sync")
}
