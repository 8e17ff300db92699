//! The bytes of a tile, unwoven from a frame's rows and woven into them.

use super::{TILE, colour::Bytes};
use crate::engine::frame::{Format, Frame, Lane};
use std::ops::{Index, IndexMut};

/// The bytes of one tile, each kind by itself.
pub struct Lanes([Bytes; Lane::COUNT]);

impl Lanes {
    /// Opaque, for whichever lanes nothing else is written to.
    pub fn new() -> Self {
        Lanes([[255; TILE]; Lane::COUNT])
    }

    /// Takes pixels `x..x + n` of row `y` out of a frame.
    pub fn unpack(&mut self, frame: &Frame, y: usize, x: usize, n: usize) {
        let format = frame.info().format;
        for (plane, lanes) in format.planes().iter().enumerate() {
            let row = frame.row(plane, y, x, n);
            match **lanes {
                [a] => self[a][..row.len()].copy_from_slice(row),
                [a, b] => self.unweave([a, b], row),
                [a, b, c] => self.unweave([a, b, c], row),
                [a, b, c, d] => self.unweave([a, b, c, d], row),
                _ => unreachable!("no format weaves so many lanes"),
            }
        }
        if let Some((both, pair)) = woven_chroma(format) {
            let row = self[both];
            self.unweave(pair, &row);
        }
    }

    /// Puts the lanes of one plane into its row.
    pub fn pack(&self, lanes: &[Lane], row: &mut [u8]) {
        match *lanes {
            [a] => row.copy_from_slice(&self[a][..row.len()]),
            [a, b] => weave([&self[a], &self[b]], row),
            [a, b, c] => weave([&self[a], &self[b], &self[c]], row),
            [a, b, c, d] => weave([&self[a], &self[b], &self[c], &self[d]], row),
            _ => unreachable!("no format weaves so many lanes"),
        }
    }

    /// Sets U and V, and them in turn where the format wants it so.
    pub fn set_chroma(&mut self, (u, v): (Bytes, Bytes), format: Format) {
        self[Lane::U] = u;
        self[Lane::V] = v;
        if let Some((both, [first, second])) = woven_chroma(format) {
            let mut row = [0; TILE];
            weave([&self[first], &self[second]], &mut row);
            self[both] = row;
        }
    }

    fn unweave<const N: usize>(&mut self, lanes: [Lane; N], row: &[u8]) {
        let lanes = lanes.map(|lane| lane as usize);
        let Ok(mut lanes) = self.0.get_disjoint_mut(lanes) else {
            unreachable!("no format has a lane twice");
        };
        for (i, chunk) in row.as_chunks::<N>().0.iter().enumerate().take(TILE) {
            for (lane, byte) in lanes.iter_mut().zip(chunk) {
                lane[i] = *byte;
            }
        }
    }
}

fn weave<const N: usize>(lanes: [&Bytes; N], row: &mut [u8]) {
    let chunks = row.as_chunks_mut::<N>().0;
    for (i, chunk) in chunks.iter_mut().enumerate().take(TILE) {
        for (byte, lane) in chunk.iter_mut().zip(lanes) {
            *byte = lane[i];
        }
    }
}

/// The lane that holds U and V in turn, and their order in it.
fn woven_chroma(format: Format) -> Option<(Lane, [Lane; 2])> {
    format.lanes().find_map(|lane| match lane {
        Lane::Uv => Some((lane, [Lane::U, Lane::V])),
        Lane::Vu => Some((lane, [Lane::V, Lane::U])),
        _ => None,
    })
}

impl Index<Lane> for Lanes {
    type Output = Bytes;

    fn index(&self, lane: Lane) -> &Bytes {
        &self.0[lane as usize]
    }
}

impl IndexMut<Lane> for Lanes {
    fn index_mut(&mut self, lane: Lane) -> &mut Bytes {
        &mut self.0[lane as usize]
    }
}
