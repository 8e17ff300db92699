//! The samples of a tile, taken apart from a frame's rows and interleaved into
//! them.

use super::samples::{Sample, Samples, TILE, full_gain};
use crate::engine::frame::{Component, Format, Frame};
use std::ops::{Index, IndexMut};

/// The samples of one tile, each component by itself.
pub struct Components<S>([Samples<S>; Component::COUNT]);

impl<S: Sample> Components<S> {
    /// All components filled with `sample`.
    pub fn new(sample: S) -> Self {
        Components([[sample; TILE]; Component::COUNT])
    }

    /// Takes pixels `x..x + n` of row `y` out of a frame.
    pub fn unpack(&mut self, frame: &Frame, y: usize, x: usize, n: usize) {
        let format = frame.info().format;
        for (plane, components) in format.planes().iter().enumerate() {
            let row = frame.row(plane, y, x, n);
            S::decode(format.storage(), row, |row| match **components {
                [a] => self[a][..row.len()].copy_from_slice(row),
                [a, b] => self.deinterleave([a, b], row),
                [a, b, c] => self.deinterleave([a, b, c], row),
                [a, b, c, d] => self.deinterleave([a, b, c, d], row),
                _ => unreachable!("no format interleaves so many components"),
            });
        }
        if let Some((both, pair)) = interleaved_chroma(format) {
            let row = self[both];
            self.deinterleave(pair, &row);
        }
    }

    /// Puts the components of one plane into its row.
    pub fn pack(&self, components: &[Component], format: Format, row: &mut [u8]) {
        S::encode(format.storage(), row, |row| match *components {
            [a] => row.copy_from_slice(&self[a][..row.len()]),
            [a, b] => interleave([&self[a], &self[b]], row),
            [a, b, c] => interleave([&self[a], &self[b], &self[c]], row),
            [a, b, c, d] => interleave([&self[a], &self[b], &self[c], &self[d]], row),
            _ => unreachable!("no format interleaves so many components"),
        });
    }

    /// Sets U and V, and them in turn where the format wants it so.
    pub fn set_chroma(&mut self, (u, v): (Samples<S>, Samples<S>), format: Format) {
        self[Component::U] = u;
        self[Component::V] = v;
        if let Some((both, [first, second])) = interleaved_chroma(format) {
            let mut row = [S::default(); TILE];
            interleave([&self[first], &self[second]], &mut row);
            self[both] = row;
        }
    }

    fn deinterleave<const N: usize>(&mut self, components: [Component; N], row: &[S]) {
        let components = components.map(|component| component as usize);
        let Ok(mut components) = self.0.get_disjoint_mut(components) else {
            unreachable!("no format has a component twice");
        };
        for (i, chunk) in row.as_chunks::<N>().0.iter().enumerate().take(TILE) {
            for (component, sample) in components.iter_mut().zip(chunk) {
                component[i] = *sample;
            }
        }
    }
}

/// The opacity of pixels `x..x + n` of row `y`, 0..255, of a format that has it: in
/// a plane of its own, or interleaved with three more components.
pub fn opacity<S: Sample>(frame: &Frame, y: usize, x: usize, n: usize) -> [f32; TILE] {
    let format = frame.info().format;
    let gain = full_gain(format.storage().bits());
    let mut opacity = [0.0; TILE];
    let planes = format.planes().iter().enumerate();
    let places = planes.filter_map(|(plane, components)| {
        let place = components.iter().position(|&c| c == Component::A)?;
        Some((plane, place, components.len()))
    });
    for (plane, place, interleaved) in places {
        S::decode(format.storage(), frame.row(plane, y, x, n), |row| {
            match interleaved {
                // With strides that the compiler knows.
                4 => take(row.as_chunks::<4>().0, place, gain, &mut opacity),
                _ => take(row.as_chunks::<1>().0, place, gain, &mut opacity),
            }
        });
    }
    opacity
}

/// The samples at `place` of each group, times `gain`.
fn take<S: Sample, const N: usize>(
    groups: &[[S; N]],
    place: usize,
    gain: f32,
    to: &mut [f32; TILE],
) {
    for (to, group) in to.iter_mut().zip(groups) {
        *to = group[place].into() * gain;
    }
}

fn interleave<S: Sample, const N: usize>(components: [&Samples<S>; N], row: &mut [S]) {
    let chunks = row.as_chunks_mut::<N>().0;
    for (i, chunk) in chunks.iter_mut().enumerate().take(TILE) {
        for (sample, component) in chunk.iter_mut().zip(components) {
            *sample = component[i];
        }
    }
}

/// The component that holds U and V in turn, and their order in it.
fn interleaved_chroma(format: Format) -> Option<(Component, [Component; 2])> {
    format.components().find_map(|component| match component {
        Component::Uv => Some((component, [Component::U, Component::V])),
        Component::Vu => Some((component, [Component::V, Component::U])),
        _ => None,
    })
}

impl<S> Index<Component> for Components<S> {
    type Output = Samples<S>;

    fn index(&self, component: Component) -> &Samples<S> {
        &self.0[component as usize]
    }
}

impl<S> IndexMut<Component> for Components<S> {
    fn index_mut(&mut self, component: Component) -> &mut Samples<S> {
        &mut self.0[component as usize]
    }
}
