//! Named sets of settings for `train`.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use std::fmt;

/// A set of settings. Flags and the config file override it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The training of the paper (Johnson et al. 2016).
    Paper,
    /// For live video on a CPU.
    Live,
    /// For the best picture, at any cost of time.
    Quality,
    /// For a first result in minutes.
    Quick,
}

impl Preset {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Paper => "paper",
            Preset::Live => "live",
            Preset::Quality => "quality",
            Preset::Quick => "quick",
        }
    }

    /// What it is for.
    fn purpose(self) -> &'static str {
        match self {
            Preset::Paper => "the training of the paper",
            Preset::Live => "for live video on a CPU",
            Preset::Quality => "for files and fast machines",
            Preset::Quick => {
                "a first result in minutes, from a network that can paint; `live` takes far longer"
            }
        }
    }

    /// Its settings: flags without dashes, and values. All others keep their
    /// defaults.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Preset::Paper => &[
                ("width", "32"),
                ("output-norm", "true"),
                ("steps", "40000"),
                ("batch", "4"),
                ("size", "256"),
                ("style-size", "256"),
                ("lr", "0.001"),
                ("lr-schedule", "constant"),
                ("content-weight", "10"),
                ("style-weight", "100"),
                ("tv-weight", "0.004"),
            ],
            // Without the output norm, which changes the whole picture when a
            // part of it changes, and with a stability loss against flicker.
            Preset::Live => &[
                ("width", "16"),
                ("output-norm", "false"),
                ("stability", "6000"),
                ("lr-schedule", "cosine"),
                ("lr-final", "0.03"),
            ],
            Preset::Quality => &[
                ("width", "32"),
                ("output-norm", "false"),
                ("size", "256"),
                ("style-size", "512"),
                ("lr-schedule", "cosine"),
                ("lr-final", "0.03"),
            ],
            // Small steps with an optimizer for networks that can paint.
            Preset::Quick => &[
                ("init", "scream"),
                ("steps", "1600"),
                ("batch", "1"),
                ("size", "256"),
                ("optimizer", "soap"),
                ("lr", "0.001"),
                ("warmup", "10"),
                ("lr-schedule", "cosine"),
                ("lr-final", "0.03"),
                ("stability", "6000"),
            ],
        }
    }

    fn listed(self) -> String {
        let settings = self.settings().iter();
        let settings: Vec<String> = settings
            .map(|(flag, value)| format!("{flag}={value}"))
            .collect();
        settings.join(" ")
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "preset {}: {}", self.name(), self.listed())?;
        match self {
            Preset::Quick => write!(f, " ({})", self.purpose()),
            _ => Ok(()),
        }
    }
}

impl ValueEnum for Preset {
    fn value_variants<'a>() -> &'a [Self] {
        &[Preset::Paper, Preset::Live, Preset::Quality, Preset::Quick]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = format!("{}: {}", self.purpose(), self.listed());
        let value = PossibleValue::new(self.name()).help(help);
        Some(match self {
            // The former name still works.
            Preset::Paper => value.alias("article"),
            _ => value,
        })
    }
}
