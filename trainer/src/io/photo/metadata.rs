//! What a picture's file says beside its pixels, as far as it holds for the picture
//! repainted.

use crate::io::jpeg;
use crate::io::tiff_directory::TiffDirectory;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, ImageDecoder, ImageFormat};
use std::io::Cursor;

/// What a file says of its picture.
#[derive(Debug, Default)]
pub struct Metadata {
    /// The ICC profile that says which colours the numbers are, if there is
    /// one and it speaks of RGB.
    pub icc_profile: Option<Vec<u8>>,
    /// The EXIF data, which no longer say how to turn the photo and have no small copy
    /// of it.
    pub exif: Option<Vec<u8>>,
    /// The XMP packet, which no longer says how to turn the photo, or that a film
    /// follows it.
    pub xmp: Option<Vec<u8>>,
    /// The records of IPTC's Information Interchange Model: title, author, keywords.
    pub iptc: Option<Vec<u8>>,
    /// What the file holds and this does not, for people.
    pub lost: Vec<&'static str>,
}

impl Metadata {
    /// What `file` says, of which `decoder` has read the beginning, as far as it is
    /// understood: a camera's notes that are damaged are no reason to lose the photo.
    pub fn of(format: ImageFormat, file: &[u8], decoder: &mut impl ImageDecoder) -> Self {
        let mut metadata = Metadata {
            lost: others_in(format, file),
            ..Metadata::default()
        };
        metadata.read(format, decoder);
        metadata
    }

    fn read(&mut self, format: ImageFormat, decoder: &mut impl ImageDecoder) {
        let color = decoder.color_type();
        if color.bytes_per_pixel() > color.channel_count() {
            self.lost
                .push("it has more than 8 bits a channel, the result has 8");
        }
        // Where the header names the profile's colour space (ICC.1, 7.2).
        match decoder.icc_profile().unwrap_or(None) {
            Some(profile) if profile.get(16..20) == Some(b"RGB ") => {
                self.icc_profile = Some(profile);
            }
            Some(_) => self
                .lost
                .push("its colour profile is not one of RGB and is left out"),
            None => {}
        }
        self.exif = decoder.exif_metadata().unwrap_or(None).map(upright);
        if let Some(mut xmp) = decoder.xmp_metadata().unwrap_or(None) {
            for (property, now) in XMP_PROPERTIES {
                set_digit(&mut xmp, property, now);
            }
            if find(&xmp, b"HasExtendedXMP").is_some() {
                self.lost
                    .push("the extended part of its XMP data is left out");
            }
            self.xmp = Some(xmp);
        }
        // Elsewhere they are a text that only some programs know.
        let iptc = decoder.iptc_metadata().unwrap_or(None);
        match (format, iptc) {
            (ImageFormat::Jpeg, Some(resources)) => self.iptc = iptc_in(&resources),
            (_, Some(_)) => self.lost.push("its IPTC data are left out"),
            (_, None) => {}
        }
    }
}

/// What a file holds beside its first picture.
fn others_in(format: ImageFormat, bytes: &[u8]) -> Vec<&'static str> {
    let file = Cursor::new(bytes);
    let animated = match format {
        ImageFormat::Gif => {
            GifDecoder::new(file).is_ok_and(|gif| gif.into_frames().nth(1).is_some())
        }
        ImageFormat::Png => {
            PngDecoder::new(file).is_ok_and(|png| png.is_apng().unwrap_or_default())
        }
        ImageFormat::WebP => WebPDecoder::new(file).is_ok_and(|webp| webp.has_animation()),
        _ => false,
    };
    let mut others = Vec::new();
    if animated {
        others.push("it is an animation: only its first picture is painted");
    }
    if format == ImageFormat::Jpeg {
        let end = jpeg::picture_end(bytes).unwrap_or(bytes.len());
        // The first box of a film says what kind it is.
        if find(&bytes[end..], b"ftyp").is_some() {
            others.push("the film behind the picture is left out");
        }
    }
    if let (ImageFormat::Tiff, Some(directory)) = (format, TiffDirectory::first(bytes)) {
        if directory.has_next() {
            others.push("it has several pages: only the first is painted");
        }
        if directory.has_exif() {
            others.push("its date, place and camera (EXIF) are left out");
        }
        if directory.has_iptc() {
            others.push("its IPTC data are left out");
        }
    }
    others
}

/// EXIF data of a photo that has been turned and repainted.
fn upright(mut exif: Vec<u8>) -> Vec<u8> {
    let _ = Orientation::remove_from_exif_chunk(&mut exif);
    if let Some(directory) = TiffDirectory::first(&exif) {
        directory.cut_next(&mut exif);
    }
    exif
}

/// Properties in XMP that the result gives another value: how to turn the photo, and
/// whether a film is appended.
const XMP_PROPERTIES: [(&[u8], u8); 3] = [
    (b"tiff:Orientation", b'1'),
    (b":MotionPhoto", b'0'),
    (b":MicroVideo", b'0'),
];

/// Sets the number of one digit that follows each `property`, written as an attribute or
/// as an element.
fn set_digit(xmp: &mut [u8], property: &[u8], digit: u8) {
    let mut at = 0;
    while let Some(place) = find(&xmp[at..], property) {
        at += place + property.len();
        let value = xmp[at..]
            .iter()
            .take_while(|byte| b"=\"'> \t\r\n".contains(byte))
            .count();
        if let [first, second, ..] = &mut xmp[at + value..]
            && value > 0
            && first.is_ascii_digit()
            && !second.is_ascii_digit()
        {
            *first = digit;
        }
    }
}

/// The records of IPTC among the image resources of Photoshop, which have small copies
/// of the picture and settings for printing beside.
fn iptc_in(mut resources: &[u8]) -> Option<Vec<u8>> {
    const IPTC: u16 = 0x0404;
    while let Some(rest) = resources.strip_prefix(b"8BIM") {
        let number = u16::from_be_bytes(*rest.first_chunk()?);
        // A name of up to 255 bytes behind its length, both together of an even number.
        let name = usize::from(*rest.get(2)?) + 1;
        let rest = rest.get(2 + name.next_multiple_of(2)..)?;
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let data = rest.get(4..)?.get(..length)?;
        if number == IPTC {
            return Some(data.to_vec());
        }
        resources = rest.get(4 + length.next_multiple_of(2)..)?;
    }
    None
}

/// Where `part` begins in `bytes`.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|place| place == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_xmp_change_where_they_are_digits() {
        let changed = |text: &str| {
            let mut xmp = text.as_bytes().to_vec();
            for (property, now) in XMP_PROPERTIES {
                set_digit(&mut xmp, property, now);
            }
            String::from_utf8(xmp).unwrap()
        };
        for (before, after) in [
            ("tiff:Orientation=\"6\"", "tiff:Orientation=\"1\""),
            ("tiff:Orientation = '8' a", "tiff:Orientation = '1' a"),
            (
                "<tiff:Orientation>3</tiff:Orientation>\n<a>7</a>",
                "<tiff:Orientation>1</tiff:Orientation>\n<a>7</a>",
            ),
            (
                "GCamera:MotionPhoto=\"1\" GCamera:MotionPhotoVersion=\"1\"",
                "GCamera:MotionPhoto=\"0\" GCamera:MotionPhotoVersion=\"1\"",
            ),
            ("tiff:Orientation=\"12\"", "tiff:Orientation=\"12\""),
            ("tiff:Orientation", "tiff:Orientation"),
            ("", ""),
        ] {
            assert_eq!(changed(before), after);
        }
    }

    #[test]
    fn iptc_is_found_among_other_resources() {
        let copy = b"8BIM\x04\x0c\0\0\0\0\0\x03abc\0";
        let iptc = b"8BIM\x04\x04\x03abc\0\0\0\x05title\0";
        let found = iptc_in(&[&copy[..], iptc, copy].concat());
        assert_eq!(found.as_deref(), Some(&b"title"[..]));
        assert_eq!(iptc_in(copy), None);
        for length in 0..iptc.len() - 1 {
            assert_eq!(iptc_in(&iptc[..length]), None, "{length}");
        }
    }
}
