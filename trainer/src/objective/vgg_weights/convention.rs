//! The convention of the original Oxford weights: how VGG-19 expects its input.

use crate::io::safetensors_file::Safetensors;
use anyhow::{Result, bail, ensure};

/// The means of the channels B, G, R that are subtracted from the input.
pub const MEANS_BGR: [f32; 3] = [103.939, 116.779, 123.68];

/// The convention, as the metadata `input` states it.
pub fn input() -> String {
    format!("BGR, 0..255, minus mean ({})", means())
}

/// [`MEANS_BGR`], as the metadata `means` states them.
pub fn means() -> String {
    MEANS_BGR.map(|mean| mean.to_string()).join(",")
}

/// Refuses a file that does not state, or states otherwise, how its input is
/// to be made.
///
/// Either `channel_order` is `BGR`, or `input` is as [`input`] states it; means, if given
/// (`means` or `mean`), are [`MEANS_BGR`]; a standard deviation (`std`), if
/// given, is 1.
pub fn check_convention(file: &Safetensors) -> Result<()> {
    let expected = expected();
    let oxford = squeezed(&input());
    let order = file.text("channel_order").map(squeezed);
    let input = file.text("input").map(squeezed);
    match (order.as_deref(), input.as_deref()) {
        (Some("bgr"), _) => {}
        (Some(other), _) => bail!("the channel order is `{other}`; {expected}"),
        (None, Some(input)) if input == oxford => {}
        (None, _) => bail!("the metadata does not state the channel order; {expected}"),
    }
    // `BGR` with another range or other means is another convention still.
    if let Some(input) = &input {
        ensure!(*input == oxford, "the input is `{input}`; {expected}");
    }
    for key in ["means", "mean"] {
        if let Some(text) = file.text(key) {
            let close = numbers(text).is_some_and(|means| {
                means
                    .iter()
                    .zip(MEANS_BGR)
                    .all(|(a, b)| (a - f64::from(b)).abs() < 0.01)
            });
            ensure!(close, "metadata `{key}` is `{text}`; {expected}");
        }
    }
    if let Some(text) = file.text("std") {
        let one = numbers(text).is_some_and(|std| std == [1.0; 3]);
        ensure!(one, "metadata `std` is `{text}`; {expected}");
    }
    Ok(())
}

fn expected() -> String {
    let [blue, green, red] = MEANS_BGR;
    format!(
        "expected are the original Oxford weights, not torchvision's: metadata \
         `channel_order` = `BGR`, for an input of 0..255 less the means {blue}, {green}, {red}, \
         not divided by a standard deviation"
    )
}

/// `B, G, R` and `bgr` are one.
fn squeezed(text: &str) -> String {
    let text: String = text.split_whitespace().collect();
    let text = text.to_lowercase();
    match text.as_str() {
        "b,g,r" => "bgr".into(),
        _ => text,
    }
}

/// Three numbers, in brackets or not.
fn numbers(text: &str) -> Option<[f64; 3]> {
    let inner = text.trim().trim_matches(['[', ']', '(', ')']);
    let numbers: Result<Vec<f64>, _> = inner.split(',').map(|n| n.trim().parse()).collect();
    numbers.ok()?.try_into().ok()
}
