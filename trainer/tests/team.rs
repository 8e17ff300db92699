//! Several processes train the same network as one, bit for bit. Threads stand in for the
//! processes here; `tests/mpi.rs` starts real ones.

mod common;

use anyhow::{Context, ensure};
use candle_core::{Device, Tensor};
use common::Scene;
use faststyle_train::cli::TrainArgs;
use faststyle_train::commands::train::recipe;
use faststyle_train::objective::loss_values::Losses;
use faststyle_train::training::checkpoint::Checkpoint;
use faststyle_train::training::optimizer::OptimizerMethod;
use faststyle_train::training::recipe::Recipe;
use faststyle_train::training::team::Team;
use faststyle_train::training::team::link::Link;
use faststyle_train::training::trainer::Trainer;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// The link of a thread to others.
struct Threads {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

impl Threads {
    /// Links between `size` threads.
    fn new(size: usize) -> Vec<Self> {
        let mut links: Vec<Threads> = (0..size)
            .map(|rank| Threads {
                rank,
                to: Vec::new(),
                from: Vec::new(),
            })
            .collect();
        for from in 0..size {
            for to in 0..size {
                let (sender, receiver) = channel();
                links[from].to.push(sender);
                links[to].from.push(receiver);
            }
        }
        links
    }
}

impl Link for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn host(&self) -> String {
        format!("host-{}", self.rank / 2)
    }

    fn exchange(&self, parts: &[&[u8]]) -> Vec<Vec<u8>> {
        for (to, part) in self.to.iter().zip(parts) {
            to.send(part.to_vec()).expect("the other thread has ended");
        }
        let from = self.from.iter();
        from.map(|from| from.recv().expect("the other thread has ended"))
            .collect()
    }
}

/// What `work` gives in each thread of a team of `size`.
fn in_team<T: Send>(
    size: usize,
    work: impl Fn(Team) -> anyhow::Result<T> + Sync,
) -> Vec<anyhow::Result<T>> {
    thread::scope(|scope| {
        let work = &work;
        let threads = Threads::new(size).into_iter();
        let threads: Vec<_> = threads
            .map(|link| scope.spawn(move || work(Team::of(link)?)))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.expect("a thread has panicked"))
            .collect()
    })
}

fn args(scene: &Scene) -> TrainArgs {
    TrainArgs {
        style: vec![scene.painting()],
        photos: Some(scene.path("photos")),
        output: scene.path("out.safetensors"),
        width: Some(4),
        residual_blocks: Some(1),
        size: Some(32),
        batch: Some(5),
        steps: Some(6),
        seed: Some(5),
        stability: Some(1e3),
        optimizer: Some(OptimizerMethod::Soap),
        ..Default::default()
    }
}

/// What is compared: losses of the steps, the weights' and the moments' bits.
#[derive(Clone, Debug, PartialEq)]
struct Trained {
    losses: Vec<Losses>,
    bits: Vec<Vec<u32>>,
}

/// Trains with a team of `size` from `start` up to `steps`.
fn train(
    size: usize,
    steps: u64,
    start: impl Fn() -> anyhow::Result<Trainer> + Sync,
) -> anyhow::Result<(Trained, Vec<u8>)> {
    let results = in_team(size, |team| {
        let mine = team.leads().then(&start).transpose();
        let mut trainer = Trainer::of_team(&team, mine, &Device::Cpu)?;
        let mut losses = Vec::new();
        while trainer.step_count() < steps {
            losses.push(trainer.step()?);
        }
        let checkpoint = trainer.checkpoint()?;
        let moments = [&checkpoint.optimizer.mean, &checkpoint.optimizer.variance];
        let weights = checkpoint.weights.iter().map(|(_, weight)| weight);
        let bits = weights
            .chain(moments)
            .map(bits)
            .collect::<anyhow::Result<_>>()?;
        Ok((Trained { losses, bits }, checkpoint.to_bytes()?))
    });
    let mut results = results.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let first = results.swap_remove(0);
    for (other, _) in &results {
        ensure!(*other == first.0, "the processes differ");
    }
    Ok(first)
}

fn bits(tensor: &Tensor) -> anyhow::Result<Vec<u32>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f32::to_bits).collect())
}

/// Trains `recipe` alone and in teams of these sizes.
fn trains_the_same(recipe: &Recipe, sizes: &[usize]) -> anyhow::Result<()> {
    let start = || Trainer::new(recipe.clone(), &Device::Cpu);
    let (alone, _) = train(1, 6, start)?;
    for &size in sizes {
        let (team, _) = train(size, 6, start)?;
        assert!(
            team == alone,
            "{size}: {:?}, {:?}",
            team.losses,
            alone.losses
        );
    }
    Ok(())
}

#[test]
fn any_size_of_team_trains_the_same() -> anyhow::Result<()> {
    trains_the_same(&recipe::new(&args(&Scene::new()?))?, &[2, 3])
}

#[test]
fn any_size_of_team_trains_the_same_styles() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    std::fs::create_dir(scene.path("styles"))?;
    std::fs::copy(scene.painting(), scene.path("styles/first.png"))?;
    common::paint(&scene.path("styles/second.png"), 40, 36, 8)?;
    let args = TrainArgs {
        style: Vec::new(),
        styles: Some(scene.path("styles")),
        ..args(&scene)
    };
    trains_the_same(&recipe::new(&args)?, &[2])
}

/// What some have begun others go on with.
#[test]
fn another_size_of_team_resumes() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let recipe = recipe::new(&args(&scene))?;
    let start = || Trainer::new(recipe.clone(), &Device::Cpu);
    let (whole, _) = train(1, 5, start)?;
    let (begun, checkpoint) = train(2, 3, start)?;
    assert_eq!(begun.losses, whole.losses[..3]);
    let resume = || Trainer::resume(Checkpoint::from_bytes(&checkpoint)?, &Device::Cpu);
    let (resumed, _) = train(1, 5, resume)?;
    assert_eq!(resumed.losses, whole.losses[3..]);
    assert!(resumed.bits == whole.bits);
    Ok(())
}

/// All members end with the words of the one that has failed.
#[test]
fn a_failure_is_everybodys() -> anyhow::Result<()> {
    let results = in_team(3, |team| {
        let last = team.share(9)?.end == 9;
        let mine = match last {
            true => Err(anyhow::anyhow!("no such folder").context("folder of photos")),
            false => Ok(()),
        };
        team.agree(mine)
    });
    for result in results {
        let error = result.err().context("it should fail")?;
        let text = format!("{error:#}");
        assert_eq!(
            text,
            "process 2 on host-1: folder of photos: no such folder"
        );
    }
    Ok(())
}

#[test]
fn a_batch_has_a_photo_for_each() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    let recipe = recipe::new(&args(&scene))?;
    let start = || Trainer::new(recipe.clone(), &Device::Cpu);
    let error = train(6, 1, start).err().context("it should fail")?;
    let text = format!("{error:#}");
    assert!(text.contains("--batch 5 cannot be split over 6"), "{text}");
    Ok(())
}

/// Photos that a member leaves out are known to all.
#[test]
fn what_is_left_out_is_told() -> anyhow::Result<()> {
    let scene = Scene::new()?;
    std::fs::write(scene.path("photos/d.png"), "no photo")?;
    let recipe = recipe::new(&args(&scene))?;
    let left_out = in_team(2, |team| {
        let mine = team
            .leads()
            .then(|| Trainer::new(recipe.clone(), &Device::Cpu));
        let mut trainer = Trainer::of_team(&team, mine.transpose(), &Device::Cpu)?;
        for _ in 0..2 {
            trainer.step()?;
        }
        let paths: Vec<PathBuf> = trainer.left_out().keys().cloned().collect();
        Ok(paths)
    });
    for paths in left_out {
        assert_eq!(paths?, [scene.path("photos/d.png")]);
    }
    Ok(())
}

#[test]
fn a_team_says_where_it_is() -> anyhow::Result<()> {
    for about in in_team(3, |team| Ok(team.about())) {
        assert_eq!(about?, "3 processes (2 on host-0, host-1)");
    }
    Ok(())
}
