//! Error messages for files that cannot be imported.

use super::tensors::Tensors;
use anyhow::{Error, anyhow};

/// What can be imported.
pub const KNOWN: &str = "what can be imported is TransformerNet of pytorch/examples \
    fast_neural_style, as torch.save, safetensors or ONNX wrote it, and the network of \
    lengstrom/fast-style-transfer, its variables by their names in a safetensors file";

/// Tensors that a message names.
const NAMED: usize = 4;

/// Why these tensors are not imported.
pub fn refusal(tensors: &Tensors) -> Error {
    let found = match tensors.len() {
        0 => "no tensors".to_string(),
        count => {
            let first = tensors.iter().take(NAMED);
            let first = first.map(|(name, tensor)| format!("`{name}` {:?}", tensor.shape));
            format!(
                "{count} tensors, among them {}",
                first.collect::<Vec<_>>().join(", ")
            )
        }
    };
    match family(tensors) {
        Some(family) => anyhow!("{family} (found: {found}); {KNOWN}"),
        None => anyhow!("an unknown network (found: {found}); {KNOWN}"),
    }
}

/// The kind of network, and why ours cannot be it.
fn family(tensors: &Tensors) -> Option<&'static str> {
    let shapes = || tensors.values().map(|tensor| &tensor.shape[..]);
    let named = |part: &str| tensors.keys().any(|name| name.contains(part));
    // The entrance of a network as TensorFlow lays out kernels: height, width,
    // inputs, outputs. PyTorch has the outputs first and the sides last.
    if shapes().any(|shape| matches!(*shape, [h @ 4..16, w, 3, out] if h == w && out >= 8)) {
        return Some(
            "a TensorFlow network whose variables have other names than those of \
             lengstrom/fast-style-transfer (Variable, Variable_1 and so on), so that it cannot be \
             known what it computes",
        );
    }
    if named("in1.scale") {
        return Some(
            "a forerunner of TransformerNet, of which there were several with the same tensors \
             that computed different things (order of colours, range of the result)",
        );
    }
    if named("conv_transpose") {
        return Some("another network with transposed convolutions than can be imported");
    }
    if shapes().any(|shape| matches!(*shape, [_, 1, h, _] if h > 1)) {
        return Some("a network of depthwise convolutions (MobileNet), which ours has not");
    }
    None
}

/// What a file is that is neither of `torch.save` nor of safetensors.
pub fn format(bytes: &[u8]) -> &'static str {
    const TENSORFLOW_TABLE: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
    match bytes {
        [] => "an empty file",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file (Keras)",
        // A table or an object, the first one.
        [3 | 4, 0, 0, 0, 1, 0, 0, 0, ..] => "a file of Lua Torch (*.t7), it seems",
        _ if bytes.ends_with(&TENSORFLOW_TABLE) => {
            "a TensorFlow checkpoint: its variables must be in a safetensors file, see docs/TRAINING.md"
        }
        _ if bytes.get(257..262) == Some(b"ustar") => {
            "a tar archive, as the first versions of torch.save wrote it: load it in PyTorch and \
             save its state_dict() again"
        }
        _ => "a file of unknown format",
    }
}
