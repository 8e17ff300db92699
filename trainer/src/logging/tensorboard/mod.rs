//! Event files, which TensorBoard shows.
//!
//! Such a file is a row of records in the format TFRecord
//! (<https://www.tensorflow.org/tutorials/load_data/tfrecord>), each a message
//! of `proto`:
//!
//! | bytes | content |
//! | --- | --- |
//! | 8 | length of the message |
//! | 4 | checksum of these 8 bytes |
//! | length | the message |
//! | 4 | checksum of the message |
//!
//! Numbers are little-endian; the checksum is CRC-32C, masked.

mod proto;

use anyhow::Context;
use prost::Message;
use proto::{Event, Image, Payload, RGB, START, SessionLog, Summary, Value, What};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that grows.
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// A new file in `folder`, which is made if need be, for a training of
    /// which `step` steps are done. What earlier files in `folder` tell of
    /// later steps is to be forgotten, the new file says.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(folder: &Path, step: u64) -> anyhow::Result<Self> {
        let create = || {
            std::fs::create_dir_all(folder)?;
            first_free(folder, wall_time() as u64)
        };
        let (path, file) = create()
            .with_context(|| format!("cannot make an event file in {}", folder.display()))?;
        let mut file = EventFile { path, file };
        // As of version 2 the start of a session has this meaning.
        file.add(0, What::FileVersion("brain.Event:2".into()))?;
        file.add(step + 1, What::SessionLog(SessionLog { status: START }))?;
        Ok(file)
    }

    /// Adds numbers of a step, each with its name; slashes make groups.
    pub fn add_scalars(&mut self, step: u64, scalars: &[(String, f32)]) -> anyhow::Result<()> {
        let value = |(tag, number): &(String, f32)| Value {
            tag: tag.clone(),
            payload: Some(Payload::Scalar(*number)),
        };
        self.add_summary(step, scalars.iter().map(value).collect())
    }

    /// Adds a picture of `width` times `height` pixels, in a PNG or JPEG file.
    pub fn add_image(
        &mut self,
        step: u64,
        tag: &str,
        (width, height): (u32, u32),
        encoded: &[u8],
    ) -> anyhow::Result<()> {
        let image = Image {
            height: height as i32,
            width: width as i32,
            colorspace: RGB,
            encoded: encoded.to_vec(),
        };
        let value = Value {
            tag: tag.into(),
            payload: Some(Payload::Image(image)),
        };
        self.add_summary(step, vec![value])
    }

    fn add_summary(&mut self, step: u64, value: Vec<Value>) -> anyhow::Result<()> {
        self.add(step, What::Summary(Summary { value }))
    }

    fn add(&mut self, step: u64, what: What) -> anyhow::Result<()> {
        let event = Event {
            wall_time: wall_time(),
            step: step as i64,
            what: Some(what),
        };
        self.file
            .write_all(&record(&event.encode_to_vec()))
            .with_context(|| format!("cannot write the events {}", self.path.display()))
    }
}

/// A new file, named after what TensorBoard reads after its elders: their names
/// count, in alphabetical order.
fn first_free(folder: &Path, seconds: u64) -> std::io::Result<(PathBuf, File)> {
    for number in 0.. {
        let name = format!("events.out.tfevents.{seconds:010}.{number:04}.faststyle");
        let path = folder.join(name);
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// `message` with its length and checksums.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [
        &length,
        &checksum(&length).to_le_bytes(),
        message,
        &checksum(message).to_le_bytes(),
    ];
    parts.concat()
}

/// CRC-32C, rotated by 15 bits and moved by a constant, so that the checksum of
/// bytes that hold checksums is not a special one.
fn checksum(bytes: &[u8]) -> u32 {
    const MOVED: u32 = 0xa282_ead8;
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MOVED)
}

/// Seconds since 1970.
fn wall_time() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events in a file, its checksums being right.
    fn read(path: &Path) -> anyhow::Result<Vec<Event>> {
        let bytes = std::fs::read(path)?;
        let (mut bytes, mut events) = (&bytes[..], Vec::new());
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let (length_sum, rest) = rest.split_at(4);
            assert_eq!(length_sum, checksum(length).to_le_bytes());
            let length = u64::from_le_bytes(length.try_into()?) as usize;
            let (message, rest) = rest.split_at(length);
            let (message_sum, rest) = rest.split_at(4);
            assert_eq!(message_sum, checksum(message).to_le_bytes());
            events.push(Event::decode(message)?);
            bytes = rest;
        }
        Ok(events)
    }

    #[test]
    fn checksums_are_masked() {
        // CRC-32C of these digits is e3069283 (RFC 3720 has more examples).
        let expected = 0xe306_9283_u32;
        let expected = expected.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(checksum(b"123456789"), expected);
        // The start of every event file that was ever written: its first
        // record is of 24 bytes.
        let head = &record(&[0; 24])[..12];
        assert_eq!(head, b"\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22");
    }

    #[test]
    fn events_round_trip() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let runs = folder.path().join("runs/out");
        let mut events = EventFile::create(&runs, 7)?;
        events.add_scalars(8, &[("loss/total".into(), 0.5), ("lr".into(), 1e-3)])?;
        events.add_image(8, "preview/a", (3, 2), b"picture")?;
        let found = read(&events.path)?;
        let steps: Vec<i64> = found.iter().map(|event| event.step).collect();
        assert_eq!(steps, [0, 8, 8, 8]);
        assert!(found.iter().all(|event| event.wall_time > 1.7e9));
        let what: Vec<What> = found.into_iter().filter_map(|event| event.what).collect();
        let value = |tag: &str, kind| Value {
            tag: tag.into(),
            payload: Some(kind),
        };
        let summary = |value| What::Summary(Summary { value });
        let image = Image {
            height: 2,
            width: 3,
            colorspace: 3,
            encoded: b"picture".to_vec(),
        };
        let expected = [
            What::FileVersion("brain.Event:2".into()),
            What::SessionLog(SessionLog { status: 1 }),
            summary(vec![
                value("loss/total", Payload::Scalar(0.5)),
                value("lr", Payload::Scalar(1e-3)),
            ]),
            summary(vec![value("preview/a", Payload::Image(image))]),
        ];
        assert_eq!(what, expected);

        // Another file, to be read after the first.
        let second = EventFile::create(&runs, 3)?;
        assert!(second.path > events.path, "{}", second.path.display());
        assert_eq!(read(&second.path)?[1].step, 4);
        Ok(())
    }

    #[test]
    fn errors_name_the_folder() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("file");
        std::fs::write(&file, "")?;
        let error = EventFile::create(&file.join("x"), 0)
            .map(|_| ())
            .unwrap_err();
        assert!(format!("{error:#}").contains("file/x"), "{error:#}");
        Ok(())
    }
}
