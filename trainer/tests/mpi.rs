//! Training by `mpirun`, on one machine.

mod common;

use anyhow::{Context, ensure};
use assert_cmd::cargo::cargo_bin;
use common::Scene;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// After this long a program hangs, however busy the machine.
const HANG: Duration = Duration::from_secs(600);

/// `mpirun` with so many processes of this program, which may be more than there are cores.
fn mpirun(processes: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-n"]);
    command
        .arg(processes.to_string())
        .arg(cargo_bin!("faststyle-train"));
    command
}

/// A training of `scene` to `output`.
fn train(mut command: Command, scene: &Scene, output: &str, more: &[&str]) -> Command {
    let words = "train --width 4 --residual-blocks 1 --size 32 --batch 4 --seed 3 --stability 1000";
    command.args(words.split(' '));
    command.arg("--style").arg(scene.painting());
    command.arg("--photos").arg(scene.path("photos"));
    command.arg("--preview").arg(scene.path("photos/a.png"));
    command.arg("--output").arg(scene.path(output)).args(more);
    command.current_dir(scene.path("")).stderr(Stdio::piped());
    command
}

fn alone() -> Command {
    Command::new(cargo_bin!("faststyle-train"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(mut command: Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let text = said(&output);
    ensure!(output.status.success(), "{text}");
    Ok(text)
}

fn fail(mut command: Command) -> anyhow::Result<String> {
    let output = command.output()?;
    let text = said(&output);
    ensure!(!output.status.success(), "it should fail: {text}");
    ensure!(!text.contains("panicked"), "{text}");
    Ok(text)
}

/// The losses of every step, without what depends on the time.
fn losses(scene: &Scene, name: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(scene.path(&format!("{name}.metrics.csv")))?;
    let part = |line: &str| line.split(',').take(6).collect::<Vec<_>>().join(",");
    Ok(text.lines().map(part).collect())
}

fn weights(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::read(path)?;
    let (size, header) = safetensors::SafeTensors::read_metadata(&file)?;
    ensure!(header.tensors().len() > 10);
    Ok(file[8 + size..].to_vec())
}

fn model(scene: &Scene, name: &str) -> anyhow::Result<Vec<u8>> {
    weights(&scene.path(&format!("{name}.safetensors")))
}

#[test]
fn two_and_three_processes_train_as_one_does() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    succeed(train(alone(), &scene, "one", &["--steps", "50"]))?;
    let expected = losses(&scene, "one")?;
    assert_eq!(expected.len(), 51);
    for (processes, name) in [(1, "first"), (2, "second"), (3, "third")] {
        let steps = &["--steps", "50"];
        let text = succeed(train(mpirun(processes), &scene, name, steps))?;
        // One process speaks for all.
        assert_eq!(text.matches("is ready").count(), 1, "{text}");
        assert_eq!(
            text.contains(&format!("{processes} processes (")),
            processes > 1,
            "{text}"
        );
        assert_eq!(losses(&scene, name)?, expected, "{processes}");
        assert!(model(&scene, name)? == model(&scene, "one")?, "{processes}");
    }
    Ok(())
}

#[test]
fn another_number_of_processes_resumes() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    succeed(train(alone(), &scene, "whole", &["--steps", "12"]))?;
    succeed(train(mpirun(3), &scene, "parts", &["--steps", "5"]))?;
    succeed(train(
        mpirun(2),
        &scene,
        "parts",
        &["--steps", "9", "--resume"],
    ))?;
    succeed(train(
        alone(),
        &scene,
        "parts",
        &["--steps", "12", "--resume"],
    ))?;
    assert_eq!(losses(&scene, "parts")?, losses(&scene, "whole")?);
    assert!(model(&scene, "parts")? == model(&scene, "whole")?);
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn what_one_process_lacks_ends_all() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    std::fs::create_dir(scene.path("elsewhere"))?;
    // As on machines of which one has no such folder: the path depends on the process.
    let script = "[ $OMPI_COMM_WORLD_RANK = 0 ] || cd elsewhere; exec \"$0\" \"$@\"";
    let mut command = Command::new("mpirun");
    command.args([
        "--allow-run-as-root",
        "--oversubscribe",
        "-n",
        "2",
        "sh",
        "-c",
        script,
    ]);
    command.arg(cargo_bin!("faststyle-train"));
    command.args("train --width 4 --size 32 --batch 2 --photos /proc/self/cwd/photos".split(' '));
    command.arg("--style").arg(scene.painting());
    command
        .arg("--output")
        .arg(scene.path("out"))
        .current_dir(scene.path(""));
    let text = fail(command)?;
    assert_eq!(text.matches("faststyle-train: ").count(), 1, "{text}");
    assert!(text.contains("faststyle-train: process 1 on "), "{text}");
    assert!(
        text.contains(": folder of photos /proc/self/cwd/photos: "),
        "{text}"
    );
    assert!(!scene.path("out.metrics.csv").exists());
    Ok(())
}

#[test]
fn more_processes_than_photos_are_refused() -> anyhow::Result<()> {
    let text = fail(train(mpirun(5), &Scene::new()?, "out", &["--steps", "3"]))?;
    assert!(
        text.contains("--batch 4 cannot be split over 5 processes"),
        "{text}"
    );
    Ok(())
}

/// Starts a long training and waits until it has taken `steps` steps.
fn start(scene: &Scene, steps: usize) -> anyhow::Result<Child> {
    let steps_and_saves = ["--steps", "100000", "--checkpoint-every", "100000"];
    let mut child = train(mpirun(2), scene, "long", &steps_and_saves).spawn()?;
    wait_until(&mut child, || {
        losses(scene, "long").is_ok_and(|rows| rows.len() > steps)
    })?;
    Ok(child)
}

fn wait_until(child: &mut Child, done: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !done() {
        let ended = child.try_wait()?;
        ensure!(ended.is_none(), "the program ended: {ended:?}");
        ensure!(started.elapsed() < HANG, "the program hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn kill(signal: &str, process: u32) -> anyhow::Result<()> {
    let kill = format!("kill -{signal} {process}");
    ensure!(Command::new("sh").args(["-c", &kill]).status()?.success());
    Ok(())
}

/// The step of the checkpoint.
fn saved(scene: &Scene) -> anyhow::Result<u64> {
    let file = std::fs::read(scene.path("long.checkpoint.safetensors"))?;
    let (_, header) = safetensors::SafeTensors::read_metadata(&file)?;
    let strings = header.metadata().clone().context("no metadata")?;
    Ok(strings["step"].parse()?)
}

#[test]
fn a_request_to_stop_saves() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    // Past the early checkpoints, which would hide that nothing was saved.
    let child = start(&scene, 124)?;
    kill("INT", child.id())?;
    let output = child.wait_with_output()?;
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    let step = saved(&scene)?;
    assert!(step >= 123, "saved after {step}: {text}");
    let steps = (step + 2).to_string();
    succeed(train(
        mpirun(3),
        &scene,
        "long",
        &["--resume", "--steps", &steps],
    ))?;
    assert_eq!(saved(&scene)?, step + 2);
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_process_ends_all() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let child = start(&scene, 35)?;
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let children = std::fs::read_to_string(children)?;
    let second = children
        .split_whitespace()
        .nth(1)
        .context("no second process")?;
    kill("KILL", second.parse()?)?;
    let output = child.wait_with_output()?;
    let text = said(&output);
    assert!(!output.status.success(), "{text}");
    assert!(
        text.contains("rank 1") && text.contains("signal 9"),
        "{text}"
    );
    // What was saved is whole.
    let step = saved(&scene)?;
    assert!(step >= 30, "saved after {step}: {text}");
    let steps = (step + 2).to_string();
    succeed(train(
        alone(),
        &scene,
        "long",
        &["--resume", "--steps", &steps],
    ))?;
    Ok(())
}
