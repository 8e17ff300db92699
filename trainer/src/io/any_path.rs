//! Paths of any bytes in JSON, which has Unicode alone: a text or, where a path is none,
//! its bytes. For fields of serde's `with`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a path is written as.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written<'p> {
    Text(Cow<'p, str>),
    Bytes(Cow<'p, [u8]>),
}

impl<'p> From<&'p Path> for Written<'p> {
    fn from(path: &'p Path) -> Self {
        match path.to_str() {
            Some(text) => Written::Text(text.into()),
            None => Written::Bytes(path.as_os_str().as_encoded_bytes().into()),
        }
    }
}

impl From<Written<'_>> for PathBuf {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(text) => text.into_owned().into(),
            Written::Bytes(bytes) => from_bytes(bytes.into_owned()).into(),
        }
    }
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// Writes one path.
///
/// # Errors
/// Those of `to`.
pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    Written::from(path).serialize(to)
}

/// Reads one path.
///
/// # Errors
/// Neither a text nor bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Written::deserialize(from).map(PathBuf::from)
}

/// A path that need not be there.
pub mod optional {
    use super::*;

    /// Writes the path.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Written::from).serialize(to)
    }

    /// Reads the path.
    ///
    /// # Errors
    /// Neither a text nor bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        let written = Option::<Written>::deserialize(from)?;
        Ok(written.map(PathBuf::from))
    }
}

/// A list of paths.
pub mod list {
    use super::*;

    /// Writes the paths.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|path| Written::from(path.as_path())))
    }

    /// Reads the paths.
    ///
    /// # Errors
    /// Not a list of texts and bytes.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        let written = Vec::<Written>::deserialize(from)?;
        Ok(written.into_iter().map(PathBuf::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Paths {
        #[serde(with = "super")]
        one: PathBuf,
        #[serde(with = "optional", default)]
        none: Option<PathBuf>,
        #[serde(with = "list")]
        several: Vec<PathBuf>,
    }

    #[test]
    fn paths_round_trip() -> serde_json::Result<()> {
        let odd: PathBuf = from_bytes(b"caf\xe9.jpg".to_vec()).into();
        let paths = Paths {
            one: "a/ü.jpg".into(),
            none: None,
            several: vec!["b".into(), odd.clone()],
        };
        let text = serde_json::to_string(&paths)?;
        assert!(text.contains(r#""one":"a/ü.jpg""#), "{text}");
        assert_eq!(serde_json::from_str::<Paths>(&text)?, paths);
        let paths = Paths {
            none: Some(odd),
            ..paths
        };
        let text = serde_json::to_string(&paths)?;
        assert_eq!(serde_json::from_str::<Paths>(&text)?, paths);
        // What was written before.
        let old: Paths = serde_json::from_str(r#"{"one":"a","several":[]}"#)?;
        assert_eq!(old.none, None);
        assert!(serde_json::from_str::<Paths>(r#"{"one":1,"several":[]}"#).is_err());
        Ok(())
    }
}
