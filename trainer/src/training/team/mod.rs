//! Processes that train one network together, each with its share of every batch.
//!
//! All of them hold the same weights. In each step a process computes the gradients of
//! its photos; all gradients are added up in the order of the photos in the batch, however
//! many processes there are, and every process moves its weights by the sum. The first
//! one, the leader, alone reads the command's files, writes, and talks to the user.
//!
//! Calls of a [`Team`] are collective where their documentation says so: every member
//! makes them, in the same order. What can fail for one member alone goes through
//! [`Team::agree`], so that all of them end together.

pub mod link;
#[cfg(feature = "mpi")]
mod mpi;

use crate::logging::say;
use anyhow::{Context, anyhow, ensure};
use candle_core::Tensor;
use gstfaststyle::DeviceChoice;
use link::Link;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::rc::Rc;

/// What launchers call the number of processes that they start: Open MPI, the process
/// manager interface of MPICH and Slurm, and Slurm itself.
const LAUNCHED: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// What a process has in its environment that an MPI library can find others by.
#[cfg(feature = "mpi")]
const REACHABLE: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK"];

/// The processes of a training, as one of them sees them.
#[derive(Clone)]
pub struct Team {
    /// None if there is only one.
    link: Option<Rc<dyn Link>>,
    /// The machine of each.
    hosts: Rc<[String]>,
}

impl Team {
    /// One process.
    pub fn alone() -> Self {
        Team {
            link: None,
            hosts: Rc::new([]),
        }
    }

    /// The processes that `mpirun` or `srun` has started, or this one alone. From then on
    /// only the leader [says](mod@crate::logging::say) anything. Collective.
    ///
    /// # Errors
    /// Several processes were started that cannot reach each other.
    pub fn join() -> anyhow::Result<Self> {
        let size = |name| std::env::var(name).ok()?.parse().ok();
        let launched: usize = LAUNCHED.into_iter().find_map(size).unwrap_or(1);
        let team = Team::reach(launched)?;
        ensure!(
            launched < 2 || team.size() > 1,
            "{launched} processes were started, but they do not find each other: start them with \
             the mpirun of the MPI library that faststyle-train was built with, or by srun \
             --mpi=pmix or --mpi=pmi2"
        );
        if !team.leads() {
            say::silence();
        }
        Ok(team)
    }

    #[cfg(feature = "mpi")]
    fn reach(_launched: usize) -> anyhow::Result<Self> {
        // Without a launcher MPI is not needed, and its start takes a moment.
        if REACHABLE
            .iter()
            .all(|name| std::env::var_os(name).is_none())
        {
            return Ok(Team::alone());
        }
        Team::of(mpi::World::join()?)
    }

    #[cfg(not(feature = "mpi"))]
    fn reach(launched: usize) -> anyhow::Result<Self> {
        ensure!(
            launched < 2,
            "{launched} processes were started to train together, which this build cannot: \
             build it with --features faststyle-train/mpi"
        );
        Ok(Team::alone())
    }

    /// The processes that `link` connects. Collective.
    ///
    /// # Errors
    /// What they tell is no text.
    pub fn of(link: impl Link + 'static) -> anyhow::Result<Self> {
        if link.size() < 2 {
            return Ok(Team::alone());
        }
        let host = link.host();
        let mut team = Team {
            link: Some(Rc::new(link)),
            hosts: Rc::new([]),
        };
        team.hosts = team.gather(host)?.into();
        Ok(team)
    }

    /// How many processes there are.
    pub fn size(&self) -> usize {
        self.link.as_ref().map_or(1, |link| link.size())
    }

    /// The number of this process.
    fn rank(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.rank())
    }

    /// Whether this process is the first.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// The processes in words: how many, and where.
    pub fn about(&self) -> String {
        let mut hosts: Vec<(&str, usize)> = Vec::new();
        for host in self.hosts.iter() {
            match hosts.iter_mut().find(|(known, _)| known == host) {
                Some((_, count)) => *count += 1,
                None => hosts.push((host, 1)),
            }
        }
        let hosts = hosts.iter().map(|(host, count)| match count {
            1 => host.to_string(),
            count => format!("{count} on {host}"),
        });
        let hosts: Vec<String> = hosts.collect();
        format!("{} processes ({})", self.size(), hosts.join(", "))
    }

    /// The device of this process: the processes of a machine take one GPU each, unless
    /// `choice` names another than the first.
    pub fn device(&self, choice: DeviceChoice) -> DeviceChoice {
        let before = self.hosts.iter().take(self.rank());
        let place = match self.hosts.get(self.rank()) {
            Some(host) => before.filter(|other| *other == host).count(),
            None => 0,
        };
        match choice {
            DeviceChoice::Cuda(0) => DeviceChoice::Cuda(place),
            DeviceChoice::Auto if place > 0 => match DeviceChoice::Cuda(place).open() {
                Ok(_) => DeviceChoice::Cuda(place),
                Err(_) => DeviceChoice::Cpu,
            },
            choice => choice,
        }
    }

    /// The places in a batch of `batch` photos that are this process' share.
    ///
    /// # Errors
    /// There are fewer photos than processes.
    pub fn share(&self, batch: usize) -> anyhow::Result<Range<usize>> {
        let (rank, size) = (self.rank(), self.size());
        ensure!(
            batch >= size,
            "--batch {batch} cannot be split over {size} processes: give a larger batch or start \
             fewer processes"
        );
        Ok(rank * batch / size..(rank + 1) * batch / size)
    }

    /// What every process tells, in the order of their numbers. Collective.
    ///
    /// # Errors
    /// It cannot be told as JSON.
    fn gather<T: Serialize + DeserializeOwned>(&self, mine: T) -> anyhow::Result<Vec<T>> {
        let Some(link) = &self.link else {
            return Ok(vec![mine]);
        };
        let mine = serde_json::to_vec(&mine)?;
        let told = link.exchange(&vec![&mine[..]; link.size()]);
        let told = told.iter().map(|text| serde_json::from_slice(text));
        told.collect::<Result<_, _>>()
            .context("another process tells what this one does not understand")
    }

    /// What every process has found, in the order of their numbers. Collective.
    ///
    /// # Errors
    /// For all of them alike if one has failed: the error of the first that has, with its
    /// number and its machine.
    pub fn tell<T>(&self, mine: anyhow::Result<T>) -> anyhow::Result<Vec<T>>
    where
        T: Serialize + DeserializeOwned,
    {
        if self.link.is_none() {
            return Ok(vec![mine?]);
        }
        let told = self.gather(mine.map_err(|error| format!("{error:#}")))?;
        let told = told.into_iter().enumerate().map(|(rank, told)| {
            told.map_err(|text| {
                let host = self.hosts.get(rank).map_or("", String::as_str);
                anyhow!("process {rank} on {host}: {text}")
            })
        });
        told.collect()
    }

    /// `mine` if no process has failed. Collective.
    ///
    /// # Errors
    /// As [`Team::tell`].
    pub fn agree<T>(&self, mine: anyhow::Result<T>) -> anyhow::Result<T> {
        if self.link.is_none() {
            return mine;
        }
        let (mine, told) = match mine {
            Ok(mine) => (Some(mine), Ok(())),
            Err(error) => (None, Err(error)),
        };
        self.tell(told)?;
        mine.context("this process has failed")
    }

    /// Whether any process says so. Collective.
    ///
    /// # Errors
    /// What another process tells is not understood.
    pub fn any(&self, mine: bool) -> anyhow::Result<bool> {
        Ok(self.gather(mine)?.contains(&true))
    }

    /// What the leader has given, for all; what others give does not matter. Collective.
    pub fn of_leader(&self, mine: Vec<u8>) -> Vec<u8> {
        let Some(link) = &self.link else {
            return mine;
        };
        let mine = match self.leads() {
            true => &mine[..],
            false => &[],
        };
        let mut told = link.exchange(&vec![mine; link.size()]);
        told.swap_remove(0)
    }

    /// The sum of the `parts` of all processes, vectors of the same length: those of the
    /// first process first, one after the other. The order does not depend on how many
    /// processes share them, so neither does the rounding. Collective.
    ///
    /// Every process adds up one stretch of the vectors: each sends as much as it would in
    /// an all-reduce of its parts.
    ///
    /// # Errors
    /// No parts, or parts of different lengths.
    pub fn sum(&self, parts: &[Tensor]) -> anyhow::Result<Tensor> {
        let first = parts.first().context("nothing to add up")?;
        let Some(link) = &self.link else {
            let mut sum = first.clone();
            for part in &parts[1..] {
                sum = (sum + part)?;
            }
            return Ok(sum);
        };
        let (count, size) = (first.elem_count(), link.size());
        let vectors = parts.iter().map(|part| part.to_vec1::<f32>());
        let vectors = vectors.collect::<candle_core::Result<Vec<_>>>()?;
        let stretch = |rank: usize| rank * count / size..(rank + 1) * count / size;
        let messages: Vec<Vec<u8>> = (0..size)
            .map(|rank| {
                let stretches = vectors.iter().map(|vector| &vector[stretch(rank)]);
                stretches.flat_map(bytes_of).collect()
            })
            .collect();
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let told = link.exchange(&messages);
        let mine = sum_of(&told, stretch(link.rank()).len());
        let told = link.exchange(&vec![&bytes_of(&mine).collect::<Vec<_>>()[..]; size]);
        let sum: Vec<f32> = told.iter().flat_map(|part| floats_of(part)).collect();
        Ok(Tensor::from_vec(sum, count, first.device())?)
    }
}

/// The sum of all stretches of `len` numbers in `told`, in their order.
fn sum_of(told: &[Vec<u8>], len: usize) -> Vec<f32> {
    let mut stretches = told
        .iter()
        .flat_map(|part| part.chunks_exact(4 * len.max(1)));
    let first = stretches.next().unwrap_or_default();
    let mut sum: Vec<f32> = floats_of(first).collect();
    for stretch in stretches {
        for (sum, value) in sum.iter_mut().zip(floats_of(stretch)) {
            *sum += value;
        }
    }
    sum
}

fn bytes_of(values: &[f32]) -> impl Iterator<Item = u8> {
    values.iter().flat_map(|value| value.to_le_bytes())
}

fn floats_of(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
}
