//! Every pixel format, without GStreamer.

mod common;
mod reference;

use common::*;
use gstfaststyle::ColorFamily;
use gstfaststyle::internals::engine::pixels;
use gstfaststyle::{Blend, Image, Size};
use gstfaststyle::{Colorimetry, Format, Frame, FrameError, FrameInfo, FrameMut, Plane, PlaneMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn rgb_comes_back_to_the_bit() {
    let rgb = |f: &&Format| f.family() == ColorFamily::Rgb && [8, 16].contains(&f.bits());
    for &format in Format::ALL.iter().filter(rgb) {
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
                        ColorFamily::Gray => solid([luma(colour, colours); 3], width, height),
                        _ => image,
                    };
                    let off = largest_difference(&back, &expected);
                    // Half a step of luma and half of chroma, at most 2.2 a step.
                    let step = 256.0 / (1 << format.bits()) as f32;
                    assert!(
                        off < 2.0 * step,
                        "{format} {colours:?} {colour:?} off by {off}"
                    );
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
        assert_eq!(write(Format::Y42b).bytes(1), [u; 2]);
        assert_eq!(write(Format::Y444).bytes(2), [v; 4]);
        assert_eq!(write(Format::Ayuv).bytes(0), [255, y, u, v].repeat(4));
        assert_eq!(write(Format::Vuya).bytes(0), [v, u, y, 255].repeat(4));
        assert_eq!(write(Format::Gray8).bytes(0), [y; 4]);
    }
    let image = solid([1.0, 2.0, 3.0], 1, 1);
    let cases: [(Format, &[u8]); 14] = [
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
        (Format::Rgba64Le, &[1, 1, 2, 2, 3, 3, 255, 255]),
        (Format::Argb64Le, &[255, 255, 1, 1, 2, 2, 3, 3]),
        // 4, 8 and 12 of 1023, from the lowest bits up.
        (Format::Rgb10A2Le, &[4, 8 << 2, 12 << 4, 3 << 6]),
        (Format::Bgr10A2Le, &[12, 8 << 2, 4 << 4, 3 << 6]),
    ];
    for (format, bytes) in cases {
        let written = Buffer::written(info(format, 1, 1, Colorimetry::SRGB), &image);
        assert_eq!(written.bytes(0), bytes, "{format}");
    }
}

/// Red, in full range, which has no round numbers.
#[test]
fn known_values_of_more_bits() {
    let write = |format, width, colours| {
        let red = solid([255.0, 0.0, 0.0], width, 2);
        Buffer::written(info(format, width, 2, colours), &red)
    };
    let words =
        |words: &[u16]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    for (colours, [y, u, v]) in [
        (Colorimetry::BT601, [326_u16, 361, 960]),
        (Colorimetry::BT709.full(), [217, 395, 1023]),
    ] {
        let p010 = write(Format::P010_10Le, 3, colours);
        assert_eq!(p010.bytes(0), words(&[y << 6; 6]));
        assert_eq!(p010.bytes(1), words(&[u << 6, v << 6, u << 6, v << 6]));
        let i420 = write(Format::I420_10Le, 3, colours);
        assert_eq!(i420.bytes(0), words(&[y; 6]));
        assert_eq!(
            (i420.bytes(1), i420.bytes(2)),
            (&words(&[u; 2])[..], &words(&[v; 2])[..])
        );
        assert_eq!(
            write(Format::I422_10Le, 3, colours).bytes(1),
            words(&[u; 4])
        );
        assert_eq!(
            write(Format::Y444_10Le, 3, colours).bytes(2),
            words(&[v; 6])
        );

        let word = |tens: [u16; 3]| {
            let [a, b, c] = tens.map(u32::from);
            (a | b << 10 | c << 20).to_le_bytes()
        };
        let row = [[u, y, v], [y, u, y], [v, y, u], [y, v, y]];
        let v210 = write(Format::V210, 6, colours);
        assert_eq!(v210.bytes(0), row.map(word).as_flattened().repeat(2));
        // The second pixel is the first one's, the other four are black.
        let black = if colours == Colorimetry::BT601 { 64 } else { 0 };
        let row = [
            [u, y, v],
            [y, 512, black],
            [512, black, 512],
            [black, 512, black],
        ];
        let v210 = write(Format::V210, 1, colours);
        assert_eq!(v210.bytes(0), row.map(word).as_flattened().repeat(2));
    }
    let gray = |colours| write(Format::Gray16Le, 1, colours).bytes(0).to_vec();
    assert_eq!(gray(Colorimetry::BT601), words(&[(16 << 8) + 16763; 2]));
    assert_eq!(gray(Colorimetry::BT601.full()), words(&[19595; 2]));
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

    let buffer = Buffer::written(info(Format::Rgba64Le, 3, 2, Colorimetry::SRGB), &image);
    let words = buffer.bytes(0).as_chunks().0.iter().copied();
    let words: Vec<u16> = words.map(u16::from_le_bytes).collect();
    let red: Vec<u16> = words.iter().copied().step_by(4).collect();
    assert_eq!(red, [0, 65535, 360, 411, 65432, 0]);
    let green: Vec<u16> = words.iter().copied().skip(1).step_by(4).collect();
    assert_eq!(green, [65535, 0, 0, 65535, 32742, 32793]);
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

#[test]
fn all_pairs_of_formats_agree() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for &from in Format::ALL {
        for &to in Format::ALL {
            // Grey, if either side knows nothing else.
            let mut colour = [0; 3].map(|_| f32::from(rng.random_range(20..235u8)));
            if [from, to].iter().any(|f| f.family() == ColorFamily::Gray) {
                colour = [colour[0]; 3];
            }
            let image = solid(colour, 17, 9);
            let first = Buffer::written(info(from, 17, 9, usual(from)), &image).read();
            let second = Buffer::written(info(to, 17, 9, Colorimetry::BT709), &first).read();
            let off = largest_difference(&second, &image);
            let step = 256.0 / (1 << from.bits().min(to.bits())) as f32;
            assert!(off < 2.5 + step, "{from} to {to}: {colour:?} off by {off}");
        }
    }
}

#[test]
fn mixing_goes_from_the_original_to_the_new() {
    let (new, original) = (random(19, 3, 8), random(19, 3, 9));
    let info = info(Format::Rgb, 19, 3, Colorimetry::SRGB);
    let mixed = |strength| {
        let mut buffer = Buffer::new(info, 0);
        let blend = Blend {
            strength,
            ..Blend::OPAQUE
        };
        pixels::write(
            &new,
            Some((&original, blend)),
            None,
            &mut buffer.frame_mut(),
        )
        .unwrap();
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
        // Four rows at a time, which no thread shares.
        for y in (0..height).step_by(4) {
            let rows = 4.min(height - y);
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
    let size = |width, height| Err(FrameError::Size(Size::new(width, height)));
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
        let blend = Blend {
            strength: 0.5,
            ..Blend::OPAQUE
        };
        let original = original.map(|original| (original, blend));
        pixels::write(
            image,
            original,
            Some(&alpha.frame()),
            &mut buffer.frame_mut(),
        )
    };
    let (alpha, other) = (Buffer::new(rgba, 0), Buffer::new(other, 0));
    let mismatch = Err(FrameError::Mismatch {
        expected: Size::new(4, 2),
        found: Size::new(2, 4),
    });
    assert_eq!(write(&right, Some(&right), &alpha), Ok(()));
    assert_eq!(write(&wrong, None, &alpha), mismatch);
    assert_eq!(write(&right, Some(&wrong), &alpha), mismatch);
    assert_eq!(write(&right, None, &other), mismatch);
    let mut cut = right.clone();
    cut.data.pop();
    assert!(write(&cut, None, &alpha).is_err());
}
