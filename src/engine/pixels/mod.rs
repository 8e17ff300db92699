//! Video frames into planar RGB and back, in one pass each way.
//!
//! Rows are worked on in tiles of `TILE` pixels that stay in the first-level
//! cache: `samples` makes numbers of a row's bytes, `components` sorts them
//! into one array for each component, `color` does arithmetic on such arrays;
//! and the same way back. All loops are over arrays of fixed size without branches,
//! so that the compiler vectorises them; the formats themselves are a table in
//! [`frame`](super::frame).
//!
//! The picture in between is `f32`, more exact than any format's 16 bits: a
//! number is rounded only where it is written, and comes back as it was unless
//! its color lies outside of 0..255. Transfer functions are left alone.
//!
//! Chroma at half the size, or a quarter, belongs to the middle of the pixels it
//! covers: it is repeated when read and averaged when written. Where the picture
//! ends within them, the last chroma sample belongs to those that are there.

pub(super) mod color;
mod components;
mod samples;

use super::frame::{
    ColorFamily, Component, Format, Frame, FrameError, FrameInfo, FrameMut, MAX_PLANES, PlaneMut,
};
use super::{Blend, Image, Size};
use color::{FromRgb, Rgb, ToRgb};
use components::Components;
use samples::{Sample, TILE};
use std::ops::Range;

/// Fewer pixels than these are not worth waking a thread for.
const PIXELS_PER_TASK: usize = 1 << 15;

/// Reads a frame into `image`, keeping the image's memory where it is enough.
/// Opacity is left out: [`write()`] takes it from the frame.
pub fn read(frame: &Frame<'_>, image: &mut Image) {
    let &FrameInfo {
        width,
        height,
        format,
        ..
    } = frame.info();
    image.resize(frame.info().size());
    let [r, g, b] = image.planes_mut();
    let read_band = match format.storage().bits() {
        8 => read_band::<u8>,
        _ => read_band::<u16>,
    };
    let all = ImageRows { r, g, b, width };
    for_bands(all, 0..height, width, &|band, rows| {
        read_band(frame, band, rows);
    });
}

fn read_band<S: Sample>(frame: &Frame<'_>, band: ImageRows, rows: Range<usize>) {
    let info = frame.info();
    let family = info.format.family();
    let to_rgb = ToRgb::new(info);
    let mut components = Components::<S>::new(S::default());
    let ImageRows { r, g, b, width } = band;
    for (i, y) in rows.enumerate() {
        for (x, n) in tiles(info) {
            components.unpack(frame, y, x, n);
            let at = i * width + x;
            let (r, g, b) = (&mut r[at..][..n], &mut g[at..][..n], &mut b[at..][..n]);
            match family {
                ColorFamily::Rgb => {
                    to_rgb.scale(&components[Component::R], r);
                    to_rgb.scale(&components[Component::G], g);
                    to_rgb.scale(&components[Component::B], b);
                }
                ColorFamily::Yuv => {
                    let [y, u, v] = [Component::Y, Component::U, Component::V]
                        .map(|component| &components[component]);
                    to_rgb.yuv(y, u, v, [r, g, b]);
                }
                ColorFamily::Gray => {
                    to_rgb.scale(&components[Component::Y], r);
                    g.copy_from_slice(r);
                    b.copy_from_slice(r);
                }
            }
        }
    }
}

/// The opacity of pixels `x..x + n` of row `y`, 0..255, of a format that has it.
fn opacity(frame: &Frame<'_>, y: usize, x: usize, n: usize) -> [f32; TILE] {
    match frame.info().format.storage().bits() {
        8 => components::opacity::<u8>(frame, y, x, n),
        _ => components::opacity::<u16>(frame, y, x, n),
    }
}

/// Writes `image` into a frame, rounded and cut to what its numbers can hold.
///
/// With `original`, `image` is blended into that on the way. Opacity comes from
/// `alpha` where both frames have it; else the frame becomes opaque. Bytes
/// between the rows are left alone; where a row ends within a group of pixels,
/// the group is filled up.
///
/// # Errors
/// [`FrameError::Mismatch`] unless all pictures are of one size.
pub fn write(
    image: &Image,
    original: Option<(&Image, Blend)>,
    alpha: Option<&Frame<'_>>,
    frame: &mut FrameMut<'_>,
) -> Result<(), FrameError> {
    let info = frame.info;
    check_image(image, &info)?;
    let original = original.filter(|(_, blend)| blend.needs_original());
    if let Some((original, _)) = original {
        check_image(original, &info)?;
    }
    if let Some(alpha) = alpha {
        check_size(alpha.info().size(), &info)?;
    }
    let alpha = alpha.filter(|from| from.info().format.has_alpha() && info.format.has_alpha());
    let writer = Writer {
        info,
        family: info.format.family(),
        image,
        original,
        alpha,
        from_rgb: FromRgb::new(&info),
    };
    let write_band = match info.format.storage().bits() {
        8 => Writer::write_band::<u8>,
        _ => Writer::write_band::<u16>,
    };
    let planes = frame.planes.each_mut();
    let all = FrameRows {
        format: info.format,
        planes: planes.map(|plane| PlaneMut {
            data: &mut *plane.data,
            stride: plane.stride,
        }),
    };
    for_bands(all, 0..info.height, info.width, &|band, rows| {
        write_band(&writer, band, rows);
    });
    Ok(())
}

/// Errs unless `found` is the frame's size.
pub(super) fn check_size(found: Size, info: &FrameInfo) -> Result<(), FrameError> {
    let expected = info.size();
    match found == expected {
        true => Ok(()),
        false => Err(FrameError::Mismatch { expected, found }),
    }
}

fn check_image(image: &Image, info: &FrameInfo) -> Result<(), FrameError> {
    check_size(image.size(), info)?;
    let needed = 3 * image.width * image.height;
    match image.data.len() == needed {
        true => Ok(()),
        false => Err(FrameError::Short {
            plane: 0,
            needed,
            found: image.data.len(),
        }),
    }
}

struct Writer<'a> {
    info: FrameInfo,
    family: ColorFamily,
    image: &'a Image,
    original: Option<(&'a Image, Blend)>,
    alpha: Option<&'a Frame<'a>>,
    from_rgb: FromRgb,
}

impl Writer<'_> {
    fn write_band<S: Sample>(&self, mut band: FrameRows, rows: Range<usize>) {
        let mut components = Components::<S>::new(self.from_rgb.opaque());
        let (_, group) = self.info.format.subsampling();
        for y in rows.clone().step_by(group) {
            for (x, n) in tiles(&self.info) {
                self.write_tile(&mut band, &mut components, (rows.start, y), (x, n));
            }
        }
    }

    /// Writes the rows from `y` on that share their chroma. `top` is the band's
    /// first row.
    fn write_tile<S: Sample>(
        &self,
        band: &mut FrameRows,
        components: &mut Components<S>,
        (top, y): (usize, usize),
        (x, n): (usize, usize),
    ) {
        let format = self.info.format;
        let (_, group) = format.subsampling();
        let group = group.min(self.info.height - y);
        let mut sum = [[0.0; TILE]; 3];
        for (i, y) in (y..y + group).enumerate() {
            if let Some(alpha) = self.alpha {
                let opacity = opacity(alpha, y, x, n);
                self.from_rgb
                    .opacity(&opacity, &mut components[Component::A]);
            }
            let tile = self.load(y, x, n);
            match self.family {
                ColorFamily::Rgb => {
                    for (from, to) in tile.iter().zip([Component::R, Component::G, Component::B]) {
                        self.from_rgb.scale(from, &mut components[to]);
                    }
                }
                ColorFamily::Gray => self.from_rgb.luma(&tile, &mut components[Component::Y]),
                ColorFamily::Yuv => {
                    self.from_rgb.luma(&tile, &mut components[Component::Y]);
                    add(&mut sum, &tile);
                    if i + 1 == group {
                        components.set_chroma(self.from_rgb.chroma(&sum, group), format);
                    }
                }
            }
            for plane in 0..format.plane_count() {
                let shared = format.rows_per_plane_row(plane);
                // A row that several share is written with the last of them.
                if shared == 1 || i + 1 == group {
                    // A division is slow beside the few pixels of a tile.
                    let row = if shared == 1 {
                        y - top
                    } else {
                        (y - top) / shared
                    };
                    band.pack(components, plane, row, (x, n));
                }
            }
        }
    }

    /// Pixels `x..x + n` of row `y`. Inlined, not to be copied.
    #[inline(always)]
    fn load(&self, y: usize, x: usize, n: usize) -> Rgb {
        let mut tile = [[0.0; TILE]; 3];
        for (to, from) in tile.iter_mut().zip(self.image.rows(y)) {
            to[..n].copy_from_slice(&from[x..][..n]);
        }
        if let Some((original, blend)) = self.original {
            let new = tile.each_mut().map(|plane| &mut plane[..n]);
            blend.apply(new, original.rows(y).map(|row| &row[x..][..n]));
        }
        // Where the last columns of a group are missing, those that are there count
        // for them.
        let (columns, _) = self.info.format.subsampling();
        let there = if columns == 1 { 0 } else { n % columns };
        if there > 0 {
            for plane in &mut tile {
                let mean = plane[n - there..n].iter().sum::<f32>() / there as f32;
                plane[n..n - there + columns].fill(mean);
            }
        }
        tile
    }
}

fn add(sum: &mut Rgb, tile: &Rgb) {
    for (sum, tile) in sum.as_flattened_mut().iter_mut().zip(tile.as_flattened()) {
        *sum += tile;
    }
}

/// Where a row's tiles start and how many pixels they have.
fn tiles(info: &FrameInfo) -> impl Iterator<Item = (usize, usize)> {
    let width = info.width;
    let step = TILE - TILE % info.format.pixels_per_group();
    (0..width)
        .step_by(step)
        .map(move |x| (x, step.min(width - x)))
}

/// Rows that can be shared out between threads.
trait Band: Sized + Send {
    /// The first rows, a multiple of 4, and the others.
    fn split(self, rows: usize) -> (Self, Self);
}

/// Works on rows in halves of halves, as long as each half is worth a task.
fn for_bands<B: Band>(
    band: B,
    rows: Range<usize>,
    width: usize,
    work: &(impl Fn(B, Range<usize>) + Sync),
) {
    // So that no two tasks share a row of chroma.
    let half = (rows.len() / 2) & !3;
    if half == 0 || rows.len() * width < 2 * PIXELS_PER_TASK {
        return work(band, rows);
    }
    let (top, bottom) = band.split(half);
    let middle = rows.start + half;
    rayon::join(
        || for_bands(top, rows.start..middle, width, work),
        || for_bands(bottom, middle..rows.end, width, work),
    );
}

/// Rows of an image, to be written.
struct ImageRows<'a> {
    r: &'a mut [f32],
    g: &'a mut [f32],
    b: &'a mut [f32],
    width: usize,
}

impl Band for ImageRows<'_> {
    fn split(self, rows: usize) -> (Self, Self) {
        let width = self.width;
        let middle = rows * width;
        let (r, r_rest) = self.r.split_at_mut(middle);
        let (g, g_rest) = self.g.split_at_mut(middle);
        let (b, b_rest) = self.b.split_at_mut(middle);
        let rest = ImageRows {
            r: r_rest,
            g: g_rest,
            b: b_rest,
            width,
        };
        (ImageRows { r, g, b, width }, rest)
    }
}

/// Rows of a frame, to be written.
struct FrameRows<'a> {
    format: Format,
    planes: [PlaneMut<'a>; MAX_PLANES],
}

impl FrameRows<'_> {
    /// Writes pixels `x..x + n` of a plane's row.
    fn pack<S: Sample>(
        &mut self,
        components: &Components<S>,
        plane: usize,
        row: usize,
        (x, n): (usize, usize),
    ) {
        let format = self.format;
        let PlaneMut { data, stride } = &mut self.planes[plane];
        let start = row * *stride + format.row_bytes(plane, x);
        let row = &mut data[start..][..format.row_bytes(plane, n)];
        components.pack(format.planes()[plane], format, row);
    }
}

impl Band for FrameRows<'_> {
    fn split(self, rows: usize) -> (Self, Self) {
        let format = self.format;
        let mut rest: [PlaneMut; MAX_PLANES] = Default::default();
        let mut planes = self.planes;
        for plane in 0..format.plane_count() {
            let whole = std::mem::take(&mut planes[plane]);
            let rows = format.plane_rows(plane, rows);
            (planes[plane], rest[plane]) = split_plane(whole, rows);
        }
        let rows = |planes| FrameRows { format, planes };
        (rows(planes), rows(rest))
    }
}

fn split_plane(plane: PlaneMut<'_>, rows: usize) -> (PlaneMut<'_>, PlaneMut<'_>) {
    let stride = plane.stride;
    let (data, rest) = plane.data.split_at_mut(rows * stride);
    (PlaneMut { data, stride }, PlaneMut { data: rest, stride })
}
