//! Times the CPU kernels at the network's own shapes, for pictures of 640x480:
//!
//! ```sh
//! cargo bench --workspace --bench kernels
//! cargo bench --workspace --bench kernels -- residual
//! ```
//!
//! Throughput counts output pixels of the whole picture, so that the layers'
//! times can be compared.

use divan::Bencher;
use divan::counter::ItemsCount;
use gstfaststyle::ColorFamily;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::internals::engine::resize::shrink;
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::engine::upsample::Upsampler;
use gstfaststyle::internals::ops::Step;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::internals::ops::cpu::conv::{border, winograd_weights};
use gstfaststyle::internals::ops::cpu::norm::{self, Affine};
use gstfaststyle::internals::ops::cpu::pixels::{Pixels, PixelsMut};
use gstfaststyle::internals::ops::cpu::winograd::{
    self, Epilogue, PaddedPicture, PictureWeights, Prologue, Source,
};
use gstfaststyle::{Colorimetry, Format, Frame, FrameInfo, FrameMut, Plane, PlaneMut};
use gstfaststyle::{Image, Threads};
use gstfaststyle::{Padding, Size};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

fn main() {
    divan::main();
}

/// Pseudo-random numbers in -0.5..0.5.
fn numbers(count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (i * 7919 % 1000) as f32 / 1000.0 - 0.5)
        .collect()
}

/// An image inside the network, normalised and with a border when it is read.
struct Input {
    data: Vec<f32>,
    size: (usize, usize),
    rows: Vec<i32>,
    columns: Vec<i32>,
    affine: Affine,
}

impl Input {
    fn new((height, width): (usize, usize), channels: usize, reach: usize) -> Self {
        Input {
            data: numbers(height * width * channels),
            size: (height, width),
            rows: border(height, Padding::Reflect, (reach, reach)),
            columns: border(width, Padding::Reflect, (reach, reach)),
            affine: Affine {
                factor: vec![1.1; channels],
                offset: vec![0.1; channels],
            },
        }
    }

    fn source(&self) -> Source<'_> {
        Source {
            data: Pixels::Floats(&self.data),
            batch: 1,
            height: self.size.0,
            width: self.size.1,
            rows: &self.rows,
            columns: &self.columns,
            prologue: Prologue::Normalise {
                factor: &self.affine.factor,
                offset: &self.affine.offset,
            },
        }
    }
}

fn per_picture() -> ItemsCount {
    ItemsCount::new(WIDTH * HEIGHT)
}

/// A layer from `inputs` to `outputs` channels at a fraction of the size.
fn layer(bencher: Bencher, step: Step, divisor: usize, inputs: usize, outputs: usize, fast: bool) {
    let input = Input::new((HEIGHT / divisor, WIDTH / divisor), inputs, 1);
    let weights = winograd_weights(step, &numbers(outputs * inputs * 9), outputs, inputs);
    let weights = if fast { weights.rounded() } else { weights };
    let height = winograd::output_len(step, input.rows.len());
    let width = winograd::output_len(step, input.columns.len());
    let mut out = vec![0.0; height * width * outputs];
    let mut moments = Vec::new();
    bencher.counter(per_picture()).bench_local(|| {
        let epilogue = Epilogue {
            moments: Some(&mut moments),
            ..Epilogue::default()
        };
        winograd::convolve(
            Level::current(),
            &weights,
            input.source(),
            epilogue,
            PixelsMut::Floats(&mut out),
        );
    });
}

/// Width of the network, and whether products use 16-bit integers.
const NETWORKS: [(usize, bool); 4] = [(16, false), (16, true), (32, false), (32, true)];

#[divan::bench(args = NETWORKS)]
fn down_1(bencher: Bencher, (c, fast): (usize, bool)) {
    layer(bencher, Step::Half, 1, c, 2 * c, fast);
}

#[divan::bench(args = NETWORKS)]
fn down_2(bencher: Bencher, (c, fast): (usize, bool)) {
    layer(bencher, Step::Half, 2, 2 * c, 4 * c, fast);
}

#[divan::bench(args = NETWORKS)]
fn residual(bencher: Bencher, (c, fast): (usize, bool)) {
    layer(bencher, Step::Same, 4, 4 * c, 4 * c, fast);
}

#[divan::bench(args = NETWORKS)]
fn up_0(bencher: Bencher, (c, fast): (usize, bool)) {
    layer(bencher, Step::Double, 4, 4 * c, 2 * c, fast);
}

#[divan::bench(args = NETWORKS)]
fn up_1(bencher: Bencher, (c, fast): (usize, bool)) {
    layer(bencher, Step::Double, 2, 2 * c, c, fast);
}

#[divan::bench(args = [16, 32])]
fn down_0_from_picture(bencher: Bencher, c: usize) {
    let kernels = numbers(c * 3 * 81);
    let weights =
        PictureWeights::from_picture(c, 9, |o, i, y, x| kernels[((o * 3 + i) * 9 + y) * 9 + x]);
    let rows = border(HEIGHT, Padding::Reflect, (4, 4));
    let columns = border(WIDTH, Padding::Reflect, (4, 4));
    let planes = numbers(3 * HEIGHT * WIDTH);
    let size = Size::new(columns.len(), rows.len());
    let mut memory = vec![0.0; PaddedPicture::len(size)];
    let tables = (&rows[..], &columns[..]);
    let picture = PaddedPicture::fill(&mut memory, &planes, WIDTH, tables, (1.0, [0.0; 3]));
    let mut out = vec![0.0; HEIGHT * WIDTH * c];
    let mut moments = Vec::new();
    bencher.counter(per_picture()).bench_local(|| {
        let epilogue = Epilogue {
            moments: Some(&mut moments),
            ..Epilogue::default()
        };
        let out = PixelsMut::Floats(&mut out);
        winograd::from_picture(Level::current(), &weights, &picture, epilogue, out);
    });
}

#[divan::bench(args = [16, 32])]
fn output_to_picture(bencher: Bencher, c: usize) {
    let kernels = numbers(3 * c * 81);
    let weights =
        PictureWeights::to_picture(c, 9, |o, i, y, x| kernels[((o * c + i) * 9 + y) * 9 + x]);
    let input = Input::new((HEIGHT, WIDTH), c, 4);
    let mut sums = vec![0.0; weights.sums_len(Size::new(WIDTH, HEIGHT))];
    bencher.counter(per_picture()).bench_local(|| {
        winograd::to_sums(Level::current(), &weights, input.source(), &mut sums);
    });
}

#[divan::bench(args = [16, 32])]
fn residual_sum(bencher: Bencher, c: usize) {
    let input = Input::new((HEIGHT / 4, WIDTH / 4), 4 * c, 1);
    let mut sum = input.data.clone();
    bencher
        .counter(per_picture())
        .bench_local(|| norm::add(Level::current(), &input.data, &input.affine, &mut sum));
}

/// A frame of a format: its description, and the bytes and stride of each plane.
fn buffers(format: Format) -> (FrameInfo, Vec<(Vec<u8>, usize)>) {
    let info = FrameInfo {
        format,
        width: WIDTH,
        height: HEIGHT,
        colorimetry: match format.family() {
            ColorFamily::Rgb => Colorimetry::SRGB,
            _ => Colorimetry::BT601,
        },
    };
    let plane = |i| {
        let stride = format.row_bytes(i, WIDTH);
        (vec![99; stride * format.plane_rows(i, HEIGHT)], stride)
    };
    (info, (0..format.plane_count()).map(plane).collect())
}

const FORMATS: [Format; 6] = [
    Format::I420,
    Format::Nv12,
    Format::Yuy2,
    Format::Bgrx,
    Format::P010_10Le,
    Format::V210,
];

#[divan::bench(args = FORMATS)]
fn pixels_in(bencher: Bencher, format: Format) {
    let (info, buffers) = buffers(format);
    let planes = buffers.iter().map(|(data, stride)| Plane {
        data,
        stride: *stride,
    });
    let frame = Frame::new(info, planes).expect("a frame");
    let mut image = Image::default();
    bencher
        .counter(per_picture())
        .bench_local(|| pixels::read(&frame, &mut image));
}

#[divan::bench(args = FORMATS)]
fn pixels_out(bencher: Bencher, format: Format) {
    let (info, mut buffers) = buffers(format);
    let image = image(Size::new(WIDTH, HEIGHT));
    bencher.counter(per_picture()).bench_local(|| {
        let planes = buffers.iter_mut().map(|(data, stride)| PlaneMut {
            data,
            stride: *stride,
        });
        let mut frame = FrameMut::new(info, planes).expect("a frame");
        pixels::write(&image, None, None, &mut frame).expect("of one size");
    });
}

/// A frame, the network's picture, and the threads.
const SMALLER: [(Size, Size, usize); 4] = [
    (Size::new(640, 480), Size::new(352, 264), 1),
    (Size::new(640, 480), Size::new(352, 264), 2),
    (Size::new(3840, 2160), Size::new(854, 480), 1),
    (Size::new(3840, 2160), Size::new(854, 480), 2),
];

fn image(Size { width, height }: Size) -> Image {
    let data = numbers(3 * width * height);
    Image {
        width,
        height,
        data: data.iter().map(|x| x * 255.0 + 127.5).collect(),
    }
}

/// What measuring a picture's luma adds to a frame.
#[divan::bench(args = [1, 2])]
fn measuring_the_tone(bencher: Bencher, threads: usize) {
    let picture = image(Size::new(WIDTH, HEIGHT));
    let threads = Threads::new(threads).expect("threads");
    bencher
        .counter(per_picture())
        .bench_local(|| threads.run(|| Tone::of(&picture)));
}

#[divan::bench(args = SMALLER)]
fn shrinking(bencher: Bencher, (from, to, threads): (Size, Size, usize)) {
    let picture = image(from);
    let mut small = Image::default();
    let threads = Threads::new(threads).expect("threads");
    bencher
        .counter(ItemsCount::new(from.area()))
        .bench_local(|| threads.run(|| shrink(&picture, to, &mut small)));
}

#[divan::bench(args = SMALLER)]
fn upsampling(bencher: Bencher, (from, to, threads): (Size, Size, usize)) {
    let (original, small, styled) = (image(from), image(to), image(to));
    let mut out = Image::default();
    let mut upsampler = Upsampler::default();
    let threads = Threads::new(threads).expect("threads");
    bencher
        .counter(ItemsCount::new(from.area()))
        .bench_local(|| threads.run(|| upsampler.run(&original, &small, &styled, &mut out)));
}
