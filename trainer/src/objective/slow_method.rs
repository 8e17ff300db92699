//! The slow method: no network, but the picture itself is improved step by
//! step (Gatys, Ecker and Bethge 2016; as in Johnson et al. 2016, section 4.1,
//! by L-BFGS with the pixels kept within 0..255).

use crate::objective::Objective;
use crate::objective::lbfgs::Lbfgs;
use crate::objective::loss_scale::{self, LossScale};
use crate::objective::loss_values::Losses;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor, Var};
use gstfaststyle::internals::ops::plain;
use std::cell::Cell;
use std::ops::RangeInclusive;

/// What a pixel's red, green and blue can be.
const RANGE: RangeInclusive<f32> = 0.0..=255.0;

/// How far the very first trial moves the pixel that moves most.
const FIRST_STEP: f32 = 4.0;

/// One photo being repainted.
pub struct SlowMethod<'a> {
    pub(crate) objective: &'a Objective,
    content: Content,
    search: Lbfgs<Losses>,
    iterations: u64,
}

/// What the picture should show.
struct Content {
    features: Vec<Tensor>,
    device: Device,
    /// The shape of the picture as the search moves it, `[1, 3, h, w]`.
    planes: (usize, usize, usize, usize),
    /// Where gradients have 16 bits.
    loss_scale: Cell<Option<LossScale>>,
}

impl<'a> SlowMethod<'a> {
    /// Repaints `photo`, beginning with the picture `start`: both RGB
    /// `[1, h, w, 3]` in 0..255 with sides of at least 16.
    ///
    /// # Errors
    /// A loss that is not finite.
    pub fn new(objective: &'a Objective, photo: &Tensor, start: &Tensor) -> Result<Self> {
        ensure!(
            photo.dims() == start.dims(),
            "a start of {:?} for a photo of {:?}",
            start.dims(),
            photo.dims()
        );
        let start = plain::channels_first(start)?;
        let planes = start.dims4()?;
        let content = Content {
            features: objective.content(photo)?,
            device: photo.device().clone(),
            planes,
            loss_scale: Cell::new(LossScale::on(photo.device())),
        };
        let start = start.flatten_all()?.to_vec1()?;
        let search = Lbfgs::new(start, RANGE, FIRST_STEP, |x| {
            measure(objective, &content, x)
        })?;
        Ok(SlowMethod {
            objective,
            content,
            search,
            iterations: 0,
        })
    }

    /// Takes one iteration, a step of L-BFGS: one forward and one backward
    /// pass through VGG-19 or a few. `false` if no better picture was found.
    ///
    /// # Errors
    /// A loss that is not finite. The picture is then as it was.
    pub fn step(&mut self) -> Result<bool> {
        let moved = self
            .search
            .step(|x| measure(self.objective, &self.content, x))
            .with_context(|| format!("iteration {}", self.iterations + 1))?;
        self.iterations += u64::from(moved);
        Ok(moved)
    }

    /// Iterations taken.
    pub fn iterations(&self) -> u64 {
        self.iterations
    }

    /// The losses of the picture as it is now.
    pub fn losses(&self) -> Losses {
        self.search.value()
    }

    /// The picture as it is now: RGB `[1, h, w, 3]` in 0..255.
    pub fn picture(&self) -> Result<Tensor> {
        let Content { device, planes, .. } = &self.content;
        let picture = Tensor::from_slice(self.search.x(), *planes, device)?;
        Ok(plain::channels_last(&picture)?)
    }
}

/// The losses of the picture `x`, and the gradient of their total.
fn measure(objective: &Objective, content: &Content, x: &[f32]) -> Result<(Losses, Vec<f32>)> {
    let picture = Tensor::from_slice(x, content.planes, &content.device)?;
    let picture = Var::from_tensor(&picture)?;
    let pixels = plain::channels_last(&picture)?;
    let (total, losses) = objective.measure(&pixels, &content.features)?;
    ensure!(
        losses.are_finite(),
        "the loss is not finite: {losses}; smaller weights may help"
    );
    let mut scale = content.loss_scale.get();
    let gradient = loss_scale::gradient(&mut scale, &total, &[picture])?;
    content.loss_scale.set(scale);
    let gradient: Vec<f32> = gradient.to_vec1()?;
    ensure!(
        gradient.iter().all(|g| g.is_finite()),
        "the gradient of the loss is not finite: smaller weights may help"
    );
    Ok((losses, gradient))
}
