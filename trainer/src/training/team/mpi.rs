//! The link by MPI, between the processes that `mpirun` or `srun` has started.

use super::link::Link;
use anyhow::{Context, bail};
use mpi::collective::CommunicatorCollectives;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, processor_name};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::{Count, Threading};

/// The exit status of all processes after a panic in one.
const PANICKED: i32 = 101;

/// All processes that were started together.
pub struct World {
    world: SimpleCommunicator,
    host: String,
    /// Ends MPI when dropped.
    _universe: Universe,
}

impl World {
    /// Initializes MPI, which is possible once in a process.
    ///
    /// # Errors
    /// It has been initialized before, or cannot serve a process with several threads.
    pub fn join() -> anyhow::Result<Self> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled)
            .context("MPI has been initialized before")?;
        if threading < Threading::Funneled {
            bail!("this MPI library does not support processes with several threads");
        }
        Ok(World {
            world: universe.world(),
            host: processor_name().unwrap_or_else(|_| "an unnamed host".into()),
            _universe: universe,
        })
    }
}

impl Link for World {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn host(&self) -> String {
        self.host.clone()
    }

    fn exchange(&self, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        // The library counts in 32 bits; a gradient has some megabytes.
        let counts: Vec<Count> = parts.iter().map(|part| part.len() as Count).collect();
        let mut coming: Vec<Count> = vec![0; parts.len()];
        self.world.all_to_all_into(&counts[..], &mut coming[..]);
        // Both with a byte more: the address of an empty vector is that of MPI_IN_PLACE, 1.
        let sent = [&parts.concat()[..], &[0]].concat();
        let length: usize = coming.iter().map(|count| *count as usize).sum();
        let mut received = vec![0u8; length + 1];
        let displacements = displacements(&coming);
        self.world.all_to_all_varcount_into(
            &Partition::new(&sent[..], &counts[..], self::displacements(&counts)),
            &mut PartitionMut::new(&mut received[..], &coming[..], &displacements[..]),
        );
        let starts = coming.iter().zip(&displacements);
        let starts = starts.map(|(count, start)| (*start as usize, *count as usize));
        let parts = starts.map(|(start, count)| received[start..start + count].to_vec());
        parts.collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The others would wait for this process forever.
            self.world.abort(PANICKED);
        }
    }
}

/// Where each of the parts starts.
fn displacements(counts: &[Count]) -> Vec<Count> {
    let starts = counts.iter().scan(0, |start, count| {
        let here = *start;
        *start += count;
        Some(here)
    });
    starts.collect()
}
