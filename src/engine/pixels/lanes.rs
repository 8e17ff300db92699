//! The samples of a tile, unwoven from a frame's rows and woven into them.

use super::TILE;
use super::colour::full_gain;
use super::samples::Sample;
use crate::engine::frame::{Format, Frame, Lane};
use std::ops::{Index, IndexMut};

/// One lane of a tile.
pub type Samples<S> = [S; TILE];

/// The samples of one tile, each kind by itself.
pub struct Lanes<S>([Samples<S>; Lane::COUNT]);

impl<S: Sample> Lanes<S> {
    /// All lanes filled with `sample`.
    pub fn new(sample: S) -> Self {
        Lanes([[sample; TILE]; Lane::COUNT])
    }

    /// Takes pixels `x..x + n` of row `y` out of a frame.
    pub fn unpack(&mut self, frame: &Frame, y: usize, x: usize, n: usize) {
        let format = frame.info().format;
        for (plane, lanes) in format.planes().iter().enumerate() {
            let row = frame.row(plane, y, x, n);
            S::decode(format.storage(), row, |row| match **lanes {
                [a] => self[a][..row.len()].copy_from_slice(row),
                [a, b] => self.unweave([a, b], row),
                [a, b, c] => self.unweave([a, b, c], row),
                [a, b, c, d] => self.unweave([a, b, c, d], row),
                _ => unreachable!("no format weaves so many lanes"),
            });
        }
        if let Some((both, pair)) = woven_chroma(format) {
            let row = self[both];
            self.unweave(pair, &row);
        }
    }

    /// Puts the lanes of one plane into its row.
    pub fn pack(&self, lanes: &[Lane], format: Format, row: &mut [u8]) {
        S::encode(format.storage(), row, |row| match *lanes {
            [a] => row.copy_from_slice(&self[a][..row.len()]),
            [a, b] => weave([&self[a], &self[b]], row),
            [a, b, c] => weave([&self[a], &self[b], &self[c]], row),
            [a, b, c, d] => weave([&self[a], &self[b], &self[c], &self[d]], row),
            _ => unreachable!("no format weaves so many lanes"),
        });
    }

    /// Sets U and V, and them in turn where the format wants it so.
    pub fn set_chroma(&mut self, (u, v): (Samples<S>, Samples<S>), format: Format) {
        self[Lane::U] = u;
        self[Lane::V] = v;
        if let Some((both, [first, second])) = woven_chroma(format) {
            let mut row = [S::default(); TILE];
            weave([&self[first], &self[second]], &mut row);
            self[both] = row;
        }
    }

    fn unweave<const N: usize>(&mut self, lanes: [Lane; N], row: &[S]) {
        let lanes = lanes.map(|lane| lane as usize);
        let Ok(mut lanes) = self.0.get_disjoint_mut(lanes) else {
            unreachable!("no format has a lane twice");
        };
        for (i, chunk) in row.as_chunks::<N>().0.iter().enumerate().take(TILE) {
            for (lane, sample) in lanes.iter_mut().zip(chunk) {
                lane[i] = *sample;
            }
        }
    }
}

/// The opacity of pixels `x..x + n` of row `y`, 0..255. Formats that have it
/// weave it with three more lanes into their only plane.
pub fn opacity<S: Sample>(frame: &Frame, y: usize, x: usize, n: usize) -> [f32; TILE] {
    let format = frame.info().format;
    let gain = full_gain(format.bits());
    let place = format.lanes().take(3).take_while(|&lane| lane != Lane::A);
    let place = place.count();
    let mut opacity = [0.0; TILE];
    S::decode(format.storage(), frame.row(0, y, x, n), |row| {
        for (to, pixel) in opacity.iter_mut().zip(row.as_chunks::<4>().0) {
            *to = pixel[place].into() * gain;
        }
    });
    opacity
}

fn weave<S: Sample, const N: usize>(lanes: [&Samples<S>; N], row: &mut [S]) {
    let chunks = row.as_chunks_mut::<N>().0;
    for (i, chunk) in chunks.iter_mut().enumerate().take(TILE) {
        for (sample, lane) in chunk.iter_mut().zip(lanes) {
            *sample = lane[i];
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

impl<S> Index<Lane> for Lanes<S> {
    type Output = Samples<S>;

    fn index(&self, lane: Lane) -> &Samples<S> {
        &self.0[lane as usize]
    }
}

impl<S> IndexMut<Lane> for Lanes<S> {
    fn index_mut(&mut self, lane: Lane) -> &mut Samples<S> {
        &mut self.0[lane as usize]
    }
}
