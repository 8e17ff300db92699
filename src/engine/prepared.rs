//! A model prepared for a device: what engines share.

use super::cpu;
#[cfg(feature = "cuda")]
use super::cuda;
use super::{DeviceChoice, EngineError, Precision, Threads, error_chain};
use crate::network::{Architecture, Model, ModelFile, Network, PaintingFile, Style};
use crate::ops::cpu::Level;
use candle_core::Device;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How a model is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Where.
    pub device: DeviceChoice,
    /// How exactly.
    pub precision: Precision,
    /// On how many threads of the CPU; 0 for one a core.
    pub threads: usize,
}

/// A model whose weights lie on its device as they are needed there.
pub struct Prepared {
    pub(super) weights: Weights,
    pub(super) device: Device,
    pub(super) threads: Threads,
    architecture: Architecture,
    styles: Vec<Style>,
    precision: Precision,
    fallback: Option<String>,
    /// What the model's file held, if it came from one.
    file: Option<Digest256>,
}

/// A digest of files.
type Digest256 = [u8; 32];

/// Weights for either kind of kernels.
pub(super) enum Weights {
    Cpu(Arc<cpu::CpuWeights>),
    #[cfg(feature = "cuda")]
    Cuda(Arc<cuda::CudaWeights<cuda::Device>>),
    Candle(Arc<Network>),
}

/// What makes two prepared models the same: the bytes of their files and the options.
type Identity = (Digest256, Options);

impl Weights {
    /// The weights of `model` for `device`, and the precision they run with.
    fn new(
        model: &Model,
        options: Options,
        device: &Device,
        threads: &Threads,
    ) -> Result<(Self, Precision), EngineError> {
        if device.is_cpu() && cpu::CpuWeights::can_be(&model.architecture) {
            let level = Level::current();
            let precision = options.precision.on_cpu(level);
            let weights = threads.run(|| cpu::CpuWeights::new(model, level, precision))?;
            return Ok((Weights::Cpu(Arc::new(weights)), precision));
        }
        #[cfg(feature = "cuda")]
        if let Device::Cuda(device) = device
            && let precision = options.precision.on_cuda()
            && let Some(half_type) = cuda::half_type(precision)
            && cuda::CudaWeights::<cuda::Device>::can_be(&model.architecture)
        {
            let ordinal = device.cuda_stream().context().ordinal();
            let gpu = cuda::Device::shared(ordinal)?;
            let weights = cuda::CudaWeights::new(gpu, model, half_type)?;
            return Ok((Weights::Cuda(Arc::new(weights)), precision));
        }
        let network = Network::from_model(model, device)?;
        Ok((Weights::Candle(Arc::new(network)), Precision::F32))
    }
}

impl Prepared {
    /// Prepares `model` with all its styles.
    ///
    /// # Errors
    /// [`EngineError::Device`] if the device is not there,
    /// [`EngineError::Threads`] if the system has no more threads.
    pub fn new(model: &Model, options: Options) -> Result<Self, EngineError> {
        let threads = Threads::new(options.threads)?;
        let (mut device, mut fallback) = options.device.open_or_fall_back()?;
        let prepared = Weights::new(model, options, &device, &threads);
        let (weights, precision) = match prepared {
            // A device that was not asked for by name and cannot run the network.
            Err(error) if options.device == DeviceChoice::Auto && !device.is_cpu() => {
                fallback = Some(error_chain(&error));
                device = Device::Cpu;
                Weights::new(model, options, &device, &threads)?
            }
            prepared => prepared?,
        };
        Ok(Prepared {
            weights,
            device,
            threads,
            architecture: model.architecture.clone(),
            styles: model.styles.clone(),
            precision,
            fallback,
            file: None,
        })
    }

    /// Loads a model file and prepares it, or takes what is in use already of
    /// the same contents with the same options.
    ///
    /// # Errors
    /// [`EngineError::Model`] and those of [`Prepared::new`].
    pub fn load(path: impl Into<PathBuf>, options: Options) -> Result<Arc<Self>, EngineError> {
        Prepared::load_with_pictures(path, &[], options)
    }

    /// As [`Prepared::load`], with a style more for each of `pictures`, after the model's
    /// own: that of the painting in a file, under a name.
    ///
    /// # Errors
    /// [`EngineError::OwnStylesOnly`] and [`EngineError::Painting`] too.
    pub fn load_with_pictures(
        path: impl Into<PathBuf>,
        pictures: &[(&str, &Path)],
        options: Options,
    ) -> Result<Arc<Self>, EngineError> {
        static IN_USE: Mutex<Option<HashMap<Identity, Weak<Prepared>>>> = Mutex::new(None);
        let in_use = || IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let file = ModelFile::read(path)?;
        let pictures = pictures
            .iter()
            .map(|(name, path)| Ok((*name, PaintingFile::read(path)?)));
        let pictures = pictures.collect::<Result<Vec<_>, EngineError>>()?;
        let digest: Digest256 = Sha256::digest(file.bytes()).into();
        let identity = (digest_of_all(digest, &pictures), options);
        let known = |map: &HashMap<Identity, Weak<Prepared>>| map.get(&identity)?.upgrade();
        if let Some(prepared) = in_use().as_ref().and_then(known) {
            return Ok(prepared);
        }
        let model = with_pictures(file.parse()?, &pictures)?;
        let prepared = Arc::new(Prepared {
            file: Some(digest),
            ..Prepared::new(&model, options)?
        });
        let mut map = in_use();
        let map = map.get_or_insert_default();
        // Someone else may have been faster.
        if let Some(prepared) = known(map) {
            return Ok(prepared);
        }
        map.retain(|_, prepared| prepared.strong_count() > 0);
        map.insert(identity, Arc::downgrade(&prepared));
        Ok(prepared)
    }

    /// Whether both came from model files of the same contents; styles of pictures may
    /// differ.
    pub fn is_same_network(&self, other: &Prepared) -> bool {
        self.file.is_some() && self.file == other.file
    }

    /// What the network looks like.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The styles that it paints, in their order in the model. Empty if the model
    /// does not say.
    pub fn styles(&self) -> &[Style] {
        match self.styles.len() == self.architecture.styles {
            true => &self.styles,
            // One style that was mixed of several, or has no name.
            false => &[],
        }
    }

    /// How exactly the network runs, which is what was asked for where that
    /// is faster than `f32`.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The threads that the network runs on.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Where the network runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Why it runs on the CPU, where [`DeviceChoice::Auto`] has found no CUDA
    /// device.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }
}

/// A digest of a model file, whose own is `digest`, and of pictures with their names.
fn digest_of_all(digest: Digest256, pictures: &[(&str, PaintingFile)]) -> Digest256 {
    let mut all = Sha256::new_with_prefix(digest);
    for (name, picture) in pictures {
        all.update(Sha256::digest(name));
        all.update(Sha256::digest(picture.bytes()));
    }
    all.finalize().into()
}

/// `model` with the styles of `pictures`.
fn with_pictures(model: Model, pictures: &[(&str, PaintingFile)]) -> Result<Model, EngineError> {
    if pictures.is_empty() {
        return Ok(model);
    }
    if !model.predicts() {
        return Err(EngineError::OwnStylesOnly);
    }
    let paintings = pictures
        .iter()
        .map(|(name, picture)| Ok((*name, picture.decode()?)));
    let paintings = paintings.collect::<Result<Vec<_>, EngineError>>()?;
    Ok(model.with_styles_of(&paintings)?)
}
