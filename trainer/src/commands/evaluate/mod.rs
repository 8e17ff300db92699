//! The command `evaluate`: how good a model is, in figures and pictures.
//!
//! For some photos it reports the losses of the painted photo, the number of
//! iterations after which the slow method is as good (as in Johnson et al. 2016,
//! section 4.1), and the flicker; for a film, how restless its paintings are.

pub mod equivalent;
pub mod flicker;
pub mod frames;
pub mod photos;
pub mod report;
pub mod setting;

use crate::cli::EvaluateArgs;
use crate::commands::{Outcome, style};
use crate::io::{output, picture, sheet};
use crate::logging::progress::{PictureProgress, Progress};
use crate::logging::say::{say, say_lines};
use crate::objective::Objective;
use crate::objective::loss_values::Losses;
use crate::objective::painting::{self, Painting};
use crate::objective::slow_method::SlowMethod;
use crate::objective::vgg19::Vgg19;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use equivalent::Iterations;
use gstfaststyle::Model;
use gstfaststyle::internals::network::write_atomically;
use gstfaststyle::internals::ops::Products;
use gstfaststyle::{Engine, Image, Options, Precision};
use image::RgbImage;
use photos::EvaluationPhoto;
use report::{Figures, FrameReport, PhotoReport, Report, StyleFigures};
use setting::Setting;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Runs the command. If `stop` is set before it is done, the photos and styles that are
/// done are reported.
///
/// # Errors
/// Files that cannot be read or written; a loss that is not finite.
pub fn run(args: &EvaluateArgs, stop: &AtomicBool) -> Result<Outcome> {
    if let Some(json) = &args.json {
        output::check_new("--json", json, args.overwrite)?;
    }
    if let Some(sheet) = &args.sheet {
        let paintings: Vec<&Path> = args.painting.iter().map(|path| path.as_path()).collect();
        output::check_png("--sheet", sheet, &paintings, args.overwrite)?;
    }
    let found = style::open(&args.model)?;
    let frames = match &args.frames {
        Some(dir) => Some((dir.as_path(), frames::list(dir, |text| say(text))?)),
        None => None,
    };
    let mut report = Report {
        model: file_name(&found.path),
        photos: None,
        frames: None,
    };
    let mut outcome = Outcome::Finished;
    let mut rows = None;
    if let Some(dir) = &args.photos {
        let model = found.in_named_style(args.style.as_deref())?;
        (report.photos, rows, outcome) = on_photos(args, dir, &model, stop)?;
    }
    if let (Some((dir, frames)), Outcome::Finished) = (&frames, outcome) {
        let models = found.in_each_style(args.style.as_deref())?;
        (report.frames, outcome) = on_frames(args, dir, frames, &models, stop)?;
    }
    if report.photos.is_some() || report.frames.is_some() {
        tell(&report, args.json.as_deref())?;
    }
    if let (Some(path), Some((paintings, rows))) = (&args.sheet, rows) {
        draw(path, &paintings, rows)?;
    }
    Ok(outcome)
}

/// The paintings, and each photo's pictures, for a sheet.
type SheetRows = (Vec<Painting>, Vec<Vec<RgbImage>>);

/// The figures on the photos in `dir`, unless none was done before `stop` was set.
fn on_photos(
    args: &EvaluateArgs,
    dir: &Path,
    model: &Model,
    stop: &AtomicBool,
) -> Result<(Option<PhotoReport>, Option<SheetRows>, Outcome)> {
    let setting = Setting::new(args, model)?;
    let learned = setting::learned(args, model)?;
    let paintings = painting::choose(
        &args.painting,
        &args.loss.style_blend,
        &args.loss.style_crop,
        &learned,
    )?;
    if let Some(note) = other_paintings(args, &learned, &paintings) {
        say(note);
    }
    let say_text = |text: &str| say(text);
    let photos = photos::choose(dir, args.count as usize, setting.size as u32, say_text)?;
    let mut evaluation = Evaluation::new(args, model, &paintings, setting)?;

    let (mut figures, mut rows) = (Vec::new(), Vec::new());
    for (number, photo) in photos.iter().enumerate() {
        say(format_args!(
            "photo {} of {}: {}",
            number + 1,
            photos.len(),
            photo.name
        ));
        let found = evaluation
            .photo(photo, stop)
            .with_context(|| format!("photo {}", photo.name))?;
        let Some((found, row)) = found else { break };
        figures.push(found);
        rows.push(row);
    }
    let (done, all) = (figures.len(), photos.len());
    let outcome = match done < all {
        true => {
            say(format_args!("stopped after {done} of {all} photos"));
            Outcome::Interrupted
        }
        false => Outcome::Finished,
    };
    if figures.is_empty() {
        return Ok((None, None, outcome));
    }
    let report = PhotoReport {
        style: painting::names(&paintings),
        setting: evaluation.setting,
        mean: Figures::mean(&figures),
        photos: figures,
    };
    Ok((Some(report), Some((paintings, rows)), outcome))
}

/// The figures on the film `frames` in `dir` of each of `models`, which have one style or
/// a mix, unless none was done before `stop` was set.
fn on_frames(
    args: &EvaluateArgs,
    dir: &Path,
    frames: &[PathBuf],
    models: &[Model],
    stop: &AtomicBool,
) -> Result<(Option<FrameReport>, Outcome)> {
    let mut report: Option<FrameReport> = None;
    let mut outcome = Outcome::Finished;
    let mut progress = PictureProgress::new((models.len() * frames.len()) as u64);
    for model in models {
        let mut engine = engine(model, args)?;
        let name = style::names(model).join("+");
        let measured = frames::measure(frames, &mut engine, args.smoothing, stop, || {
            progress.step();
        })?;
        let Some(measured) = measured else {
            let done = report.as_ref().map_or(0, |report| report.styles.len());
            progress.say(&format!("stopped after {done} of {} styles", models.len()));
            outcome = Outcome::Interrupted;
            break;
        };
        let report = report.get_or_insert_with(|| FrameReport {
            folder: file_name(dir),
            pairs: measured.pairs,
            cuts: measured.cuts,
            smoothing: args.smoothing,
            film: measured.film.warp_error,
            styles: Vec::new(),
        });
        report.styles.push(StyleFigures::new(name, &measured));
    }
    progress.finish();
    Ok((report, outcome))
}

/// What paints the pictures that are measured: on a CPU with 32-bit floats, so that
/// figures do not depend on its kind.
fn engine(model: &Model, args: &EvaluateArgs) -> Result<Engine> {
    let options = Options {
        device: args.device,
        // Nothing but a CUDA device has them.
        precision: Precision::F16,
        ..Options::default()
    };
    Ok(Engine::with_options(model, options)?)
}

/// A model and what it is evaluated against.
struct Evaluation {
    setting: Setting,
    device: Device,
    engine: Engine,
    objective: Objective,
}

impl Evaluation {
    fn new(
        args: &EvaluateArgs,
        model: &Model,
        paintings: &[Painting],
        setting: Setting,
    ) -> Result<Self> {
        let device = args.device.open()?;
        Ok(Evaluation {
            engine: engine(model, args)?,
            objective: Objective::of(
                Vgg19::open(args.loss.vgg.as_deref(), Products::Exact, &device)?,
                paintings,
                setting.style_size as usize,
                setting.weights.clone(),
                &device,
            )?,
            setting,
            device,
        })
    }

    /// The figures of one photo, and its pictures: the photo, the network's and
    /// the slow method's. `None` if `stop` was set meanwhile.
    fn photo(
        &mut self,
        photo: &EvaluationPhoto,
        stop: &AtomicBool,
    ) -> Result<Option<(Figures, Vec<RgbImage>)>> {
        let size = self.setting.size as u32;
        let square = picture::tensor(&photo.square, &self.device)?;
        let painted = paint(&mut self.engine, &picture::planar(&square)?)?;
        let painted = picture::interleaved(painted, &self.device)?;

        let content = self.objective.content(&square)?;
        let photo_losses = self.losses(&square, &content)?;
        let network_losses = self.losses(&painted, &content)?;
        let mut pictures = vec![
            sheet::labelled(&photo.square, &photo.name),
            sheet::labelled(&picture::rgb(&painted)?, "network"),
        ];

        let mut equivalent = None;
        if self.setting.max_iterations > 0 {
            let slow = SlowMethod::new(&self.objective, &square, &square)?;
            let Some((iterations, slow)) = self.slow(slow, &network_losses, stop)? else {
                return Ok(None);
            };
            equivalent = Some(iterations);
            let caption = format!("slow, {iterations} iterations");
            pictures.push(sheet::labelled(&picture::rgb(&slow)?, &caption));
        }
        let engine = &mut self.engine;
        let pumping = flicker::pumping(&photo.square, |frame| paint(engine, frame))?;
        let mut flicker =
            |picture, by| flicker::flicker(picture, size, by, |frame| paint(engine, frame));
        let figures = Figures {
            photo: photo.name.clone(),
            photo_losses,
            network_losses,
            ratio: f64::from(network_losses) / f64::from(photo_losses),
            equivalent,
            flicker_still: flicker(&photo.square, flicker::STILL)?,
            flicker_pan: flicker(&photo.wide, flicker::PAN)?,
            pumping,
        };
        Ok((!stop.load(Ordering::SeqCst)).then_some((figures, pictures)))
    }

    fn losses(&self, picture: &Tensor, content: &[Tensor]) -> Result<Losses> {
        let (_, losses) = self.objective.measure(picture, content)?;
        ensure!(losses.are_finite(), "the loss is not finite: {losses}");
        Ok(losses)
    }

    /// The iterations that reach the network's loss, and the picture there.
    fn slow(
        &self,
        mut slow: SlowMethod,
        network: &Losses,
        stop: &AtomicBool,
    ) -> Result<Option<(Iterations, Tensor)>> {
        let most = self.setting.max_iterations;
        let mut progress = Progress::of_search(most);
        let mut started = Instant::now();
        let found = equivalent::search(&mut slow, network.total.into(), most, |slow| {
            let seconds = started.elapsed().as_secs_f64();
            progress.step(slow.iterations(), &slow.losses(), seconds);
            started = Instant::now();
            !stop.load(Ordering::SeqCst)
        })?;
        progress.finish();
        found
            .map(|iterations| Ok((iterations, slow.picture()?)))
            .transpose()
    }
}

fn paint(engine: &mut Engine, frame: &Image) -> Result<Image> {
    let mut painted = Image::default();
    engine.stylize(frame, &mut painted)?;
    Ok(painted)
}

/// A note if the paintings are not those that the model learned from.
fn other_paintings(args: &EvaluateArgs, learned: &[Painting], now: &[Painting]) -> Option<String> {
    let sorted = |paintings: &[Painting]| {
        let mut all: Vec<String> = paintings.iter().map(|p| p.fingerprint.clone()).collect();
        all.sort();
        all
    };
    (!learned.is_empty() && sorted(learned) != sorted(now)).then(|| {
        format!(
            "note: {} learned from another picture ({}) than {}",
            args.model.display(),
            painting::names(learned),
            painting::names(now)
        )
    })
}

/// The table on standard error, and the JSON to its file.
fn tell(report: &Report, json: Option<&Path>) -> Result<()> {
    say_lines(report);
    if let Some(path) = json {
        let text = format!("{}\n", serde_json::to_string_pretty(report)?);
        write_atomically(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The sheet: the paintings, and below them each photo's pictures.
fn draw(path: &Path, paintings: &[Painting], mut rows: Vec<Vec<RgbImage>>) -> Result<()> {
    let size = rows.iter().flatten().map(|p| p.width()).max().unwrap_or(1);
    let width = (3 * size / paintings.len().max(1) as u32).max(1);
    let fitted = |painting: &Painting| {
        let picture = picture::fit(&painting.picture()?, width, size);
        Ok(sheet::labelled(&picture, &painting.name()))
    };
    rows.insert(0, paintings.iter().map(fitted).collect::<Result<_>>()?);
    picture::save(path, &sheet::sheet(&rows))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
