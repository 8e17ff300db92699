//! How the painting looks: the settings of the element that the commands share.

use anyhow::{Context, Result, ensure};
use clap::Args;
use gstfaststyle::internals::network::Library;
use serde::Serialize;

/// How the painting looks.
#[derive(Args, Clone, Debug, Serialize)]
#[command(next_help_heading = "Painting")]
pub struct Look {
    /// Model file, or the name of an installed one
    #[arg(long, short, default_value = "scream", value_name = "FILE|NAME")]
    pub model: String,
    /// Style of a model of several, or a mix such as scream:0.7,udnie:0.3
    #[arg(long)]
    pub style: Option<String>,
    /// Paint in the style of this picture, where the model can
    #[arg(long, value_name = "PICTURE")]
    pub style_image: Option<String>,
    /// How much of the style shows, 0 to 1
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    pub strength: f64,
    /// How calm it is, 0 to 1: 0 paints each frame by itself
    #[arg(long, default_value_t = 0.8, value_parser = share)]
    pub smoothing: f64,
    /// Keep the video's own colours
    #[arg(long)]
    pub keep_color: bool,
    /// Size of the strokes: 1 as in a picture of 480 rows, whatever the video's size
    #[arg(long, value_name = "FACTOR", default_value_t = 0.0)]
    pub stroke_scale: f64,
    /// Largest height that the network sees; smaller is faster and coarser
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    pub max_height: u32,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Arithmetic of the network
    #[arg(long, default_value = "auto", value_parser = ["auto", "f32", "f16", "bf16", "fast"])]
    pub precision: String,
    /// CPU threads; 0 for one per core
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    #[serde(skip)]
    pub threads: u32,
}

/// Reads a number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("not a number from 0 to 1".into()),
    }
}

impl Look {
    /// The same with the model's file in place of its name, and with the style that
    /// the name is.
    ///
    /// # Errors
    /// There is no such model.
    pub fn found(mut self) -> Result<Self> {
        let found = Library::of_executable().find(&self.model)?;
        let path = found.path.to_str();
        self.model = path.context("the model's path is not in UTF-8")?.to_owned();
        self.style = self.style.or(found.style);
        ensure!(found.path.exists(), "--model {}: no such file", self.model);
        Ok(self)
    }

    /// The element `faststyle` with these settings.
    ///
    /// # Errors
    /// It is not registered.
    pub fn element(&self) -> Result<gst::Element> {
        gst::ElementFactory::make("faststyle")
            .property("model", &self.model)
            .property("style", &self.style)
            .property("style-image", &self.style_image)
            .property("strength", self.strength)
            .property("smoothing", self.smoothing)
            .property("keep-color", self.keep_color)
            .property("stroke-scale", self.stroke_scale)
            .property("max-height", self.max_height)
            .property("device", &self.device)
            .property_from_str("precision", &self.precision)
            .property("threads", self.threads)
            .build()
            .context("the element faststyle is not registered")
    }
}
