//! The folder of unfinished work beside an output: what is done stays there until
//! the film is whole, and is taken up again after a crash.

use super::packets::{self, Summary};
use super::tracks::Tracks;
use crate::output::folder_of;
use anyhow::{Context, Result, bail};
use gstfaststyle::internals::network::write_atomically;
use serde_json::Value;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files of the folder.
const LOCK: &str = "lock";
const SETTINGS: &str = "settings.json";
const TRACKS: &str = "tracks.json";
const PUBLISHING: &str = "publishing";

/// Unfinished work.
pub struct Job {
    folder: PathBuf,
    /// Held as long as this program works on it.
    _lock: File,
}

impl Job {
    /// The folder of unfinished work for `output`.
    fn folder(output: &Path) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(output.file_name().unwrap_or_default());
        name.push(".faststyle");
        folder_of(output).join(name)
    }

    /// Takes up the work for `output`, or begins it; `restart` to throw away what
    /// is done.
    ///
    /// # Errors
    /// Those of the system; another program works on it; it was begun with other
    /// `settings`.
    pub fn open(output: &Path, settings: &Value, restart: bool) -> Result<Self> {
        let folder = Job::folder(output);
        let shown = || folder.display().to_string();
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(shown);
            }
            _ => (),
        }
        let lock = File::create(folder.join(LOCK)).with_context(shown)?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                bail!("another faststyle is painting {}", output.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(shown),
        }
        let job = Job {
            folder: folder.clone(),
            _lock: lock,
        };
        let begun = match fs::read(job.path(SETTINGS)) {
            Ok(text) => serde_json::from_slice::<Value>(&text).ok(),
            Err(_) => None,
        };
        match begun {
            Some(begun) if !restart && begun != *settings => bail!(
                "{} was begun otherwise ({}). Repeat that command, or begin anew with --restart",
                output.display(),
                differences(&begun, settings)
            ),
            Some(_) if !restart => (),
            _ => {
                job.clear().with_context(shown)?;
                job.write(SETTINGS, settings)?;
            }
        }
        Ok(job)
    }

    /// The file of a segment.
    pub fn segment(&self, index: usize) -> PathBuf {
        self.path(&format!("segment-{index:05}.packets"))
    }

    /// Whether a segment is finished.
    pub fn has(&self, index: usize) -> bool {
        self.segment(index).exists()
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The copied tracks, if they are finished.
    pub fn tracks(&self) -> Option<Tracks> {
        let text = fs::read(self.path(TRACKS)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes that the tracks are copied.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_tracks(&self, tracks: &Tracks) -> Result<()> {
        self.write(TRACKS, &serde_json::to_value(tracks)?)
    }

    /// The finished segments from the film's beginning on, up to one that is missing
    /// or to the film's last.
    ///
    /// # Errors
    /// A damaged file.
    pub fn finished(&self) -> Result<Vec<Summary>> {
        let mut finished: Vec<Summary> = Vec::new();
        while !is_whole(&finished) && self.has(finished.len()) {
            finished.push(packets::summary(&self.segment(finished.len()))?);
        }
        Ok(finished)
    }

    /// Notes that files get their names from now on. Those that are there at
    /// the next start are this work's own.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set_publishing(&self) -> Result<()> {
        self.write(PUBLISHING, &Value::Bool(true))
    }

    /// Whether the work for `output` came so far as to give files their names.
    pub fn is_publishing(output: &Path) -> bool {
        Job::folder(output).join(PUBLISHING).exists()
    }

    /// Removes the folder.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(self) -> Result<()> {
        let shown = || self.folder.display().to_string();
        fs::remove_dir_all(&self.folder).with_context(shown)
    }

    /// Removes all but the lock.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() != LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes a file that is either whole or not there.
    fn write(&self, name: &str, value: &Value) -> Result<()> {
        let path = self.path(name);
        let written = write_atomically(&path, &serde_json::to_vec_pretty(value)?);
        written.with_context(|| path.display().to_string())
    }
}

/// Whether the segments reach to the film's end.
pub fn is_whole(segments: &[Summary]) -> bool {
    segments.last().is_some_and(|segment| segment.last)
}

/// The settings that are not the same, as in `model: "scream", now "udnie"`.
fn differences(before: &Value, now: &Value) -> String {
    let (Some(before), Some(now)) = (before.as_object(), now.as_object()) else {
        return "by another version".into();
    };
    let names = before
        .keys()
        .chain(now.keys().filter(|name| !before.contains_key(*name)));
    let missing = Value::Null;
    let changed = names.filter_map(|name| {
        let was = before.get(name).unwrap_or(&missing);
        let is = now.get(name).unwrap_or(&missing);
        (was != is).then(|| format!("{name}: {was}, now {is}"))
    });
    changed.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn work_is_taken_up_with_the_same_settings_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("a film.mkv");
        let settings = json!({"model": "scream", "strength": 1.0});
        let job = Job::open(&output, &settings, false).unwrap();
        fs::write(job.segment(0), "").unwrap();
        let busy = Job::open(&output, &settings, false).err().unwrap();
        assert!(busy.to_string().contains("another faststyle"), "{busy}");
        drop(job);
        assert!(Job::open(&output, &settings, false).unwrap().has(0));
        let others = json!({"model": "udnie", "strength": 1.0});
        let error = Job::open(&output, &others, false)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(r#"model: "scream", now "udnie""#), "{error}");
        assert!(!error.contains("strength"), "{error}");
        let job = Job::open(&output, &others, true).unwrap();
        assert!(!job.has(0));
        job.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
