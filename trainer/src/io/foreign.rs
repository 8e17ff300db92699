//! Files that people take for pictures that this program reads: pictures of other
//! formats, and films.

use std::path::Path;

/// Extensions of pictures that are not read, with the name of their format.
const EXTENSIONS: &[(&str, &str)] = &[
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("hif", "HEIF"),
    ("avif", "AVIF"),
    ("avifs", "AVIF"),
    ("jxl", "JPEG XL"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("psd", "Photoshop"),
    ("xcf", "GIMP"),
    ("svg", "SVG"),
    ("tga", "TGA"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance"),
    ("qoi", "QOI"),
    ("ppm", "PNM"),
    ("pgm", "PNM"),
    ("pnm", "PNM"),
    ("ico", "ICO"),
    ("dds", "DDS"),
    ("dng", "raw"),
    ("cr2", "raw"),
    ("cr3", "raw"),
    ("nef", "raw"),
    ("arw", "raw"),
    ("orf", "raw"),
    ("rw2", "raw"),
    ("raf", "raw"),
    ("pef", "raw"),
    ("srw", "raw"),
];

/// Why the picture at `path` is not read, if its name is that of a picture of another
/// format.
pub fn by_name(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_lowercase();
    let (_, format) = EXTENSIONS.iter().find(|(known, _)| *known == extension)?;
    Some(not_read(format))
}

/// Why the file `bytes`, whatever its name, is not read: what it is.
pub fn by_content(bytes: &[u8]) -> String {
    match bytes {
        [] => "an empty file".into(),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => of_brand(brand),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', ..] => not_read("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', ..] => not_read("JPEG 2000"),
        [b'8', b'B', b'P', b'S', ..] => not_read("Photoshop"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', ..]
        | [0x1a, 0x45, 0xdf, 0xa3, ..]
        | [0, 0, 1, 0xba, ..]
        | [b'F', b'L', b'V', ..] => FILM.into(),
        // An MPEG transport stream: packets of 188 bytes.
        [0x47, ..] if bytes.get(188) == Some(&0x47) => FILM.into(),
        [b'P', b'K', 3, 4, ..] => "a ZIP archive: unpack it first".into(),
        _ => of_text(bytes),
    }
}

/// What a file says that begins as a text.
fn of_text(bytes: &[u8]) -> String {
    // Behind a mark of the byte order and blank lines.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let beginning = bytes.trim_ascii_start();
    let begins = |with: &[u8]| {
        let beginning = beginning.get(..with.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
    };
    if begins(b"<!doctype html") || begins(b"<html") {
        "a web page, in place of the picture that was to be downloaded".into()
    } else if begins(b"<svg") || begins(b"<?xml") {
        not_read("SVG")
    } else if begins(b"version https://git-lfs") {
        "a pointer of Git LFS: `git lfs pull` fetches the picture".into()
    } else {
        "not a photo".into()
    }
}

/// What the first brand of an ISO file, `ftyp`, says of it.
fn of_brand(brand: &[u8]) -> String {
    match brand.first_chunk() {
        Some(b"avif" | b"avis") => not_read("AVIF"),
        Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1") => {
            not_read("HEIC")
        }
        Some(b"crx ") => not_read("raw"),
        _ => FILM.into(),
    }
}

/// What is said of a picture of the format called `format`.
pub fn not_read(format: &str) -> String {
    let way_out = match format {
        "HEIC" | "HEIF" | "AVIF" => "convert it first, for example with `heif-convert IN OUT.jpg`",
        "raw" => "develop it to JPEG, PNG or TIFF first",
        _ => "convert it first, for example with ImageMagick's `convert IN OUT.png`",
    };
    format!("a picture in the format {format}, which is not read: {way_out}")
}

const FILM: &str = "a film: films are repainted by the program `faststyle film` and by the \
                    GStreamer element (see the README)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_pictures_and_films_are_told_apart() {
        for (bytes, expected) in [
            (&b"\0\0\0\x18ftypheic\0\0"[..], "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0", "AVIF"),
            (b"\0\0\0\x1cftypisom\0\0", "a film"),
            (b"\x1a\x45\xdf\xa3\x01", "a film"),
            (b"RIFF\0\0\0\0AVI LIST", "a film"),
            (b"\xff\x0a\0", "JPEG XL"),
            (b"", "empty"),
            (b"hello", "not a photo"),
            (b"PK\x03\x04", "ZIP"),
            (b"\n<!DOCTYPE HTML><html>404", "a web page"),
            (b"\xef\xbb\xbf<html>", "a web page"),
            (b"<?xml version='1.0'?><svg>", "SVG"),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            (b"<h", "not a photo"),
        ] {
            let text = by_content(bytes);
            assert!(text.contains(expected), "{bytes:?}: {text}");
        }
    }

    #[test]
    fn names_of_other_pictures_are_known() {
        let said = |name: &str| by_name(Path::new(name));
        for name in ["IMG_0001.HEIC", "a.avif", "b.NEF"] {
            assert!(
                said(name).is_some_and(|text| text.contains("not read")),
                "{name}"
            );
        }
        for name in ["a.jpg", "notes.txt", "heic", ".heic"] {
            assert_eq!(said(name), None, "{name}");
        }
    }
}
