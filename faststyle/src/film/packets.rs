//! Files of encoded packets, as they are between encoding and the finished film:
//! exact times, whatever the codec.
//!
//! A file is [`MAGIC`] and records, each a letter and its content: `c` caps,
//! `p` a packet, `t` tags, `e` the end. Numbers are little-endian.

use anyhow::{Context, Result, anyhow, bail};
use gst::prelude::*;
use gst::{ClockTime, glib};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"faststyle packets 1\n";

/// Longer records are no packets that a codec makes.
const LONGEST: u32 = 1 << 30;

/// What one buffer holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// When it is shown, from the beginning of the output.
    pub time: Option<ClockTime>,
    /// How long it is shown.
    pub duration: Option<ClockTime>,
    /// Flags of the buffer: whether it depends on others, or is a header.
    pub flags: gst::BufferFlags,
    /// The encoded bytes.
    pub data: Vec<u8>,
}

/// The flags that mean something to a muxer.
const FLAGS: gst::BufferFlags = gst::BufferFlags::DELTA_UNIT.union(gst::BufferFlags::HEADER);

impl Packet {
    /// From a buffer that is shown at `time`.
    ///
    /// # Errors
    /// Its memory cannot be read.
    pub fn new(buffer: &gst::BufferRef, time: Option<ClockTime>) -> Result<Self> {
        let data = buffer.map_readable()?;
        Ok(Packet {
            time,
            duration: buffer.duration(),
            flags: buffer.flags() & FLAGS,
            data: data.to_vec(),
        })
    }
}

/// A part of a file.
#[derive(Debug)]
pub enum Record {
    Caps(gst::Caps),
    Packet(Packet),
    Tags(gst::TagList),
    /// The end; `last` if the stream ends, too.
    End {
        last: bool,
    },
}

/// Writes a file beside its name, and gives it the name when it is whole.
pub struct Writer {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    caps: Option<gst::Caps>,
}

impl Writer {
    /// Begins the file `path`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(path: PathBuf) -> Result<Self> {
        let part = path.with_extension("part");
        let mut file = BufWriter::new(File::create(&part).with_context(|| named(&part))?);
        file.write_all(MAGIC).with_context(|| named(&part))?;
        Ok(Writer {
            path,
            part,
            file,
            caps: None,
        })
    }

    /// Adds a packet of these caps.
    ///
    /// # Errors
    /// Those of the system.
    pub fn packet(&mut self, caps: &gst::CapsRef, packet: &Packet) -> Result<()> {
        if self.caps.as_deref() != Some(caps) {
            self.text(b'c', &caps.to_string())?;
            self.caps = Some(caps.to_owned());
        }
        let time = |time: Option<ClockTime>| time.map_or(u64::MAX, ClockTime::nseconds);
        let mut head = vec![b'p'];
        head.extend(time(packet.time).to_le_bytes());
        head.extend(time(packet.duration).to_le_bytes());
        head.extend(packet.flags.bits().to_le_bytes());
        head.extend(length(&packet.data)?);
        self.write(&head)?;
        self.write(&packet.data)
    }

    /// Adds the stream's tags.
    ///
    /// # Errors
    /// Those of the system.
    pub fn tags(&mut self, tags: &gst::TagListRef) -> Result<()> {
        self.text(b't', &tags.to_string())
    }

    /// Ends the file; `last` if the stream ends with it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn finish(mut self, last: bool) -> Result<()> {
        self.write(&[b'e', last.into()])?;
        let named = || named(&self.part);
        let file = self.file.into_inner().map_err(|error| error.into_error());
        file.and_then(|file| file.sync_all()).with_context(named)?;
        fs::rename(&self.part, &self.path).with_context(named)
    }

    fn text(&mut self, letter: u8, text: &str) -> Result<()> {
        let mut record = vec![letter];
        record.extend(length(text.as_bytes())?);
        record.extend(text.as_bytes());
        self.write(&record)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.with_context(|| named(&self.part))
    }
}

fn named(path: &Path) -> String {
    path.display().to_string()
}

fn length(data: &[u8]) -> Result<[u8; 4]> {
    let length = u32::try_from(data.len()).ok();
    let length = length.filter(|&length| length <= LONGEST);
    Ok(length.context("a packet of more than 1 GiB")?.to_le_bytes())
}

/// Reads a file's records.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
}

impl Reader {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// Those of the system; a file of another kind.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| named(path))?;
        let mut reader = Reader {
            path: path.into(),
            file: BufReader::new(file),
        };
        let mut magic = [0; MAGIC.len()];
        reader.read(&mut magic)?;
        if magic != MAGIC {
            bail!("{}: no file of packets", path.display());
        }
        Ok(reader)
    }

    /// The next record. After the end there is none.
    ///
    /// # Errors
    /// Those of the system; a damaged file.
    pub fn next(&mut self) -> Result<Record> {
        self.record(true)
    }

    /// The next record, a packet's `data` only if asked for.
    fn record(&mut self, data: bool) -> Result<Record> {
        match self.number::<1>()? {
            [b'c'] => Ok(Record::Caps(self.text()?.parse()?)),
            [b't'] => tags(&self.text()?).map(Record::Tags),
            [b'p'] => self.packet(data).map(Record::Packet),
            [b'e'] => {
                let last = self.number::<1>()? != [0];
                Ok(Record::End { last })
            }
            _ => Err(self.damaged()),
        }
    }

    fn packet(&mut self, data: bool) -> Result<Packet> {
        let time = |bytes| Some(u64::from_le_bytes(bytes)).filter(|&time| time != u64::MAX);
        let shown = time(self.number()?).map(ClockTime::from_nseconds);
        let duration = time(self.number()?).map(ClockTime::from_nseconds);
        let flags = u32::from_le_bytes(self.number()?);
        Ok(Packet {
            time: shown,
            duration,
            flags: gst::BufferFlags::from_bits_truncate(flags),
            data: match data {
                true => self.data()?,
                false => self.skip_data()?,
            },
        })
    }

    fn text(&mut self) -> Result<String> {
        String::from_utf8(self.data()?).map_err(|_| self.damaged())
    }

    fn data(&mut self) -> Result<Vec<u8>> {
        let mut data = vec![0; self.length()? as usize];
        self.read(&mut data)?;
        Ok(data)
    }

    fn skip_data(&mut self) -> Result<Vec<u8>> {
        let length = self.length()?;
        let skipped = self.file.seek_relative(length.into());
        skipped.with_context(|| named(&self.path))?;
        Ok(Vec::new())
    }

    fn length(&mut self) -> Result<u32> {
        let length = u32::from_le_bytes(self.number()?);
        match length <= LONGEST {
            true => Ok(length),
            false => Err(self.damaged()),
        }
    }

    fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(self.damaged()),
            read => read.with_context(|| named(&self.path)),
        }
    }

    fn damaged(&self) -> anyhow::Error {
        anyhow!("{} is damaged; --restart begins anew", self.path.display())
    }
}

/// Tags as they were written.
///
/// # Errors
/// They were not written so.
pub fn tags(text: &str) -> Result<gst::TagList> {
    let value = glib::Value::deserialize(text, gst::TagList::static_type())?;
    Ok(value.get()?)
}

/// What a file holds, without the packets' data.
#[derive(Debug, Default)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// The packets' times, in the order of decoding.
    pub times: Vec<ClockTime>,
    /// When the last of them is over.
    pub end: ClockTime,
    /// The caps of the first packet.
    pub caps: Option<gst::Caps>,
    /// The stream's tags.
    pub tags: Option<gst::TagList>,
    /// Whether the stream ends with the file.
    pub last: bool,
}

/// Reads through a file.
///
/// # Errors
/// Those of [`Reader`].
pub fn summary(path: &Path) -> Result<Summary> {
    let mut reader = Reader::open(path)?;
    let mut summary = Summary {
        path: path.into(),
        ..Summary::default()
    };
    loop {
        match reader.record(false)? {
            Record::Caps(caps) => summary.caps = summary.caps.or(Some(caps)),
            Record::Packet(packet) => {
                summary.times.extend(packet.time);
                let end = packet.time.unwrap_or_default() + packet.duration.unwrap_or_default();
                summary.end = summary.end.max(end);
            }
            Record::Tags(tags) => summary.tags = Some(tags),
            Record::End { last } => {
                summary.last = last;
                return Ok(summary);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_back() {
        gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.packets");
        let codec_data = gst::Buffer::from_slice([1, 2, 3]);
        let caps = gst::Caps::builder("video/x-h264")
            .field("codec_data", codec_data)
            .field("framerate", gst::Fraction::new(24000, 1001))
            .build();
        let packet = |time| Packet {
            time,
            duration: Some(ClockTime::from_nseconds(41_708_333)),
            flags: gst::BufferFlags::DELTA_UNIT,
            data: vec![7; 100],
        };
        let packets = [ClockTime::from_nseconds(u64::MAX / 2), ClockTime::ZERO].map(Some);
        let packets = [packet(packets[0]), packet(packets[1]), packet(None)];
        let mut writer = Writer::create(path.clone()).unwrap();
        for packet in &packets {
            writer.packet(&caps, packet).unwrap();
        }
        let mut tags = gst::TagList::new();
        let merge = gst::TagMergeMode::Replace;
        (tags.make_mut()).add::<gst::tags::Title>(&"A \"title\", Ü", merge);
        writer.tags(&tags).unwrap();
        assert!(!path.exists());
        writer.finish(true).unwrap();

        let mut reader = Reader::open(&path).unwrap();
        assert!(matches!(reader.next().unwrap(), Record::Caps(read) if read == caps));
        for packet in packets {
            assert!(matches!(reader.next().unwrap(), Record::Packet(read) if read == packet));
        }
        assert!(matches!(reader.next().unwrap(), Record::Tags(read) if read == tags));
        assert!(matches!(reader.next().unwrap(), Record::End { last: true }));
        let summary = summary(&path).unwrap();
        assert_eq!((summary.times.len(), summary.last), (2, true));
    }

    #[test]
    fn a_cut_file_is_damaged() {
        gst::init().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.packets");
        Writer::create(path.clone()).unwrap().finish(false).unwrap();
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = summary(&path).unwrap_err().to_string();
            assert!(error.contains("damaged"), "{error}");
        }
    }
}
