//! The training photos, as an endless sequence of batches.
//!
//! The seed, the sorted list of photos and the number of a batch alone determine
//! its photos and crops. A resumed run therefore gets the same batches as one
//! without a break, for any number of reading threads.

pub mod cutter;
pub mod film;

use crate::io::fingerprint::fingerprint_of;
use crate::io::{files, foreign};
use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{DType, Device, Tensor};
use cutter::Cutter;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use walkdir::{DirEntry, WalkDir};

/// Extensions of photos.
const EXTENSIONS: [&str; 10] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff",
];

/// Threads that read photos, on a machine with few cores and with many. Two
/// read a thousand photos of 400x300 a second, but only ten or so of 12 megapixels.
const THREADS: (usize, usize) = (2, 8);

/// Maximum number of prepared batches: enough to bridge a few slow photos.
const AHEAD: usize = 8;

/// The largest side of a batch's pictures; memory for a batch is reserved at once.
const MAX_SIZE: usize = 4096;

/// An endless sequence of batches of crops from photos.
///
/// Threads in the background prepare a few batches ahead; they end when this
/// is dropped.
pub struct Batches {
    source: Arc<Source>,
    first_step: u64,
    /// One for each thread; they take turns.
    ready: Vec<Receiver<Result<Vec<u8>>>>,
    turn: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Batches {
    /// The photos under `dir`, its folders included, as batches of `batch`
    /// squares of side `size`.
    ///
    /// Hidden files and folders are skipped, as are files without the extension of
    /// a photo. The same `seed` gives the same batches. `first_step`
    /// is the number of the batch to begin with, for a run that is resumed.
    ///
    /// A photo is decoded whole each time its turn comes: those much larger
    /// than `size` are better scaled down once, before training.
    ///
    /// # Errors
    /// `dir` is not a folder that can be read or holds no photos, or `batch`
    /// or `size` is out of range.
    pub fn open(dir: &Path, batch: usize, size: usize, seed: u64, first_step: u64) -> Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (cores / 2).clamp(THREADS.0, THREADS.1);
        Self::with_threads(dir, batch, size, seed, first_step, threads)
    }

    fn with_threads(
        dir: &Path,
        batch: usize,
        size: usize,
        seed: u64,
        first_step: u64,
        count: usize,
    ) -> Result<Self> {
        ensure!(batch > 0, "the batch size is 0");
        ensure!(
            (1..=MAX_SIZE).contains(&size),
            "a crop size of {size} pixels is not within 1 to {MAX_SIZE}"
        );
        let (photos, unread) = list(dir)?;
        let source = Arc::new(Source {
            dir: dir.into(),
            photos,
            batch,
            share: 0..batch,
            size,
            seed,
            unread,
            unusable: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        Self::start(source, first_step, count)
    }

    fn start(source: Arc<Source>, first_step: u64, count: usize) -> Result<Self> {
        let mut batches = Batches {
            source,
            first_step,
            ready: Vec::new(),
            turn: 0,
            threads: Vec::new(),
        };
        for number in 0..count {
            batches.start_thread(number, count, first_step)?;
        }
        Ok(batches)
    }

    /// The same batches from the first on, but only the photos at the places `share` of
    /// each: the others are not read.
    ///
    /// # Errors
    /// A share that is empty or not within a batch; no thread can be started.
    pub fn share(self, share: Range<usize>) -> Result<Self> {
        let source = &self.source;
        ensure!(
            !share.is_empty() && share.end <= source.batch,
            "the photos {share:?} of a batch of {}",
            source.batch
        );
        let source = Source {
            dir: source.dir.clone(),
            photos: source.photos.clone(),
            share,
            unread: source.unread.clone(),
            unusable: Mutex::default(),
            stop: AtomicBool::new(false),
            ..**source
        };
        Self::start(Arc::new(source), self.first_step, self.threads.len())
    }

    /// Thread `number` makes every `count`-th batch.
    fn start_thread(&mut self, number: usize, count: usize, first_step: u64) -> Result<()> {
        let (sender, receiver) = sync_channel(AHEAD.div_ceil(count));
        let mut maker = Maker::new(self.source.clone());
        let step = first_step.wrapping_add(number as u64);
        let thread = thread::Builder::new()
            .name(format!("photos-{number}"))
            .spawn(move || maker.run(step, count as u64, &sender))
            .context("starting a thread to read photos")?;
        self.ready.push(receiver);
        self.threads.push(thread);
        Ok(())
    }

    /// How many photos a batch has, all shares together.
    pub fn batch_size(&self) -> usize {
        self.source.batch
    }

    /// How many files look like photos; some of them may yet turn out to be
    /// unusable.
    pub fn photos(&self) -> usize {
        self.source.photos.len()
    }

    /// A 64-bit fingerprint of the photos' names, on which batches depend.
    pub fn fingerprint(&self) -> String {
        let Source { dir, photos, .. } = &*self.source;
        let names = photos
            .iter()
            .map(|photo| photo.strip_prefix(dir).unwrap_or(photo));
        let ended = |name: &Path| [name.as_os_str().as_encoded_bytes(), &[0]].concat();
        fingerprint_of(names.flat_map(ended))
    }

    /// The next batch, or the share of it, `f32` `[photos, size, size, 3]`, R, G, B from 0
    /// to 255.
    ///
    /// # Errors
    /// None of the photos can be used, or the device has no memory left. A
    /// photo that cannot be used is no error: another one takes its place, and
    /// [`skipped`](Self::skipped) tells.
    pub fn next(&mut self, device: &Device) -> Result<Tensor> {
        let bytes = self.ready[self.turn]
            .recv()
            .map_err(|_| anyhow!("the thread that reads photos has ended"))??;
        self.turn = (self.turn + 1) % self.ready.len();
        let Source { share, size, .. } = &*self.source;
        let tensor = Tensor::from_vec(bytes, (share.len(), *size, *size, 3), device)?;
        Ok(tensor.to_dtype(DType::F32)?)
    }

    /// What was left out so far, each with its reason, in the order of paths.
    ///
    /// Batches are prepared ahead, so some of it may belong to the next ones.
    pub fn skipped(&self) -> Vec<(PathBuf, String)> {
        let unusable = self.source.unusable();
        let photos = unusable
            .iter()
            .map(|(photo, reason)| (self.source.photos[*photo].clone(), reason.clone()));
        let mut skipped: Vec<_> = self.source.unread.iter().cloned().chain(photos).collect();
        skipped.sort();
        skipped
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.source.stop.store(true, Ordering::Relaxed);
        // A blocked thread gets an error now that the receivers are gone.
        self.ready.clear();
        for thread in self.threads.drain(..) {
            // A panic there has been reported, and has ended that thread only.
            let _ = thread.join();
        }
    }
}

/// The photos under a folder, in order, and what of it cannot be read, pictures of other
/// formats among it.
type Listing = (Vec<PathBuf>, Vec<(PathBuf, String)>);

pub(crate) fn list(dir: &Path) -> Result<Listing> {
    let name = dir.display();
    let info = dir
        .metadata()
        .with_context(|| format!("folder of photos {name}"))?;
    ensure!(info.is_dir(), "{name} is not a folder of photos");
    let (mut photos, mut unread) = (Vec::new(), Vec::new());
    // People collect photos by links, too; walkdir notices circles.
    let walk = WalkDir::new(dir).follow_links(true).into_iter();
    let wanted = |entry: &DirEntry| !is_hidden(entry) && !files::is_preview(entry.path());
    for entry in walk.filter_entry(|entry| entry.depth() == 0 || wanted(entry)) {
        match entry {
            // What is not a regular file, a pipe say, could keep us waiting.
            Ok(entry) if entry.file_type().is_file() && is_photo(entry.path()) => {
                photos.push(entry.into_path());
            }
            Ok(entry) => {
                let reason = foreign::by_name(entry.path());
                unread.extend(reason.map(|reason| (entry.into_path(), reason)));
            }
            Err(error) => {
                let path = error.path().unwrap_or(dir).to_path_buf();
                unread.push((path, error.to_string()));
            }
        }
    }
    unread.sort();
    if photos.is_empty() {
        let reason = match &unread[..] {
            [(path, reason), others @ ..] => format!(
                "; {}: {reason}{}",
                path.display(),
                match others.len() {
                    0 => String::new(),
                    count => format!("; and {count} more are not read"),
                }
            ),
            [] => String::new(),
        };
        bail!("{name} holds no photos ({}){reason}", EXTENSIONS.join(", "));
    }
    photos.sort();
    Ok((photos, unread))
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_photo(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

/// What the threads share.
struct Source {
    dir: PathBuf,
    photos: Vec<PathBuf>,
    batch: usize,
    /// The places in a batch whose photos are read.
    share: Range<usize>,
    size: usize,
    seed: u64,
    /// Folders and links that could not be followed.
    unread: Vec<(PathBuf, String)>,
    /// Numbers of photos that proved unusable, with the reason.
    unusable: Mutex<BTreeMap<usize, String>>,
    /// Set when the batches are dropped.
    stop: AtomicBool,
}

impl Source {
    fn unusable(&self) -> MutexGuard<'_, BTreeMap<usize, String>> {
        // A map is whole even if a thread panicked while it held the lock.
        self.unusable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What random numbers are drawn for; no two purposes share a sequence.
enum Purpose {
    /// The order of the photos in an epoch.
    Order { epoch: u64 },
    /// What is cut out of a photo, or of the one in its place.
    Cut { step: u64, index: u64 },
}

/// A sequence of random numbers that depends on its purpose alone.
fn random(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let words = match purpose {
        Purpose::Order { epoch } => [seed, 0, epoch, 0],
        Purpose::Cut { step, index } => [seed, 1, step, index],
    };
    let mut key = [0; 32];
    for (bytes, word) in key.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    ChaCha8Rng::from_seed(key)
}

/// Makes batches in a background thread.
struct Maker {
    source: Arc<Source>,
    cutter: Cutter,
    /// The last epoch that was needed, and its order of photos.
    order: Option<(u64, Vec<u32>)>,
}

impl Maker {
    fn new(source: Arc<Source>) -> Self {
        Maker {
            cutter: Cutter::new(source.size),
            source,
            order: None,
        }
    }

    /// Makes batches until one fails or nobody takes them any more.
    fn run(&mut self, mut step: u64, stride: u64, sender: &SyncSender<Result<Vec<u8>>>) {
        loop {
            let batch = self.batch(step);
            let failed = batch.is_err();
            if sender.send(batch).is_err() || failed {
                return;
            }
            step = step.wrapping_add(stride);
        }
    }

    /// The share of batch number `step`: its pictures one after the other, channels last.
    fn batch(&mut self, step: u64) -> Result<Vec<u8>> {
        let (share, size) = (self.source.share.clone(), self.source.size);
        let mut bytes = Vec::with_capacity(share.len() * 3 * size * size);
        for index in share {
            ensure!(!self.source.stop.load(Ordering::Relaxed), "stopped");
            self.add_piece(step, index, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Adds a piece of the photo whose turn it is or, if that is unusable, of
    /// the next usable one after a random place in the list.
    fn add_piece(&mut self, step: u64, index: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let purpose = Purpose::Cut {
            step,
            index: index as u64,
        };
        let mut random = random(self.source.seed, purpose);
        let photo = self.photo_at(step, index);
        if self.try_photo(photo, &mut random, bytes) {
            return Ok(());
        }
        let count = self.source.photos.len();
        let start = random.random_range(0..count);
        for photo in (start..count).chain(0..start) {
            ensure!(!self.source.stop.load(Ordering::Relaxed), "stopped");
            if self.try_photo(photo, &mut random, bytes) {
                return Ok(());
            }
        }
        Err(self.nothing_usable())
    }

    /// The number of the photo whose turn it is.
    fn photo_at(&mut self, step: u64, index: usize) -> usize {
        let count = self.source.photos.len() as u128;
        let place = u128::from(step) * self.source.batch as u128 + index as u128;
        let epoch = (place / count) as u64;
        let order = match self.order.take() {
            Some((known, order)) if known == epoch => order,
            _ => epoch_order(self.source.seed, epoch, self.source.photos.len()),
        };
        let photo = order[(place % count) as usize] as usize;
        self.order = Some((epoch, order));
        photo
    }

    /// Adds a piece of this photo, or remembers why that cannot be.
    ///
    /// Whether a photo is known to be unusable or just found to be must not
    /// make a difference, so nothing random is drawn before that is clear.
    fn try_photo(&mut self, photo: usize, random: &mut ChaCha8Rng, bytes: &mut Vec<u8>) -> bool {
        if self.source.unusable().contains_key(&photo) {
            return false;
        }
        match self
            .cutter
            .add_piece(&self.source.photos[photo], random, bytes)
        {
            Ok(()) => true,
            Err(error) => {
                self.source.unusable().insert(photo, format!("{error:#}"));
                false
            }
        }
    }

    fn nothing_usable(&self) -> anyhow::Error {
        let unusable = self.source.unusable();
        let example = match unusable.first_key_value() {
            Some((photo, reason)) => {
                format!("; {}: {reason}", self.source.photos[*photo].display())
            }
            None => String::new(),
        };
        anyhow!(
            "none of the {} photos in {} can be used{example}",
            self.source.photos.len(),
            self.source.dir.display()
        )
    }
}

fn epoch_order(seed: u64, epoch: u64, photos: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..photos as u32).collect();
    order.shuffle(&mut random(seed, Purpose::Order { epoch }));
    order
}

#[cfg(test)]
mod tests;
