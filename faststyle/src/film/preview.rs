//! Ten painted stills of a film on one sheet, before a night's work.

use super::reader::{Next, Reader};
use super::segment::{Plan, Segment};
use super::source::Source;
use crate::cli::FilmArgs;
use crate::messages::print;
use crate::outcome::Outcome;
use crate::sheet;
use anyhow::{Context, Result, bail, ensure};
use gst::ClockTime;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use image::RgbImage;
use image::imageops::{self, FilterType};
use std::path::Path;

/// Stills on a sheet, and how many are in a row.
const STILLS: u64 = 10;
const COLUMNS: u32 = 2;

/// The width of a still on the sheet, and the space around it.
const WIDTH: u32 = 640;
const SPACE: u32 = 8;

/// Paints a sheet of stills from the middle of each tenth of the film.
///
/// # Errors
/// Those of the film, of elements and of the system.
pub fn run(args: &FilmArgs, input: &Path, output: &Path) -> Result<Outcome> {
    let format = sheet::check("--output", output, args.overwrite)?;
    let source = Source::open(input, args.frame_rate)?;
    let plan = Plan::of(args);
    let end = plan
        .to
        .map_or(source.duration, |to| to.min(source.duration));
    ensure!(
        end > plan.from,
        "{}: there is nothing between --from and --to",
        input.display()
    );
    let mut stills = Vec::new();
    for still in 0..STILLS {
        let place = (end - plan.from) * (2 * still + 1) / (2 * STILLS);
        match painted(&source, args, plan, plan.from + place)? {
            Some(still) => stills.push(still),
            None => return Ok(Outcome::Interrupted),
        }
    }
    sheet::save(
        &sheet::rows(&stills, COLUMNS, SPACE),
        output,
        format,
        args.overwrite,
    )?;
    print(format_args!("Written: {}", output.display()));
    Ok(Outcome::Finished)
}

/// The first frame from `time` on, painted. None if interrupted.
fn painted(
    source: &Source,
    args: &FilmArgs,
    plan: Plan,
    time: ClockTime,
) -> Result<Option<RgbImage>> {
    let caps = gst_video::VideoCapsBuilder::new()
        .format(VideoFormat::Rgb)
        .build();
    let at = |time| Segment {
        index: 0,
        start: time,
        end: time,
    };
    let mut reader = Reader::open(source, &args.look, &caps, plan, at(time), &[])?;
    let mut next = reader.next()?;
    if let (Next::End, Some(last)) = (&next, reader.last_skipped()) {
        // The sound may be longer than the video.
        reader = Reader::open(source, &args.look, &caps, plan, at(last), &[])?;
        next = reader.next()?;
    }
    let frame = match next {
        Next::Frame(frame) => frame,
        Next::Interrupted => return Ok(None),
        Next::End => bail!("{}: it is shorter than it says", source.path.display()),
    };
    let info = VideoInfo::from_caps(&frame.caps)?;
    let frame = VideoFrameRef::from_buffer_ref_readable(&frame.buffer, &info)?;
    let stride = frame.plane_stride()[0] as usize;
    let (width, height) = (info.width(), info.height());
    let rows = frame.plane_data(0)?.chunks(stride).take(height as usize);
    let pixels = rows
        .flat_map(|row| &row[..3 * width as usize])
        .copied()
        .collect();
    let picture = RgbImage::from_raw(width, height, pixels).context("a frame of another size")?;
    Ok(Some(picture_of(&picture, info.par())))
}

/// As wide as the sheet's stills, and as high as it is shown.
fn picture_of(picture: &RgbImage, par: gst::Fraction) -> RgbImage {
    let shape = f64::from(picture.height()) / f64::from(picture.width());
    let pixel = f64::from(par.denom()) / f64::from(par.numer().max(1));
    let height = (f64::from(WIDTH) * shape * pixel)
        .round()
        .clamp(1.0, f64::from(4 * WIDTH));
    imageops::resize(picture, WIDTH, height as u32, FilterType::Triangle)
}
