//! The frames of a film: the numbered pictures of a folder, in their order.

use super::Listing;
use anyhow::Result;
use std::cmp::Ordering;
use std::path::Path;

/// The pictures under `dir` in [natural order](natural_order), and what of it cannot be
/// read. A folder within it holds another film.
///
/// # Errors
/// `dir` is not a folder of pictures.
pub fn frames(dir: &Path) -> Result<Listing> {
    let (mut frames, unread) = super::list(dir)?;
    frames.sort_by(|a, b| {
        let [folder, other] = [a, b].map(|path| path.parent());
        folder.cmp(&other).then_with(|| natural_order(a, b))
    });
    Ok((frames, unread))
}

/// The order of files whose names hold numbers: `2.png` comes before `10.png`. Numbers
/// of one value, such as `02` and `2`, are ordered by their digits.
pub fn natural_order(a: &Path, b: &Path) -> Ordering {
    let [a, b] = [a, b].map(|path| path.as_os_str().as_encoded_bytes());
    let by_value = parts(a).cmp(parts(b));
    by_value.then_with(|| a.cmp(b))
}

/// A part of a name that is compared as one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// Digits without leading zeros. The longer ones are the larger number.
    Number(usize, &'a [u8]),
    Byte(u8),
}

fn parts(mut name: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (part, rest) = match digits {
            0 => {
                let (&byte, rest) = name.split_first()?;
                (Part::Byte(byte), rest)
            }
            _ => {
                let (number, rest) = name.split_at(digits);
                let zeros = number.iter().take_while(|byte| **byte == b'0').count();
                let number = &number[zeros..];
                (Part::Number(number.len(), number), rest)
            }
        };
        name = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn numbers_are_ordered_by_their_value() {
        let sorted = [
            "0.png",
            "1.png",
            "02.png",
            "2.png",
            "9.png",
            "10.png",
            "a1.png",
            "a9b.png",
            "a10.png",
            "a99999999999999999999999.png",
            "a100000000000000000000000.png",
            "b.png",
        ];
        let mut mixed: Vec<PathBuf> = sorted.iter().rev().map(PathBuf::from).collect();
        mixed.sort_by(|a, b| natural_order(a, b));
        assert_eq!(mixed, sorted.map(PathBuf::from));
    }

    #[test]
    fn each_folder_is_a_film() -> Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("5"))?;
        for name in ["10.png", "9.png", "5/2.png", "5/11.png", "notes.txt"] {
            std::fs::write(folder.path().join(name), "")?;
        }
        let (frames, unread) = frames(folder.path())?;
        let names = frames.iter().map(|path| path.strip_prefix(folder.path()));
        let names: Vec<_> = names.map(|name| name.unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["9.png", "10.png", "5/2.png", "5/11.png"]);
        assert!(unread.is_empty());
        Ok(())
    }
}
