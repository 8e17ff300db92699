//! Short fingerprints that tell one file from another.

use crate::io::input;
use crate::io::photo::MAX_FILE_BYTES;
use anyhow::Context;
use std::path::Path;

/// 64 bits that tell one file from another, as 16 hexadecimal digits (FNV-1a).
pub fn fingerprint(path: &Path) -> anyhow::Result<String> {
    let bytes = input::read(path, MAX_FILE_BYTES)
        .with_context(|| format!("cannot read the painting {}", path.display()))?;
    Ok(fingerprint_of(bytes))
}

/// The same of bytes in memory.
pub fn fingerprint_of(bytes: impl IntoIterator<Item = u8>) -> String {
    let hash = (bytes.into_iter()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
