//! What a film file holds.

use super::sequence::Sequence;
use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{decoder, make, packages, pad};
use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::prelude::*;
use gst::{ClockTime, Fraction, glib};
use gst_pbutils::prelude::*;
use gst_pbutils::{Discoverer, DiscovererResult};
use gst_video::VideoInfo;
use std::path::{Path, PathBuf};

/// How long it may take to look into a file.
const TIMEOUT: ClockTime = ClockTime::from_seconds(60);

/// A film file, or pictures.
pub struct Source {
    pub path: PathBuf,
    /// The pictures, if it is such, and how many are shown in a second.
    pub pictures: Option<(Sequence, Fraction)>,
    pub duration: ClockTime,
    /// The decoded frames.
    pub frames: VideoInfo,
    /// Whether frames hold two fields.
    pub interlaced: bool,
    /// Whether a tag says that frames are to be turned.
    pub turned: bool,
}

impl Source {
    /// Looks into the file `path`; `rate` holds for pictures.
    ///
    /// # Errors
    /// No file, no film, or one that needs a decoder that is missing.
    pub fn open(path: &Path, rate: Fraction) -> Result<Self> {
        let shown = path.display();
        if let Some(sequence) = Sequence::of(path) {
            return Source::of_pictures(path, sequence, rate).with_context(|| shown.to_string());
        }
        ensure!(path.exists(), "{shown}: not found");
        ensure!(path.is_file(), "{shown}: this is no regular file");
        Source::read(path).with_context(|| shown.to_string())
    }

    fn of_pictures(path: &Path, sequence: Sequence, rate: Fraction) -> Result<Self> {
        let duration = sequence.duration(rate)?;
        let head = |pipeline: &Pipeline, head: &gst::Element| sequence.decode(rate, pipeline, head);
        Ok(Source {
            path: path.into(),
            duration,
            frames: frames(head)?,
            interlaced: false,
            turned: false,
            pictures: Some((sequence, rate)),
        })
    }

    /// Leads the frames into `head`.
    ///
    /// # Errors
    /// An element is missing.
    pub fn decode(&self, pipeline: &Pipeline, head: &gst::Element) -> Result<()> {
        match &self.pictures {
            Some((sequence, rate)) => sequence.decode(*rate, pipeline, head),
            None => decoder::file(pipeline, &self.path, head, None),
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let uri = glib::filename_to_uri(path.canonicalize()?, None)?;
        let discoverer = Discoverer::new(TIMEOUT)?;
        let info = match discoverer.discover_uri(&uri) {
            Ok(info) => info,
            Err(error) if error.kind::<gst::StreamError>().is_some() => {
                return Err(anyhow!("this is no film, or it is damaged ({error})"));
            }
            Err(error) => return Err(error.into()),
        };
        let missing = info.missing_elements_installer_details();
        let videos = info.video_streams();
        let video = videos.iter().find(|video| !video.is_image());
        let Some(video) = video else {
            if let Some(detail) = missing.first() {
                bail!(packages::missing_detail(detail));
            }
            match videos.is_empty() {
                true => bail!("there is no video in it"),
                false => bail!("this is a picture: `faststyle-train stylize` paints pictures"),
            }
        };
        if info.result() == DiscovererResult::Timeout {
            bail!("it cannot be read within {} s", TIMEOUT.seconds());
        }
        let orientation = video.tags().and_then(|tags| {
            let orientation = tags.get::<gst::tags::ImageOrientation>()?;
            Some(orientation.get().to_owned())
        });
        Ok(Source {
            path: path.into(),
            duration: info.duration().unwrap_or_default(),
            pictures: None,
            frames: frames(|pipeline, head| decoder::file(pipeline, path, head, None))?,
            interlaced: video.is_interlaced(),
            turned: orientation.is_some_and(|orientation| orientation != "rotate-0"),
        })
    }
}

/// What the frames are that `decode` leads into an element.
fn frames(decode: impl Fn(&Pipeline, &gst::Element) -> Result<()>) -> Result<VideoInfo> {
    let pipeline = Pipeline::new();
    let sink = make("fakesink")?;
    pipeline.chain(std::slice::from_ref(&sink))?;
    decode(&pipeline, &sink)?;
    pipeline.preroll()?;
    let caps = pad(&sink, "sink")?
        .current_caps()
        .context("no frame in it")?;
    Ok(VideoInfo::from_caps(&caps)?)
}
