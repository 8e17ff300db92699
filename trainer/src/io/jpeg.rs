//! The segments of JPEG files.

/// What the application's segments with an XMP packet begin with.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// What those with image resources of Photoshop begin with, and the head of the resource
/// of IPTC's records among them: its number and an empty name.
const PHOTOSHOP: &[u8] = b"Photoshop 3.0\0";
const IPTC: &[u8] = b"8BIM\x04\x04\0\0";

/// The most bytes of a segment without its marker and its length.
const LONGEST: usize = 65_535 - 2;

/// The most bytes of EXIF data, of an XMP packet and of IPTC's records.
pub const MAX_EXIF: usize = LONGEST - b"Exif\0\0".len();
pub const MAX_XMP: usize = LONGEST - XMP.len();
pub const MAX_IPTC: usize = LONGEST - PHOTOSHOP.len() - IPTC.len() - 4 - 1;

/// Adds an XMP packet and IPTC's records to a JPEG file. They must not be longer than
/// [`MAX_XMP`] and [`MAX_IPTC`].
pub fn with_texts(file: &[u8], xmp: Option<&[u8]>, iptc: Option<&[u8]>) -> Vec<u8> {
    let mut segments = Vec::new();
    if let Some(xmp) = xmp {
        segments.extend(segment(0xe1, &[XMP, xmp]));
    }
    if let Some(iptc) = iptc {
        let length = (iptc.len() as u32).to_be_bytes();
        let even = &[0][..iptc.len() % 2];
        segments.extend(segment(0xed, &[PHOTOSHOP, IPTC, &length, iptc, even]));
    }
    // Behind the segments that readers look for at the beginning, those of JFIF and EXIF.
    let mut at = 2;
    while let Some([0xff, 0xe0 | 0xe1]) = file.get(at..at + 2)
        && let Some(length) = segment_length(file, at + 2)
    {
        at += 2 + length;
    }
    let (before, behind) = file.split_at(at.min(file.len()));
    [before, &segments, behind].concat()
}

fn segment(marker: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker][..], &length, &body].concat()
}

/// Bytes up to the end of the picture, its end marker included, which need not be the
/// file's end: phones append films, cameras further pictures. `None` if the marker is
/// missing: the picture is cut off, or whoever wrote it left the marker out.
///
/// Segments are skipped by their length, so that the end of a preview within one
/// does not count.
pub fn picture_end(file: &[u8]) -> Option<usize> {
    const END_OF_IMAGE: u8 = 0xd9;
    // After the start of the image.
    let mut at = 2;
    loop {
        let (marker, next) = next_marker(file, at)?;
        at = match marker {
            END_OF_IMAGE => return Some(next),
            _ if has_length(marker) => next + segment_length(file, next)?,
            _ => next,
        };
    }
}

/// What is unusual about the coding of a JPEG file, where decoders for photos do not
/// know it.
pub fn rare_coding(file: &[u8]) -> Option<&'static str> {
    let mut at = 2;
    loop {
        let (marker, next) = next_marker(file, at)?;
        match marker {
            // Baseline, extended and progressive: of 8 bits.
            0xc0..=0xc2 => return (*file.get(next + 2)? > 8).then_some("12 bits a channel"),
            0xc3 => return Some("lossless coding"),
            0xc5..=0xc7 | 0xcd..=0xcf => return Some("hierarchical coding"),
            0xc9..=0xcb => return Some("arithmetic coding"),
            // A scan before any frame.
            0xda => return None,
            _ => {}
        }
        at = match has_length(marker) {
            true => next + segment_length(file, next)?,
            false => next,
        };
    }
}

/// The next marker at or after `at`, and what follows it. The data of a scan are passed
/// over: in them a byte 0xff is followed by 0 or by the number of a restart.
fn next_marker(file: &[u8], mut at: usize) -> Option<(u8, usize)> {
    const FILL: u8 = 0xff;
    loop {
        at += file.get(at..)?.iter().position(|byte| *byte == 0xff)? + 1;
        match *file.get(at)? {
            0 | FILL => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// Whether a segment with its length follows this marker.
fn has_length(marker: u8) -> bool {
    // TEM (temporary, of arithmetic coding), restarts and the start of an image.
    !matches!(marker, 0x01 | 0xd0..=0xd8)
}

fn segment_length(file: &[u8], at: usize) -> Option<usize> {
    let length = file.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with a preview in a segment, two scans, a restart and stuffed bytes.
    const PICTURE: [u8; 32] = [
        0xff, 0xd8, 0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xda, 0xff, 0xd9, 0xff, 0xff, 0xda, 0, 3,
        1, 5, 0xff, 0, 0xff, 0xd1, 6, 0xff, 0xda, 0, 2, 7, 8, 0xff, 0xd9,
    ];

    #[test]
    fn the_end_is_that_of_the_picture() {
        assert_eq!(picture_end(&PICTURE), Some(32));
        let appended = [&PICTURE[..], b"a film \xff\xda\0\x02\xff\xd9 and more"].concat();
        assert_eq!(picture_end(&appended), Some(32));
    }

    #[test]
    fn texts_come_behind_the_first_segments() -> anyhow::Result<()> {
        use image::{ImageDecoder, ImageFormat, RgbImage, codecs::jpeg::JpegDecoder};
        use std::io::Cursor;
        let mut file = Cursor::new(Vec::new());
        RgbImage::new(8, 8).write_to(&mut file, ImageFormat::Jpeg)?;
        let file = file.into_inner();
        for (xmp, iptc) in [(9, 8), (MAX_XMP, MAX_IPTC), (MAX_XMP, MAX_IPTC - 1)] {
            let (xmp, iptc) = (vec![b'x'; xmp], vec![b'i'; iptc]);
            let with = with_texts(&file, Some(&xmp), Some(&iptc));
            assert_eq!(with[..20], file[..20], "JFIF's segment");
            assert!(with.ends_with(&file[20..]));
            let mut decoder = JpegDecoder::new(Cursor::new(&with))?;
            assert_eq!(decoder.xmp_metadata()?, Some(xmp));
            let resources = decoder.iptc_metadata()?.unwrap_or_default();
            assert!(resources.windows(iptc.len()).any(|part| part == iptc));
            image::load_from_memory(&with)?;
        }
        assert_eq!(with_texts(&file, None, None), file);
        Ok(())
    }

    #[test]
    fn rare_codings_are_named() {
        let frame = |marker, bits| [0xff, 0xd8, 0xff, 0xe0, 0, 2, 0xff, marker, 0, 11, bits, 0];
        for (marker, bits, expected) in [
            (0xc0, 8, None),
            (0xc2, 8, None),
            (0xc1, 12, Some("12 bits a channel")),
            (0xc3, 8, Some("lossless coding")),
            (0xc9, 8, Some("arithmetic coding")),
        ] {
            assert_eq!(rare_coding(&frame(marker, bits)), expected, "{marker:x}");
        }
        assert_eq!(rare_coding(&[0xff, 0xd8]), None);
    }

    #[test]
    fn a_cut_picture_has_no_end() {
        for length in 0..PICTURE.len() {
            assert_eq!(picture_end(&PICTURE[..length]), None, "{length}");
        }
    }
}
