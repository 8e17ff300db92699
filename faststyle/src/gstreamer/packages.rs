//! Which Debian package holds what GStreamer misses.

/// Plugins that Debian 12 does not have.
const RUST: &str = "gst-plugins-rs";

/// Elements, or beginnings of their names, and the packages they are in. The first
/// that fits counts.
const PACKAGES: &[(&str, &str)] = &[
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avenc_", "gstreamer1.0-libav"),
    ("avdec_", "gstreamer1.0-libav"),
    ("x265enc", "gstreamer1.0-plugins-bad"),
    ("av1", "gstreamer1.0-plugins-bad"),
    ("svtav1enc", "gstreamer1.0-plugins-bad"),
    ("openh264", "gstreamer1.0-plugins-bad"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("h265parse", "gstreamer1.0-plugins-bad"),
    ("mpegtsmux", "gstreamer1.0-plugins-bad"),
    ("srt", "gstreamer1.0-plugins-bad"),
    ("rtmp", "gstreamer1.0-plugins-bad"),
    ("hls", "gstreamer1.0-plugins-bad"),
    ("webrtcbin", "gstreamer1.0-plugins-bad"),
    ("whip", RUST),
    ("ndi", RUST),
    ("fdkaacenc", "gstreamer1.0-plugins-bad"),
    ("voaacenc", "gstreamer1.0-plugins-bad"),
    ("va", "gstreamer1.0-plugins-bad"),
    ("nv", "gstreamer1.0-plugins-bad"),
    ("pipewire", "gstreamer1.0-pipewire"),
    ("ximagesink", "gstreamer1.0-x"),
    ("xvimagesink", "gstreamer1.0-x"),
    ("textoverlay", "gstreamer1.0-x"),
    ("gtk", "gstreamer1.0-gtk3"),
    ("ximagesrc", "gstreamer1.0-plugins-good"),
    ("v4l2", "gstreamer1.0-plugins-good"),
    ("autovideo", "gstreamer1.0-plugins-good"),
    ("matroska", "gstreamer1.0-plugins-good"),
    ("webmmux", "gstreamer1.0-plugins-good"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("qt", "gstreamer1.0-plugins-good"),
    ("flvmux", "gstreamer1.0-plugins-good"),
    ("videoflip", "gstreamer1.0-plugins-good"),
    ("deinterlace", "gstreamer1.0-plugins-good"),
    ("aacparse", "gstreamer1.0-plugins-good"),
    ("multifile", "gstreamer1.0-plugins-good"),
    ("rtsp", "gstreamer1.0-plugins-good"),
    ("jpeg", "gstreamer1.0-plugins-good"),
    ("vp8", "gstreamer1.0-plugins-good"),
    ("vp9", "gstreamer1.0-plugins-good"),
];

/// Media types of streams, or parts of them, and the packages of their decoders.
const DECODERS: &[(&str, &str)] = &[
    ("x-av1", "gstreamer1.0-plugins-bad"),
    ("x-vp8", "gstreamer1.0-plugins-good"),
    ("x-vp9", "gstreamer1.0-plugins-good"),
    ("quicktime", "gstreamer1.0-plugins-good"),
    ("matroska", "gstreamer1.0-plugins-good"),
    ("x-msvideo", "gstreamer1.0-plugins-good"),
    ("mpegts", "gstreamer1.0-plugins-bad"),
];

/// The package of an element.
fn of_element(element: &str) -> &'static str {
    let found = PACKAGES.iter().find(|(name, _)| element.starts_with(name));
    found.map_or("gstreamer1.0-plugins-base", |(_, package)| package)
}

/// Where to get an element from, in words.
pub fn place_of(element: &str) -> String {
    match of_element(element) {
        RUST => format!("{RUST}, which Debian 12 does not have"),
        package => format!("Debian's package {package}"),
    }
}

/// What to say if there is no such element.
pub fn missing(element: &str) -> String {
    let place = place_of(element);
    format!("GStreamer's element {element} is missing: install {place}")
}

/// What to say of GStreamer's description of something missing, such as
/// `gstreamer|1.0|program|H.264 decoder|decoder-video/x-h264, …`.
pub fn missing_detail(detail: &str) -> String {
    let mut fields = detail.split('|').skip(3);
    let name = fields.next().unwrap_or(detail);
    let kind = fields.next().unwrap_or_default();
    let package = match kind.strip_prefix("element-") {
        Some(element) => of_element(element),
        None => {
            let found = DECODERS.iter().find(|(part, _)| kind.contains(part));
            found.map_or("gstreamer1.0-libav", |(_, package)| package)
        }
    };
    format!("no {name} is installed: try Debian's package {package}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named() {
        assert_eq!(of_element("x264enc"), "gstreamer1.0-plugins-ugly");
        assert_eq!(of_element("videoconvert"), "gstreamer1.0-plugins-base");
        let decoder =
            "gstreamer|1.0|faststyle|H.264 decoder|decoder-video/x-h264, level=(string)1.1";
        let said = missing_detail(decoder);
        assert_eq!(
            said,
            "no H.264 decoder is installed: try Debian's package gstreamer1.0-libav"
        );
        let element = "gstreamer|1.0|faststyle|GStreamer element mp4mux|element-mp4mux";
        assert!(missing_detail(element).ends_with("gstreamer1.0-plugins-good"));
    }
}
