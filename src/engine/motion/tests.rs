use super::*;
use crate::engine::Threads;

/// A number from 0 to 1 for each pixel and seed, without order.
fn hash(x: usize, y: usize, seed: usize) -> f32 {
    let mixed = (x * 7919 + y * 104_729 + seed * 15_485_863 + 12_345)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9_u64 as usize);
    (mixed >> 40) as f32 / (1 << 24) as f32
}

/// A picture whose color `c` at (x, y) is this.
fn image(size: Size, value: impl Fn(usize, f32, f32) -> f32) -> Image {
    let Size { width, height } = size;
    let planes = (0..3).flat_map(|c| (0..height).map(move |y| (c, y)));
    let pixels = planes.flat_map(|(c, y)| (0..width).map(move |x| (c, x, y)));
    Image {
        width,
        height,
        data: pixels
            .map(|(c, x, y)| value(c, x as f32, y as f32))
            .collect(),
    }
}

/// A scene of waves in all directions, no two alike, seen from `(left, top)`.
fn scene(size: Size, left: f32, top: f32) -> Image {
    image(size, |c, x, y| {
        let (x, y) = (x + left, y + top);
        let large = (x / 19.0 + c as f32).sin() * (y / 23.0).cos();
        let bend = 4.0 * (x / 41.0 - y / 29.0).sin();
        let small = (x / 4.7 - y / 6.1 + bend).sin() + (x / 5.3 + y / 3.9 - bend).cos();
        127.0 + 50.0 * large + 25.0 * small
    })
}

fn with_noise(mut image: Image, most: f32, seed: usize) -> Image {
    for (i, value) in image.data.iter_mut().enumerate() {
        *value += most * (2.0 * hash(i, 0, seed) - 1.0);
    }
    image
}

fn mean_difference(a: &Image, b: &Image) -> f32 {
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs());
    differences.sum::<f32>() / a.data.len() as f32
}

fn motion(size: Size, now: &Image, before: &Image) -> FlowFinder {
    let [mut to, mut from] = [Pyramid::default(), Pyramid::default()];
    to.fill(Level::current(), now);
    from.fill(Level::current(), before);
    let mut finder = FlowFinder::default();
    finder.find(Level::current(), &to, &from);
    assert_eq!(
        finder.finest().size(),
        Size::new(size.width.div_ceil(2), size.height.div_ceil(2))
    );
    finder
}

#[test]
fn the_motion_of_a_scene_is_found() {
    let size = Size::new(201, 118);
    let before = scene(size, 0.0, 0.0);
    for (right, down) in [(0.0, 0.0), (1.5, -0.75), (-6.0, 3.0), (9.0, -7.0)] {
        let now = scene(size, right, down);
        let finder = motion(size, &now, &before);
        let flow = finder.finest();
        let mut errors = Vec::new();
        // Where the picture before shows it, too.
        for y in 12..flow.size().height - 12 {
            let [x_row, y_row] = flow.row(y);
            for x in 12..flow.size().width - 12 {
                let (x, y) = (x_row[x + flow::Flow::SIDE], y_row[x + flow::Flow::SIDE]);
                errors.push((x - right / 2.0).hypot(y - down / 2.0));
            }
        }
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        assert!(mean < 0.06, "{right}, {down}: {mean} pixels off");
    }
}

#[test]
fn each_pixel_has_its_motion() {
    // Odd sides: the last run of a row is not whole.
    let size = Size::new(107, 75);
    let before = scene(size, 0.0, 0.0);
    let mut field = MotionField::default();
    assert!(field.find(&before, &scene(size, 3.0, -2.0)));
    for y in 12..size.height - 12 {
        let [right, down] = field.row(y);
        assert_eq!((right.len(), down.len()), (size.width, size.width));
        for x in 12..size.width - 12 {
            let error = (right[x] - 3.0).hypot(down[x] + 2.0);
            assert!(error < 0.5, "({x}, {y}): {error} pixels off");
        }
    }
    assert!(field.find(&before, &before));
    assert!((0..size.height).all(|y| field.row(y).iter().all(|row| row.iter().all(|m| *m == 0.0))));
    let another = image(size, |_, x, y| {
        255.0 * hash(x as usize, y as usize, 1).round()
    });
    assert!(!field.find(&before, &another), "a cut");
    assert!(!field.find(&scene(Size::new(106, 75), 0.0, 0.0), &before));
}

#[test]
fn noise_on_a_resting_scene_does_not_move() {
    let size = Size::new(96, 64);
    let [now, before] = [1, 2].map(|seed| with_noise(scene(size, 0.0, 0.0), 5.0, seed));
    let finder = motion(size, &now, &before);
    let resting = |y| {
        finder
            .finest()
            .row(y)
            .map(|row| row.iter().all(|x| *x == 0.0))
    };
    assert!((0..32).all(|y| resting(y) == [true, true]));
}

/// What a film's paintings become, each of its picture.
fn smoothed(film: &[(Image, Image)], smoothing: f32) -> Vec<Image> {
    let mut smoother = Smoother::default();
    let film = film.iter().map(|(picture, painted)| {
        let mut painted = painted.clone();
        smoother.smooth(picture, &mut painted, smoothing);
        painted
    });
    film.collect()
}

#[test]
fn paintings_of_a_resting_scene_become_calm() {
    let size = Size::new(70, 51);
    let film: Vec<_> = (0..8)
        .map(|i| {
            let picture = with_noise(scene(size, 0.0, 0.0), 2.0, i);
            (picture, with_noise(scene(size, 40.0, 9.0), 30.0, 100 + i))
        })
        .collect();
    let calm = smoothed(&film, 0.7);
    assert_eq!(calm[0], film[0].1, "the first stays as it is");
    let painted = mean_difference(&film[7].1, &film[6].1);
    let shown = mean_difference(&calm[7], &calm[6]);
    assert!(shown < 0.3 * painted, "{shown}, painted {painted}");
    let truth = scene(size, 40.0, 9.0);
    assert!(mean_difference(&calm[7], &truth) < 0.6 * mean_difference(&film[7].1, &truth));
}

#[test]
fn paintings_follow_a_moving_scene() {
    let size = Size::new(160, 90);
    for (right, down) in [(4.0, 2.0), (1.25, -0.5)] {
        let film: Vec<_> = (0..6)
            .map(|i| {
                let at = |start: f32| scene(size, start + i as f32 * right, i as f32 * down);
                (at(0.0), with_noise(at(300.0), 30.0, i))
            })
            .collect();
        let calm = smoothed(&film, 0.7);
        let inner = |image: &Image| {
            let mut image = image.clone();
            image.crop(crate::engine::Area {
                x: 24,
                y: 16,
                width: 112,
                height: 58,
            });
            image
        };
        let truth = inner(&scene(size, 300.0 + 5.0 * right, 5.0 * down));
        let off = |image: &Image| mean_difference(&inner(image), &truth);
        let (shown, painted) = (off(&calm[5]), off(&film[5].1));
        assert!(shown < 0.65 * painted, "{shown}, painted {painted}");
    }
}

#[test]
fn nothing_of_the_scene_before_is_seen_after_a_cut_or_in_a_flash() {
    let size = Size::new(120, 80);
    let other = |x: f32, y: f32| {
        image(size, move |c, u, v| {
            127.0 + 60.0 * ((u + x) / 9.0 + c as f32).cos() * ((v + y) / 5.0).sin()
        })
    };
    let mut flash = scene(size, 0.0, 0.0);
    flash.data.iter_mut().for_each(|value| *value += 90.0);
    for next in [other(3.0, 8.0), flash] {
        let film = [
            (scene(size, 0.0, 0.0), image(size, |_, _, _| 250.0)),
            (next, image(size, |_, _, _| 10.0)),
        ];
        assert_eq!(smoothed(&film, 1.0)[1], film[1].1);
    }
}

#[test]
fn nothing_is_kept_where_the_scene_has_changed() {
    let size = Size::new(128, 96);
    let before = scene(size, 0.0, 0.0);
    let is_inside = |x: f32, y: f32| (40.0..80.0).contains(&x) && (30.0..60.0).contains(&y);
    let now = image(size, |c, x, y| match is_inside(x, y) {
        true => 255.0 * (c as f32 - 1.0).abs(),
        false => before.data[(c * 96 + y as usize) * 128 + x as usize],
    });
    let [old, new] = [200.0, 50.0].map(|value| image(size, move |_, _, _| value));
    let film = [(before.clone(), old), (now, new)];
    let shown = &smoothed(&film, 0.8)[1];
    for y in 0..96 {
        for x in 0..128 {
            let value = shown.data[y * 128 + x];
            let (u, v) = (x as f32, y as f32);
            if is_inside(u, v) {
                assert!(value < 51.0, "({x}, {y}): {value}");
            } else if !(20.0..100.0).contains(&u) {
                assert!(value > 140.0, "({x}, {y}): {value}");
            }
        }
    }
}

#[test]
fn a_reset_and_another_size_forget_the_past() {
    let size = Size::new(40, 30);
    let picture = scene(size, 0.0, 0.0);
    let [bright, dark] = [200.0, 50.0].map(|value| image(size, move |_, _, _| value));
    let mut smoother = Smoother::default();
    let show = |smoother: &mut Smoother, picture: &Image, painted: &Image| {
        let mut painted = painted.clone();
        smoother.smooth(picture, &mut painted, 0.5);
        painted
    };
    show(&mut smoother, &picture, &bright);
    assert_ne!(show(&mut smoother, &picture, &dark), dark);
    smoother.reset();
    assert_eq!(show(&mut smoother, &picture, &bright), bright);
    let other = Size::new(41, 30);
    let (picture, dark) = (scene(other, 0.0, 0.0), image(other, |_, _, _| 50.0));
    assert_eq!(show(&mut smoother, &picture, &dark), dark);
}

#[test]
fn levels_and_threads_give_the_same_numbers_at_any_size() {
    let sizes = [(1, 1), (2, 1), (1, 9), (7, 5), (33, 34), (130, 71)];
    for size in sizes.map(|(width, height)| Size::new(width, height)) {
        let film: Vec<_> = (0..3)
            .map(|i| {
                let picture = with_noise(scene(size, 3.3 * i as f32, -(i as f32)), 4.0, i);
                (picture, with_noise(scene(size, 70.0, 9.0), 30.0, 10 + i))
            })
            .collect();
        let run = |level, threads| {
            Threads::new(threads).unwrap().run(|| {
                let mut smoother = Smoother::at(level);
                let mut last = Image::default();
                for (picture, painted) in &film {
                    last.clone_from(painted);
                    smoother.smooth(picture, &mut last, 0.6);
                }
                last
            })
        };
        let expected = run(Level::Plain, 1);
        assert!(expected.data.iter().all(|x| x.is_finite()));
        for level in Level::available() {
            assert_eq!(run(level, 1), expected, "{level}, {size}");
            assert_eq!(run(level, 3), expected, "{level}, {size}, three threads");
        }
    }
}
