//! What is written, what is spared, and what is refused.

use crate::common::*;
use std::fs;
use std::path::Path;

#[test]
fn a_film_that_is_there_is_spared() {
    let output = path("keep.mp4");
    fs::write(&output, "a good film").unwrap();
    let told = said(&film(&CLIP, &output).assert().failure());
    assert!(told.contains("--overwrite"), "{told}");
    let no_film = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let told = said(
        &film(&no_film, &output)
            .arg("--overwrite")
            .assert()
            .failure(),
    );
    assert!(told.contains("this is no film"), "{told}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "a good film");
    film(&CLIP, &output).arg("--overwrite").assert().success();
    assert_eq!(times(&output).len(), 50);
    let itself = said(&film(&output, &output).arg("--overwrite").assert().failure());
    assert!(itself.contains("would be lost"), "{itself}");
    assert_eq!(times(&output).len(), 50);
}

#[test]
fn failures_leave_nothing_behind() {
    let folder = folder("failures");
    let output = folder.join("out.mp4");
    let silent = path("only sound.mp4");
    let line = format!("{SOUND} ! avenc_aac ! mp4mux ! filesink name=file");
    play(&line, &silent, |_| ());
    let picture = path("a picture.png");
    image::RgbImage::new(20, 20).save(&picture).unwrap();
    let missing = path("missing.mp4");
    let cases = [
        (missing.as_path(), "not found"),
        (&silent, "no video"),
        (&picture, "stylize"),
        (Path::new("/dev/zero"), "no regular file"),
    ];
    for (input, expected) in cases {
        let told = said(&film(input, &output).assert().failure().code(1));
        assert!(told.contains(expected), "{}: {told}", input.display());
        assert!(told.contains(input.to_str().unwrap()), "{told}");
    }
    let told = said(&film(&CLIP, &folder.join("out.xyz")).assert().failure());
    assert!(told.contains(".mkv"), "{told}");
    let told = said(&film(&CLIP, &folder.join("no/out.mkv")).assert().failure());
    assert!(told.contains("there is no folder"), "{told}");
    film(&CLIP, &output)
        .args(["--from", "x"])
        .assert()
        .failure()
        .code(2);
    let told = said(
        &film(&CLIP, &output)
            .args(["--from", "0:30"])
            .assert()
            .failure(),
    );
    assert!(told.contains("is over by then"), "{told}");
    assert_eq!(files(&folder), [""; 0]);
}

#[test]
fn a_folder_of_films_becomes_a_folder() {
    let (input, output) = (folder("films"), path("painted films"));
    fs::copy(&*CLIP, input.join("one.mp4")).unwrap();
    fs::copy(&*CLIP, input.join("two.m4v")).unwrap();
    fs::write(input.join("broken.mkv"), "no film").unwrap();
    fs::write(input.join("notes.txt"), "no film").unwrap();
    let mut command = film(&input, &output);
    command.args(["--to", "0.4"]);
    let told = said(&command.assert().failure().code(1));
    assert!(told.contains("broken.mkv"), "{told}");
    assert!(told.contains("1 of 3 films could not be painted"), "{told}");
    assert_eq!(files(&output), ["one.mp4", "two.m4v"]);
    assert_eq!(times(&output.join("two.m4v")).len(), 10);
    fs::remove_file(input.join("broken.mkv")).unwrap();
    // What is there is not painted again.
    let told = said(&command.assert().success());
    assert!(told.contains("one.mp4 is already there"), "{told}");
}

#[test]
fn a_preview_is_a_sheet_of_stills() {
    let output = path("look.png");
    film(&CLIP, &output).arg("--preview").assert().success();
    let sheet = image::open(&output).unwrap().into_rgb8();
    // Two columns of pictures of 640x485 and five rows.
    assert_eq!(sheet.dimensions(), (2 * 648 + 8, 5 * 493 + 8));
    let told = said(&film(&CLIP, &output).arg("--preview").assert().failure());
    assert!(told.contains("--overwrite"), "{told}");
    let told = said(
        &film(&CLIP, &path("look.mp4"))
            .arg("--preview")
            .assert()
            .failure(),
    );
    assert!(told.contains(".png"), "{told}");
}

#[test]
fn the_model_is_named_if_it_is_not_there() {
    let output = path("no model.mkv");
    let mut command = faststyle();
    command.arg("film").arg(&*CLIP).arg("--output").arg(&output);
    let told = said(
        &command
            .args(["--model", "no-such-style"])
            .assert()
            .failure(),
    );
    assert!(told.contains("no-such-style"), "{told}");
    assert!(!output.exists());
}
