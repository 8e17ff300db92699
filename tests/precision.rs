//! `precision=auto` on the shipped styles: nobody can tell it from `f32`.

use gstfaststyle::internals::engine::cpu::{CpuNetwork, CpuWeights};
use gstfaststyle::internals::engine::tone::Tone;
use gstfaststyle::internals::ops::cpu::Level;
use gstfaststyle::{Image, Model, Precision, StyleMix};
use image::imageops::{FilterType, resize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How far it may be off, of 255.
const MEAN: f32 = 0.1;
const LARGEST: f32 = 3.0;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped_models() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("models")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "safetensors"))
        .collect()
}

/// A film's frame in another size.
fn photo(width: u32, height: u32) -> Image {
    let file = root().join("faststyle/src/page/still.jpg");
    let photo = image::open(file).unwrap().to_rgb8();
    let photo = resize(&photo, width, height, FilterType::CatmullRom);
    let channel = |c: usize| photo.pixels().map(move |pixel| f32::from(pixel.0[c]));
    Image {
        width: width as usize,
        height: height as usize,
        data: (0..3).flat_map(channel).collect(),
    }
}

fn network(model: &Model, level: Level, precision: Precision) -> CpuNetwork {
    let weights = CpuWeights::new(model, level, precision.on_cpu(level)).unwrap();
    CpuNetwork::new(Arc::new(weights))
}

#[test]
fn auto_cannot_be_told_from_f32_in_any_shipped_style() {
    let levels = Level::available().into_iter();
    let levels: Vec<Level> = levels.filter(|level| level.multiplies_pairs()).collect();
    let mut photos = [(320, 180), (211, 157), (211, 157)].map(|(w, h)| photo(w, h));
    // As in fog.
    photos[2]
        .data
        .iter_mut()
        .for_each(|x| *x = 100.0 + *x * 0.2);
    let models = shipped_models();
    assert!(models.len() >= 9, "{models:?}");
    for path in &models {
        let model = Model::load(path).unwrap();
        for &level in &levels {
            let mut exact = network(&model, level, Precision::F32);
            let mut auto = network(&model, level, Precision::Auto);
            for style in 0..model.architecture.styles {
                let mix = StyleMix::single(style);
                exact.set_mix(&mix).unwrap();
                auto.set_mix(&mix).unwrap();
                for photo in &photos {
                    let [mut expected, mut found] = [Image::default(), Image::default()];
                    exact.stylize(photo, Tone::NONE, &mut expected).unwrap();
                    auto.stylize(photo, Tone::NONE, &mut found).unwrap();
                    let pairs = found.data.iter().zip(&expected.data);
                    let differences: Vec<f32> = pairs.map(|(a, b)| (a - b).abs()).collect();
                    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
                    let largest = differences.into_iter().fold(0.0, f32::max);
                    let what = format!("{}, style {style}, {level}", path.display());
                    assert!(mean > 0.0, "{what}: the same arithmetic");
                    assert!(mean <= MEAN, "{what}: {mean} on average");
                    assert!(largest <= LARGEST, "{what}: up to {largest}");
                }
            }
        }
    }
}

#[test]
fn auto_is_f32_where_nothing_is_faster() {
    for level in [Level::Plain, Level::Neon] {
        assert_eq!(Precision::Auto.on_cpu(level), Precision::F32);
    }
    for level in [Level::Avx2, Level::Avx512] {
        assert_eq!(Precision::F32.on_cpu(level), Precision::F32);
    }
    assert_eq!(Precision::Auto.on_cpu(Level::Avx2), Precision::Fast);
}
