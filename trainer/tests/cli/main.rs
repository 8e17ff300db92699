//! The program as a person types it.

#[path = "../common/mod.rs"]
mod common;
mod evaluate;
mod export_onnx;
mod import;
mod info;
mod optimize;
mod stylize;
mod train;

use assert_cmd::Command;
use std::path::Path;
use std::time::{Duration, Instant};

fn program() -> Command {
    Command::new(assert_cmd::cargo::cargo_bin!("faststyle-train"))
}

/// What the command says on standard error, failing.
fn refusal(command: &mut Command) -> String {
    let output = command.assert().failure().get_output().clone();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn rows(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().map(String::from).collect())
}

/// Waits until a running program has written that many rows.
fn wait_for_rows(path: &Path, count: usize) {
    let started = Instant::now();
    while rows(path).map_or(0, |rows| rows.len()) < count {
        assert!(started.elapsed() < Duration::from_secs(60), "no step taken");
        std::thread::sleep(Duration::from_millis(20));
    }
}
