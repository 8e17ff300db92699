//! Every pixel format, without GStreamer.

use gstfaststyle::engine::Image;
use gstfaststyle::engine::frame::{
    Colorimetry, Family, Format, Frame, FrameError, FrameInfo, FrameMut, Plane, PlaneMut,
};
use gstfaststyle::engine::pixels::{self, Mix};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Sizes around chroma's pairs and the tiles of 128 pixels.
const SIZES: [(usize, usize); 10] = [
    (1, 1),
    (2, 1),
    (1, 2),
    (3, 5),
    (17, 9),
    (64, 3),
    (127, 2),
    (128, 3),
    (129, 7),
    (258, 4),
];

const GUARD: u8 = 0xa5;

/// A frame that owns its planes.
#[derive(Clone)]
struct Buffer {
    info: FrameInfo,
    planes: Vec<(Vec<u8>, usize)>,
}

impl Buffer {
    /// Planes with `padding` bytes after each row but the last, all `GUARD`.
    fn new(info: FrameInfo, padding: usize) -> Self {
        let planes = (0..info.format.plane_count())
            .map(|plane| {
                let stride = info.format.row_bytes(plane, info.width) + padding;
                let bytes = info.plane_bytes(plane, stride).unwrap();
                (vec![GUARD; bytes], stride)
            })
            .collect();
        Buffer { info, planes }
    }

    fn frame(&self) -> Frame<'_> {
        let planes = self.planes.iter().map(|(data, stride)| Plane {
            data,
            stride: *stride,
        });
        Frame::new(self.info, planes).unwrap()
    }

    fn frame_mut(&mut self) -> FrameMut<'_> {
        let planes = self.planes.iter_mut().map(|(data, stride)| PlaneMut {
            data,
            stride: *stride,
        });
        FrameMut::new(self.info, planes).unwrap()
    }

    fn read(&self) -> Image {
        let mut image = Image::default();
        pixels::read(&self.frame(), &mut image);
        image
    }

    fn written(info: FrameInfo, image: &Image) -> Self {
        let mut buffer = Buffer::new(info, 0);
        pixels::write(image, None, None, &mut buffer.frame_mut()).unwrap();
        buffer
    }

    /// The bytes of a plane's first pixels.
    fn bytes(&self, plane: usize) -> &[u8] {
        &self.planes[plane].0
    }
}

fn info(format: Format, width: usize, height: usize, colorimetry: Colorimetry) -> FrameInfo {
    FrameInfo {
        format,
        width,
        height,
        colorimetry,
    }
}

/// What caps without a colorimetry mean in each format.
fn usual(format: Format) -> Colorimetry {
    match format.family() {
        Family::Rgb => Colorimetry::SRGB,
        _ => Colorimetry::BT601,
    }
}

fn solid([r, g, b]: [f32; 3], width: usize, height: usize) -> Image {
    let plane = |value| std::iter::repeat_n(value, width * height);
    Image {
        width,
        height,
        data: plane(r).chain(plane(g)).chain(plane(b)).collect(),
    }
}

fn random(width: usize, height: usize, seed: u64) -> Image {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let byte = || f32::from(rng.random::<u8>());
    Image {
        width,
        height,
        data: std::iter::repeat_with(byte)
            .take(3 * width * height)
            .collect(),
    }
}

fn largest_difference(a: &Image, b: &Image) -> f32 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    assert_eq!(a.data.len(), b.data.len());
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

fn luma([r, g, b]: [f32; 3], colours: Colorimetry) -> f32 {
    colours.kr * r + (1.0 - colours.kr - colours.kb) * g + colours.kb * b
}

#[test]
fn rgb_comes_back_to_the_bit() {
    for &format in Format::ALL.iter().filter(|f| f.family() == Family::Rgb) {
        for (width, height) in SIZES {
            let image = random(width, height, 1);
            let info = info(format, width, height, Colorimetry::SRGB);
            let back = Buffer::written(info, &image).read();
            assert_eq!(back, image, "{format} {width}x{height}");
        }
    }
}

#[test]
fn limited_rgb_comes_back() {
    let limited = Colorimetry::BT709;
    let image = random(33, 5, 2);
    let buffer = Buffer::written(info(Format::Bgrx, 33, 5, limited), &image);
    let colours = buffer.bytes(0).chunks(4).flat_map(|pixel| &pixel[..3]);
    assert!(colours.clone().all(|byte| (16..=235).contains(byte)));
    assert!(largest_difference(&buffer.read(), &image) < 0.6);
}

#[test]
fn solid_colours_come_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for &format in Format::ALL {
        for base in [Colorimetry::BT601, Colorimetry::BT709, Colorimetry::BT2020] {
            for colours in [base, base.full()] {
                for (width, height) in SIZES {
                    let colour = [0; 3].map(|_| f32::from(rng.random::<u8>()));
                    let image = solid(colour, width, height);
                    let back = Buffer::written(info(format, width, height, colours), &image).read();
                    let expected = match format.family() {
                        Family::Gray => solid([luma(colour, colours); 3], width, height),
                        _ => image,
                    };
                    let off = largest_difference(&back, &expected);
                    // Half a step of luma and half of chroma, at most 2.2 a step.
                    assert!(off < 2.0, "{format} {colours:?} {colour:?} off by {off}");
                }
            }
        }
    }
}

#[test]
fn known_values() {
    let red = solid([255.0, 0.0, 0.0], 2, 2);
    let blue = solid([0.0, 0.0, 255.0], 2, 2);
    let white = solid([255.0; 3], 2, 2);
    let black = solid([0.0; 3], 2, 2);
    let cases = [
        (&red, Colorimetry::BT601, [81, 90, 240]),
        (&blue, Colorimetry::BT601, [41, 240, 110]),
        (&white, Colorimetry::BT601, [235, 128, 128]),
        (&black, Colorimetry::BT601, [16, 128, 128]),
        (&red, Colorimetry::BT709, [63, 102, 240]),
        (&blue, Colorimetry::BT709, [32, 240, 118]),
        (&red, Colorimetry::BT2020, [74, 97, 240]),
        (&red, Colorimetry::BT601.full(), [76, 85, 255]),
        (&blue, Colorimetry::BT601.full(), [29, 255, 107]),
        (&white, Colorimetry::BT709.full(), [255, 128, 128]),
    ];
    for (image, colours, [y, u, v]) in cases {
        let write = |format| Buffer::written(info(format, 2, 2, colours), image);
        let i420 = write(Format::I420);
        assert_eq!(i420.bytes(0), [y; 4], "{colours:?}");
        assert_eq!((i420.bytes(1), i420.bytes(2)), (&[u][..], &[v][..]));
        let yv12 = write(Format::Yv12);
        assert_eq!((yv12.bytes(1), yv12.bytes(2)), (&[v][..], &[u][..]));
        assert_eq!(write(Format::Nv12).bytes(1), [u, v]);
        assert_eq!(write(Format::Nv21).bytes(1), [v, u]);
        assert_eq!(write(Format::Yuy2).bytes(0), [y, u, y, v, y, u, y, v]);
        assert_eq!(write(Format::Uyvy).bytes(0), [u, y, v, y, u, y, v, y]);
        assert_eq!(write(Format::Gray8).bytes(0), [y; 4]);
    }
    let image = solid([1.0, 2.0, 3.0], 1, 1);
    let cases: [(Format, &[u8]); 10] = [
        (Format::Rgb, &[1, 2, 3]),
        (Format::Bgr, &[3, 2, 1]),
        (Format::Rgbx, &[1, 2, 3, 255]),
        (Format::Bgrx, &[3, 2, 1, 255]),
        (Format::Xrgb, &[255, 1, 2, 3]),
        (Format::Xbgr, &[255, 3, 2, 1]),
        (Format::Rgba, &[1, 2, 3, 255]),
        (Format::Bgra, &[3, 2, 1, 255]),
        (Format::Argb, &[255, 1, 2, 3]),
        (Format::Abgr, &[255, 3, 2, 1]),
    ];
    for (format, bytes) in cases {
        let written = Buffer::written(info(format, 1, 1, Colorimetry::SRGB), &image);
        assert_eq!(written.bytes(0), bytes, "{format}");
    }
}

#[test]
fn values_are_rounded_and_cut() {
    let image = Image {
        width: 3,
        height: 2,
        data: [
            [-7.0, 300.0, 1.4, 1.6, 254.6, f32::NAN],
            [f32::INFINITY, f32::NEG_INFINITY, 0.0, 255.0, 127.4, 127.6],
            [0.4; 6],
        ]
        .concat(),
    };
    let buffer = Buffer::written(info(Format::Rgb, 3, 2, Colorimetry::SRGB), &image);
    let expected = [
        [0, 255, 0],
        [255, 0, 0],
        [1, 0, 0],
        [2, 255, 0],
        [255, 127, 0],
        [0, 128, 0],
    ];
    assert_eq!(buffer.bytes(0), expected.concat());
}

#[test]
fn padding_is_left_alone_and_never_read() {
    for &format in Format::ALL {
        for (width, height) in SIZES {
            let image = random(width, height, 4);
            let info = info(format, width, height, usual(format));
            let tight = Buffer::written(info, &image);
            let mut wide = Buffer::new(info, 13);
            pixels::write(&image, None, None, &mut wide.frame_mut()).unwrap();
            for (plane, (data, stride)) in wide.planes.iter().enumerate() {
                let row = info.format.row_bytes(plane, width);
                let rows = data.chunks(*stride);
                let expected = tight.bytes(plane).chunks(row);
                assert_eq!(rows.len(), expected.len());
                for (wide, tight) in rows.zip(expected) {
                    assert_eq!(&wide[..row], tight, "{format} {width}x{height}");
                    assert!(wide[row..].iter().all(|&byte| byte == GUARD));
                }
            }
            assert_eq!(wide.read(), tight.read(), "{format} {width}x{height}");
        }
    }
}

/// Chroma samples, those of the lone column and row included, are the mean of
/// what they cover.
#[test]
fn chroma_is_averaged() {
    let (width, height) = (5, 3);
    let image = random(width, height, 5);
    let at = |c: usize, x: usize, y: usize| image.data[(c * height + y) * width + x];
    let colours = Colorimetry::BT601.full();
    let i420 = Buffer::written(info(Format::I420, width, height, colours), &image);
    let yuy2 = Buffer::written(info(Format::Yuy2, width, height, colours), &image);
    let mean_u = |columns: &[usize], rows: &[usize]| {
        let mut colour = [0.0; 3];
        for (c, sum) in colour.iter_mut().enumerate() {
            for &y in rows {
                *sum += columns.iter().map(|&x| at(c, x, y)).sum::<f32>();
            }
            *sum /= (columns.len() * rows.len()) as f32;
        }
        128.0 + (colour[2] - luma(colour, colours)) / (2.0 * (1.0 - colours.kb))
    };
    let columns: [&[usize]; 3] = [&[0, 1], &[2, 3], &[4]];
    for (i, columns) in columns.into_iter().enumerate() {
        for (j, rows) in [&[0, 1][..], &[2]].into_iter().enumerate() {
            let found = f32::from(i420.bytes(1)[j * 3 + i]);
            assert!((found - mean_u(columns, rows)).abs() < 0.51);
        }
        for row in 0..height {
            let found = f32::from(yuy2.bytes(0)[row * 12 + i * 4 + 1]);
            assert!((found - mean_u(columns, &[row])).abs() < 0.51);
        }
    }
}

#[test]
fn all_pairs_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for &from in Format::ALL {
        for &to in Format::ALL {
            // Grey, if either side knows nothing else.
            let mut colour = [0; 3].map(|_| f32::from(rng.random_range(20..235u8)));
            if [from, to].iter().any(|f| f.family() == Family::Gray) {
                colour = [colour[0]; 3];
            }
            let image = solid(colour, 17, 9);
            let first = Buffer::written(info(from, 17, 9, usual(from)), &image).read();
            let second = Buffer::written(info(to, 17, 9, Colorimetry::BT709), &first).read();
            let off = largest_difference(&second, &image);
            assert!(off < 3.5, "{from} to {to}: {colour:?} off by {off}");
        }
    }
}

#[test]
fn alpha_goes_from_any_format_to_any() {
    let with_alpha = || Format::ALL.iter().copied().filter(|f| f.has_alpha());
    let place = |f: Format| if f.name().starts_with('A') { 0 } else { 3 };
    assert_eq!(with_alpha().count(), 4);
    let (width, height) = (67, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for from in with_alpha() {
        let mut input = Buffer::new(info(from, width, height, Colorimetry::SRGB), 5);
        rng.fill(&mut input.planes[0].0[..]);
        let image = input.read();
        let (data, stride) = &input.planes[0];
        let alphas: Vec<u8> = data
            .chunks(*stride)
            .flat_map(|row| row[..4 * width].chunks(4).map(|pixel| pixel[place(from)]))
            .collect();
        for &to in Format::ALL {
            let info = info(to, width, height, usual(to));
            let mut output = Buffer::new(info, 0);
            let alpha = input.frame();
            pixels::write(&image, None, Some(&alpha), &mut output.frame_mut()).unwrap();
            if to.has_alpha() {
                let found = output.bytes(0).chunks(4).map(|pixel| pixel[place(to)]);
                assert!(found.eq(alphas.iter().copied()), "{from} to {to}");
            }
            // Colours are the same as without.
            assert_eq!(output.read(), Buffer::written(info, &image).read());
        }
    }
}

#[test]
fn mixing_goes_from_the_original_to_the_new() {
    let (new, original) = (random(19, 3, 8), random(19, 3, 9));
    let info = info(Format::Rgb, 19, 3, Colorimetry::SRGB);
    let mixed = |strength| {
        let mut buffer = Buffer::new(info, 0);
        let mix = Some(Mix {
            original: &original,
            strength,
        });
        pixels::write(&new, mix, None, &mut buffer.frame_mut()).unwrap();
        buffer.read()
    };
    assert_eq!(mixed(0.0), original);
    assert_eq!(mixed(1.0), new);
    let quarter = mixed(0.25);
    for ((new, old), found) in new.data.iter().zip(&original.data).zip(&quarter.data) {
        assert!((found - (0.75 * old + 0.25 * new)).abs() < 0.51);
    }
}

/// Large enough to be shared out between threads, with an odd number of rows.
#[test]
fn threads_make_no_difference() {
    let (width, height) = (479, 351);
    let image = random(width, height, 10);
    for &format in Format::ALL {
        let info = info(format, width, height, usual(format));
        let whole = Buffer::written(info, &image);
        let read = whole.read();
        // Two rows at a time, which no thread shares.
        for y in (0..height).step_by(2) {
            let rows = 2.min(height - y);
            let strip = |image: &Image| Image {
                width,
                height: rows,
                data: (0..3)
                    .flat_map(|c| &image.data[(c * height + y) * width..][..rows * width])
                    .copied()
                    .collect(),
            };
            let info = FrameInfo {
                height: rows,
                ..info
            };
            let part = Buffer::written(info, &strip(&image));
            assert_eq!(part.read(), strip(&read), "{format} row {y}");
        }
    }
}

#[test]
fn memory_is_kept() {
    let mut image = Image::default();
    let buffer = Buffer::new(info(Format::Nv12, 64, 48, Colorimetry::BT601), 0);
    pixels::read(&buffer.frame(), &mut image);
    let before = image.data.as_ptr();
    pixels::read(&buffer.frame(), &mut image);
    assert_eq!(image.data.as_ptr(), before);
}

#[test]
fn wrong_planes_are_refused() {
    let plane = |data, stride| Plane { data, stride };
    let make = |format, width, height, planes: &[Plane]| {
        let info = info(format, width, height, Colorimetry::BT601);
        Frame::new(info, planes.iter().copied()).map(|_| ())
    };
    let bytes = [0; 64];
    let size = |width, height| Err(FrameError::Size { width, height });
    assert_eq!(make(Format::Gray8, 0, 1, &[plane(&bytes, 8)]), size(0, 1));
    assert_eq!(make(Format::Gray8, 1, 0, &[plane(&bytes, 8)]), size(1, 0));
    assert_eq!(
        make(Format::Rgb, usize::MAX, 2, &[plane(&bytes, 8)]),
        size(usize::MAX, 2)
    );
    assert_eq!(
        make(Format::Gray8, 1, 3, &[plane(&bytes, usize::MAX)]),
        size(1, 3)
    );
    let count = |found| {
        Err(FrameError::PlaneCount {
            format: Format::Nv12,
            expected: 2,
            found,
        })
    };
    assert_eq!(make(Format::Nv12, 2, 2, &[plane(&bytes, 8)]), count(1));
    assert_eq!(make(Format::Nv12, 2, 2, &[plane(&bytes, 8); 4]), count(4));
    assert_eq!(
        make(Format::Bgrx, 3, 2, &[plane(&bytes, 11)]),
        Err(FrameError::Stride {
            plane: 0,
            row: 12,
            stride: 11
        })
    );
    let planes = [plane(&bytes[..27], 8), plane(&bytes[..11], 8)];
    // 3x4 in NV12: luma up to byte 3 * 8 + 3, chroma up to 8 + 4.
    assert_eq!(
        make(Format::Nv12, 3, 4, &planes),
        Err(FrameError::Short {
            plane: 1,
            needed: 12,
            found: 11
        })
    );
    let planes = [plane(&bytes[..27], 8), plane(&bytes[..12], 8)];
    assert_eq!(make(Format::Nv12, 3, 4, &planes), Ok(()));

    let mut short = [0; 3];
    let plane = PlaneMut {
        data: &mut short,
        stride: 4,
    };
    let gray = info(Format::Gray8, 4, 1, Colorimetry::BT601);
    assert!(matches!(
        FrameMut::new(gray, [plane]),
        Err(FrameError::Short { .. })
    ));
}

#[test]
fn pictures_of_other_sizes_are_refused() {
    let rgba = info(Format::Rgba, 4, 2, Colorimetry::SRGB);
    let other = info(Format::Rgba, 2, 4, Colorimetry::SRGB);
    let (right, wrong) = (random(4, 2, 11), random(2, 4, 11));
    let mut buffer = Buffer::new(rgba, 0);
    let mut write = |image: &Image, original: Option<&Image>, alpha: &Buffer| {
        let mix = original.map(|original| Mix {
            original,
            strength: 0.5,
        });
        pixels::write(image, mix, Some(&alpha.frame()), &mut buffer.frame_mut())
    };
    let (alpha, other) = (Buffer::new(rgba, 0), Buffer::new(other, 0));
    let mismatch = Err(FrameError::Mismatch {
        expected: (4, 2),
        found: (2, 4),
    });
    assert_eq!(write(&right, Some(&right), &alpha), Ok(()));
    assert_eq!(write(&wrong, None, &alpha), mismatch);
    assert_eq!(write(&right, Some(&wrong), &alpha), mismatch);
    assert_eq!(write(&right, None, &other), mismatch);
    let mut cut = right.clone();
    cut.data.pop();
    assert!(write(&cut, None, &alpha).is_err());
}
