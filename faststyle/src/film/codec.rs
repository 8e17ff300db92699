//! Codecs and qualities by plain names, and the encoders that make them.

use crate::gstreamer::{have, make, packages};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use serde::Serialize;

/// How the video is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Plays everywhere; 8 or 10 bits
    H264,
    /// Half the size of H.264, slower; 8 or 10 bits
    H265,
    /// Smaller still, slower still
    Av1,
    /// For editing, in .mov or .mkv; 10 bits
    Prores,
    /// For archives, in .mkv; lossless
    Ffv1,
    /// Pictures
    #[value(skip)]
    Png,
    /// Pictures
    #[value(skip)]
    Tiff,
}

/// How much of the painting the encoder keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// A small file, for a look
    Small,
    /// No loss that a viewer sees at normal size
    #[default]
    Good,
    /// For editing, or for a large screen
    High,
    /// Every pixel as it was painted (h264, h265 and ffv1)
    Lossless,
}

/// Settings of an element: names of properties and their values.
type Settings = &'static [(&'static str, &'static str)];

impl Codec {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Codec::H264 => "H.264",
            Codec::H265 => "H.265",
            Codec::Av1 => "AV1",
            Codec::Prores => "ProRes",
            Codec::Ffv1 => "FFV1",
            Codec::Png => "PNG",
            Codec::Tiff => "TIFF",
        }
    }

    /// The elements that encode it, hardware first, then best first.
    pub fn encoders(self) -> &'static [&'static str] {
        match self {
            Codec::H264 => &["nvh264enc", "vah264enc", "x264enc", "openh264enc"],
            Codec::H265 => &["nvh265enc", "vah265enc", "x265enc"],
            Codec::Av1 => &["nvav1enc", "vaav1enc", "svtav1enc", "av1enc"],
            Codec::Prores => &["avenc_prores_ks"],
            Codec::Ffv1 => &["avenc_ffv1"],
            Codec::Png => &["pngenc"],
            Codec::Tiff => &["avenc_tiff"],
        }
    }

    /// The one of them to install where there is none: it needs no graphics card.
    pub fn usual_encoder(self) -> &'static str {
        match self {
            Codec::H264 => "x264enc",
            Codec::H265 => "x265enc",
            Codec::Av1 => "av1enc",
            Codec::Prores => "avenc_prores_ks",
            Codec::Ffv1 => "avenc_ffv1",
            Codec::Png => "pngenc",
            Codec::Tiff => "avenc_tiff",
        }
    }

    /// What the encoders deliver.
    pub fn caps(self) -> gst::Caps {
        // What a decoder needs is then in the stream: it does not differ between
        // segments.
        let in_stream = |name| {
            let caps = gst::Caps::builder(name).field("stream-format", "byte-stream");
            caps.field("alignment", "au").build()
        };
        match self {
            Codec::H264 => in_stream("video/x-h264"),
            Codec::H265 => in_stream("video/x-h265"),
            Codec::Av1 => gst::Caps::new_empty_simple("video/x-av1"),
            Codec::Prores => gst::Caps::new_empty_simple("video/x-prores"),
            Codec::Ffv1 => gst::Caps::new_empty_simple("video/x-ffv"),
            Codec::Png => gst::Caps::new_empty_simple("image/png"),
            Codec::Tiff => gst::Caps::new_empty_simple("image/tiff"),
        }
    }

    /// The element between the encoded stream and a muxer.
    pub fn parser(self) -> Option<&'static str> {
        match self {
            Codec::H264 => Some("h264parse"),
            Codec::H265 => Some("h265parse"),
            Codec::Av1 => Some("av1parse"),
            Codec::Prores | Codec::Ffv1 | Codec::Png | Codec::Tiff => None,
        }
    }
}

/// An encoder and its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Encoder {
    pub codec: Codec,
    pub quality: Quality,
    /// The kind of element.
    pub element: String,
    #[serde(skip)]
    settings: Settings,
}

impl Encoder {
    /// The encoder for `codec`: the element `named`, or the first there is; `opacity` if
    /// the film has it.
    ///
    /// # Errors
    /// There is none; it does not encode this codec, or not in this quality.
    pub fn choose(
        codec: Codec,
        quality: Quality,
        named: Option<&str>,
        opacity: bool,
    ) -> Result<Self> {
        let mut known = codec.encoders().iter();
        let name = codec.name();
        let found = match named {
            Some(named) => known.find(|&&element| element == named),
            None => known.find(|&&element| {
                have(element)
                    && (quality != Quality::Lossless
                        || settings(element, quality, opacity).is_some())
            }),
        };
        let Some(&element) = found else {
            let known = codec.encoders();
            match named {
                Some(named) => bail!(
                    "--encoder {named}: {name} is encoded by one of {}",
                    known.join(", ")
                ),
                None if known.iter().any(|element| have(element)) => {
                    bail!("--quality lossless: {name} is not encoded so; take --codec ffv1")
                }
                None => bail!(
                    "no encoder for {name}: install {} ({})",
                    known.join(" or "),
                    packages::place_of(codec.usual_encoder())
                ),
            }
        };
        let settings = settings(element, quality, opacity).with_context(|| {
            format!("--quality lossless: {element} does not encode so; take --codec ffv1")
        })?;
        make(element)?;
        Ok(Encoder {
            codec,
            quality,
            element: element.into(),
            settings,
        })
    }

    /// The element.
    ///
    /// # Errors
    /// It is not installed.
    pub fn make(&self) -> Result<gst::Element> {
        let element = make(&self.element)?;
        // Versions differ in what they have.
        for (name, value) in self.settings {
            if element.find_property(name).is_some() {
                element.set_property_from_str(name, value);
            }
        }
        Ok(element)
    }

    /// The frames to give to the encoder, for a film whose frames are `source`.
    ///
    /// # Errors
    /// The encoder would lose bits.
    pub fn frames(&self, source: &VideoInfo) -> Result<gst::Caps> {
        let element = make(&self.element)?;
        let taken = element.pad_template("sink");
        let taken = taken.context("the encoder takes nothing")?.caps().clone();
        let deep = source.comp_depth(0) > 8;
        let wanted: &[VideoFormat] = match (self.codec, deep) {
            // All that the encoder takes: the nearest is chosen.
            (Codec::Prores | Codec::Ffv1, _) => return Ok(in_memory(taken)),
            // Those of all programs that read pictures.
            (Codec::Png | Codec::Tiff, _) => &[VideoFormat::Rgb, VideoFormat::Rgba],
            // What players know.
            (_, false) => &[VideoFormat::I420, VideoFormat::Nv12, VideoFormat::Yv12],
            (_, true) => &[VideoFormat::I42010le, VideoFormat::P01010le],
        };
        let formats = wanted.iter().copied();
        let wanted = gst_video::VideoCapsBuilder::new()
            .format_list(formats)
            .build();
        let both = wanted.intersect(&in_memory(taken));
        if both.is_empty() {
            bail!(
                "the film has more than 8 bits and {} encodes 8: take --codec h265 or ffv1",
                self.element
            );
        }
        Ok(both)
    }
}

/// Whether some of these frames have opacity.
pub fn have_opacity(frames: &gst::Caps) -> bool {
    let all = VideoFormat::iter_raw();
    let with_alpha =
        all.filter(|format| gst_video::VideoFormatInfo::from_format(*format).has_alpha());
    let with_alpha = gst_video::VideoCapsBuilder::new().format_list(with_alpha);
    with_alpha.build().can_intersect(frames)
}

/// Those of the caps that are frames in ordinary memory.
fn in_memory(caps: gst::Caps) -> gst::Caps {
    gst_video::VideoCapsBuilder::new().build().intersect(&caps)
}

/// An encoder's settings for a quality. No quality needs a bit rate.
fn settings(element: &str, quality: Quality, opacity: bool) -> Option<Settings> {
    use Quality::*;
    let settings: Settings = match (element, quality) {
        ("x264enc", Small) => &[
            ("pass", "qual"),
            ("quantizer", "28"),
            ("speed-preset", "veryfast"),
        ],
        ("x264enc", Good) => &[
            ("pass", "qual"),
            ("quantizer", "21"),
            ("speed-preset", "veryfast"),
        ],
        ("x264enc", High) => &[
            ("pass", "qual"),
            ("quantizer", "16"),
            ("speed-preset", "fast"),
        ],
        ("x264enc", Lossless) => &[
            ("pass", "quant"),
            ("quantizer", "0"),
            ("speed-preset", "veryfast"),
        ],
        ("x265enc", Small) => &[("option-string", "crf=30"), ("speed-preset", "veryfast")],
        ("x265enc", Good) => &[("option-string", "crf=24"), ("speed-preset", "veryfast")],
        ("x265enc", High) => &[("option-string", "crf=18"), ("speed-preset", "fast")],
        ("x265enc", Lossless) => &[
            ("option-string", "lossless=1"),
            ("speed-preset", "veryfast"),
        ],
        ("openh264enc", Small) => &[("rate-control", "off"), ("qp-min", "32"), ("qp-max", "36")],
        ("openh264enc", Good) => &[("rate-control", "off"), ("qp-min", "22"), ("qp-max", "26")],
        ("openh264enc", High) => &[("rate-control", "off"), ("qp-min", "16"), ("qp-max", "20")],
        ("av1enc", Small) => &[
            ("end-usage", "q"),
            ("cpu-used", "7"),
            ("row-mt", "true"),
            ("threads", "4"),
            ("min-quantizer", "36"),
            ("max-quantizer", "44"),
        ],
        ("av1enc", Good) => &[
            ("end-usage", "q"),
            ("cpu-used", "6"),
            ("row-mt", "true"),
            ("threads", "4"),
            ("min-quantizer", "22"),
            ("max-quantizer", "30"),
        ],
        ("av1enc", High) => &[
            ("end-usage", "q"),
            ("cpu-used", "5"),
            ("row-mt", "true"),
            ("threads", "4"),
            ("min-quantizer", "10"),
            ("max-quantizer", "18"),
        ],
        ("svtav1enc", Small) => &[("crf", "45"), ("preset", "10")],
        ("svtav1enc", Good) => &[("crf", "32"), ("preset", "9")],
        ("svtav1enc", High) => &[("crf", "22"), ("preset", "7")],
        ("nvh264enc" | "nvh265enc" | "nvav1enc", Small) => {
            &[("rc-mode", "vbr"), ("const-quality", "30")]
        }
        ("nvh264enc" | "nvh265enc" | "nvav1enc", Good) => {
            &[("rc-mode", "vbr"), ("const-quality", "23")]
        }
        ("nvh264enc" | "nvh265enc" | "nvav1enc", High) => {
            &[("rc-mode", "vbr"), ("const-quality", "17")]
        }
        ("vah264enc" | "vah265enc" | "vaav1enc", Small) => &[
            ("rate-control", "cqp"),
            ("qpi", "30"),
            ("qpp", "31"),
            ("qpb", "32"),
        ],
        ("vah264enc" | "vah265enc" | "vaav1enc", Good) => &[
            ("rate-control", "cqp"),
            ("qpi", "22"),
            ("qpp", "23"),
            ("qpb", "25"),
        ],
        ("vah264enc" | "vah265enc" | "vaav1enc", High) => &[
            ("rate-control", "cqp"),
            ("qpi", "16"),
            ("qpp", "17"),
            ("qpb", "19"),
        ],
        // Those of 4:2:2 have no opacity.
        ("avenc_prores_ks", Small | Good | High) if opacity => &[("profile", "4444")],
        ("avenc_prores_ks", Small) => &[("profile", "lt")],
        ("avenc_prores_ks", Good) => &[("profile", "hq")],
        // For what has the colours or the opacity; else the same as the former.
        ("avenc_prores_ks", High) => &[("profile", "auto")],
        // Version 3 has checksums, and several threads decode its slices.
        ("avenc_ffv1", _) => &[("level", "3"), ("slices", "4"), ("slicecrc", "1")],
        ("pngenc" | "avenc_tiff", _) => &[],
        _ => return None,
    };
    Some(settings)
}
