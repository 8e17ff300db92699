//! What a film file holds.

use crate::gstreamer::pipeline::Pipeline;
use crate::gstreamer::{decoder, make, packages, pad};
use anyhow::{Context, Result, anyhow, bail, ensure};
use gst::prelude::*;
use gst::{ClockTime, glib};
use gst_pbutils::prelude::*;
use gst_pbutils::{Discoverer, DiscovererResult};
use gst_video::VideoInfo;
use std::path::{Path, PathBuf};

/// How long it may take to look into a file.
const TIMEOUT: ClockTime = ClockTime::from_seconds(60);

/// A film file.
pub struct Source {
    pub path: PathBuf,
    pub duration: ClockTime,
    /// The decoded frames.
    pub frames: VideoInfo,
    /// Whether frames hold two fields.
    pub interlaced: bool,
    /// Whether a tag says that frames are to be turned.
    pub turned: bool,
}

impl Source {
    /// Looks into the file `path`.
    ///
    /// # Errors
    /// No file, no film, or one that needs a decoder that is missing.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        ensure!(path.exists(), "{shown}: not found");
        ensure!(path.is_file(), "{shown}: this is no regular file");
        Source::read(path).with_context(|| shown.to_string())
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
            frames: frames(path)?,
            interlaced: video.is_interlaced(),
            turned: orientation.is_some_and(|orientation| orientation != "rotate-0"),
        })
    }
}

/// What the decoded frames are.
fn frames(path: &Path) -> Result<VideoInfo> {
    let pipeline = Pipeline::new();
    let sink = make("fakesink")?;
    pipeline.chain(std::slice::from_ref(&sink))?;
    decoder::file(&pipeline, path, &sink)?;
    pipeline.preroll()?;
    let caps = pad(&sink, "sink")?
        .current_caps()
        .context("no frame in it")?;
    Ok(VideoInfo::from_caps(&caps)?)
}
