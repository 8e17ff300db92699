//! The output of a training: standard error, metrics, TensorBoard, previews and
//! report.

use crate::io::files::Files;
use crate::io::picture;
use crate::logging::metrics::{Metrics, Row};
use crate::logging::previews::Preview;
use crate::logging::progress::Progress;
use crate::logging::report::history::History;
use crate::logging::report::{Report, State};
use crate::logging::say::say;
use crate::logging::tensorboard::EventFile;
use crate::objective::loss_values::Losses;
use crate::training::trainer::Trainer;
use candle_core::Device;
use gstfaststyle::{Model, Network, Style};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Longer side of a painting in the report, in pixels.
const PAINTING: u32 = 480;

/// So many photos that are left out are named while training runs.
const NAMED: usize = 20;

/// All outputs of a training.
pub struct Log {
    progress: Progress,
    metrics: Metrics,
    events: Option<EventFile>,
    previews: Vec<Preview>,
    history: History,
    /// The paintings, as JPEG files.
    paintings: Vec<Vec<u8>>,
    /// What is trained, for the report's title.
    about: Style,
    report: PathBuf,
    left_out: BTreeMap<PathBuf, String>,
    /// Seconds spent on the steps of this run, and of these in waiting for
    /// photos.
    seconds: f64,
    waited: f64,
}

impl Log {
    /// Opens the outputs, and continues existing ones after the current step.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn open(trainer: &Trainer, files: &Files) -> anyhow::Result<Self> {
        let (recipe, step) = (trainer.recipe(), trainer.step_count());
        let styles = recipe.styles.iter().map(|style| style.about.name.clone());
        let styles: Vec<String> = styles.collect();
        let previews = Preview::open(&recipe.preview, &styles, files, step)?;
        let events = recipe.tensorboard.as_ref();
        let events = events.map(|folder| EventFile::create(&folder.join(&files.stem), step));
        let events = events.transpose()?;
        let paintings = recipe.styles.iter().flat_map(|style| &style.paintings);
        let paintings = paintings.map(|p| picture::jpeg(&p.picture()?, PAINTING, 85));
        let paintings = paintings.collect::<anyhow::Result<_>>()?;
        // Last, so that no file is left of a training that cannot begin.
        let (metrics, rows) = Metrics::open(&files.metrics, recipe.metrics, step)?;
        Ok(Log {
            progress: Progress::new(step, recipe.steps),
            metrics,
            events,
            previews,
            history: History::new(&rows),
            paintings,
            about: match &recipe.styles[..] {
                [style] => style.about.clone(),
                _ => Style {
                    name: files.stem.to_string_lossy().into_owned(),
                    ..Style::default()
                },
            },
            report: files.report.clone(),
            left_out: BTreeMap::new(),
            seconds: 0.0,
            waited: 0.0,
        })
    }

    /// Logs a step that took `seconds`.
    ///
    /// # Errors
    /// Metrics or events cannot be written.
    pub fn step(&mut self, row: &Row, seconds: f64) -> anyhow::Result<()> {
        self.metrics.add(row)?;
        if let Some(events) = &mut self.events {
            let losses = row.losses.counting();
            let losses = losses.map(|(name, loss)| (format!("loss/{name}"), loss));
            let rate = ("learning_rate".into(), row.lr as f32);
            events.add_scalars(row.step, &losses.chain([rate]).collect::<Vec<_>>())?;
        }
        self.history.add(row);
        self.seconds += seconds;
        self.waited += row.waited;
        self.progress.step(row.step, &row.losses, seconds);
        Ok(())
    }

    /// Reports each photo that is left out once.
    pub fn left_out(&mut self, photos: &BTreeMap<PathBuf, String>) {
        for (path, reason) in photos {
            if !self.left_out.contains_key(path) {
                match self.left_out.len() {
                    ..NAMED => {
                        let text = format!("left out {}: {reason}", path.display());
                        self.progress.say(&text);
                    }
                    NAMED => self.progress.say("the report names what else is left out"),
                    _ => (),
                }
                self.left_out.insert(path.clone(), reason.clone());
            }
        }
    }

    /// Paints the previews with `model`, as it is after `step`. A preview that
    /// fails is reported and does not stop the training.
    ///
    /// # Errors
    /// Events cannot be written, or the device has no memory left.
    pub fn paint(&mut self, model: &Model, step: u64, device: &Device) -> anyhow::Result<()> {
        if self.previews.is_empty() {
            return Ok(());
        }
        let network = Network::from_model(model, device)?;
        for preview in &mut self.previews {
            let tag = format!("preview/{}", preview.name);
            match (preview.paint(&network, step, device), &mut self.events) {
                (Ok(painted), Some(events)) => {
                    events.add_image(step, &tag, painted.size, &painted.jpeg)?;
                }
                (Ok(_), None) => (),
                (Err(error), _) => self.progress.say(&format!("{error:#}")),
            }
        }
        Ok(())
    }

    /// Writes the report. A failure is reported and does not stop the training.
    pub fn report(&self, trainer: &Trainer, state: State) {
        let step = trainer.step_count();
        let recipe = trainer.recipe();
        let report = Report {
            about: &self.about,
            settings: &recipe.settings(trainer.photos()),
            folder: &recipe.photos,
            steps: recipe.steps,
            photos: trainer.photos(),
            left_out: &self.left_out,
            paintings: &self.paintings,
            state,
            step,
            losses: trainer.mean_losses(),
            styles: named_losses(trainer),
            spent: Duration::try_from_secs_f64(trainer.seconds().round()).unwrap_or_default(),
            left: self.progress.time_left(step),
            waited: self.part_waited(),
            history: &self.history,
            previews: &self.previews,
        };
        if let Err(error) = report.write(&self.report) {
            self.progress.say(&format!("{error:#}"));
        }
    }

    /// Removes what a training without a checkpoint has written.
    pub fn discard(self) {
        self.metrics.discard();
    }

    /// Ends the display of progress.
    pub fn finish(&self) {
        self.progress.finish();
        if self.seconds > 0.0 {
            say(format_args!(
                "waited {:.1} % of the time for photos",
                100.0 * self.part_waited()
            ));
        }
        match self.left_out.len() {
            0 => (),
            1 => say("left out 1 photo"),
            count => say(format_args!("left out {count} photos")),
        }
    }

    /// What part of the time was spent in waiting for photos.
    fn part_waited(&self) -> f64 {
        self.waited / self.seconds.max(1e-9)
    }
}

/// The mean losses of each style's last steps, where there are several.
fn named_losses(trainer: &Trainer) -> Vec<(String, Losses)> {
    let styles = trainer.recipe().styles.iter();
    let styles = styles.map(|style| style.about.name.clone());
    let styles: Vec<_> = styles.zip(trainer.mean_losses_of_styles()).collect();
    match styles.len() {
        1 => Vec::new(),
        _ => styles,
    }
}
