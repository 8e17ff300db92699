//! The directories of TIFF files and of EXIF data, which have the same structure: what
//! a file holds beside its first picture.

use std::ops::Range;

/// The tags of a picture's date, and of the directories with a camera's settings and
/// the place.
const DATE: u64 = 0x0132;
const EXIF: u64 = 0x8769;
const PLACE: u64 = 0x8825;

/// Those of IPTC's records, alone and among Photoshop's resources.
const IPTC: u64 = 0x83bb;
const PHOTOSHOP: u64 = 0x8649;

/// The first directory.
pub struct TiffDirectory {
    tags: Vec<u64>,
    next: u64,
    /// Where in the file `next` is.
    next_at: Range<usize>,
}

impl TiffDirectory {
    /// The first directory in `file`, if it is a TIFF file or EXIF data.
    pub fn first(file: &[u8]) -> Option<Self> {
        let big_endian = match file.first_chunk()? {
            b"II" => false,
            b"MM" => true,
            _ => return None,
        };
        let number = |range: Range<usize>| {
            let mut bytes = file.get(range)?.to_vec();
            if big_endian {
                bytes.reverse();
            }
            let digits = bytes.iter().rev();
            Some(digits.fold(0, |number, digit| number << 8 | u64::from(*digit)))
        };
        // Bytes of an offset, of the count of entries, of an entry.
        let (offset, count, entry) = match number(2..4)? {
            42 => (4, 2, 12),
            // BigTIFF.
            43 => (8, 8, 20),
            _ => return None,
        };
        let start = usize::try_from(number(offset..2 * offset)?).ok()?;
        let entries = start.checked_add(count)?;
        let found = usize::try_from(number(start..entries)?).ok()?;
        let next = entries.checked_add(found.checked_mul(entry)?)?;
        let next_at = next..next.checked_add(offset)?;
        let tag = |i| number(entries + i * entry..entries + i * entry + 2);
        Some(TiffDirectory {
            next: number(next_at.clone())?,
            next_at,
            tags: (0..found).map(tag).collect::<Option<_>>()?,
        })
    }

    /// Whether another picture follows: a page, or the small copy in EXIF data.
    pub fn has_next(&self) -> bool {
        self.next != 0
    }

    /// Whether it tells when or where a photo was taken, or how.
    pub fn has_exif(&self) -> bool {
        self.has_one_of(&[DATE, EXIF, PLACE])
    }

    /// Whether it tells of title, author or keywords.
    pub fn has_iptc(&self) -> bool {
        self.has_one_of(&[IPTC, PHOTOSHOP])
    }

    fn has_one_of(&self, tags: &[u64]) -> bool {
        self.tags.iter().any(|tag| tags.contains(tag))
    }

    /// Makes it the last directory of `file`, in which it is.
    pub fn cut_next(&self, file: &mut [u8]) {
        if let Some(next) = file.get_mut(self.next_at.clone()) {
            next.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with a date and another that follows.
    const LITTLE: &[u8] = b"II\x2a\0\x08\0\0\0\x01\0\x32\x01\x02\0\x01\0\0\0zzzz\x1a\0\0\0";
    const BIG: &[u8] = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06zz\0\0\0\0";
    const WIDE: &[u8] = b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x25\x88\x04\0\
        \x01\0\0\0\0\0\0\0zzzzzzzz\x01\0\0\0\0\0\0\0";

    #[test]
    fn directories_of_all_kinds_are_read() {
        for (file, next, exif) in [
            (LITTLE, true, true),
            (BIG, false, false),
            (WIDE, true, true),
        ] {
            let directory = TiffDirectory::first(file).expect("a directory");
            assert_eq!((directory.has_next(), directory.has_exif()), (next, exif));
            for length in 0..file.len() {
                assert!(TiffDirectory::first(&file[..length]).is_none(), "{length}");
            }
        }
        assert!(TiffDirectory::first(b"\x89PNG").is_none());
        // A count beyond all memory.
        let mut file = WIDE.to_vec();
        file[16..24].fill(0xff);
        assert!(TiffDirectory::first(&file).is_none());
    }

    #[test]
    fn a_small_copy_is_cut() {
        let mut file = LITTLE.to_vec();
        TiffDirectory::first(&file)
            .expect("a directory")
            .cut_next(&mut file);
        assert!(!TiffDirectory::first(&file).expect("a directory").has_next());
    }
}
