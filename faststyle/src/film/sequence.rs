//! Films as a picture for each frame, such as `frames/%05d.png`.

use super::packets::{Reader, Record, Summary};
use crate::gstreamer::make;
use crate::gstreamer::pipeline::Pipeline;
use crate::output::{self, folder_of};
use crate::stop;
use anyhow::{Context, Result, bail, ensure};
use gst::prelude::*;
use gst::{ClockTime, Fraction};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Extensions of pictures that are read, their types, and their decoders.
const DECODERS: &[(&str, &str, &str)] = &[
    ("png", "image/png", "pngdec"),
    ("tif", "image/tiff", "avdec_tiff"),
    ("tiff", "image/tiff", "avdec_tiff"),
    ("jpg", "image/jpeg", "jpegdec"),
    ("jpeg", "image/jpeg", "jpegdec"),
];

/// Pictures whose names differ in a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    folder: PathBuf,
    /// The name up to the number.
    before: String,
    /// The number has at least so many digits.
    digits: usize,
    /// The name behind the number.
    after: String,
}

impl Sequence {
    /// The pictures that `path` means if its name has a place for a number, such as
    /// `%05d`, and is not a file's own name.
    pub fn of(path: &Path) -> Option<Self> {
        if path.exists() {
            return None;
        }
        let name = path.file_name()?.to_str()?;
        let (before, rest) = name.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = match digits {
            "" => 1,
            digits => digits.parse().ok().filter(|digits| *digits <= 18)?,
        };
        Some(Sequence {
            folder: folder_of(path).into(),
            before: before.into(),
            digits,
            after: after.into(),
        })
    }

    /// The path of the picture of this number.
    pub fn picture(&self, number: u64) -> PathBuf {
        let Sequence { before, after, .. } = self;
        let name = format!("{before}{number:0digits$}{after}", digits = self.digits);
        self.folder.join(name)
    }

    /// The number of the picture of this name.
    fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.before)?;
        let digits = digits.strip_suffix(&self.after)?;
        let number = digits.parse().ok()?;
        (self.picture(number).file_name()? == name).then_some(number)
    }

    /// The numbers of the pictures that are there.
    ///
    /// # Errors
    /// The folder cannot be read; there is none; some are missing in between.
    pub fn numbers(&self) -> Result<RangeInclusive<u64>> {
        let numbers = self.found()?;
        let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
            bail!("there are no such pictures");
        };
        if let Some((missing, _)) = (first..).zip(&numbers).find(|(n, found)| n != *found) {
            bail!("{} is missing", self.picture(missing).display());
        }
        Ok(first..=last)
    }

    fn found(&self) -> Result<Vec<u64>> {
        let shown = || self.folder.display().to_string();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(shown)? {
            let name = entry.with_context(shown)?.file_name();
            numbers.extend(name.to_str().and_then(|name| self.number(name)));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Leads the frames, so many a second, into `head`.
    ///
    /// # Errors
    /// An element is missing; pictures that are not read; those of [`Sequence::numbers`].
    pub fn decode(&self, rate: Fraction, pipeline: &Pipeline, head: &gst::Element) -> Result<()> {
        let ending = self.after.rsplit('.').next().unwrap_or_default();
        let known = |(extension, ..): &&(&str, _, _)| ending.eq_ignore_ascii_case(extension);
        let Some((_, kind, decoder)) = DECODERS.iter().find(known) else {
            bail!("pictures of films are read from .png, .tif and .jpg");
        };
        let numbers = self.numbers()?;
        let source = make("multifilesrc")?;
        source.set_property("location", self.location()?);
        source.set_property("start-index", i32::try_from(*numbers.start())?);
        source.set_property("stop-index", i32::try_from(*numbers.end())?);
        let caps = gst::Caps::builder(*kind).field("framerate", rate).build();
        source.set_property("caps", caps);
        let decoder = make(decoder)?;
        pipeline.chain(&[source, decoder.clone()])?;
        Ok(decoder.link(head)?)
    }

    /// The pattern as `multifilesrc` takes it.
    fn location(&self) -> Result<String> {
        let folder = self.folder.to_str();
        let folder = folder.context("the folder's name is not in UTF-8")?;
        let plain = |text: &str| text.replace('%', "%%");
        Ok(format!(
            "{}/{}%0{}d{}",
            plain(folder),
            plain(&self.before),
            self.digits,
            plain(&self.after)
        ))
    }

    /// How long all frames are shown.
    ///
    /// # Errors
    /// Those of [`Sequence::numbers`].
    pub fn duration(&self, rate: Fraction) -> Result<ClockTime> {
        let numbers = self.numbers()?;
        Ok(time_of(numbers.end() - numbers.start() + 1, rate))
    }

    /// What changes if pictures do.
    ///
    /// # Errors
    /// Those of [`Sequence::numbers`]; a picture that cannot be read.
    pub fn stamp(&self) -> Result<(u64, SystemTime)> {
        let (mut bytes, mut newest) = (0, SystemTime::UNIX_EPOCH);
        for number in self.numbers()? {
            let path = self.picture(number);
            let file = fs::metadata(&path).with_context(|| path.display().to_string())?;
            bytes += file.len();
            newest = newest.max(file.modified()?);
        }
        Ok((bytes, newest))
    }

    /// Whether pictures can be written; `overwrite` to replace those that are there.
    ///
    /// # Errors
    /// The folder is not there, or has such pictures.
    pub fn check(&self, flag: &str, overwrite: bool) -> Result<()> {
        ensure!(
            self.folder.is_dir(),
            "{flag} {}: there is no such folder; make it first",
            self.folder.display()
        );
        if let Some(&there) = self.found()?.first() {
            ensure!(
                overwrite,
                "{flag}: {} is already there; --overwrite replaces such pictures",
                self.picture(there).display()
            );
        }
        Ok(())
    }

    /// Writes the packets of `video` as pictures, each first as `part`, a file of the same
    /// file system. `number` gives their numbers, by their place and time. Returns whether
    /// it was finished before a request to end.
    ///
    /// # Errors
    /// Those of the system; a picture that is there, unless `overwrite`.
    pub fn write(
        &self,
        video: &[Summary],
        part: &Path,
        overwrite: bool,
        number: impl Fn(u64, ClockTime) -> u64,
    ) -> Result<bool> {
        let mut place = 0;
        for segment in video {
            let mut reader = Reader::open(&segment.path)?;
            loop {
                match reader.next()? {
                    _ if stop::requested() => return Ok(false),
                    Record::End { .. } => break,
                    Record::Packet(packet) => {
                        let number = number(place, packet.time.unwrap_or_default());
                        fs::write(part, &packet.data)
                            .with_context(|| part.display().to_string())?;
                        output::publish(part, &self.picture(number), overwrite)?;
                        place += 1;
                    }
                    _ => (),
                }
            }
        }
        ensure!(place > 0, "there is no frame in this part of the film");
        Ok(true)
    }
}

/// Its nanoseconds.
const SECOND: u128 = 1_000_000_000;

/// When the frame at this place is shown.
fn time_of(place: u64, rate: Fraction) -> ClockTime {
    let (frames, seconds) = (rate.numer() as u128, rate.denom() as u128);
    let time = (u128::from(place) * seconds * SECOND + frames / 2) / frames;
    ClockTime::from_nseconds(time as u64)
}

/// The place of the frame that is shown at this time.
pub fn place_at(time: ClockTime, rate: Fraction) -> u64 {
    let (frames, seconds) = (rate.numer() as u128, rate.denom() as u128);
    let whole = seconds * SECOND;
    ((u128::from(time.nseconds()) * frames + whole / 2) / whole) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_a_place_for_a_number() {
        let of = |text: &str| Sequence::of(Path::new(text));
        let frames = of("no/such/frame-%05d.png").unwrap();
        let path = Path::new("no/such/frame-00042.png");
        assert_eq!(frames.picture(42), path);
        assert_eq!(frames.number("frame-00042.png"), Some(42));
        assert_eq!(frames.number("frame-123456.png"), Some(123_456));
        for other in [
            "frame-42.png",
            "frame-00042.jpg",
            "frame-.png",
            "frame-000042.png",
        ] {
            assert_eq!(frames.number(other), None, "{other}");
        }
        assert_eq!(of("%d.tif").unwrap().picture(7), Path::new("./7.tif"));
        for none in ["a.png", "100 %.png", "%s.png", "%xd.png"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(
            of("5%/%03d.png").unwrap().location().unwrap(),
            "5%%/%03d.png"
        );
    }

    #[test]
    fn a_missing_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let frames = Sequence::of(&folder.path().join("%03d.png")).unwrap();
        assert!(
            frames
                .numbers()
                .unwrap_err()
                .to_string()
                .contains("no such")
        );
        for number in [3, 4, 6] {
            fs::write(frames.picture(number), "").unwrap();
        }
        let error = frames.numbers().unwrap_err().to_string();
        assert!(error.contains("005.png is missing"), "{error}");
        fs::write(frames.picture(5), "").unwrap();
        assert_eq!(frames.numbers().unwrap(), 3..=6);
        assert!(frames.check("--output", false).is_err());
        frames.check("--output", true).unwrap();
    }

    #[test]
    fn times_and_places_agree() {
        for rate in [Fraction::new(25, 1), Fraction::new(30_000, 1001)] {
            for place in [0, 1, 1000, 200_000] {
                assert_eq!(place_at(time_of(place, rate), rate), place);
            }
        }
    }
}
