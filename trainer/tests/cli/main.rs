//! The program as a person types it.

mod any;
#[path = "../common/mod.rs"]
mod common;
mod evaluate;
mod export_onnx;
mod files;
mod import;
mod info;
mod optimize;
mod styles;
mod stylize;
mod train;

use anyhow::ensure;
use assert_cmd::Command;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
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

/// Runs the command in the background.
fn start(command: &Command) -> anyhow::Result<Child> {
    let mut running = std::process::Command::new(command.get_program());
    running.args(command.get_args()).stderr(Stdio::piped());
    Ok(running.spawn()?)
}

/// Sends a running program a signal, such as `TERM`, and waits for its end. The
/// text is what it has said on standard error.
fn end(child: Child, signal: &str) -> anyhow::Result<(ExitStatus, String)> {
    // A shell has `kill` where the program of this name is not installed.
    let kill = format!("kill -{signal} {}", child.id());
    let sent = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status()?;
    anyhow::ensure!(sent.success(), "no signal was sent");
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status, text))
}

fn rows(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().map(String::from).collect())
}

/// After this long a program hangs, however busy the machine.
const HANG: Duration = Duration::from_secs(600);

/// Waits until `done`; fails if the program ends or hangs before that.
fn wait_until(child: &mut Child, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !done() {
        let ended = child.try_wait()?;
        ensure!(ended.is_none() || done(), "the program ended: {ended:?}");
        ensure!(started.elapsed() < HANG, "the program hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Waits until a running program has written that many rows.
fn wait_for_rows(child: &mut Child, path: &Path, count: usize) -> anyhow::Result<()> {
    wait_until(child, || rows(path).is_ok_and(|rows| rows.len() >= count))
}
