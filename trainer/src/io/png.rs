//! Chunks of PNG files that their encoder does not write.

/// Bytes of a file before the first chunk that may be one of text: its signature and its
/// header.
const HEADER: usize = 8 + 25;

/// Adds an XMP packet to a PNG file, as XMP's specification, part 3, has it: an
/// uncompressed international text.
pub fn with_xmp(file: &[u8], xmp: &[u8]) -> Vec<u8> {
    let chunk = chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", xmp].concat());
    let (header, rest) = file.split_at(HEADER.min(file.len()));
    [header, &chunk, rest].concat()
}

/// A PNG file that ends without saying so, with its last chunk.
pub fn ended(file: &[u8]) -> Vec<u8> {
    [file, &chunk(b"IEND", b"")].concat()
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_be_bytes();
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(kind);
    checksum.update(data);
    let checksum = checksum.finalize().to_be_bytes();
    [&length, &kind[..], data, &checksum].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageDecoder, ImageFormat, RgbImage, codecs::png::PngDecoder};
    use std::io::Cursor;

    #[test]
    fn a_packet_is_read_again() -> anyhow::Result<()> {
        let picture = RgbImage::from_fn(5, 4, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Png)?;
        let file = with_xmp(&file.into_inner(), "<x:xmpmeta>\u{e9}".as_bytes());
        let mut decoder = PngDecoder::new(Cursor::new(&file))?;
        let xmp = decoder.xmp_metadata()?;
        assert_eq!(xmp.as_deref(), Some("<x:xmpmeta>\u{e9}".as_bytes()));
        assert_eq!(image::load_from_memory(&file)?.into_rgb8(), picture);
        Ok(())
    }
}
