//! The commands that print something.

use crate::common::*;
use std::fs;

fn printed(command: &str, args: &[&str]) -> String {
    let output = faststyle(command).args(args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn styles_are_listed_and_painted() {
    let names = printed("styles", &[]);
    let mut names = names.lines().map(|line| line.split(' ').next().unwrap());
    assert_eq!(names.next(), Some("one"));
    assert_eq!(names.next(), Some("two"));
    let json: serde_json::Value = serde_json::from_str(&printed("styles", &["--json"])).unwrap();
    assert_eq!(json[0]["name"], "one");
    assert_eq!(
        json[0]["file"],
        MODELS.join("one.safetensors").to_str().unwrap()
    );
    let sheet = path("styles.png");
    printed("styles", &["--sheet", sheet.to_str().unwrap()]);
    let painted = image::open(&sheet).unwrap();
    assert_eq!(painted.width(), 3 * 328 + 8);
    let again = faststyle("styles")
        .arg("--sheet")
        .arg(&sheet)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(1));
}

#[test]
fn the_doctor_names_what_it_finds() {
    let found = printed("doctor", &["--quick"]);
    for expected in ["GStreamer 1.", "CPU: ", "CUDA: ", "cameras: ", "styles: "] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
    assert!(!found.contains("speed"), "{found}");
}

#[test]
fn manual_and_completions_are_made() {
    let folder = path("manual");
    fs::create_dir(&folder).unwrap();
    printed("manual", &[folder.to_str().unwrap()]);
    let page = fs::read_to_string(folder.join("faststyle-film.1")).unwrap();
    assert!(page.contains("overwrite"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed("completions", &[shell]).contains("film"), "{shell}");
    }
}

#[test]
fn wrong_arguments_have_their_own_exit_code() {
    for args in [
        &["--no-such"][..],
        &["--size", "wide"],
        &["--strength", "2"],
    ] {
        let output = faststyle("live").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
