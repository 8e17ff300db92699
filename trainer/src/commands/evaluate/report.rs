//! The figures of an evaluation, as JSON and as a table.

use super::equivalent::Iterations;
use super::frames::{Measured, Restlessness};
use super::setting::Setting;
use crate::objective::loss_values::Losses;
use serde::Serialize;
use std::fmt;

/// All that an evaluation found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's file name.
    pub model: String,
    /// On photos.
    #[serde(flatten)]
    pub photos: Option<PhotoReport>,
    /// On a film.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<FrameReport>,
}

/// What photos show.
#[derive(Debug, Serialize)]
pub struct PhotoReport {
    /// The painting's file name.
    pub style: String,
    /// Against what it was evaluated.
    pub setting: Setting,
    /// Each photo's figures.
    pub photos: Vec<Figures>,
    /// Their means.
    pub mean: Figures,
}

/// The figures of one photo, or means of several.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The photo's path in the folder.
    pub photo: String,
    /// Losses of the photo as it is.
    pub photo_losses: Losses,
    /// Losses of what the network makes of it.
    pub network_losses: Losses,
    /// The second total over the first.
    pub ratio: f64,
    /// Iterations of the slow method that reach the network's total loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equivalent: Option<Iterations>,
    /// Flicker of a photo at rest; 1 is that of its noise alone.
    pub flicker_still: f64,
    /// Flicker of a photo that pans.
    pub flicker_pan: f64,
    /// How much one side changes when something comes into view at the other:
    /// of 255.
    pub pumping: f64,
}

impl Figures {
    /// The means of `all`.
    pub fn mean(all: &[Figures]) -> Figures {
        let mean = |number: fn(&Figures) -> f64| {
            all.iter().map(number).sum::<f64>() / all.len().max(1) as f64
        };
        let equivalents: Vec<Iterations> = all.iter().filter_map(|f| f.equivalent).collect();
        Figures {
            photo: "mean".into(),
            photo_losses: Losses::mean(all.iter().map(|f| &f.photo_losses)),
            network_losses: Losses::mean(all.iter().map(|f| &f.network_losses)),
            ratio: mean(|f| f.ratio),
            equivalent: Iterations::mean(&equivalents),
            flicker_still: mean(|f| f.flicker_still),
            flicker_pan: mean(|f| f.flicker_pan),
            pumping: mean(|f| f.pumping),
        }
    }

    fn lines(&self, f: &mut fmt::Formatter<'_>, name_width: usize) -> fmt::Result {
        let losses = |losses: &Losses| {
            let [total, content, style, tv, _] = losses.as_array();
            [total, content, style, tv]
                .map(|l| format!("{l:>9.2e}"))
                .join(" ")
        };
        let equivalent = self.equivalent.map(|e| e.to_string());
        writeln!(
            f,
            "{:name_width$}  network {} {:>9.4} {:>10} {:>6.2} {:>6.2} {:>6.2}",
            self.photo,
            losses(&self.network_losses),
            self.ratio,
            equivalent.unwrap_or_else(|| "-".into()),
            self.flicker_still,
            self.flicker_pan,
            self.pumping,
        )?;
        writeln!(
            f,
            "{:name_width$}  photo   {}",
            "",
            losses(&self.photo_losses)
        )
    }
}

/// What the frames of a film show.
#[derive(Debug, Serialize)]
pub struct FrameReport {
    /// Their folder's name.
    pub folder: String,
    /// How many follow the one before.
    pub pairs: usize,
    /// How many do not.
    pub cuts: usize,
    /// How much of the painting before is taken where they are smoothed.
    pub smoothing: f64,
    /// The film's own warp error.
    pub film: f64,
    /// Each style's figures.
    pub styles: Vec<StyleFigures>,
}

/// How restless one style's paintings of a film are.
#[derive(Debug, Serialize)]
pub struct StyleFigures {
    /// The style's name.
    pub style: String,
    /// Of each frame by itself.
    pub by_itself: WarpError,
    /// Of the same paintings, smoothed.
    pub smoothed: WarpError,
    /// The second over the first.
    pub ratio: f64,
    /// The share of the gradient that smoothing leaves.
    pub gradient_kept: f64,
}

/// How much paintings differ from the ones before.
#[derive(Debug, Serialize)]
pub struct WarpError {
    /// Of 255.
    pub warp_error: f64,
    /// Over the film's own.
    pub of_film: f64,
}

impl StyleFigures {
    /// Those of `style`.
    pub fn new(style: String, measured: &Measured) -> Self {
        let Measured {
            film,
            by_itself,
            smoothed,
            ..
        } = measured;
        let warp_error = |kind: &Restlessness| WarpError {
            warp_error: kind.warp_error,
            of_film: kind.warp_error / film.warp_error,
        };
        StyleFigures {
            style,
            by_itself: warp_error(by_itself),
            smoothed: warp_error(smoothed),
            ratio: smoothed.warp_error / by_itself.warp_error,
            gradient_kept: smoothed.gradient / by_itself.gradient,
        }
    }
}

impl fmt::Display for FrameReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.styles.iter().map(|style| style.style.chars().count());
        let name_width = names.max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{}: {} pairs of frames, {} cuts; warp error of the film itself {:.3}",
            self.folder, self.pairs, self.cuts, self.film
        )?;
        writeln!(
            f,
            "{:name_width$}  {:>9} {:>8}  {:>13} {:>8} {:>9} {:>9}",
            "style",
            "by itself",
            "of film",
            format!("smoothing {}", self.smoothing),
            "of film",
            "of itself",
            "gradient"
        )?;
        for style in &self.styles {
            writeln!(
                f,
                "{:name_width$}  {:>9.3} {:>7.2}x  {:>13.3} {:>7.2}x {:>8.3}x {:>7.1} %",
                style.style,
                style.by_itself.warp_error,
                style.by_itself.of_film,
                style.smoothed.warp_error,
                style.smoothed.of_film,
                style.ratio,
                100.0 * style.gradient_kept
            )?;
        }
        write!(
            f,
            "warp error: mean difference, of 255, from the frame before, carried along the film's \
             motion,\nwhere the film agrees; the motion is the engine's own, backwards in time\n\
             of film, of itself: over the film's own, over that of each frame by itself\n\
             gradient: what smoothing leaves of it; less is blur"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.photos, &self.frames) {
            (Some(photos), Some(frames)) => write!(f, "{photos}\n\n{frames}"),
            (Some(photos), None) => photos.fmt(f),
            (None, Some(frames)) => frames.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for PhotoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || self.photos.iter().chain([&self.mean]);
        let name_width = all().map(|f| f.photo.chars().count()).max().unwrap_or(0);
        writeln!(
            f,
            "{:name_width$}          {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>6} {:>6} {:>6}",
            "", "loss", "content", "style", "tv", "of photo", "iterations", "still", "pan", "pump"
        )?;
        all().try_for_each(|figures| figures.lines(f, name_width))?;
        write!(
            f,
            "of photo: the network's loss over the photo's own\n\
             iterations: what the slow method needs for the same loss\n\
             still, pan: flicker, where 1 is that of the noise in a video at rest or panning\n\
             pump: change of one side, of 255, when something comes into view at the other"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::LossWeights;

    fn figures(photo: &str, total: f32, iterations: f64, more_than: bool) -> Figures {
        let losses = |total| Losses::from_slice(&[total, 1.0, 2.0, 3.0]);
        Figures {
            photo: photo.into(),
            photo_losses: losses(10.0 * total),
            network_losses: losses(total),
            ratio: 0.1,
            equivalent: Some(Iterations {
                iterations,
                more_than,
            }),
            flicker_still: 1.5,
            flicker_pan: 2.5,
            pumping: 3.5,
        }
    }

    fn frames() -> FrameReport {
        let kind = |warp_error, gradient| Restlessness {
            warp_error,
            gradient,
        };
        let measured = Measured {
            pairs: 8,
            cuts: 1,
            film: kind(0.5, 7.0),
            by_itself: kind(2.0, 20.0),
            smoothed: kind(1.2, 19.0),
        };
        FrameReport {
            folder: "clip".into(),
            pairs: measured.pairs,
            cuts: measured.cuts,
            smoothing: 0.8,
            film: measured.film.warp_error,
            styles: vec![StyleFigures::new("scream".into(), &measured)],
        }
    }

    #[test]
    fn the_table_has_every_figure() -> anyhow::Result<()> {
        let photos = vec![
            figures("a.jpg", 4e6, 20.25, false),
            figures("sub/b.jpg", 6e6, 40.0, true),
        ];
        let report = Report {
            model: "m".into(),
            photos: Some(PhotoReport {
                style: "s".into(),
                setting: Setting {
                    size: 256,
                    style_size: 256,
                    weights: LossWeights::default(),
                    max_iterations: 40,
                },
                mean: Figures::mean(&photos),
                photos,
            }),
            frames: Some(frames()),
        };
        let table = report.to_string();
        let row = |name: &str| {
            let line = table.lines().find(|line| line.starts_with(name));
            let words = line.unwrap_or_default().split_whitespace().skip(1);
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            row("a.jpg"),
            "network 4.00e6 1.00e0 2.00e0 3.00e0 0.1000 20.2 1.50 2.50 3.50"
        );
        assert!(row("sub/b.jpg").contains(" > 40.0 "), "{table}");
        assert!(row("mean").starts_with("network 5.00e6 "), "{table}");
        assert!(row("mean").contains(" > 30.1 "), "{table}");

        assert!(table.contains("clip: 8 pairs of frames, 1 cuts"), "{table}");
        assert_eq!(row("scream"), "2.000 4.00x 1.200 2.40x 0.600x 95.0 %");

        let json = serde_json::to_value(&report)?;
        let scream = &json["frames"]["styles"][0];
        assert_eq!(scream["by_itself"]["of_film"], 4.0);
        assert_eq!(scream["gradient_kept"], 0.95);
        assert_eq!(json["photos"][1]["photo"], "sub/b.jpg");
        assert_eq!(json["photos"][1]["equivalent"]["more_than"], true);
        assert_eq!(json["mean"]["photo_losses"]["total"], 5e7);
        assert_eq!(json["setting"]["weights"]["tv"], 0.004);
        Ok(())
    }
}
