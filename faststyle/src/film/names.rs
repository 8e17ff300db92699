//! Which film becomes which file.

use super::container::Container;
use crate::cli::FilmArgs;
use crate::film::codec::Codec;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Extensions of films in folders.
const FILMS: &[&str] = &[
    "3gp", "asf", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf",
    "ogg", "ogv", "ts", "vob", "webm", "wmv", "y4m",
];

/// A film to paint.
#[derive(Debug, PartialEq)]
pub struct Pair {
    pub input: PathBuf,
    pub output: PathBuf,
}

/// The films to paint. Several become files in the folder `output`, which is made
/// if need be.
///
/// # Errors
/// A folder that cannot be read, or has no films; two that would become one file.
pub fn pairs(args: &FilmArgs) -> Result<(Vec<Pair>, bool)> {
    let output = &args.output;
    let slash = output.as_os_str().as_encoded_bytes().ends_with(b"/");
    let folders = args.inputs.iter().any(|input| input.is_dir());
    if args.inputs.len() == 1 && !folders && !slash && !output.is_dir() {
        let input = args.inputs[0].clone();
        return Ok((
            vec![Pair {
                input,
                output: output.clone(),
            }],
            false,
        ));
    }
    ensure!(
        !args.preview,
        "--preview takes one film and the picture to write, such as --output look.png"
    );
    ensure!(
        !output.is_file(),
        "--output {}: this is a file; several films need a folder",
        output.display()
    );
    fs::create_dir_all(output).with_context(|| format!("--output {}", output.display()))?;
    let mut taken = HashMap::new();
    let mut pairs = Vec::new();
    for input in films(&args.inputs)? {
        let output = output.join(name(&input, args.encoding.codec)?);
        if let Some(other) = taken.insert(output.clone(), input.clone()) {
            bail!(
                "{} and {} would both become {}: paint one of them by itself",
                other.display(),
                input.display(),
                output.display()
            );
        }
        pairs.push(Pair { input, output });
    }
    Ok((pairs, true))
}

/// The films among files and in folders, those of each folder by name.
fn films(inputs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut films = Vec::new();
    for input in inputs {
        if !input.is_dir() {
            films.push(input.clone());
            continue;
        }
        let shown = || input.display().to_string();
        let before = films.len();
        for entry in fs::read_dir(input).with_context(shown)? {
            let path = entry.with_context(shown)?.path();
            let extension = path.extension().and_then(OsStr::to_str);
            let extension = extension.unwrap_or_default().to_ascii_lowercase();
            if path.is_file() && FILMS.contains(&extension.as_str()) {
                films.push(path);
            }
        }
        films[before..].sort();
        ensure!(films.len() > before, "{}: no films in this folder", shown());
    }
    Ok(films)
}

/// The name of the painted film: as before, in a container that takes the codec.
fn name(input: &Path, codec: Option<Codec>) -> Result<PathBuf> {
    let name = input.file_name();
    let name = PathBuf::from(name.with_context(|| format!("{}: no file", input.display()))?);
    let keeps = match (Container::of(&name), codec) {
        (None | Some(Container::Webm | Container::Pictures), _) => false,
        (Some(Container::Mkv), _) => true,
        (Some(Container::Mov), codec) => codec != Some(Codec::Ffv1),
        (Some(Container::Mp4), codec) => !matches!(codec, Some(Codec::Ffv1 | Codec::Prores)),
    };
    Ok(match keeps {
        true => name,
        false => name.with_extension("mkv"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_codec() {
        let named = |input: &str, codec| name(Path::new(input), codec).unwrap();
        assert_eq!(named("a/b.mp4", None), Path::new("b.mp4"));
        assert_eq!(named("b.MP4", Some(Codec::Ffv1)), Path::new("b.mkv"));
        assert_eq!(named("b.c.avi", None), Path::new("b.c.mkv"));
        assert_eq!(named("b.mov", Some(Codec::Prores)), Path::new("b.mov"));
    }
}
