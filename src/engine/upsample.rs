//! A small styled picture brought to the size of the frame it was made from,
//! with the frame's edges.
//!
//! Interpolation alone would blur. What the small picture lacks is known,
//! though, of the frame: its light and dark at full size less those of its
//! small version. Where the style follows the frame, that detail is added,
//! times how strongly it does so:
//!
//! ```text
//! out  = up(sharp(styled)) + up(gain) * (luma(original) - up(sharp(luma(small))))
//! gain = cov(luma(small), styled) / (var(luma(small)) + EPS) * min(1, TRUST * R²)
//! ```
//!
//! with covariance and variance over windows of 5x5 pixels, for each colour. It
//! is the guided filter (K. He, J. Sun, X. Tang, "Guided Image Filtering",
//! 2013), its coefficients found at the small size (K. He, J. Sun, "Fast Guided
//! Filter", 2015) and applied to the detail alone, so that strokes stay as they
//! were painted. Upsampling guided by the full-size picture began with J. Kopf
//! et al., "Joint Bilateral Upsampling", 2007.
//!
//! R², the share of the window's variance that luma explains, keeps leaves and
//! gravel out of strokes that only happen to go along with them. `up` is
//! bilinear; `sharp` makes good beforehand what that will blur, as in L.
//! Condat, T. Blu, M. Unser, "Beyond Interpolation: Optimal Reconstruction by
//! Quasi-Interpolation", 2005.

use super::Image;
use super::image::LUMA;
use crate::ops::Size;
use crate::ops::cpu::simd::Simd;
use crate::ops::cpu::{Kernel, LANES, Level};
use rayon::prelude::*;

/// Beside the variance of luma in a window, of 255 squared: flat areas, where
/// there is nothing but noise, have less and get no detail.
const EPS: f32 = 64.0;

/// From which R² on, as 1 / R², the style counts as following the frame.
const TRUST: f32 = 1.5;

/// How much of what interpolation blurs is made good: twice, by eye, since
/// [`sharpen`] lets nothing overshoot.
const SHARPEN: f32 = 2.0;

/// How far a window reaches from its middle, in pixels of the small picture.
const REACH: usize = 2;

/// Rows and columns of a window.
const WINDOW: usize = 2 * REACH + 1;

/// Lines of a row of the pictures at the small size: luma, and the styled
/// colours.
const SOURCES: usize = 4;

/// Lines of a row of what is interpolated: the styled picture's colours, their
/// gains, and luma.
const FIELDS: usize = 7;

/// Lines of sums over windows: of luma and its square, the styled colours, their
/// products with luma, and the sum of their squares.
const SUMS: usize = 9;

/// Tasks for each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;

/// Fewer pixels than these are not worth waking a thread for.
const PIXELS_PER_TASK: usize = 1 << 15;

/// Bytes that an [`Upsampler`] takes for styled pictures of this size, but for a
/// few rows.
pub fn memory_needed(size: Size) -> usize {
    const ROW: usize = (SOURCES + FIELDS) * size_of::<f32>();
    let strides = stride(size.width).saturating_mul(size.height);
    strides.saturating_mul(ROW)
}

/// Enlarges styled pictures. Its buffers are kept from frame to frame.
#[derive(Default)]
pub struct Upsampler {
    columns: Columns,
    /// The pictures at the small size: [`SOURCES`] lines for each row, whose
    /// first and last pixels are repeated, [`REACH`] times at least.
    sources: Vec<f32>,
    /// What is interpolated: [`FIELDS`] lines for each row.
    fields: Vec<f32>,
    /// For each task, [`SUMS`] lines.
    sums: Vec<f32>,
    /// For each task, two rows of the fields at full width.
    wide: Vec<f32>,
}

impl Upsampler {
    /// Enlarges `styled` to the size of `original` into `out`, which takes that
    /// size and keeps its memory where it is enough. `small` is `original` at
    /// the size of `styled`, as [`shrink`](super::resize::shrink) makes it.
    ///
    /// Numbers may end a little beyond 0..255. At the size of `original`
    /// itself, `styled` comes out as it is. Works on the current rayon pool;
    /// the result does not depend on its threads.
    ///
    /// # Panics
    /// If a picture has no pixels or other than `3 * width * height` numbers,
    /// if `small` and `styled` differ in size, or if they are wider or higher
    /// than `original`.
    pub fn run(&mut self, original: &Image, small: &Image, styled: &Image, out: &mut Image) {
        self.run_at(Level::current(), original, small, styled, out);
    }

    /// [`run`](Self::run) at a level of the CPU's; all give the same numbers up
    /// to rounding.
    pub fn run_at(
        &mut self,
        level: Level,
        original: &Image,
        small: &Image,
        styled: &Image,
        out: &mut Image,
    ) {
        for picture in [original, small, styled] {
            assert!(picture.check().is_ok(), "a picture that is none");
        }
        let size = styled.size();
        assert_eq!(small.size(), size, "pictures of one size");
        let larger = original.width >= size.width && original.height >= size.height;
        assert!(larger, "a picture to be made smaller");
        self.columns.fit(styled.width, original.width);
        self.collect(level, small, styled);
        self.find_fields(level, size, original.size());
        self.enlarge(level, size, original, out);
    }

    fn collect(&mut self, level: Level, small: &Image, styled: &Image) {
        let &Image { width, height, .. } = small;
        let row = SOURCES * stride(width);
        let rows = rows_per_task(small.size());
        self.sources.resize(row * height, 0.0);
        (self.sources.par_chunks_mut(row * rows))
            .with_max_len(1)
            .enumerate()
            .for_each(|(task, sources)| {
                let first = task * rows;
                level.run(Collect {
                    small,
                    styled,
                    first,
                    sources,
                });
            });
    }

    fn find_fields(&mut self, level: Level, size: Size, full: Size) {
        let Size { width, height } = size;
        let stride = stride(width);
        let rows = rows_per_task(size);
        self.fields.resize(FIELDS * stride * height, 0.0);
        self.sums.resize(height.div_ceil(rows) * SUMS * stride, 0.0);
        let sources = Sources {
            data: &self.sources,
            size,
            sharpen: second_differences(size, full),
        };
        (self.fields.par_chunks_mut(FIELDS * stride * rows))
            .with_max_len(1)
            .zip(self.sums.par_chunks_mut(SUMS * stride))
            .enumerate()
            .for_each(|(task, (fields, sums))| {
                level.run(FindFields {
                    sources: &sources,
                    first: task * rows,
                    sums,
                    fields,
                });
            });
    }

    fn enlarge(&mut self, level: Level, small: Size, original: &Image, out: &mut Image) {
        let &Image { width, height, .. } = original;
        out.resize(original.size());
        let rows = rows_per_task(original.size());
        let wide = 2 * FIELDS * stride(width);
        self.wide.resize(height.div_ceil(rows) * wide, 0.0);
        let fields = Fields {
            data: &self.fields,
            size: small,
            columns: &self.columns,
        };
        let planes = out.planes_mut();
        let [r, g, b] = planes.map(|plane| plane.par_chunks_mut(rows * width));
        (r.zip(g).zip(b).zip(self.wide.par_chunks_mut(wide)))
            .with_max_len(1)
            .enumerate()
            .for_each(|(task, (((r, g), b), wide))| {
                level.run(Enlarge {
                    original,
                    fields: &fields,
                    wide,
                    first: task * rows,
                    out: [r, g, b],
                });
            });
    }
}

/// How many rows of a picture of this size are a task.
fn rows_per_task(size: Size) -> usize {
    let most = rayon::current_num_threads() * TASKS_PER_THREAD;
    let tasks = (size.area() / PIXELS_PER_TASK).clamp(1, most);
    size.height.div_ceil(tasks)
}

/// Numbers in a line for `width` pixels: a vector can be read at each of them.
fn stride(width: usize) -> usize {
    width.next_multiple_of(LANES) + LANES
}

/// The luma of 16 pixels.
#[inline(always)]
fn luma<S: Simd>(simd: S, [r, g, b]: [S::V; 3]) -> S::V {
    let [of_r, of_g, of_b] = LUMA;
    let sum = simd.mul(r, simd.splat(of_r));
    let sum = simd.fma(g, simd.splat(of_g), sum);
    simd.fma(b, simd.splat(of_b), sum)
}

/// Collects some rows of what the fields are found from.
struct Collect<'a> {
    small: &'a Image,
    styled: &'a Image,
    /// The first row.
    first: usize,
    sources: &'a mut [f32],
}

impl Kernel for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.small.width;
        let stride = stride(width);
        for (i, lines) in self.sources.chunks_exact_mut(SOURCES * stride).enumerate() {
            let y = self.first + i;
            let [r, g, b] = self.small.rows(y);
            for x in (0..width).step_by(LANES) {
                let rgb = [simd.read(&r[x..]), simd.read(&g[x..]), simd.read(&b[x..])];
                simd.write(&mut lines[REACH + x..], luma(simd, rgb));
            }
            for (plane, row) in self.styled.rows(y).into_iter().enumerate() {
                lines[(1 + plane) * stride + REACH..][..width].copy_from_slice(row);
            }
            for line in lines.chunks_exact_mut(stride) {
                let (first, last) = (line[REACH], line[REACH + width - 1]);
                line[..REACH].fill(first);
                line[REACH + width..].fill(last);
            }
        }
    }
}

/// The pictures at the small size, see [`Upsampler`].
struct Sources<'a> {
    data: &'a [f32],
    size: Size,
    /// How much of the second difference along rows, and along columns, is
    /// taken off.
    sharpen: [f32; 2],
}

impl Sources<'_> {
    /// The lines of row `y + offset - REACH`, or of the nearest there is.
    #[inline(always)]
    fn row(&self, y: usize, offset: usize) -> [&[f32]; SOURCES] {
        let stride = stride(self.size.width);
        let y = (y + offset).saturating_sub(REACH).min(self.size.height - 1);
        let lines = &self.data[SOURCES * stride * y..][..SOURCES * stride];
        [0, 1, 2, 3].map(|i| &lines[i * stride..][..stride])
    }
}

/// Finds some rows of the fields.
struct FindFields<'a> {
    sources: &'a Sources<'a>,
    /// The first row.
    first: usize,
    /// [`SUMS`] lines.
    sums: &'a mut [f32],
    fields: &'a mut [f32],
}

impl Kernel for FindFields<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let width = self.sources.size.width;
        let stride = stride(width);
        for (i, fields) in self.fields.chunks_exact_mut(FIELDS * stride).enumerate() {
            let rows = [0, 1, 2, 3, 4].map(|offset| self.sources.row(self.first + i, offset));
            let (styled, rest) = fields.split_at_mut(3 * stride);
            let (gains, luma) = rest.split_at_mut(3 * stride);
            sharpen(simd, &rows, 0, self.sources.sharpen, &mut luma[..width]);
            for (colour, styled) in styled.chunks_exact_mut(stride).enumerate() {
                let strength = self.sources.sharpen;
                sharpen(simd, &rows, 1 + colour, strength, &mut styled[..width]);
            }
            add_columns(simd, &rows, self.sums);
            find_gains(simd, self.sums, gains, width);
        }
    }
}

/// Takes some of its second differences off a line of the middle row, but stays
/// within what a pixel and its neighbours span: edges get steeper, and neither
/// brighter nor darker.
#[inline(always)]
fn sharpen<S: Simd>(
    simd: S,
    rows: &[[&[f32]; SOURCES]; WINDOW],
    line: usize,
    strength: [f32; 2],
    out: &mut [f32],
) {
    let [along_row, along_column] = [simd.splat(strength[0]), simd.splat(strength[1])];
    let [above, row, below] = [REACH - 1, REACH, REACH + 1].map(|i| rows[i][line]);
    for (x, out) in (REACH..).step_by(LANES).zip(out.chunks_mut(LANES)) {
        let middle = simd.read(&row[x..]);
        let (left, right) = (simd.read(&row[x - 1..]), simd.read(&row[x + 1..]));
        let (above, below) = (simd.read(&above[x..]), simd.read(&below[x..]));
        let twice = simd.add(middle, middle);
        let in_row = simd.mul(simd.sub(simd.add(left, right), twice), along_row);
        let in_column = simd.mul(simd.sub(simd.add(above, below), twice), along_column);
        let sharp = simd.sub(middle, simd.add(in_row, in_column));
        let least = simd.min(simd.min(left, right), simd.min(above, below));
        let most = simd.max(simd.max(left, right), simd.max(above, below));
        let (least, most) = (simd.min(least, middle), simd.max(most, middle));
        simd.write(out, simd.min(simd.max(sharp, least), most));
    }
}

/// Sums the columns of windows.
#[inline(always)]
fn add_columns<S: Simd>(simd: S, rows: &[[&[f32]; SOURCES]; WINDOW], sums: &mut [f32]) {
    let stride = rows[0][0].len();
    for x in (0..stride).step_by(LANES) {
        let mut sum = [simd.splat(0.0); SUMS];
        for [l, r, g, b] in rows {
            let l = simd.read(&l[x..]);
            let (r, g, b) = (simd.read(&r[x..]), simd.read(&g[x..]), simd.read(&b[x..]));
            sum[0] = simd.add(sum[0], l);
            sum[1] = simd.fma(l, l, sum[1]);
            for (i, x) in [r, g, b].into_iter().enumerate() {
                sum[2 + i] = simd.add(sum[2 + i], x);
                sum[5 + i] = simd.fma(l, x, sum[5 + i]);
                sum[8] = simd.fma(x, x, sum[8]);
            }
        }
        for i in 0..SUMS {
            simd.write(&mut sums[i * stride + x..], sum[i]);
        }
    }
}

/// Finds gains from the sums of windows' columns.
#[inline(always)]
fn find_gains<S: Simd>(simd: S, sums: &[f32], gains: &mut [f32], width: usize) {
    let stride = stride(width);
    let share = simd.splat(1.0 / (WINDOW * WINDOW) as f32);
    let zero = simd.splat(0.0);
    for x in (0..width).step_by(LANES) {
        let mut mean = [zero; SUMS];
        for i in 0..SUMS {
            let line = &sums[i * stride + x..];
            let mut sum = simd.read(line);
            for offset in 1..WINDOW {
                sum = simd.add(sum, simd.read(&line[offset..]));
            }
            mean[i] = simd.mul(sum, share);
        }
        let [l, ll, r, g, b, lr, lg, lb, squares] = mean;
        let luma_variance = simd.max(simd.sub(ll, simd.mul(l, l)), zero);
        let of_means = simd.add(simd.add(simd.mul(r, r), simd.mul(g, g)), simd.mul(b, b));
        let variance = simd.max(simd.sub(squares, of_means), zero);
        let (lr, lg, lb) = (
            simd.sub(lr, simd.mul(l, r)),
            simd.sub(lg, simd.mul(l, g)),
            simd.sub(lb, simd.mul(l, b)),
        );
        let explained = simd.add(
            simd.add(simd.mul(lr, lr), simd.mul(lg, lg)),
            simd.mul(lb, lb),
        );
        // Less than anything that shows, against 0 / 0.
        let all = simd.add(simd.mul(luma_variance, variance), simd.splat(1e-3));
        let trust = simd.mul(simd.div(explained, all), simd.splat(TRUST));
        let trust = simd.min(trust, simd.splat(1.0));
        let factor = simd.div(trust, simd.add(luma_variance, simd.splat(EPS)));
        simd.write(&mut gains[x..], simd.mul(lr, factor));
        simd.write(&mut gains[stride + x..], simd.mul(lg, factor));
        simd.write(&mut gains[2 * stride + x..], simd.mul(lb, factor));
    }
}

/// Where pixel `i` of `to` is among `from` pixels of the same extent: after
/// which, and how far, in 0..=1, from it to the next.
fn position(i: usize, from: usize, to: usize) -> (usize, f32) {
    let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
    let at = at.clamp(0.0, (from - 1) as f64);
    let before = (at as usize).min(from.saturating_sub(2));
    (before, (at - before as f64) as f32)
}

/// How much a line blurs when it is interpolated: the mean variance of the
/// weights, in pixels of the short line squared.
fn blur(from: usize, to: usize) -> f32 {
    let parts = (0..to).map(|i| position(i, from, to).1);
    parts.map(|part| part * (1.0 - part)).sum::<f32>() / to as f32
}

/// How much of the second differences along rows, and along columns, is to be
/// taken off a picture of size `small` that is enlarged to `full`, to make good
/// what that blurs.
pub(super) fn second_differences(small: Size, full: Size) -> [f32; 2] {
    let lost = [
        blur(small.width, full.width),
        blur(small.height, full.height),
    ];
    // A line loses its second difference times half its blur.
    lost.map(|lost| SHARPEN / 2.0 * lost)
}

/// Where the pixels of a long line are on a short one.
#[derive(Default)]
struct Columns {
    /// Pixels of the short line, and of the long one.
    lens: (usize, usize),
    /// 16 pixels each.
    groups: Vec<Group>,
}

/// Where 16 pixels of a long line are on a short one.
struct Group {
    /// The last pixel of the short line that is not after the first of them.
    first: usize,
    /// The same for each, from `first` on.
    steps: [i32; LANES],
    /// How far each is from there to the next pixel of the short line.
    part: [f32; LANES],
}

impl Columns {
    fn fit(&mut self, from: usize, to: usize) {
        if self.lens == (from, to) {
            return;
        }
        self.lens = (from, to);
        self.groups.clear();
        self.groups.extend((0..to).step_by(LANES).map(|start| {
            let position = |lane: usize| position((start + lane).min(to - 1), from, to);
            let (first, _) = position(0);
            Group {
                first,
                steps: std::array::from_fn(|lane| (position(lane).0 - first) as i32),
                part: std::array::from_fn(|lane| position(lane).1),
            }
        }));
    }
}

/// What is interpolated, see [`Upsampler`].
struct Fields<'a> {
    data: &'a [f32],
    size: Size,
    columns: &'a Columns,
}

/// Two neighbouring rows of the fields, at full width.
struct WideRows<'a> {
    above: &'a mut [f32],
    below: &'a mut [f32],
    /// Which row `above` is.
    row: Option<usize>,
}

impl<'a> WideRows<'a> {
    fn new(buffer: &'a mut [f32]) -> Self {
        let (above, below) = buffer.split_at_mut(buffer.len() / 2);
        WideRows {
            above,
            below,
            row: None,
        }
    }

    /// Makes `above` row `row`, and `below` the next, or the same if it is the
    /// last.
    #[inline(always)]
    fn hold<S: Simd>(&mut self, simd: S, fields: &Fields<'_>, row: usize) {
        if self.row == Some(row) {
            return;
        }
        match self.row.is_some_and(|held| held + 1 == row) {
            true => std::mem::swap(&mut self.above, &mut self.below),
            false => widen(simd, fields, row, self.above),
        }
        widen(
            simd,
            fields,
            (row + 1).min(fields.size.height - 1),
            self.below,
        );
        self.row = Some(row);
    }
}

/// Row `y` of the fields at full width.
#[inline(always)]
fn widen<S: Simd>(simd: S, fields: &Fields<'_>, y: usize, wide: &mut [f32]) {
    let (small, full) = (stride(fields.size.width), wide.len() / FIELDS);
    let row = &fields.data[y * FIELDS * small..][..FIELDS * small];
    for (line, wide) in row.chunks_exact(small).zip(wide.chunks_exact_mut(full)) {
        let groups = fields.columns.groups.iter();
        for (group, wide) in groups.zip(wide.chunks_exact_mut(LANES)) {
            let before = simd.spread(&line[group.first..], &group.steps);
            let after = simd.spread(&line[group.first + 1..], &group.steps);
            let way = simd.sub(after, before);
            simd.write(wide, simd.fma(way, simd.read(&group.part), before));
        }
    }
}

/// Makes some rows of the result.
struct Enlarge<'a> {
    original: &'a Image,
    fields: &'a Fields<'a>,
    /// For two rows of the fields at full width.
    wide: &'a mut [f32],
    /// The first row.
    first: usize,
    /// All rows, of each colour.
    out: [&'a mut [f32]; 3],
}

impl Kernel for Enlarge<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let &Image { width, height, .. } = self.original;
        let position = |y| position(y, self.fields.size.height, height);
        let mut wide = WideRows::new(self.wide);
        let mut out = self.out;
        let end = self.first + out[0].len() / width;
        let mut y = self.first;
        while y < end {
            let (row, part) = position(y);
            let (next_row, next_part) = position(y + 1);
            wide.hold(simd, self.fields, row);
            let at = (y - self.first) * width;
            // Two rows between the same two: these are read once for both.
            y += match y + 1 < end && next_row == row {
                true => blend(
                    simd,
                    self.original,
                    y,
                    &wide,
                    [part, next_part],
                    &mut out,
                    at,
                ),
                false => blend(simd, self.original, y, &wide, [part], &mut out, at),
            };
        }
    }
}

/// Rows `y..y + ROWS` of the result, so far down between two rows of the fields
/// as `parts` say, put into `out` from `at` on. Returns how many rows that is.
#[inline(always)]
fn blend<S: Simd, const ROWS: usize>(
    simd: S,
    original: &Image,
    y: usize,
    wide: &WideRows<'_>,
    parts: [f32; ROWS],
    out: &mut [&mut [f32]; 3],
    at: usize,
) -> usize {
    let &Image { width, height, .. } = original;
    let stride = stride(width) / LANES;
    let (above, _) = wide.above.as_chunks::<LANES>();
    let (below, _) = wide.below.as_chunks::<LANES>();
    let [r, g, b] =
        [0, 1, 2].map(|plane| &original.data[(plane * height + y) * width..][..ROWS * width]);
    let [out_r, out_g, out_b] = out.each_mut().map(|plane| &mut plane[at..][..ROWS * width]);
    for (k, x) in (0..width).step_by(LANES).enumerate() {
        let end = width.min(x + LANES);
        let field = |i: usize| (&above[i * stride + k], &below[i * stride + k]);
        let mut detail = [simd.splat(0.0); ROWS];
        let (luma_above, way) = line_between(simd, field(6));
        for i in 0..ROWS {
            let (x, end) = (i * width + x, i * width + end);
            let rgb = [
                simd.read(&r[x..end]),
                simd.read(&g[x..end]),
                simd.read(&b[x..end]),
            ];
            let known = simd.fma(way, simd.splat(parts[i]), luma_above);
            detail[i] = simd.sub(luma(simd, rgb), known);
        }
        let out = [&mut *out_r, &mut *out_g, &mut *out_b];
        for (colour, out) in out.into_iter().enumerate() {
            let (styled_above, styled_way) = line_between(simd, field(colour));
            let (gain_above, gain_way) = line_between(simd, field(3 + colour));
            for i in 0..ROWS {
                let part = simd.splat(parts[i]);
                let styled = simd.fma(styled_way, part, styled_above);
                let gain = simd.fma(gain_way, part, gain_above);
                let result = simd.fma(gain, detail[i], styled);
                simd.write(&mut out[i * width + x..i * width + end], result);
            }
        }
    }
    ROWS
}

/// A vector, and how far it is from there to another.
#[inline(always)]
fn line_between<S: Simd>(simd: S, (from, to): (&[f32; LANES], &[f32; LANES])) -> (S::V, S::V) {
    let first = simd.read(from);
    (first, simd.sub(simd.read(to), first))
}
