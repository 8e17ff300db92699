//! Input files, all of which are read by [`read`]: regular files of a bounded size.

use anyhow::{Context, Result, bail, ensure};
use gstfaststyle::internals::engine::memory;
use indicatif::HumanBytes;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

/// More than any text of settings has.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// A file of this size is read without asking the system whether it fits into memory.
const SMALL_BYTES: u64 = 64 << 20;

/// The bytes of the file at `path`.
///
/// # Errors
/// It cannot be read, is a folder, a pipe or the like, or has more than `most` bytes or
/// more than fit into memory. The message leaves it to the caller to name the file.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (file, info) = open(path)?;
    let length = info.len();
    ensure!(
        length <= most,
        "{} are more than such a file has ({})",
        HumanBytes(length),
        HumanBytes(most)
    );
    if length > SMALL_BYTES {
        let free = memory::free() as u64;
        ensure!(
            length <= free,
            "{} do not fit into memory, of which {} are free",
            HumanBytes(length),
            HumanBytes(free)
        );
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length as usize)
        .with_context(|| format!("{} do not fit into memory", HumanBytes(length)))?;
    // No more, if it grows meanwhile.
    file.take(length)
        .read_to_end(&mut bytes)
        .context("cannot be read")?;
    Ok(bytes)
}

/// The text in the file at `path`, of settings.
///
/// # Errors
/// The errors of [`read`]; bytes that are not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path, MAX_TEXT_BYTES)?).context("not a text in UTF-8")
}

/// The number of the line in which byte `at` of `text` is, from 1 on.
pub fn line(text: &str, at: usize) -> usize {
    let before = text.bytes().take(at);
    1 + before.filter(|byte| *byte == b'\n').count()
}

/// Opens a regular file.
fn open(path: &Path) -> Result<(File, Metadata)> {
    // Before it is opened, too: to open a device may have an effect.
    check_kind(path.metadata().context("cannot be opened")?.file_type())?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Does not wait for the writer of a pipe that has taken the file's place.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path).context("cannot be opened")?;
    let info = file.metadata().context("cannot be read")?;
    check_kind(info.file_type())?;
    Ok((file, info))
}

/// Whether a file of this kind has an end and does not keep its reader waiting.
fn check_kind(kind: FileType) -> Result<()> {
    match kind_of(kind) {
        None => Ok(()),
        Some(kind) => bail!("{kind}, not a regular file"),
    }
}

/// What a file is, unless it is a regular one.
fn kind_of(kind: FileType) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    match kind {
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_file() => None,
        _ => Some("something else"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        format!("{:#}", read(path, 1 << 20).expect_err("it is refused"))
    }

    #[test]
    fn files_are_read_up_to_their_bound() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        std::fs::write(&path, "text")?;
        assert_eq!(read(&path, 4)?, b"text");
        assert_eq!(read_text(&path)?, "text");
        assert!(format!("{:#}", read(&path, 3).unwrap_err()).contains("more than"));
        std::fs::write(&path, b"caf\xe9")?;
        assert!(read_text(&path).is_err());
        // A hole takes no space on the disk, but would in memory.
        File::create(&path)?.set_len(1 << 40)?;
        assert!(
            refusal(&path).contains("1.00 TiB are more than"),
            "{}",
            refusal(&path)
        );
        let all = format!("{:#}", read(&path, u64::MAX).unwrap_err());
        assert!(all.contains("do not fit into memory"), "{all}");
        Ok(())
    }

    #[test]
    fn lines_are_counted_from_1() {
        for (at, expected) in [(0, 1), (1, 1), (2, 2), (4, 3), (99, 3)] {
            assert_eq!(line("a\nb\nc", at), expected, "{at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let pipe = folder.path().join("pipe");
        std::process::Command::new("mkfifo").arg(&pipe).status()?;
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket)?;
        for (path, expected) in [
            (pipe.as_path(), "a pipe"),
            (socket.as_path(), "a socket"),
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
            (Path::new("/dev/null"), "a device"),
        ] {
            let text = refusal(path);
            assert!(text.contains(expected), "{text}");
        }
        assert!(refusal(Path::new("/nowhere")).contains("cannot be opened"));
        Ok(())
    }
}
