//! The figures of an evaluation, as JSON and as a table.

use super::equivalent::Iterations;
use super::setting::Setting;
use crate::objective::loss_values::Losses;
use serde::Serialize;
use std::fmt;

/// All that an evaluation found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's file name.
    pub model: String,
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

impl fmt::Display for Report {
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

    #[test]
    fn the_table_has_every_figure() -> anyhow::Result<()> {
        let photos = vec![
            figures("a.jpg", 4e6, 20.25, false),
            figures("sub/b.jpg", 6e6, 40.0, true),
        ];
        let report = Report {
            model: "m".into(),
            style: "s".into(),
            setting: Setting {
                size: 256,
                style_size: 256,
                weights: LossWeights::default(),
                max_iterations: 40,
            },
            mean: Figures::mean(&photos),
            photos,
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

        let json = serde_json::to_value(&report)?;
        assert_eq!(json["photos"][1]["photo"], "sub/b.jpg");
        assert_eq!(json["photos"][1]["equivalent"]["more_than"], true);
        assert_eq!(json["mean"]["photo_losses"]["total"], 5e7);
        assert_eq!(json["setting"]["weights"]["tv"], 0.004);
        Ok(())
    }
}
