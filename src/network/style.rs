//! What a model file says about a style.

use serde::{Deserialize, Serialize};

/// A painting that a network has learned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    /// Short name, fit for a file: `scream`.
    pub name: String,
    /// The painting's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who painted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// When, as one would write it: `1893`, `c. 1831`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<String>,
    /// How it was trained, if that differs from the rest of the file: recipe,
    /// steps, losses.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub training: serde_json::Value,
}

impl Style {
    /// Whether a style among several can have this name: mixes are written as
    /// `name:weight,name:weight`.
    pub fn can_be_called(name: &str) -> bool {
        !name.is_empty() && !name.contains([':', ','])
    }
}
