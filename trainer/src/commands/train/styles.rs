//! Reads `--styles`: a folder of paintings, or a TOML file that says more of each.

use crate::data;
use crate::io::files::stem;
use crate::io::input;
use crate::logging::say::say;
use crate::objective::painting::{self, Crop};
use crate::training::recipe::StyleRecipe;
use anyhow::{Context, anyhow, ensure};
use gstfaststyle::Style;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The name of the style that shows the photo as it is.
pub const NONE: &str = "none";

/// A file of styles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StylesFile {
    /// Whether the style [`NONE`] is learned, too.
    #[serde(default = "yes")]
    none: bool,
    style: Vec<StyleEntry>,
}

/// A style in a file: its painting, and what differs from the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StyleEntry {
    painting: Paintings,
    name: Option<String>,
    title: Option<String>,
    artist: Option<String>,
    year: Option<String>,
    /// One for each painting.
    #[serde(default)]
    crop: Vec<Option<Crop>>,
    #[serde(default)]
    blend: Vec<f64>,
    style_size: Option<u64>,
    content_weight: Option<f64>,
    style_weight: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Paintings {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

fn yes() -> bool {
    true
}

/// The styles in the folder or TOML file `path`, in their order, and [`NONE`].
///
/// # Errors
/// A file that cannot be read or is not understood; no style; two of one name.
pub fn read(path: &Path) -> anyhow::Result<Vec<StyleRecipe>> {
    let styles = match path.is_dir() {
        true => folder(path),
        false => file(path),
    };
    let styles = styles.with_context(|| format!("cannot use --styles {}", path.display()))?;
    ensure!(
        styles.iter().any(|style| !style.paintings.is_empty()),
        "there is no painting in {}",
        path.display()
    );
    for i in 0..styles.len() {
        let name = styles[i].about.name.clone();
        ensure!(
            Style::can_be_called(&name),
            "{name:?} is no name for a style in {}: it must not be empty or contain `:` or `,`",
            path.display()
        );
        ensure!(
            styles[..i].iter().all(|other| other.about.name != name),
            "two styles in {} are called {name}",
            path.display()
        );
    }
    Ok(styles)
}

/// Each painting of the folder is a style, called like its file.
fn folder(path: &Path) -> anyhow::Result<Vec<StyleRecipe>> {
    let (files, unread) = data::list(path)?;
    for (file, reason) in unread {
        say(format_args!("left out {}: {reason}", file.display()));
    }
    let style = |file: &PathBuf| {
        let about = Style {
            name: stem(file)?.replace([':', ','], "-"),
            ..Style::default()
        };
        let paintings = painting::choose(std::slice::from_ref(file), &[], &[], &[])?;
        Ok(StyleRecipe::new(about, paintings))
    };
    let mut styles: Vec<StyleRecipe> = files.iter().map(style).collect::<anyhow::Result<_>>()?;
    styles.push(none());
    Ok(styles)
}

fn file(path: &Path) -> anyhow::Result<Vec<StyleRecipe>> {
    let text = input::read_text(path)
        .context("neither a folder of paintings nor a TOML file; --style takes one painting")?;
    let file: StylesFile = toml::from_str(&text).map_err(|error| {
        let line = input::line(&text, error.span().map_or(0, |span| span.start));
        anyhow!("line {line}: {}", error.message())
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let styles = file.style.into_iter().map(|entry| entry.recipe(folder));
    let mut styles: Vec<StyleRecipe> = styles.collect::<anyhow::Result<_>>()?;
    if file.none {
        styles.push(none());
    }
    Ok(styles)
}

fn none() -> StyleRecipe {
    let about = Style {
        name: NONE.into(),
        title: Some("The photo".into()),
        ..Style::default()
    };
    StyleRecipe::new(about, Vec::new())
}

impl StyleEntry {
    /// The recipe of this style; its paintings lie relative to `folder`.
    fn recipe(self, folder: &Path) -> anyhow::Result<StyleRecipe> {
        let files = match self.painting {
            Paintings::One(file) => vec![file],
            Paintings::Several(files) => files,
        };
        let files: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        let first = files.first().context("a style without a painting")?;
        let name = match self.name {
            Some(name) => name,
            None => stem(first)?,
        };
        let within = |what: &str, weight: Option<f64>| {
            ensure!(
                weight.is_none_or(|weight| weight >= 0.0 && weight.is_finite()),
                "{what} of {name} is not a number of at least 0"
            );
            Ok(weight)
        };
        ensure!(
            self.style_size
                .is_none_or(|size| (16..=8192).contains(&size)),
            "style-size of {name} is not within 16..=8192"
        );
        Ok(StyleRecipe {
            paintings: painting::choose(&files, &self.blend, &self.crop, &[])
                .with_context(|| format!("style {name}"))?,
            style_size: self.style_size,
            content_weight: within("content-weight", self.content_weight)?,
            style_weight: within("style-weight", self.style_weight)?,
            about: Style {
                name,
                title: self.title,
                artist: self.artist,
                year: self.year,
                ..Style::default()
            },
        })
    }
}
