//! The model file: one safetensors file that says everything needed to run it.
//!
//! String metadata beside the tensors:
//!
//! | key | value |
//! | --- | --- |
//! | `format` | `faststyle` |
//! | `format_version` | `1`, `2` if there are several styles, `3` if it predicts styles |
//! | `architecture` | JSON of [`Architecture`] |
//! | `styles` | JSON list of [`Style`] |
//! | `training` | JSON object: recipe, steps, losses, software version |

use super::{Architecture, ModelError, Style, StyleMix};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorView};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The latest version of the file format that this crate reads. It writes the first
/// that suffices.
pub const FORMAT_VERSION: u64 = 3;

/// More than the largest network that [`Architecture::check`] lets pass.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// More than the header of a thousand styles with their recipes.
const MAX_HEADER_BYTES: u64 = 1 << 24;

/// A network's architecture and weights, with its history.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the network looks like.
    pub architecture: Architecture,
    /// What it has learned. One for each of the architecture's styles, if those
    /// are several.
    pub styles: Vec<Style>,
    /// How it was trained: recipe, steps, losses, software version.
    pub training: serde_json::Value,
    /// Its tensors, `f32` on the CPU, by the names of [`Architecture::parameters`].
    pub weights: HashMap<String, Tensor>,
}

impl Model {
    /// An untrained network; see [`Architecture::random_weights`].
    pub fn random(architecture: Architecture, seed: u64) -> candle_core::Result<Self> {
        let weights = architecture.random_weights(seed, &Device::Cpu)?;
        Ok(Model {
            architecture,
            styles: Vec::new(),
            training: serde_json::Value::Null,
            weights,
        })
    }

    /// Reads and checks a model file. No memory is reserved by what the file
    /// claims before the claim has been checked against its real size.
    ///
    /// # Errors
    /// Whatever is wrong with the file, by name: see [`ModelError`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        ModelFile::read(path.as_ref())?.parse()
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn tensor(&self, name: &str) -> candle_core::Result<&Tensor> {
        match self.weights.get(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("the model has no tensor {name}"),
        }
    }

    /// The numbers of the tensor called `name`.
    ///
    /// # Errors
    /// If there is none.
    pub fn values(&self, name: &str) -> candle_core::Result<Vec<f32>> {
        self.tensor(name)?.flatten_all()?.to_vec1()
    }

    /// The place in [`Model::styles`] of the style called `name`.
    pub fn style_index(&self, name: &str) -> Option<usize> {
        self.styles.iter().position(|style| style.name == name)
    }

    /// The same network with nothing but one style, which is this mix, and without
    /// what predicts others: it paints
    /// what [`Network::forward_mix`](super::Network::forward_mix) does.
    ///
    /// # Errors
    /// A mix of styles that the model lacks.
    pub fn with_mix(&self, mix: &StyleMix) -> candle_core::Result<Model> {
        mix.check(self.architecture.styles)?;
        let mut weights = self.weights.clone();
        weights.retain(|name, _| !name.starts_with("predictor."));
        if self.architecture.styles > 1 {
            for (name, _) in self.architecture.style_slots() {
                let mixed = mix.of(self.tensor(&name)?)?;
                weights.insert(name, mixed);
            }
        }
        let parts = mix.parts().iter();
        Ok(Model {
            architecture: Architecture {
                styles: 1,
                predictor: None,
                ..self.architecture.clone()
            },
            styles: parts
                .filter_map(|(i, _)| self.styles.get(*i).cloned())
                .collect(),
            training: self.training.clone(),
            weights,
        })
    }

    /// What the header of a model file says: nothing else of it is read.
    ///
    /// # Errors
    /// Whatever is wrong with the header: see [`ModelError`].
    pub fn contents(path: impl AsRef<Path>) -> Result<Contents, ModelError> {
        let path = path.as_ref();
        let bytes = read_head(path)?;
        let header = split_header(&bytes);
        let listed = header.and_then(|(header, _)| parse_header(&header));
        let (architecture, styles) = listed.map_err(|fault| fault.at(path))?;
        Ok(Contents {
            architecture,
            styles,
        })
    }

    /// Writes the model file: to a temporary file beside it first, so that
    /// `path` holds either the old model or the whole new one.
    ///
    /// # Errors
    /// [`ModelError::Write`] if it cannot be written, and what [`Model::load`]
    /// would find wrong with it: nothing is written that could not be read.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ModelError> {
        let path = path.as_ref();
        let bytes = self.to_bytes().map_err(|fault| fault.at(path))?;
        write_atomically(path, &bytes).map_err(|source| ModelError::Write {
            path: path.into(),
            source,
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        self.architecture.check().map_err(Fault::Architecture)?;
        check_styles(&self.architecture, &self.styles)?;
        let json = |value: serde_json::Result<String>, key| {
            value.map_err(|e| Fault::Metadata(key, e.to_string()))
        };
        let metadata = HashMap::from([
            ("format".to_string(), "faststyle".to_string()),
            (
                "format_version".to_string(),
                version(&self.architecture).to_string(),
            ),
            (
                "architecture".to_string(),
                json(serde_json::to_string(&self.architecture), "architecture")?,
            ),
            (
                "styles".to_string(),
                json(serde_json::to_string(&self.styles), "styles")?,
            ),
            ("training".to_string(), self.training.to_string()),
        ]);
        let mut data = BTreeMap::new();
        for (name, shape) in self.architecture.parameters() {
            let tensor = self
                .weights
                .get(&name)
                .ok_or_else(|| Fault::MissingTensor(name.clone()))?;
            if tensor.dims() != shape {
                return Err(Fault::WrongShape(name, tensor.dims().to_vec(), shape));
            }
            if tensor.dtype() != DType::F32 {
                return Err(Fault::WrongType(name, format!("{:?}", tensor.dtype())));
            }
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            check_finite(&name, &values)?;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            data.insert(name, (shape, bytes));
        }
        let views = data
            .iter()
            .map(|(name, (shape, bytes))| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, SafeTensorError>>()?;
        Ok(safetensors::serialize(views, Some(metadata))?)
    }
}

/// The first version of the format that holds such a network.
fn version(architecture: &Architecture) -> u64 {
    match architecture {
        Architecture {
            predictor: Some(_), ..
        } => FORMAT_VERSION,
        Architecture { styles: 1, .. } => 1,
        _ => 2,
    }
}

/// What a model file holds beside its weights.
#[derive(Clone, Debug)]
pub struct Contents {
    /// What the network looks like.
    pub architecture: Architecture,
    /// What it has learned.
    pub styles: Vec<Style>,
}

/// A model file as it was when it was read.
#[derive(Clone, Debug)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl ModelFile {
    /// Reads the file, if it is no larger than a model can be.
    ///
    /// # Errors
    /// [`ModelError::Read`] and [`ModelError::TooLarge`].
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, ModelError> {
        let path = path.into();
        let bytes = read_bounded(&path)?;
        Ok(ModelFile { path, bytes })
    }

    /// A file's bytes, from wherever they come. Errors call it `path`.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Self {
        let path = path.into();
        ModelFile { path, bytes }
    }

    /// All of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The model in it.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn parse(&self) -> Result<Model, ModelError> {
        parse(&self.bytes).map_err(|fault| fault.at(&self.path))
    }
}

/// Writes `bytes` to `path` so that a crash or a full disk on the way leaves
/// what was there before. What is no file, a device or a pipe, is written to, and so is
/// the file that a link means.
///
/// # Errors
/// Whatever keeps the file from being written. Nothing is left of it then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if is_stream(path) {
        return OpenOptions::new().append(true).open(path)?.write_all(bytes);
    }
    let target = fs::canonicalize(path);
    let path = target.as_deref().unwrap_or(path);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".faststyle-").suffix(".part");
    // As any new file, less what the umask forbids; tempfile's own are private.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Whether `path` is something that takes what is written to it, and that a new file
/// must not replace: a device, a pipe, or this process's output.
pub fn is_stream(path: &Path) -> bool {
    let outputs = ["/dev/stdout", "/dev/stderr"].map(Path::new);
    let of_process = ["/dev/fd", "/proc"];
    let kind = fs::metadata(path).map(|info| info.file_type());
    outputs.contains(&path)
        || of_process.iter().any(|folder| path.starts_with(folder))
        || kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir())
}

/// A fault of a model file whose path is not known yet.
#[derive(Debug)]
enum Fault {
    Truncated(String),
    NotSafetensors(String),
    Foreign,
    FutureVersion(u64),
    Metadata(&'static str, String),
    Architecture(String),
    MissingTensor(String),
    ExtraTensor(String),
    WrongShape(String, Vec<usize>, Vec<usize>),
    WrongType(String, String),
    NotFinite(String),
    Tensor(candle_core::Error),
}

impl Fault {
    fn at(self, path: &Path) -> ModelError {
        let path = path.to_path_buf();
        match self {
            Fault::Truncated(reason) => ModelError::Truncated { path, reason },
            Fault::NotSafetensors(reason) => ModelError::NotSafetensors { path, reason },
            Fault::Foreign => ModelError::Foreign { path },
            Fault::FutureVersion(found) => ModelError::FutureVersion {
                path,
                found,
                supported: FORMAT_VERSION,
            },
            Fault::Metadata(key, reason) => ModelError::Metadata { path, key, reason },
            Fault::Architecture(reason) => ModelError::Architecture { path, reason },
            Fault::MissingTensor(tensor) => ModelError::MissingTensor { path, tensor },
            Fault::ExtraTensor(tensor) => ModelError::ExtraTensor { path, tensor },
            Fault::WrongShape(tensor, found, expected) => ModelError::WrongShape {
                path,
                tensor,
                found,
                expected,
            },
            Fault::WrongType(tensor, found) => ModelError::WrongType {
                path,
                tensor,
                found,
            },
            Fault::NotFinite(tensor) => ModelError::NotFinite { path, tensor },
            Fault::Tensor(source) => ModelError::Tensor { path, source },
        }
    }
}

impl From<candle_core::Error> for Fault {
    fn from(error: candle_core::Error) -> Self {
        Fault::Tensor(error)
    }
}

impl From<SafeTensorError> for Fault {
    fn from(error: SafeTensorError) -> Self {
        Fault::NotSafetensors(error.to_string())
    }
}

/// The file's bytes, if there are no more than a model can have.
fn read_bounded(path: &Path) -> Result<Vec<u8>, ModelError> {
    let (file, len) = open_bounded(path)?;
    let mut bytes = Vec::with_capacity(len as usize);
    match file.take(MAX_FILE_BYTES).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// The file's bytes up to the end of its header.
fn read_head(path: &Path) -> Result<Vec<u8>, ModelError> {
    let (file, _) = open_bounded(path)?;
    let mut bytes = Vec::new();
    let read = (&file).take(8).read_to_end(&mut bytes).and_then(|_| {
        let length = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
        file.take(length.min(MAX_HEADER_BYTES))
            .read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn unreadable(path: &Path, source: io::Error) -> ModelError {
    ModelError::Read {
        path: path.into(),
        source,
    }
}

/// Opens a file that is no larger than a model can be. Returns its length, too.
fn open_bounded(path: &Path) -> Result<(File, u64), ModelError> {
    let unreadable = |source| unreadable(path, source);
    // Before it is opened: opening a pipe would wait for its writer.
    let info = fs::metadata(path).map_err(unreadable)?;
    if !info.is_file() {
        let kind = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(unreadable(kind));
    }
    if info.len() > MAX_FILE_BYTES {
        return Err(ModelError::TooLarge {
            path: path.into(),
            bytes: info.len(),
            limit: MAX_FILE_BYTES,
        });
    }
    let file = File::open(path).map_err(unreadable)?;
    Ok((file, info.len()))
}

fn parse(bytes: &[u8]) -> Result<Model, Fault> {
    let (header, data) = read_header(bytes)?;
    let (architecture, styles) = parse_header(&header)?;
    let strings = header.metadata().clone().unwrap_or_default();
    Ok(Model {
        weights: read_weights(&architecture, &header, data)?,
        architecture,
        styles,
        training: json(&strings, "training")?,
    })
}

/// What the header says of the network and its styles.
fn parse_header(header: &Metadata) -> Result<(Architecture, Vec<Style>), Fault> {
    let strings = header.metadata().clone().unwrap_or_default();
    check_format(&strings)?;
    let architecture: Architecture = json(&strings, "architecture")?;
    architecture.check().map_err(Fault::Architecture)?;
    let styles: Vec<Style> = json(&strings, "styles")?;
    check_styles(&architecture, &styles)?;
    Ok((architecture, styles))
}

/// The header, and the data after it, which is as long as the header says.
fn read_header(bytes: &[u8]) -> Result<(Metadata, &[u8]), Fault> {
    let (header, data) = split_header(bytes)?;
    let (found, announced) = (data.len(), header.data_len());
    if found < announced {
        let reason = format!("{found} of {announced} bytes of data are there");
        return Err(Fault::Truncated(reason));
    }
    if found > announced {
        let reason = format!("{} bytes after the last tensor", found - announced);
        return Err(Fault::NotSafetensors(reason));
    }
    Ok((header, data))
}

/// The header, and what follows it.
fn split_header(bytes: &[u8]) -> Result<(Metadata, &[u8]), Fault> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        let reason = format!("{} bytes are too few for a header", bytes.len());
        return Err(Fault::Truncated(reason));
    };
    let length = u64::from_le_bytes(*length);
    // A header length beyond the file can be a cut file or no safetensors file
    // at all: how long it is and the header's first character tell.
    if length > MAX_FILE_BYTES || rest.first().is_some_and(|first| *first != b'{') {
        return Err(Fault::NotSafetensors(what_it_is(bytes).into()));
    }
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        let reason = format!("{} of {length} bytes of header are there", rest.len());
        return Err(Fault::Truncated(reason));
    };
    let header = serde_json::from_slice(header)
        .map_err(|e| Fault::NotSafetensors(format!("header: {e}")))?;
    Ok((header, data))
}

/// What a file that is no model may be, by its first bytes, and what to do with it.
fn what_it_is(bytes: &[u8]) -> &'static str {
    const PICTURE: &str =
        "it is a picture; `faststyle-train train --style` learns a model from one";
    const CHECKPOINT: &str = "it seems to be a checkpoint of PyTorch; \
        `faststyle-train import` makes a model of one";
    // The pickle protocol's mark and version, and a zip archive.
    match bytes {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => CHECKPOINT,
        [0xff, 0xd8, 0xff, ..] | [0x89, b'P', b'N', b'G', ..] | [b'G', b'I', b'F', b'8', ..] => {
            PICTURE
        }
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => PICTURE,
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => PICTURE,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "it is a film, or a picture as HEIC or AVIF",
        _ => "no JSON header",
    }
}

fn check_format(strings: &HashMap<String, String>) -> Result<(), Fault> {
    if strings.get("format").map(String::as_str) != Some("faststyle") {
        return Err(Fault::Foreign);
    }
    match json(strings, "format_version")? {
        1..=FORMAT_VERSION => Ok(()),
        later if later > FORMAT_VERSION => Err(Fault::FutureVersion(later)),
        other => Err(Fault::Metadata(
            "format_version",
            format!("there is no version {other}"),
        )),
    }
}

/// Several styles are chosen by name: each needs one of its own.
fn check_styles(architecture: &Architecture, styles: &[Style]) -> Result<(), Fault> {
    let fault = |reason| Err(Fault::Metadata("styles", reason));
    if architecture.styles == 1 {
        return Ok(());
    }
    if styles.len() != architecture.styles {
        let (found, expected) = (styles.len(), architecture.styles);
        return fault(format!(
            "{found} styles are listed, the architecture has {expected}"
        ));
    }
    for (i, style) in styles.iter().enumerate() {
        if !Style::can_be_called(&style.name) {
            return fault(format!("{:?} is no name for a style", style.name));
        }
        if styles[..i].iter().any(|other| other.name == style.name) {
            return fault(format!("two styles are called {:?}", style.name));
        }
    }
    Ok(())
}

fn json<T: DeserializeOwned>(
    strings: &HashMap<String, String>,
    key: &'static str,
) -> Result<T, Fault> {
    let text = strings
        .get(key)
        .ok_or_else(|| Fault::Metadata(key, "missing".into()))?;
    serde_json::from_str(text).map_err(|e| Fault::Metadata(key, e.to_string()))
}

fn read_weights(
    architecture: &Architecture,
    header: &Metadata,
    data: &[u8],
) -> Result<HashMap<String, Tensor>, Fault> {
    let parameters = architecture.parameters();
    for name in header.tensors().into_keys() {
        if !parameters.iter().any(|(known, _)| *known == name) {
            return Err(Fault::ExtraTensor(name));
        }
    }
    parameters
        .into_iter()
        .map(|(name, shape)| {
            let info = header
                .info(&name)
                .ok_or_else(|| Fault::MissingTensor(name.clone()))?;
            if info.shape != shape {
                return Err(Fault::WrongShape(name, info.shape.clone(), shape));
            }
            let dtype = match info.dtype {
                Dtype::F32 => DType::F32,
                Dtype::F16 => DType::F16,
                other => return Err(Fault::WrongType(name, format!("{other:?}"))),
            };
            let (start, end) = info.data_offsets;
            let tensor = Tensor::from_raw_buffer(&data[start..end], dtype, &shape, &Device::Cpu)?
                .to_dtype(DType::F32)?;
            check_finite(&name, &tensor.flatten_all()?.to_vec1()?)?;
            Ok((name, tensor))
        })
        .collect()
}

fn check_finite(name: &str, values: &[f32]) -> Result<(), Fault> {
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Fault::NotFinite(name.into())),
    }
}
