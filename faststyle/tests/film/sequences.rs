//! Films as a picture for each frame.

use crate::common::*;
use std::fs;
use std::path::Path;

#[test]
fn films_become_pictures_and_back() {
    let folder = folder("pictures 100%");
    let pictures = folder.join("frame-%04d.png");
    film(&CLIP, &pictures)
        .args(["--to", "0.4"])
        .assert()
        .success();
    let names: Vec<_> = (1..=10)
        .map(|number| format!("frame-{number:04}.png"))
        .collect();
    assert_eq!(files(&folder), names);
    let size = |file: &Path| image::image_dimensions(file).unwrap();
    assert_eq!(size(&folder.join(&names[0])), (66, 50));

    let output = path("from pictures.mkv");
    let mut back = film(&pictures, &output);
    back.args(["--frame-rate", "12.5", "--segment", "1"])
        .assert()
        .success();
    let expected: Vec<u64> = (0..10).map(|frame| frame * 80).collect();
    assert_eq!(times(&output), expected);

    // What is there is spared.
    let told = said(&film(&CLIP, &pictures).assert().failure());
    assert!(
        told.contains("already there") && told.contains("--overwrite"),
        "{told}"
    );
    assert_eq!(files(&folder), names);
}

#[test]
fn pictures_keep_their_numbers() {
    let (input, output) = (folder("numbered"), folder("numbered painted"));
    for number in 7..13_u8 {
        let colour = image::Rgba([20 * number, 90, 200, 10 * number]);
        let picture = image::RgbaImage::from_pixel(40, 30, colour);
        picture.save(input.join(format!("{number}.png"))).unwrap();
    }
    let mut command = film(&input.join("%d.png"), &output.join("%03d.tif"));
    command
        .args(["--from", "0.08", "--segment", "1"])
        .assert()
        .success();
    assert_eq!(files(&output), ["009.tif", "010.tif", "011.tif", "012.tif"]);
    let painted = image::open(output.join("010.tif")).unwrap().into_rgba8();
    assert_eq!(painted.dimensions(), (40, 30));
    // They keep their opacity.
    assert_eq!(painted.get_pixel(20, 15)[3], 100);

    fs::remove_file(input.join("9.png")).unwrap();
    let told = said(
        &film(&input.join("%d.png"), &path("gap.mkv"))
            .assert()
            .failure(),
    );
    assert!(told.contains("9.png is missing"), "{told}");
    let told = said(&film(&CLIP, &path("one.png")).assert().failure());
    assert!(told.contains("%05d.png"), "{told}");
}
