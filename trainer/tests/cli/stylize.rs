//! The command `stylize`.

use crate::common::{Scene, paint};
use crate::{end, program, refusal, start, wait_until};
use assert_cmd::Command;
use gstfaststyle::{Architecture, Model, Style};
use gstfaststyle::{DeviceChoice, Engine, Image};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use std::path::{Path, PathBuf};

fn model() -> anyhow::Result<Model> {
    let architecture = Architecture {
        residual_blocks: 1,
        ..Architecture::with_width(4)
    };
    let mut model = Model::random(architecture, 1)?;
    model.styles = vec![Style {
        name: "waves".into(),
        ..Style::default()
    }];
    Ok(model)
}

/// A scene with `model.safetensors`, a tiny network of the style `waves`.
fn scene() -> anyhow::Result<Scene> {
    let scene = Scene::new()?;
    model()?.save(scene.path("model.safetensors"))?;
    Ok(scene)
}

fn stylize(scene: &Scene, more: &[&str], pictures: &[&Path]) -> Command {
    let mut command = program();
    command
        .args(["stylize", "--device", "cpu", "--model"])
        .arg(scene.path("model.safetensors"))
        .args(more)
        .args(pictures);
    command
}

/// Runs it; what it says on standard error.
fn said(command: &mut Command) -> String {
    let output = command.assert().success().get_output().clone();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the engine makes of a picture.
fn painted(photo: &RgbImage) -> anyhow::Result<RgbImage> {
    let (width, height) = (photo.width() as usize, photo.height() as usize);
    let values = photo.as_raw();
    let data = (0..3).flat_map(|c| values.iter().skip(c).step_by(3).map(|v| f32::from(*v)));
    let picture = Image {
        width,
        height,
        data: data.collect(),
    };
    let mut styled = Image::default();
    Engine::new(&model()?, DeviceChoice::Cpu)?.stylize(&picture, &mut styled)?;
    let value = |c: u32, x: u32, y: u32| {
        let at = (c as usize * height + y as usize) * width + x as usize;
        styled.data[at].round() as u8
    };
    Ok(RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        Rgb([0, 1, 2].map(|c| value(c, x, y)))
    }))
}

/// The largest difference.
fn largest(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0)
}

fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[test]
fn one_picture_becomes_a_file() -> anyhow::Result<()> {
    let scene = scene()?;
    let photo = scene.path("photos/c.png");
    let expected = painted(&image::open(&photo)?.into_rgb8())?;
    for (name, format, allowed) in [
        ("out.png", ImageFormat::Png, 1),
        ("out.webp", ImageFormat::WebP, 1),
        ("out.JPG", ImageFormat::Jpeg, 255),
    ] {
        let out = scene.path(name);
        let mut command = stylize(&scene, &["--quality", "100"], &[&photo]);
        let text = said(command.arg("--output").arg(&out));
        assert!(text.contains(name), "{text}");
        let bytes = std::fs::read(&out)?;
        assert_eq!(image::guess_format(&bytes)?, format);
        let found = image::load_from_memory(&bytes)?;
        assert!(!found.color().has_alpha());
        let found = found.into_rgb8();
        assert_eq!(found.dimensions(), (33, 32));
        assert!(largest(&found, &expected) <= allowed, "{name}");
    }
    // By default beside the picture.
    said(&mut stylize(&scene, &[], &[&photo]));
    assert!(scene.path("photos/c.waves.png").is_file());
    said(&mut stylize(&scene, &["--format", "jpeg"], &[&photo]));
    assert!(scene.path("photos/c.waves.jpg").is_file());
    Ok(())
}

#[test]
fn folders_keep_their_structure() -> anyhow::Result<()> {
    let scene = scene()?;
    std::fs::create_dir_all(scene.path("photos/more/deep"))?;
    paint(&scene.path("photos/more/deep/d.png"), 20, 12, 3)?;
    let jpeg = RgbImage::new(12, 12);
    jpeg.save(scene.path("photos/a.jpg"))?;
    let (out, photos) = (scene.path("new/out"), scene.path("photos"));
    for (overwrite, expected) in [
        (&[][..], "6 of 6 pictures"),
        (&["--overwrite"], "6 of 6 pictures"),
    ] {
        let painting = scene.painting();
        let mut command = stylize(&scene, overwrite, &[&photos, &painting]);
        let text = said(command.arg("--output").arg(&out));
        assert!(text.contains(expected), "{text}");
        let expected = [
            "a-2.waves.png",
            "a.waves.png",
            "b.waves.png",
            "c.waves.png",
            "more",
            "painting.waves.png",
        ];
        assert_eq!(files(&out)?, expected);
        assert_eq!(files(&out.join("more/deep"))?, ["d.waves.png"]);
    }
    // Beside the pictures, twice: results are not repainted, and what is there stays.
    for expected in ["5 of 5 pictures", "5 results are there already"] {
        let text = said(&mut stylize(&scene, &[], &[&photos]));
        assert!(text.contains(expected), "{text}");
    }
    std::fs::remove_file(photos.join("b.waves.png"))?;
    let text = said(&mut stylize(&scene, &[], &[&photos]));
    assert!(text.contains("4 results are there already"), "{text}");
    assert!(text.contains("b.waves.png is ready"), "{text}");
    assert_eq!(files(&photos.join("more/deep"))?, ["d.png", "d.waves.png"]);
    assert_eq!(files(&photos)?.len(), 4 + 4 + 1);
    Ok(())
}

#[test]
fn unreadable_pictures_are_reported_and_the_others_are_painted() -> anyhow::Result<()> {
    let scene = scene()?;
    std::fs::write(scene.path("photos/b.png"), "no picture")?;
    let (photos, nowhere) = (scene.path("photos"), scene.path("nowhere.jpg"));
    let mut command = stylize(&scene, &[], &[&nowhere, &photos]);
    let text = refusal(command.arg("--output").arg(scene.path("out")));
    assert!(text.contains("b.png: not a photo"), "{text}");
    assert!(text.contains("nowhere.jpg: cannot be opened"), "{text}");
    assert!(text.contains("2 of 4 pictures are ready"), "{text}");
    assert!(text.contains("2 of 4 pictures could not"), "{text}");
    assert_eq!(files(&scene.path("out"))?, ["a.waves.png", "c.waves.png"]);
    Ok(())
}

#[test]
fn strength_and_size_have_an_effect() -> anyhow::Result<()> {
    let scene = scene()?;
    let photo = scene.path("photos/c.png");
    let out = scene.path("out.png");
    let result = |more: &[&str]| -> anyhow::Result<RgbImage> {
        let mut command = stylize(&scene, more, &[&photo]);
        said(command.arg("--overwrite").arg("--output").arg(&out));
        Ok(image::open(&out)?.into_rgb8())
    };
    let original = image::open(&photo)?.into_rgb8();
    let full = painted(&original)?;
    assert_eq!(result(&["--strength", "0"])?, original);
    let half: Vec<u8> = (original.iter().zip(full.iter()))
        .map(|(a, b)| ((u16::from(*a) + u16::from(*b)) / 2) as u8)
        .collect();
    assert!(largest(&result(&["--strength", "0.5"])?, &half) <= 2);

    let small = result(&["--max-size", "11"])?;
    assert_eq!(small.dimensions(), (11, 11));
    assert_eq!(result(&["--max-size", "99"])?.dimensions(), (33, 32));
    Ok(())
}

#[test]
fn colours_can_be_kept() -> anyhow::Result<()> {
    let scene = scene()?;
    let photo = scene.path("photos/grey.png");
    RgbImage::from_fn(40, 30, |x, y| Rgb([(60 + 3 * x + y) as u8; 3])).save(&photo)?;
    let out = scene.path("out.png");
    let colours = |more: &[&str]| -> anyhow::Result<u8> {
        let mut command = stylize(&scene, more, &[&photo]);
        said(command.arg("--overwrite").arg("--output").arg(&out));
        let pixels = image::open(&out)?.into_rgb8();
        let spread = |pixel: &Rgb<u8>| pixel.0[0].abs_diff(pixel.0[1]);
        Ok(pixels.pixels().map(spread).max().unwrap_or(0))
    };
    assert!(colours(&[])? > 20);
    assert!(colours(&["--keep-color"])? <= 1);
    Ok(())
}

#[test]
fn transparency_and_profile_are_kept() -> anyhow::Result<()> {
    let scene = scene()?;
    let photo = scene.path("photos/glass.png");
    // Whole numbers on white: random networks make much of fractions.
    let glass = RgbaImage::from_fn(30, 20, |x, y| {
        let alpha = [255, 51, 0, 204][x as usize % 4];
        Rgba([(5 * x) as u8, (10 * y) as u8, 100, alpha])
    });
    let mut profile = vec![7; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    let mut encoder = PngEncoder::new(std::fs::File::create(&photo)?);
    encoder.set_icc_profile(profile.clone())?;
    encoder.write_image(&glass, 30, 20, ExtendedColorType::Rgba8)?;

    // The network sees it on white.
    let on_white = RgbImage::from_fn(30, 20, |x, y| {
        let [r, g, b, a] = glass.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|v| ((v * a + 255 * (255 - a) + 127) / 255) as u8))
    });
    let expected = painted(&on_white)?;
    for name in ["out.png", "out.webp"] {
        let out = scene.path(name);
        said(stylize(&scene, &[], &[&photo]).arg("--output").arg(&out));
        let mut decoder = image::ImageReader::open(&out)?.into_decoder()?;
        let found = image::ImageDecoder::icc_profile(&mut decoder)?;
        assert_eq!(found.as_ref(), Some(&profile), "{name}");
        let found = image::DynamicImage::from_decoder(decoder)?.into_rgba8();
        let alphas = |image: &RgbaImage| image.pixels().map(|p| p.0[3]).collect::<Vec<_>>();
        assert_eq!(alphas(&found), alphas(&glass), "{name}");
        let found = image::DynamicImage::from(found).into_rgb8();
        assert!(largest(&found, &expected) <= 1, "{name}");
    }
    let out = scene.path("out.jpg");
    said(stylize(&scene, &[], &[&photo]).arg("--output").arg(&out));
    assert!(!image::open(&out)?.color().has_alpha());
    // Scaled down, it keeps both as well.
    let out = scene.path("small.png");
    let mut command = stylize(
        &scene,
        &["--max-size", "15", "--strength", "0.2"],
        &[&photo],
    );
    said(command.arg("--output").arg(&out));
    assert!(image::open(&out)?.color().has_alpha());
    Ok(())
}

/// An XMP packet and a record of IPTC, as programs that sort photos write them.
const XMP: &str = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><a tiff:Orientation=\"6\" \
    Camera:MotionPhoto=\"1\" dc:title=\"Sea\"/></x:xmpmeta>";
const IPTC: &[u8] = b"\x1c\x02\x19\0\x05beach";

/// A JPEG file of a photo held upright, with its date and title, and what a phone appends.
fn phone_photo(path: &Path) -> anyhow::Result<()> {
    let mut jpeg = std::io::Cursor::new(Vec::new());
    RgbImage::from_fn(40, 24, |x, y| Rgb([(6 * x) as u8, (9 * y) as u8, 90]))
        .write_to(&mut jpeg, ImageFormat::Jpeg)?;
    let jpeg = jpeg.into_inner();
    // Orientation 6, and a date after the directory.
    let mut exif = b"Exif\0\0II\x2a\0\x08\0\0\0\x02\0".to_vec();
    exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
    exif.extend(b"\x32\x01\x02\0\x14\0\0\0\x26\0\0\0\0\0\0\0");
    exif.extend(b"2024:05:06 07:08:09\0");
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let segment = |marker, body: &[u8]| {
        let length = (body.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker][..], &length, body].concat()
    };
    let xmp = segment(
        0xe1,
        &[b"http://ns.adobe.com/xap/1.0/\0", XMP.as_bytes()].concat(),
    );
    let resource = [b"8BIM\x04\x04\0\0\0\0\0\x0a", IPTC].concat();
    let iptc = segment(0xed, &[b"Photoshop 3.0\0", &resource[..]].concat());
    let film = b"\0\0\0\x18ftypmp42 \xff\xda";
    let exif = [b"\xff\xe1", &length, &exif[..]].concat();
    let file = [&jpeg[..2], &exif, &xmp, &iptc, &jpeg[2..], film].concat();
    Ok(std::fs::write(path, file)?)
}

#[test]
fn a_phones_photo_keeps_its_date_and_stands_upright() -> anyhow::Result<()> {
    let scene = scene()?;
    let photo = scene.path("photos/phone.jpg");
    phone_photo(&photo)?;
    for name in ["out.png", "out.jpg", "out.webp"] {
        let out = scene.path(name);
        let text = said(stylize(&scene, &[], &[&photo]).arg("--output").arg(&out));
        // The film alone is not kept or, where there is no place for them, its keywords.
        let said = text.matches("phone.jpg: ").count();
        assert_eq!(said, if name == "out.jpg" { 1 } else { 2 }, "{text}");
        assert!(text.contains("the film behind the picture"), "{text}");
        assert_eq!(text.contains("its IPTC data"), name != "out.jpg", "{text}");
        let mut decoder = image::ImageReader::open(&out)?.into_decoder()?;
        let xmp = image::ImageDecoder::xmp_metadata(&mut decoder)?.unwrap_or_default();
        let upright = XMP
            .replace("=\"6\"", "=\"1\"")
            .replace("Photo=\"1\"", "Photo=\"0\"");
        assert_eq!(String::from_utf8(xmp)?, upright, "{name}");
        if name == "out.jpg" {
            let resources = image::ImageDecoder::iptc_metadata(&mut decoder)?.unwrap_or_default();
            assert!(resources.ends_with(IPTC), "{resources:?}");
        }
        let size = image::ImageDecoder::dimensions(&decoder);
        assert_eq!(size, (24, 40), "{name}");
        let turned = image::ImageDecoder::orientation(&mut decoder)?;
        assert_eq!(turned, image::metadata::Orientation::NoTransforms, "{name}");
        let exif = image::ImageDecoder::exif_metadata(&mut decoder)?.unwrap_or_default();
        let date = b"2024:05:06 07:08:09";
        assert!(exif.windows(date.len()).any(|text| text == date), "{name}");
    }
    // What is missing of a photo is missing, and said to be.
    let whole = std::fs::read(&photo)?;
    std::fs::write(&photo, &whole[..whole.len() - 80])?;
    let text = said(&mut stylize(&scene, &[], &[&photo]));
    assert!(text.contains("phone.jpg: the file is cut off"), "{text}");
    Ok(())
}

#[test]
fn other_pictures_in_a_folder_are_named_and_counted() -> anyhow::Result<()> {
    let scene = scene()?;
    std::fs::write(scene.path("photos/IMG_1.HEIC"), b"\0\0\0\x18ftypheic")?;
    std::fs::write(scene.path("photos/d.avif"), b"\0\0\0\x18ftypavif")?;
    let photos = scene.path("photos");
    let text = refusal(
        stylize(&scene, &[], &[&photos])
            .arg("--output")
            .arg(scene.path("out/")),
    );
    assert!(
        text.contains("IMG_1.HEIC: a picture in the format HEIC"),
        "{text}"
    );
    assert!(
        text.contains("d.avif: a picture in the format AVIF"),
        "{text}"
    );
    assert!(text.contains("3 of 5 pictures are ready"), "{text}");
    let film = scene.path("film.mp4");
    std::fs::write(&film, b"\0\0\0\x18ftypisom and so on")?;
    let text = refusal(&mut stylize(&scene, &[], &[&film]));
    assert!(text.contains("`faststyle film`"), "{text}");
    // Once.
    assert_eq!(text.matches("film.mp4").count(), 1, "{text}");
    Ok(())
}

/// Frames of a scene at rest with a camera's noise, and `cut` of another scene.
fn frames(folder: &Path, count: u32, cut: u32) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    for number in 1..=count {
        let frame = RgbImage::from_fn(48, 40, |x, y| {
            let noise = (x * 7 + y * 13 + number * 31 + x * y * number) % 7;
            let value = |c: u32| match number < cut {
                true => 60 + x * 2 + (y * y / 9 + c * 20) % 60 + noise,
                false => 30 + 180 * ((x / 6 + y / 5) % 2) + noise,
            };
            Rgb([0, 1, 2].map(|c| value(c) as u8))
        });
        frame.save(folder.join(format!("{number}.png")))?;
    }
    Ok(())
}

/// Paints the folder `film` with these arguments; its frames, in their order.
fn painted_film(scene: &Scene, more: &[&str], count: u32) -> anyhow::Result<Vec<RgbImage>> {
    let out = scene.path("out");
    let film = scene.path("film");
    said(stylize(scene, more, &[&film]).arg("--output").arg(&out));
    let frames = (1..=count).map(|number| {
        let frame = image::open(out.join(format!("{number}.waves.png")))?;
        Ok(frame.into_rgb8())
    });
    let frames = frames.collect();
    std::fs::remove_dir_all(out)?;
    frames
}

/// The mean difference of two pictures.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let bytes = a.iter().zip(b.iter());
    bytes.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}

#[test]
fn a_folder_of_frames_is_painted_as_a_film() -> anyhow::Result<()> {
    let scene = scene()?;
    frames(&scene.path("film"), 12, 11)?;
    let alone = painted_film(&scene, &[], 12)?;
    assert_eq!(painted_film(&scene, &["--smoothing", "0"], 12)?, alone);
    let calm = painted_film(&scene, &["--smoothing", "0.8"], 12)?;
    assert_eq!(calm[0], alone[0], "the first frame");
    let restless = difference(&alone[9], &alone[8]);
    // Only in natural order does frame 10 follow frame 9.
    let rest = difference(&calm[9], &calm[8]);
    assert!(rest < 0.7 * restless, "{rest}, {restless}");
    assert_eq!(calm[10], alone[10], "after a cut");
    assert_ne!(calm[11], alone[11], "after the cut's first frame");

    // What follows a gap, and a frame of another size, begins anew.
    let folder = scene.path("film");
    std::fs::remove_file(folder.join("4.png"))?;
    std::fs::write(folder.join("4.png"), "no picture")?;
    paint(&folder.join("7.png"), 40, 40, 3)?;
    let out = scene.path("out");
    let mut command = stylize(&scene, &["--smoothing", "0.8"], &[&folder]);
    let text = refusal(command.arg("--output").arg(&out));
    assert!(
        text.contains("4.png: ") && text.contains("1 of 12"),
        "{text}"
    );
    let frame = |number: usize| -> anyhow::Result<RgbImage> {
        Ok(image::open(out.join(format!("{number}.waves.png")))?.into_rgb8())
    };
    assert_eq!(frame(3)?, calm[2]);
    assert_eq!(frame(5)?, alone[4], "after a frame that cannot be read");
    assert_ne!(frame(6)?, alone[5]);
    assert_eq!(frame(8)?, alone[7], "after another size");
    // Results that are there: the next frame does not follow what this run has painted.
    std::fs::remove_file(out.join("2.waves.png"))?;
    std::fs::remove_file(out.join("9.waves.png"))?;
    refusal(&mut command);
    assert_eq!(frame(9)?, alone[8]);
    Ok(())
}

#[test]
fn each_folder_of_frames_is_a_film_of_its_own() -> anyhow::Result<()> {
    let scene = scene()?;
    frames(&scene.path("film"), 2, 3)?;
    frames(&scene.path("film/more"), 2, 3)?;
    let out = scene.path("out");
    let film = scene.path("film");
    let mut command = stylize(&scene, &["--smoothing", "1"], &[&film]);
    said(command.arg("--output").arg(&out));
    let read = |name: &str| anyhow::Ok(image::open(out.join(name))?.into_rgb8());
    for name in ["1.waves.png", "2.waves.png"] {
        assert_eq!(read(name)?, read(&format!("more/{name}"))?, "{name}");
    }
    // What has no room in memory is refused, with the way out.
    let large = scene.path("large.png");
    paint(&large, 400, 300, 3)?;
    let more = ["--smoothing", "1", "--memory", "1"];
    let text = refusal(&mut stylize(&scene, &more, &[&large]));
    assert!(text.contains("--max-size"), "{text}");
    Ok(())
}

#[test]
fn tiles_give_the_same_picture() -> anyhow::Result<()> {
    let scene = scene()?;
    let photo = scene.path("large.png");
    paint(&photo, 190, 170, 5)?;
    let result = |name: &str, more: &[&str]| -> anyhow::Result<RgbImage> {
        let out = scene.path(name);
        let mut command = stylize(&scene, more, &[&photo]);
        said(command.arg("--overwrite").arg("--output").arg(&out));
        Ok(image::open(&out)?.into_rgb8())
    };
    let exact = ["--precision", "f32"];
    for more in [&["--strength", "1"][..], &["--keep-color"]] {
        let more = &[more, &exact].concat()[..];
        let whole = result("whole.png", more)?;
        let tiled = result("tiled.png", &[more, &["--memory", "1"]].concat())?;
        assert!(largest(&whole, &tiled) <= 1, "{more:?}");
    }
    Ok(())
}

#[test]
fn input_files_are_never_overwritten() -> anyhow::Result<()> {
    let scene = scene()?;
    let a = scene.path("photos/a.png");
    let result = scene.path("photos/a.waves.png");
    std::fs::copy(&a, &result)?;
    let before = std::fs::read(&a)?;
    let refused = |more: &[&str], pictures: &[&Path]| refusal(&mut stylize(&scene, more, pictures));
    let text = refused(&["--output", &a.to_string_lossy()], &[&a]);
    assert!(text.contains("it would be lost"), "{text}");
    // That of one picture is another picture: it alone is left out.
    let text = refused(&[], &[&a, &result]);
    assert!(text.contains("it would be lost"), "{text}");
    assert!(text.contains("1 of 2 pictures are ready"), "{text}");
    assert_eq!(std::fs::read(&a)?, before);
    assert_eq!(std::fs::read(&result)?, before);
    assert!(scene.path("photos/a.waves.waves.png").is_file());
    // Nor is anything left half written.
    let half = |name: &String| name.ends_with(".part");
    assert!(!files(&scene.path("photos"))?.iter().any(half));
    Ok(())
}

#[test]
fn an_interrupt_leaves_no_partial_picture() -> anyhow::Result<()> {
    let scene = scene()?;
    let (small, large) = (scene.path("photos/a.png"), scene.path("large.png"));
    paint(&large, 2000, 1500, 5)?;
    let out = scene.path("out");
    // The second picture takes many seconds in such small tiles.
    let mut command = program();
    command
        .args(["stylize", "--device", "cpu", "--memory", "1", "--model"])
        .arg(scene.path("model.safetensors"))
        .arg("--output")
        .arg(out.join(""))
        .args([&small, &large]);
    let mut child = start(&command)?;
    wait_until(&mut child, || out.join("a.waves.png").exists())?;
    let (status, text) = end(child, "TERM")?;
    assert_eq!(status.code(), Some(130), "{text}");
    assert_eq!(files(&out)?, ["a.waves.png"]);
    image::open(out.join("a.waves.png"))?;
    Ok(())
}

#[test]
fn errors_explain_the_mistake() -> anyhow::Result<()> {
    let scene = scene()?;
    std::fs::create_dir(scene.path("empty"))?;
    let path = |name: &str| scene.path(name).to_string_lossy().into_owned();
    let a = scene.path("photos/a.png");
    let cases: [(&[&str], PathBuf, &str); 11] = [
        (&["--output", &path("x.bmp")], a.clone(), "ends in .png"),
        (&["--output", &path("x")], a.clone(), "needs a / at its end"),
        (
            &["--output", &path("no/x.png")],
            a.clone(),
            "there is no folder",
        ),
        (
            &["--output", &path("x.png"), "--format", "webp"],
            a.clone(),
            "not that of a webp file",
        ),
        (
            &["--output", &path("painting.png")],
            scene.path("photos"),
            "several pictures need a folder",
        ),
        (&[], scene.path("empty"), "holds no photos"),
        (&["--strength", "1.5"], a.clone(), "0..=1"),
        (&["--quality", "0"], a.clone(), "1..=100"),
        (&["--format", "bmp"], a.clone(), "possible values"),
        (&["--precision", "f8"], a.clone(), "bf16 or fast"),
        (&["--device", "tpu"], a.clone(), "cpu"),
    ];
    for (more, picture, expected) in cases {
        let mut command = program();
        command
            .args(["stylize", "--model"])
            .arg(path("model.safetensors"));
        let text = refusal(command.args(more).arg(picture));
        assert!(text.contains(expected), "{more:?}: {text}");
    }
    let mut command = program();
    let text = refusal(command.args(["stylize", "--model", "nowhere.st"]).arg(&a));
    assert!(text.contains("nowhere.st"), "{text}");
    let large = scene.path("large.png");
    RgbImage::new(17_000, 1).save(&large)?;
    let text = refusal(&mut stylize(&scene, &["--format", "webp"], &[&large]));
    assert!(text.contains("16383"), "{text}");
    Ok(())
}
