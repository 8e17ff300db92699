//! The command `sheet`: photos in all styles of a model, as one picture.

use crate::cli::SheetArgs;
use crate::commands::{Outcome, style};
use crate::io::{output, picture, sheet};
use crate::logging::progress::PictureProgress;
use crate::logging::say::say;
use anyhow::{Context, bail};
use candle_core::Device;
use gstfaststyle::{Engine, Image, Options, StyleMix};
use image::RgbImage;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes a sheet for each photo, or for those before `stop` is set.
///
/// # Errors
/// A file that cannot be read or written.
pub fn run(args: &SheetArgs, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    let model = style::open(&args.model)?.model;
    let outputs = outputs(args)?;
    let options = Options {
        device: args.device,
        ..Options::default()
    };
    let mut engine = Engine::with_options(&model, options)?;
    let mut progress = PictureProgress::new((args.photos.len() * model.styles.len()) as u64);
    for (photo, output) in args.photos.iter().zip(&outputs) {
        let photo = picture::bounded(&picture::read(photo)?, args.max_size as u32);
        let mut pictures = vec![sheet::labelled(&photo, "photo")];
        for (index, style) in model.styles.iter().enumerate() {
            if stop.load(Ordering::SeqCst) {
                progress.finish();
                return Ok(Outcome::Interrupted);
            }
            let painted = paint(&mut engine, index, &photo)
                .with_context(|| format!("style {}", style.name))?;
            pictures.push(sheet::labelled(&painted, &style.name));
            progress.step();
        }
        picture::save(output, &sheet::grid(pictures))?;
        say(format_args!("{} is ready", output.display()));
    }
    progress.finish();
    Ok(Outcome::Finished)
}

/// `photo` in the style at `index`.
fn paint(engine: &mut Engine, index: usize, photo: &RgbImage) -> anyhow::Result<RgbImage> {
    engine.set_mix(&StyleMix::single(index))?;
    let photo = picture::planar(&picture::tensor(photo, &Device::Cpu)?)?;
    let mut painted = Image::default();
    engine.stylize(&photo, &mut painted)?;
    picture::rgb(&picture::interleaved(painted, &Device::Cpu)?)
}

/// The file of each photo's sheet.
fn outputs(args: &SheetArgs) -> anyhow::Result<Vec<PathBuf>> {
    let inputs: Vec<&Path> = args.photos.iter().map(PathBuf::as_path).collect();
    let output = |photo: &PathBuf| {
        let output = match (&args.output, &args.photos[..]) {
            (Some(output), [_]) => output.clone(),
            (Some(_), _) => bail!("--output names one file: leave it out for several photos"),
            (None, _) => {
                let mut name = photo.file_stem().unwrap_or_default().to_os_string();
                name.push(".sheet.png");
                photo.with_file_name(name)
            }
        };
        output::check_png("--output", &output, &inputs, args.overwrite)?;
        Ok(output)
    };
    args.photos.iter().map(output).collect()
}
