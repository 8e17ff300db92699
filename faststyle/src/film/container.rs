//! Kinds of output, and what they take.

use crate::gstreamer::make;
use anyhow::{Result, bail};
use gst::prelude::*;
use std::path::Path;

/// A kind of film file, or pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Mp4,
    Mov,
    Mkv,
    Webm,
    /// A file for each frame.
    Pictures,
}

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    Video,
    Sound,
    Subtitles,
}

impl Container {
    /// Chosen by the file's extension.
    pub fn of(file: &Path) -> Option<Self> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "mp4" | "m4v" => Container::Mp4,
            "mov" => Container::Mov,
            "mkv" => Container::Mkv,
            "webm" => Container::Webm,
            "png" | "tif" | "tiff" => Container::Pictures,
            _ => return None,
        })
    }

    /// Chosen by the extension of an output, given by `flag`.
    ///
    /// # Errors
    /// Another extension.
    pub fn of_output(flag: &str, file: &Path) -> Result<Self> {
        match Container::of(file) {
            Some(container) => Ok(container),
            None => bail!(
                "{flag} {}: give it a name that ends in .mkv, .mp4, .mov or .webm, or one for \
                 pictures, such as %05d.png",
                file.display()
            ),
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Container::Mp4 => "MP4",
            Container::Mov => "QuickTime",
            Container::Mkv => "Matroska",
            Container::Webm => "WebM",
            Container::Pictures => "pictures",
        }
    }

    /// The element that writes it.
    ///
    /// # Errors
    /// It is not installed; pictures have none.
    pub fn muxer(self) -> Result<gst::Element> {
        make(match self {
            Container::Mp4 => "mp4mux",
            Container::Mov => "qtmux",
            Container::Mkv => "matroskamux",
            Container::Webm => "webmmux",
            Container::Pictures => bail!("pictures are no film"),
        })
    }

    /// Whether chapters can be written.
    pub fn takes_chapters(self) -> bool {
        matches!(self, Container::Mkv | Container::Webm)
    }

    /// What the muxer takes of a kind of stream.
    ///
    /// # Errors
    /// It is not installed.
    pub fn caps(self, kind: Kind) -> Result<gst::Caps> {
        if self == Container::Pictures {
            return Ok(gst::Caps::new_empty());
        }
        let template = self.muxer()?.pad_template(kind.template());
        Ok(template.map_or_else(gst::Caps::new_empty, |pad| pad.caps().clone()))
    }
}

impl Kind {
    /// The name of the muxers' pads of this kind.
    pub fn template(self) -> &'static str {
        match self {
            Kind::Video => "video_%u",
            Kind::Sound => "audio_%u",
            Kind::Subtitles => "subtitle_%u",
        }
    }
}
