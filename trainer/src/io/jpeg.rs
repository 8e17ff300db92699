//! Where the picture in a JPEG file ends, which need not be the file's end: phones
//! append films, cameras further pictures.

/// Bytes up to the end of the picture, its end marker included. `None` if the marker is
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
    fn a_cut_picture_has_no_end() {
        for length in 0..PICTURE.len() {
            assert_eq!(picture_end(&PICTURE[..length]), None, "{length}");
        }
    }
}
