use super::*;
use image::{Rgb, RgbImage};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

const SIZE: usize = 24;

/// Photos that differ from each other and within themselves.
fn folder_of(count: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    for number in 0..count {
        let photo = RgbImage::from_fn(40 + number, 50, |x, y| {
            Rgb([(x * 5) as u8, (y * 4) as u8, (number * 20) as u8])
        });
        let place = if number % 2 == 0 { "a/b" } else { "" };
        let path = folder.path().join(place).join(format!("{number}.PNG"));
        photo
            .save_with_format(path, image::ImageFormat::Png)
            .unwrap();
    }
    folder
}

fn open(dir: &Path, seed: u64, first_step: u64, threads: usize) -> Batches {
    Batches::with_threads(dir, 3, SIZE, seed, first_step, threads).unwrap()
}

fn take(batches: &mut Batches, count: usize) -> Vec<Vec<f32>> {
    let next = |_| {
        let batch = batches.next(&Device::Cpu).unwrap();
        assert_eq!(batch.dims(), [3, SIZE, SIZE, 3]);
        assert_eq!(batch.dtype(), DType::F32);
        batch.flatten_all().unwrap().to_vec1().unwrap()
    };
    (0..count).map(next).collect()
}

fn refusal(dir: &Path) -> String {
    match Batches::open(dir, 1, SIZE, 0, 0) {
        Ok(_) => panic!("it should be refused"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn seed_and_number_determine_the_batch() {
    let folder = folder_of(7);
    let first = take(&mut open(folder.path(), 1, 0, 2), 12);
    for threads in [1, 2, 5] {
        assert!(
            take(&mut open(folder.path(), 1, 0, threads), 12) == first,
            "{threads}"
        );
    }
    assert!(take(&mut open(folder.path(), 2, 0, 2), 12) != first);
    for (number, batch) in first.iter().enumerate() {
        assert!(!first[..number].contains(batch));
    }
    for start in [1, 4, 11] {
        let resumed = take(&mut open(folder.path(), 1, start as u64, 2), 12 - start);
        assert!(resumed == first[start..], "{start}");
    }
    // A run may be as long as it likes.
    take(&mut open(folder.path(), 1, u64::MAX - 1, 2), 4);
}

#[test]
fn values_are_whole_numbers_up_to_255() {
    let folder = folder_of(3);
    for batch in take(&mut open(folder.path(), 1, 0, 2), 4) {
        assert!(
            batch
                .iter()
                .all(|v| (0.0..=255.0).contains(v) && v.fract() == 0.0)
        );
        assert!(batch.iter().any(|v| *v > 50.0));
    }
}

#[test]
fn each_epoch_shows_each_photo_once() {
    let folder = folder_of(7);
    let mut maker = Maker::new(open(folder.path(), 5, 0, 1).source.clone());
    let places: Vec<usize> = (0..70)
        .map(|place| maker.photo_at(place / 3, (place % 3) as usize))
        .collect();
    let epochs: Vec<&[usize]> = places.chunks(7).collect();
    for (number, epoch) in epochs.iter().enumerate() {
        let mut sorted = epoch.to_vec();
        sorted.sort();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
        assert!(!epochs[..number].contains(epoch));
    }
}

#[test]
fn only_photos_are_listed() {
    let folder = folder_of(4);
    for name in ["notes.txt", ".hidden.png", "README", "a/film.mp4"] {
        fs::write(folder.path().join(name), b"something").unwrap();
    }
    fs::create_dir(folder.path().join(".thumbnails")).unwrap();
    fs::write(folder.path().join(".thumbnails/x.png"), b"something").unwrap();
    fs::create_dir(folder.path().join("folder.jpg")).unwrap();
    let batches = open(folder.path(), 0, 0, 2);
    assert_eq!(batches.photos(), 4);
    assert!(batches.skipped().is_empty());
}

#[test]
fn other_pictures_are_named() {
    let folder = folder_of(2);
    fs::write(folder.path().join("a/IMG_1.HEIC"), b"something").unwrap();
    fs::write(folder.path().join("b.avif"), b"something").unwrap();
    let batches = open(folder.path(), 0, 0, 2);
    assert_eq!(batches.photos(), 2);
    let skipped = batches.skipped();
    assert_eq!(skipped.len(), 2);
    assert!(
        skipped[0].1.contains("HEIC, which is not read"),
        "{skipped:?}"
    );
    assert!(
        skipped[1].1.contains("AVIF, which is not read"),
        "{skipped:?}"
    );
    for photo in list(folder.path()).unwrap().0 {
        fs::remove_file(photo).unwrap();
    }
    let text = refusal(folder.path());
    assert!(
        text.contains("IMG_1.HEIC: a picture in the format HEIC"),
        "{text}"
    );
    assert!(text.contains("1 more"), "{text}");
}

#[test]
fn bad_photos_are_replaced_the_same_way_each_time() {
    let folder = folder_of(5);
    let whole = fs::read(folder.path().join("1.PNG")).unwrap();
    fs::write(folder.path().join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.path().join("text.jpg"), b"<html>not found</html>").unwrap();
    fs::write(folder.path().join("empty.webp"), b"").unwrap();
    RgbImage::new(90, 5)
        .save(folder.path().join("flat.png"))
        .unwrap();
    let mut batches = open(folder.path(), 1, 0, 2);
    assert_eq!(batches.photos(), 9);
    let first = take(&mut batches, 12);
    let skipped = batches.skipped();
    let names: Vec<_> = skipped
        .iter()
        .filter_map(|(path, _)| path.file_name()?.to_str())
        .collect();
    assert_eq!(names, ["cut.png", "empty.webp", "flat.png", "text.jpg"]);
    assert!(skipped[2].1.contains("too small: 90x5"), "{:?}", skipped[2]);
    assert!(skipped.iter().all(|(_, reason)| !reason.is_empty()));
    assert!(take(&mut open(folder.path(), 1, 0, 3), 12) == first);
    assert!(take(&mut open(folder.path(), 1, 7, 1), 5) == first[7..]);
}

#[test]
fn no_usable_photo_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.png"] {
        fs::write(folder.path().join(name), b"nothing").unwrap();
    }
    let mut batches = open(folder.path(), 0, 0, 2);
    let message = format!("{:#}", batches.next(&Device::Cpu).unwrap_err());
    assert!(
        message.contains("none of the 2 photos") && message.contains("a.jpg"),
        "{message}"
    );
    // And remains one.
    for _ in 0..3 {
        assert!(batches.next(&Device::Cpu).is_err());
    }
}

#[test]
fn folders_without_photos_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).contains("holds no photos"));
    let missing = folder.path().join("missing");
    let message = refusal(&missing);
    assert!(
        message.contains(&missing.display().to_string()),
        "{message}"
    );
    let file = folder.path().join("file.png");
    RgbImage::new(30, 30).save(&file).unwrap();
    assert!(refusal(&file).contains("is not a folder"));
    assert!(Batches::open(folder.path(), 0, SIZE, 0, 0).is_err());
    assert!(Batches::open(folder.path(), 1, 0, 0, 0).is_err());
    assert!(Batches::open(folder.path(), 1, usize::MAX, 0, 0).is_err());
}

#[test]
fn dropping_the_batches_ends_the_threads() {
    let folder = folder_of(4);
    for taken in [0, 3] {
        let mut batches = open(folder.path(), 0, 0, 3);
        take(&mut batches, taken);
        let source = Arc::downgrade(&batches.source);
        drop(batches);
        // Each thread held the source.
        assert_eq!(source.strong_count(), 0);
    }
}

#[test]
fn threads_prepare_a_bounded_number_of_batches() {
    let folder = folder_of(4);
    let mut batches = open(folder.path(), 0, 0, 2);
    take(&mut batches, 1);
    // Long enough for threads without a bound to make many more.
    thread::sleep(Duration::from_millis(300));
    // From here on threads make no more than the batch at hand.
    batches.source.stop.store(true, Ordering::Relaxed);
    let made = batches.ready.iter().flat_map(|ready| ready.iter());
    let made = made.filter(Result::is_ok).count();
    assert!(made <= AHEAD + 2, "{made}");
}

#[cfg(unix)]
#[test]
fn circular_links_end() {
    let folder = folder_of(2);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dead.png")).unwrap();
    let batches = open(folder.path(), 0, 0, 1);
    assert_eq!(batches.photos(), 2);
    assert_eq!(batches.skipped().len(), 2);
}

#[test]
fn shares_make_up_the_batch() {
    let folder = folder_of(7);
    // One that cannot be used is replaced by the same photo whoever finds out.
    fs::write(folder.path().join("broken.png"), "no photo").unwrap();
    let whole = take(&mut open(folder.path(), 1, 2, 2), 9);
    let mut shares = [0..1, 1..3].map(|share| {
        let batches = open(folder.path(), 1, 2, 2);
        batches.share(share).unwrap()
    });
    for batch in whole {
        let parts = shares.iter_mut().flat_map(|share| {
            let part = share.next(&Device::Cpu).unwrap();
            part.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        });
        assert!(parts.collect::<Vec<_>>() == batch);
    }
    for share in [1..1, 2..4] {
        assert!(open(folder.path(), 1, 0, 1).share(share).is_err());
    }
}
