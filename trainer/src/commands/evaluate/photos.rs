//! The photos that a model is evaluated on, and their crops.

use super::flicker;
use crate::data;
use crate::io::photo::{self, Bound};
use crate::io::picture;
use anyhow::{Result, bail, ensure};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// A photo, cut to size.
pub struct EvaluationPhoto {
    /// Its path within the folder.
    pub name: String,
    /// Its middle, a square.
    pub square: RgbImage,
    /// As much more of it as a square needs to move across.
    pub wide: RgbImage,
}

/// At most `count` photos under `dir`, as squares of side `size` pixels.
///
/// The sorted list of photos is divided into `count` even parts, and of each
/// part the first usable photo is taken: the same photos each time. What is
/// unusable is reported by `say`.
///
/// # Errors
/// `dir` is not a folder of photos, or none of them can be used.
pub fn choose(
    dir: &Path,
    count: usize,
    size: u32,
    say: impl Fn(&str),
) -> Result<Vec<EvaluationPhoto>> {
    let (paths, unread) = data::list(dir)?;
    for (path, reason) in unread {
        say(&format!("left out {}: {reason}", path.display()));
    }
    let count = count.min(paths.len());
    let mut photos = Vec::with_capacity(count);
    for part in 0..count {
        let bound = |part: usize| part * paths.len() / count;
        photos.extend(first_usable(
            &paths[bound(part)..bound(part + 1)],
            dir,
            size,
            &say,
        ));
    }
    if photos.is_empty() {
        bail!("none of the photos in {} can be used", dir.display());
    }
    if photos.len() < count {
        say(&format!(
            "only {} of {count} photos can be used",
            photos.len()
        ));
    }
    Ok(photos)
}

fn first_usable(
    paths: &[PathBuf],
    dir: &Path,
    size: u32,
    say: impl Fn(&str),
) -> Option<EvaluationPhoto> {
    paths.iter().find_map(|path| {
        read(path, dir, size)
            .inspect_err(|error| say(&format!("left out {}: {error:#}", path.display())))
            .ok()
    })
}

fn read(path: &Path, dir: &Path, size: u32) -> Result<EvaluationPhoto> {
    let photo = photo::read(path, Bound::free_memory())?;
    let (width, height) = photo.dimensions();
    // As in training.
    let least = size.div_ceil(2);
    ensure!(
        width.min(height) >= least,
        "too small: {width}x{height}; both sides must be at least {least}"
    );
    let (wide, high) = flicker::room(size);
    let name = path.strip_prefix(dir).unwrap_or(path);
    Ok(EvaluationPhoto {
        name: name.to_string_lossy().into_owned(),
        square: picture::cover(&photo, size, size),
        wide: picture::cover(&photo, wide, high),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn folder(names: &[(&str, u32)]) -> Result<tempfile::TempDir> {
        let folder = tempfile::tempdir()?;
        for (name, size) in names {
            RgbImage::new(*size, 60).save(folder.path().join(name))?;
        }
        Ok(folder)
    }

    fn names(dir: &Path, count: usize, said: &RefCell<Vec<String>>) -> Vec<String> {
        let say = |text: &str| said.borrow_mut().push(text.into());
        let photos = choose(dir, count, 32, say).unwrap();
        assert!(photos.iter().all(|p| p.square.dimensions() == (32, 32)));
        photos.into_iter().map(|p| p.name).collect()
    }

    #[test]
    fn photos_are_spread_over_the_folder() -> Result<()> {
        let files = ["a.png", "b.png", "c.png", "d.png", "e.png"].map(|name| (name, 40));
        let folder = folder(&files)?;
        let said = RefCell::default();
        assert_eq!(names(folder.path(), 2, &said), ["a.png", "c.png"]);
        assert_eq!(names(folder.path(), 9, &said).len(), 5);
        assert!(said.borrow().is_empty());
        Ok(())
    }

    #[test]
    fn unusable_photos_are_replaced() -> Result<()> {
        let folder = folder(&[("a.png", 15), ("b.png", 16), ("c.png", 4), ("d.png", 3)])?;
        std::fs::write(folder.path().join("d.png"), "nothing")?;
        let said = RefCell::default();
        assert_eq!(names(folder.path(), 2, &said), ["b.png"]);
        let said = said.take().join("\n");
        for part in ["a.png: too small: 15x60", "c.png", "d.png", "only 1 of 2"] {
            assert!(said.contains(part), "{said}");
        }
        std::fs::remove_file(folder.path().join("b.png"))?;
        let Err(error) = choose(folder.path(), 2, 32, |_| ()) else {
            panic!("nothing is left")
        };
        assert!(error.to_string().contains("can be used"), "{error}");
        Ok(())
    }
}
