//! Ten painted stills of a film on one sheet, before a night's work.

use super::reader::{Next, Reader};
use super::segment::{Plan, Segment};
use super::source::Source;
use crate::Outcome;
use crate::cli::FilmArgs;
use crate::output;
use anyhow::{Context, Result, bail, ensure};
use gst::ClockTime;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoFrameRef, VideoInfo};
use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};
use std::path::Path;

/// Stills on a sheet, and how many are in a row.
const STILLS: u64 = 10;
const COLUMNS: u64 = 2;

/// The width of a still on the sheet, and the space around it.
const WIDTH: u32 = 640;
const SPACE: u32 = 8;

/// Paints a sheet of stills from the middle of each tenth of the film.
///
/// # Errors
/// Those of the film, of elements and of the system.
pub fn run(args: &FilmArgs, input: &Path, output: &Path) -> Result<Outcome> {
    let format = ImageFormat::from_path(output).ok();
    let format = format.filter(|format| format.writing_enabled() && *format != ImageFormat::Gif);
    let format = format.with_context(|| {
        format!(
            "--output {}: a preview is a picture; end its name in .png or .jpg",
            output.display()
        )
    })?;
    output::check(output, args.overwrite, &[input])?;
    let source = Source::open(input)?;
    let plan = Plan {
        from: args.from.unwrap_or_default(),
        to: args.to,
        length: args.segment,
    };
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
        match painted(&source, args, plan.from + place)? {
            Some(still) => stills.push(still),
            None => return Ok(Outcome::Interrupted),
        }
    }
    let part = tempfile::Builder::new()
        .prefix(".faststyle")
        .tempfile_in(output::folder_of(output))?;
    sheet(&stills)
        .save_with_format(part.path(), format)
        .with_context(|| output.display().to_string())?;
    // `publish` gives it its name.
    let (_, part) = part.keep()?;
    output::publish(&part, output, args.overwrite)?;
    println!("Written: {}", output.display());
    Ok(Outcome::Finished)
}

/// The first frame from `time` on, painted. None if interrupted.
fn painted(source: &Source, args: &FilmArgs, time: ClockTime) -> Result<Option<RgbImage>> {
    let caps = gst_video::VideoCapsBuilder::new()
        .format(VideoFormat::Rgb)
        .build();
    let segment = Segment {
        index: 0,
        start: time,
        end: time,
    };
    let reader = Reader::open(source, &args.look, &caps, segment, &[])?;
    let frame = match reader.next()? {
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

/// The stills in rows.
fn sheet(stills: &[RgbImage]) -> RgbImage {
    let height = stills.iter().map(RgbImage::height).max().unwrap_or(1);
    let (columns, rows) = (COLUMNS as u32, STILLS.div_ceil(COLUMNS) as u32);
    let size = |count: u32, side: u32| count * (side + SPACE) + SPACE;
    let white = image::Rgb([255; 3]);
    let mut sheet = RgbImage::from_pixel(size(columns, WIDTH), size(rows, height), white);
    for (still, place) in stills.iter().zip(0_u32..) {
        let x = SPACE + place % columns * (WIDTH + SPACE);
        let y = SPACE + place / columns * (height + SPACE);
        imageops::replace(&mut sheet, still, x.into(), y.into());
    }
    sheet
}
