//! The arithmetic between luma and chroma and full-range RGB, on one tile.

use super::TILE;
use crate::engine::frame::{Colorimetry, Range};

/// One byte lane of a tile.
pub type Bytes = [u8; TILE];
/// Red, green and blue of a tile, 0..255.
pub type Rgb = [[f32; TILE]; 3];

/// Gain and offset from a byte to 0..255, for RGB and luma.
fn luma_gain(range: Range) -> (f32, f32) {
    match range {
        Range::Limited => (255.0 / 219.0, -16.0 * 255.0 / 219.0),
        Range::Full => (1.0, 0.0),
    }
}

/// Gain from a chroma byte, less 128, to -127.5..127.5.
fn chroma_gain(range: Range) -> f32 {
    match range {
        Range::Limited => 255.0 / 224.0,
        Range::Full => 1.0,
    }
}

/// From a frame's numbers to RGB.
pub struct ToRgb {
    gain: f32,
    offset: f32,
    red_v: f32,
    green_u: f32,
    green_v: f32,
    blue_u: f32,
}

impl ToRgb {
    pub fn new(colours: Colorimetry) -> Self {
        let Colorimetry { kr, kb, range } = colours;
        let (gain, offset) = luma_gain(range);
        let kg = 1.0 - kr - kb;
        let red_v = 2.0 * (1.0 - kr) * chroma_gain(range);
        let blue_u = 2.0 * (1.0 - kb) * chroma_gain(range);
        ToRgb {
            gain,
            offset,
            red_v,
            green_u: -blue_u * kb / kg,
            green_v: -red_v * kr / kg,
            blue_u,
        }
    }

    /// One of red, green, blue, or luma as it is.
    pub fn scale(&self, from: &Bytes, to: &mut [f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = (f32::from(from) * self.gain + self.offset).clamp(0.0, 255.0);
        }
    }

    /// Luma and chroma, one chroma sample for two of luma.
    pub fn yuv(&self, y: &Bytes, u: &Bytes, v: &Bytes, [r, g, b]: [&mut [f32]; 3]) {
        let (u, v) = (twice(u), twice(v));
        let colours = r.iter_mut().zip(g).zip(b);
        for (((r, g), b), ((&y, &u), &v)) in colours.zip(y.iter().zip(&u).zip(&v)) {
            let y = f32::from(y) * self.gain + self.offset;
            let u = f32::from(u) - 128.0;
            let v = f32::from(v) - 128.0;
            *r = (y + self.red_v * v).clamp(0.0, 255.0);
            *g = (y + self.green_u * u + self.green_v * v).clamp(0.0, 255.0);
            *b = (y + self.blue_u * u).clamp(0.0, 255.0);
        }
    }
}

/// Each of the first half's bytes two times.
fn twice(half: &Bytes) -> Bytes {
    let mut whole = [0; TILE];
    for (pair, &byte) in whole.as_chunks_mut::<2>().0.iter_mut().zip(half) {
        *pair = [byte; 2];
    }
    whole
}

/// `weights` on red, green, blue, and `offset`.
#[derive(Clone, Copy)]
struct Sum {
    weights: [f32; 3],
    offset: f32,
}

impl Sum {
    #[inline(always)]
    fn of(self, r: f32, g: f32, b: f32) -> f32 {
        self.weights[0] * r + self.weights[1] * g + self.weights[2] * b + self.offset
    }
}

/// From RGB to a frame's numbers.
pub struct FromRgb {
    gain: f32,
    offset: f32,
    y: Sum,
    u: Sum,
    v: Sum,
}

impl FromRgb {
    pub fn new(colours: Colorimetry) -> Self {
        let Colorimetry { kr, kb, range } = colours;
        let (gain, offset) = luma_gain(range);
        let (gain, offset) = (1.0 / gain, -offset / gain);
        let luma = [kr, 1.0 - kr - kb, kb];
        // Chroma is a colour less luma, scaled so that it spans its range.
        let chroma = |colour: usize, weight: f32| {
            let scale = 0.5 / ((1.0 - weight) * chroma_gain(range));
            let mut weights = luma.map(|k| -k * scale);
            weights[colour] += scale;
            Sum {
                weights,
                offset: 128.0,
            }
        };
        FromRgb {
            gain,
            offset,
            y: Sum {
                weights: luma.map(|k| k * gain),
                offset,
            },
            u: chroma(2, kb),
            v: chroma(0, kr),
        }
    }

    /// One of red, green, blue as it is.
    pub fn scale(&self, from: &[f32; TILE], to: &mut Bytes) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = quantise(from * self.gain + self.offset);
        }
    }

    /// Luma.
    pub fn luma(&self, [r, g, b]: &Rgb, y: &mut Bytes) {
        for (y, ((&r, &g), &b)) in y.iter_mut().zip(r.iter().zip(g).zip(b)) {
            *y = quantise(self.y.of(r, g, b));
        }
    }

    /// Chroma, of pairs of columns of the sum of `rows` rows.
    pub fn chroma(&self, sum: &Rgb, rows: usize) -> (Bytes, Bytes) {
        let weight = 0.5 / rows as f32;
        let mut mean = [[0.0; TILE / 2]; 3];
        for (mean, sum) in mean.iter_mut().zip(sum) {
            for (mean, [left, right]) in mean.iter_mut().zip(sum.as_chunks().0) {
                *mean = (left + right) * weight;
            }
        }
        let [r, g, b] = &mean;
        let one = |sum: Sum| {
            let mut bytes = [0; TILE];
            for (byte, ((&r, &g), &b)) in bytes.iter_mut().zip(r.iter().zip(g).zip(b)) {
                *byte = quantise(sum.of(r, g, b));
            }
            bytes
        };
        (one(self.u), one(self.v))
    }
}

/// The nearest byte. Adding 2^23 leaves no bits for fractions, so that the sum
/// is rounded and its lowest byte is the result: a form that vectorises
/// everywhere, unlike a saturating cast. NaN becomes 0.
#[inline(always)]
fn quantise(value: f32) -> u8 {
    (value.clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}
