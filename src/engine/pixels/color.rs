//! The arithmetic between luma and chroma and full-range RGB, on one tile.

use super::samples::{Sample, Samples, TILE, full_gain, largest};
use crate::engine::frame::{ColorRange, Colorimetry, FrameInfo};

/// Red, green and blue of a tile, 0..255.
pub type Rgb = [[f32; TILE]; 3];

/// Gain and offset from a sample of `bits` bits to 0..255, for RGB and luma.
fn luma_gain(range: ColorRange, bits: u32) -> (f32, f32) {
    match range {
        ColorRange::Limited => {
            let gain = 255.0 / (219 << (bits - 8)) as f32;
            (gain, -16.0 * 255.0 / 219.0)
        }
        ColorRange::Full => (full_gain(bits), 0.0),
    }
}

/// Gain from a sample of chroma, less the middle, to -127.5..127.5.
fn chroma_gain(range: ColorRange, bits: u32) -> f32 {
    match range {
        ColorRange::Limited => 255.0 / (224 << (bits - 8)) as f32,
        ColorRange::Full => full_gain(bits),
    }
}

/// The chroma of gray.
fn middle(bits: u32) -> f32 {
    (1 << (bits - 1)) as f32
}

/// From a frame's numbers to RGB.
pub struct ToRgb {
    pub gain: f32,
    pub offset: f32,
    pub middle: f32,
    pub red_v: f32,
    pub green_u: f32,
    pub green_v: f32,
    pub blue_u: f32,
    /// Columns that share a sample of chroma.
    columns: usize,
}

impl ToRgb {
    pub fn new(info: &FrameInfo) -> Self {
        let bits = info.format.storage().bits();
        let Colorimetry { kr, kb, range } = info.colorimetry;
        let (gain, offset) = luma_gain(range, bits);
        let kg = 1.0 - kr - kb;
        let red_v = 2.0 * (1.0 - kr) * chroma_gain(range, bits);
        let blue_u = 2.0 * (1.0 - kb) * chroma_gain(range, bits);
        ToRgb {
            gain,
            offset,
            middle: middle(bits),
            red_v,
            green_u: -blue_u * kb / kg,
            green_v: -red_v * kr / kg,
            blue_u,
            columns: info.format.subsampling().0,
        }
    }

    /// One of red, green, blue, or luma as it is.
    pub fn scale<S: Sample>(&self, from: &Samples<S>, to: &mut [f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = (from.into() * self.gain + self.offset).clamp(0.0, 255.0);
        }
    }

    /// Luma and chroma.
    pub fn yuv<S: Sample>(
        &self,
        y: &Samples<S>,
        u: &Samples<S>,
        v: &Samples<S>,
        [r, g, b]: [&mut [f32]; 3],
    ) {
        let (u, v) = match self.columns {
            1 => (*u, *v),
            2 => (repeat::<S, 2>(u), repeat::<S, 2>(v)),
            _ => four_times(u, v),
        };
        let colors = r.iter_mut().zip(g).zip(b);
        for (((r, g), b), ((&y, &u), &v)) in colors.zip(y.iter().zip(&u).zip(&v)) {
            let y = y.into() * self.gain + self.offset;
            let u = u.into() - self.middle;
            let v = v.into() - self.middle;
            *r = (y + self.red_v * v).clamp(0.0, 255.0);
            *g = (y + self.green_u * u + self.green_v * v).clamp(0.0, 255.0);
            *b = (y + self.blue_u * u).clamp(0.0, 255.0);
        }
    }
}

/// Each of the first samples four times. Apart, so that what more formats need stays
/// small enough to be inlined.
#[cold]
#[inline(never)]
fn four_times<S: Sample>(u: &Samples<S>, v: &Samples<S>) -> (Samples<S>, Samples<S>) {
    (repeat::<S, 4>(u), repeat::<S, 4>(v))
}

/// Each of the first samples N times.
fn repeat<S: Sample, const N: usize>(few: &Samples<S>) -> Samples<S> {
    let mut all = [S::default(); TILE];
    for (group, &sample) in all.as_chunks_mut::<N>().0.iter_mut().zip(few) {
        *group = [sample; N];
    }
    all
}

/// `weights` on red, green, blue, and `offset`.
#[derive(Clone, Copy)]
pub struct Sum {
    pub weights: [f32; 3],
    pub offset: f32,
}

impl Sum {
    #[inline(always)]
    fn of(self, r: f32, g: f32, b: f32) -> f32 {
        self.weights[0] * r + self.weights[1] * g + self.weights[2] * b + self.offset
    }
}

/// From RGB to a frame's numbers.
pub struct FromRgb {
    pub gain: f32,
    pub offset: f32,
    pub y: Sum,
    pub u: Sum,
    pub v: Sum,
    opacity_gain: f32,
    /// The largest sample.
    pub largest: f32,
    /// Columns that share a sample of chroma.
    columns: usize,
}

impl FromRgb {
    pub fn new(info: &FrameInfo) -> Self {
        let bits = info.format.storage().bits();
        let Colorimetry { kr, kb, range } = info.colorimetry;
        let (gain, offset) = luma_gain(range, bits);
        let (gain, offset) = (1.0 / gain, -offset / gain);
        let luma = [kr, 1.0 - kr - kb, kb];
        // Chroma is a color less luma, scaled so that it spans its range.
        let chroma = |color: usize, weight: f32| {
            let scale = 0.5 / ((1.0 - weight) * chroma_gain(range, bits));
            let mut weights = luma.map(|k| -k * scale);
            weights[color] += scale;
            Sum {
                weights,
                offset: middle(bits),
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
            opacity_gain: 1.0 / full_gain(bits),
            largest: f32::from(largest(bits)),
            columns: info.format.subsampling().0,
        }
    }

    /// What is opaque.
    pub fn opaque<S: Sample>(&self) -> S {
        self.quantize(self.largest)
    }

    /// One of red, green, blue as it is.
    pub fn scale<S: Sample>(&self, from: &[f32; TILE], to: &mut Samples<S>) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = self.quantize(from * self.gain + self.offset);
        }
    }

    /// Opacity.
    pub fn opacity<S: Sample>(&self, from: &[f32; TILE], to: &mut Samples<S>) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = self.quantize(from * self.opacity_gain);
        }
    }

    /// Luma.
    pub fn luma<S: Sample>(&self, [r, g, b]: &Rgb, y: &mut Samples<S>) {
        for (y, ((&r, &g), &b)) in y.iter_mut().zip(r.iter().zip(g).zip(b)) {
            *y = self.quantize(self.y.of(r, g, b));
        }
    }

    /// Chroma, of the sum of the `rows` that share it. Inlined, not to be copied.
    #[inline(always)]
    pub fn chroma<S: Sample>(&self, sum: &Rgb, rows: usize) -> (Samples<S>, Samples<S>) {
        match self.columns {
            1 => self.chroma_of(sum),
            2 => self.chroma_of(&mean::<2, { TILE / 2 }>(sum, rows)),
            _ => self.chroma_of_four(sum, rows),
        }
    }

    /// The same where four columns share it. Apart, as formats that do are rare.
    #[cold]
    #[inline(never)]
    fn chroma_of_four<S: Sample>(&self, sum: &Rgb, rows: usize) -> (Samples<S>, Samples<S>) {
        self.chroma_of(&mean::<4, { TILE / 4 }>(sum, rows))
    }

    fn chroma_of<S: Sample, const N: usize>(
        &self,
        [r, g, b]: &[[f32; N]; 3],
    ) -> (Samples<S>, Samples<S>) {
        let one = |sum: Sum| {
            let mut samples = [S::default(); TILE];
            for (sample, ((&r, &g), &b)) in samples.iter_mut().zip(r.iter().zip(g).zip(b)) {
                *sample = self.quantize(sum.of(r, g, b));
            }
            samples
        };
        (one(self.u), one(self.v))
    }

    /// The nearest sample. Adding 2^23 leaves no bits for fractions, so that
    /// the sum is rounded and its lowest bits are the result: a form that
    /// vectorizes everywhere, unlike a saturating cast. NaN becomes 0.
    #[inline(always)]
    fn quantize<S: Sample>(&self, value: f32) -> S {
        S::from_lowest_bits((value.clamp(0.0, self.largest) + 8_388_608.0).to_bits())
    }
}

/// The means of `N` columns in `rows` rows, of whose sum there are `M` times as many.
#[inline(always)]
fn mean<const N: usize, const M: usize>(sum: &Rgb, rows: usize) -> [[f32; M]; 3] {
    let weight = 1.0 / (N * rows) as f32;
    let mut means = [[0.0; M]; 3];
    for (mean, sum) in means.iter_mut().zip(sum) {
        for (mean, group) in mean.iter_mut().zip(sum.as_chunks::<N>().0) {
            *mean = group.iter().sum::<f32>() * weight;
        }
    }
    means
}
