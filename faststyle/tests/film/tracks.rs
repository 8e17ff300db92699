//! What else is in a film than frames.

use crate::common::*;
use std::path::Path;

const SUBTITLES: &str = "1\n00:00:00,200 --> 00:00:00,900\nHello <i>there</i> & you\n\n\
                         2\n00:00:01,100 --> 00:00:01,800\nGood bye\n\n";

/// A Matroska film of two sound tracks and subtitles.
fn many_tracks(file: &Path) {
    let subtitles = path("subtitles.srt");
    std::fs::write(&subtitles, SUBTITLES).unwrap();
    let line = format!(
        "{} ! x264enc ! mux. \
         {SOUND} ! avenc_aac ! aacparse ! taginject tags=language-code=de,title=Sprecher ! mux. \
         {SOUND} ! flacenc ! taginject tags=language-code=en ! mux. \
         filesrc location={} ! subparse ! taginject tags=language-code=fr ! mux. \
         matroskamux name=mux ! filesink name=file",
        video(50, "width=66,height=50,framerate=25/1"),
        subtitles.display(),
    );
    play(&line, file, |_| ());
}

#[test]
fn all_tracks_are_copied_with_their_languages() {
    let (input, output) = (path("many tracks.mkv"), path("many painted.mkv"));
    many_tracks(&input);
    assert_eq!(languages(&input, "text/"), ["fr"]);
    let before = other_streams(&input);
    assert_eq!(before.len(), 3, "{:?}", before.keys());
    film(&input, &output).assert().success();
    assert!(
        before == other_streams(&output),
        "{:?}",
        other_streams(&output).keys()
    );
    assert_eq!(languages(&output, "audio/"), ["de", "en"]);
    assert_eq!(languages(&output, "text/"), ["fr"]);
    assert_eq!(times(&input), times(&output));
}

#[test]
fn sound_is_as_long_as_before() {
    let output = path("sound.mp4");
    film(&CLIP, &output).assert().success();
    assert!(other_streams(&CLIP) == other_streams(&output));
    assert_eq!(times(&CLIP), times(&output));
    let seconds = |file| info(file).duration().unwrap().mseconds();
    assert!(seconds(&CLIP).abs_diff(seconds(&output)) <= 45);
}

#[test]
fn what_the_container_does_not_take_is_named() {
    let (input, output) = (path("for mp4.mkv"), path("in mp4.mp4"));
    many_tracks(&input);
    let told = said(&film(&input, &output).assert().success());
    assert!(told.contains("sound track 2"), "{told}");
    assert!(told.contains("cannot be copied into MP4"), "{told}");
    assert!(told.contains(".mkv"), "{told}");
    assert_eq!(info(&output).audio_streams().len(), 1);
    // Such players show no markup.
    let streams = other_streams(&output);
    let texts = streams.iter().find(|(name, _)| name.starts_with("text/"));
    let text = String::from_utf8_lossy(texts.unwrap().1).into_owned();
    assert!(text.contains("Hello there & you"), "{text}");
}

#[test]
fn a_part_has_its_sound() {
    let (input, output) = (path("part of.mkv"), path("part.mkv"));
    many_tracks(&input);
    let mut film = film(&input, &output);
    film.args(["--from", "0:01", "--to", "1.6"])
        .assert()
        .success();
    let expected: Vec<u64> = (0..15).map(|frame| frame * 40).collect();
    assert_eq!(times(&output), expected);
    let whole = other_streams(&input);
    let part = other_streams(&output);
    assert_eq!(part.len(), 3);
    for (name, bytes) in &part {
        let whole = &whole[name];
        assert!(bytes.len() * 4 < whole.len() * 3, "{name}");
        if name.starts_with("text/") {
            assert!(String::from_utf8_lossy(bytes).contains("Good bye"));
        }
    }
    let length = info(&output).duration().unwrap().mseconds();
    // The last subtitles are shown for so long.
    assert!((500..=800).contains(&length), "{length}");
}

#[test]
fn a_film_without_sound_is_painted() {
    let folder = folder("silent");
    let (input, output) = (folder.join("silent.mkv"), folder.join("painted.mp4"));
    let line = format!(
        "{} ! x264enc ! matroskamux ! filesink name=file",
        video(8, "width=66,height=50,framerate=25/1")
    );
    play(&line, &input, |_| ());
    let assert = film(&input, &output).assert().success();
    let printed = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    assert!(printed.starts_with("8 frames in "), "{printed}");
    assert_eq!(times(&output).len(), 8);
    assert_eq!(files(&folder), ["painted.mp4", "silent.mkv"]);
}

/// A Matroska film of two chapters.
fn with_chapters(file: &Path) {
    use gst::prelude::*;
    let line = format!(
        "{} ! x264enc ! matroskamux name=mux ! filesink name=file",
        video(50, "width=66,height=50,framerate=25/1")
    );
    play(&line, file, |pipeline| {
        let mux = pipeline.by_name("mux").unwrap();
        let mut edition = gst::TocEntry::new(gst::TocEntryType::Edition, "1");
        edition.make_mut().set_start_stop_times(0, 2_000_000_000);
        for (number, title) in [(0, "Eins"), (1, "Zwei")] {
            let mut chapter = gst::TocEntry::new(gst::TocEntryType::Chapter, title);
            let start = number * 1_000_000_000;
            let new = chapter.make_mut();
            new.set_start_stop_times(start, start + 1_000_000_000);
            let mut tags = gst::TagList::new();
            let merge = gst::TagMergeMode::Replace;
            tags.make_mut().add::<gst::tags::Title>(&title, merge);
            new.set_tags(tags);
            edition.make_mut().append_sub_entry(chapter);
        }
        let mut toc = gst::Toc::new(gst::TocScope::Global);
        toc.make_mut().append_entry(edition);
        let mux = mux.dynamic_cast_ref::<gst::TocSetter>().unwrap();
        mux.set_toc(Some(&toc));
    });
}

/// A film's chapters: where they begin, in milliseconds, and their titles.
fn chapters(file: &Path) -> Vec<(i64, String)> {
    let Some(toc) = info(file).toc() else {
        return Vec::new();
    };
    let chapters = toc
        .entries()
        .into_iter()
        .flat_map(|edition| edition.sub_entries());
    let chapters = chapters.map(|chapter| {
        let title = chapter.tags().unwrap();
        let title = title.get::<gst::tags::Title>().unwrap();
        (
            chapter.start_stop_times().unwrap().0 / 1_000_000,
            title.get().to_owned(),
        )
    });
    chapters.collect()
}

#[test]
fn chapters_are_kept() {
    let input = path("chapters.mkv");
    with_chapters(&input);
    let expected = |times: [i64; 2]| vec![(times[0], "Eins".into()), (times[1], "Zwei".into())];
    assert_eq!(chapters(&input), expected([0, 1000]));
    let output = path("chapters.out.mkv");
    film(&input, &output).assert().success();
    assert_eq!(chapters(&output), expected([0, 1000]));
    let output = path("chapters.part.mkv");
    film(&input, &output)
        .args(["--from", "0.4"])
        .assert()
        .success();
    assert_eq!(chapters(&output), expected([0, 600]));
    let told = said(&film(&input, &path("chapters.mp4")).assert().success());
    assert!(told.contains("the film's chapters"), "{told}");
}
