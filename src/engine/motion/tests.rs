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

/// A scene that does not follow that one.
fn another_scene(size: Size) -> Image {
    image(size, |c, x, y| {
        127.0 + 60.0 * ((x + 3.0) / 9.0 + c as f32).cos() * ((y + 8.0) / 5.0).sin()
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

/// What the painting of the next picture becomes.
fn painted_by(follower: &mut Follower, picture: &Image, painted: &Image, smoothing: f32) -> Image {
    follower.look(picture);
    follower.paint(painted, smoothing);
    follower.painting().clone()
}

/// What a film's paintings become, each of its picture.
fn smoothed(film: &[(Image, Image)], smoothing: f32) -> Vec<Image> {
    let mut follower = Follower::default();
    let film = film
        .iter()
        .map(|(picture, painted)| painted_by(&mut follower, picture, painted, smoothing));
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
    let mut flash = scene(size, 0.0, 0.0);
    flash.data.iter_mut().for_each(|value| *value += 90.0);
    for next in [another_scene(size), flash] {
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
    let mut follower = Follower::default();
    let show = |follower: &mut Follower, picture: &Image, painted: &Image| {
        painted_by(follower, picture, painted, 0.5)
    };
    show(&mut follower, &picture, &bright);
    assert_ne!(show(&mut follower, &picture, &dark), dark);
    follower.reset();
    assert_eq!(show(&mut follower, &picture, &bright), bright);
    let other = Size::new(41, 30);
    let (picture, dark) = (scene(other, 0.0, 0.0), image(other, |_, _, _| 50.0));
    assert_eq!(show(&mut follower, &picture, &dark), dark);
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
                let mut follower = Follower::at(level);
                let mut shown = Vec::new();
                for (picture, painted) in &film {
                    follower.look(picture);
                    if follower.carry(picture, 2).is_none() {
                        follower.paint(painted, 0.6);
                    }
                    shown.push(follower.painting().clone());
                }
                shown
            })
        };
        let expected = run(Level::Plain, 1);
        let mut numbers = expected.iter().flat_map(|image| &image.data);
        assert!(numbers.all(|x| x.is_finite()));
        for level in Level::available() {
            assert_eq!(run(level, 1), expected, "{level}, {size}");
            assert_eq!(run(level, 3), expected, "{level}, {size}, three threads");
        }
    }
}

/// What a film becomes of which only the first picture has been painted, and the shares
/// that were repaired.
fn carried(film: &[Image], painted: &Image) -> (Vec<Image>, Vec<f32>) {
    let mut follower = Follower::default();
    let first = painted_by(&mut follower, &film[0], painted, 0.0);
    let mut shown = vec![first];
    let mut shares = Vec::new();
    for picture in &film[1..] {
        follower.look(picture);
        shares.push(follower.carry(picture, 60).expect("a picture that follows"));
        shown.push(follower.painting().clone());
    }
    (shown, shares)
}

#[test]
fn a_resting_scene_keeps_its_painting() {
    let size = Size::new(70, 51);
    let painted = with_noise(scene(size, 40.0, 9.0), 30.0, 1);
    let film = vec![scene(size, 0.0, 0.0); 4];
    let (shown, shares) = carried(&film, &painted);
    assert_eq!(shown, vec![painted.clone(); 4]);
    assert_eq!(shares, [0.0; 3]);
    // Noise of a camera changes nothing either.
    let noisy = |i| with_noise(scene(size, 0.0, 0.0), 3.0, i);
    let film: Vec<_> = (0..4).map(noisy).collect();
    assert_eq!(carried(&film, &painted).0, vec![painted; 4]);
}

#[test]
fn a_pan_carries_the_painting() {
    let size = Size::new(320, 180);
    let at = |start: f32, i: usize| scene(size, start + 4.5 * i as f32, -1.5 * i as f32);
    let film: Vec<_> = (0..3).map(|i| at(0.0, i)).collect();
    let (shown, shares) = carried(&film, &at(300.0, 0));
    let inner = |image: &Image| {
        let mut image = image.clone();
        image.crop(crate::engine::Area {
            x: 24,
            y: 16,
            width: 272,
            height: 148,
        });
        image
    };
    let truth = inner(&at(300.0, 2));
    let off = mean_difference(&inner(&shown[2]), &truth);
    let resting = mean_difference(&inner(&shown[0]), &truth);
    assert!(off < 0.1 * resting, "{off}, at rest {resting}");
    assert!(shares.iter().all(|share| *share < 0.1), "{shares:?}");
}

/// A style that makes luma a color: `255 - luma` in red, luma in green, 50 in blue.
fn duotone(picture: &Image) -> Image {
    image(picture.size(), |c, x, y| {
        let [r, g, b] = picture.rows(y as usize).map(|row| row[x as usize]);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        [255.0 - luma, luma, 50.0][c]
    })
}

#[test]
fn what_is_uncovered_is_painted_in_the_colors_around() {
    let size = Size::new(240, 144);
    // A dark square before bright waves moves away by its own width.
    let at = |left: f32| {
        image(size, |_, x, y| {
            match (left..left + 24.0).contains(&x) && (36.0..60.0).contains(&y) {
                true => 20.0,
                false => 160.0 + 25.0 * (x / 9.0).sin() + 20.0 * (y / 7.0).cos(),
            }
        })
    };
    let (before, now) = (at(40.0), at(64.0));
    let (shown, shares) = carried(&[before.clone(), now.clone()], &duotone(&before));
    let wanted = duotone(&now);
    // The stale painting is dark there.
    let (mut off, mut stale) = (0.0, 0.0);
    for y in 38..58 {
        for x in 42..62 {
            for c in 0..3 {
                let row = |image: &Image| image.rows(y)[c][x];
                off += (row(&shown[1]) - row(&wanted)).abs() / 1200.0;
                stale += (row(&shown[0]) - row(&wanted)).abs() / 1200.0;
            }
        }
    }
    assert!(off < 0.15 * stale, "{off}, stale {stale}");
    assert!((0.005..0.15).contains(&shares[0]), "{shares:?}");
}

#[test]
fn key_frames_come_when_they_are_due_and_earlier_where_much_is_new() {
    let size = Size::new(120, 80);
    let painted = scene(size, 40.0, 9.0);
    let keys = |film: &[Image], every| {
        let mut follower = Follower::default();
        let mut keys = Vec::new();
        for (i, picture) in film.iter().enumerate() {
            follower.look(picture);
            if follower.carry(picture, every).is_none() {
                follower.paint(&painted, 0.5);
                keys.push(i);
            }
        }
        keys
    };
    let resting = vec![scene(size, 0.0, 0.0); 7];
    assert_eq!(keys(&resting, 1), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(keys(&resting, 3), [0, 3, 6]);
    assert_eq!(keys(&resting, 60), [0]);
    // A cut, and from then on every third.
    let mut cut = resting.clone();
    cut[4..].fill(another_scene(size));
    assert_eq!(keys(&cut, 60), [0, 4]);
    assert_eq!(keys(&cut, 3), [0, 3, 4]);
    // A fifteenth of the picture is new each time.
    let growing: Vec<_> = (0..5)
        .map(|i| {
            image(size, |c, x, y| match x < 8.0 * i as f32 {
                true => 255.0 * hash(x as usize, y as usize, i + c),
                false => resting[0].rows(y as usize)[c][x as usize],
            })
        })
        .collect();
    let early = keys(&growing, 60);
    assert!(early.len() > 1 && early.len() < 5, "{early:?}");
}

#[test]
fn a_cut_to_another_scene_shows_its_own_painting() {
    let size = Size::new(120, 80);
    let mut follower = Follower::default();
    let [bright, dark] = [200.0, 50.0].map(|value| image(size, move |_, _, _| value));
    painted_by(&mut follower, &scene(size, 0.0, 0.0), &bright, 0.8);
    let other = another_scene(size);
    follower.look(&other);
    assert_eq!(follower.carry(&other, 60), None);
    follower.paint(&dark, 0.8);
    assert_eq!(*follower.painting(), dark);
    follower.reset();
    follower.look(&other);
    assert_eq!(follower.carry(&other, 60), None, "after a reset");
}
