//! How weights are moved against their gradient: Adam (Kingma and Ba 2015) and
//! SOAP (Vyas et al. 2024, arXiv 2409.11321), with a state that can be saved.
//!
//! SOAP is Adam in another basis, in which the gradients' numbers have little
//! to do with each other: see [`Eigenbasis`].

mod eigenbasis;

pub use eigenbasis::{Eigenbasis, EigenbasisState};

use candle_core::{DType, Device, Result, Tensor, Var, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much of the running mean of gradients each step keeps.
const BETA1: f64 = 0.9;

/// Keeps the division by a deviation of 0 finite.
const EPS: f64 = 1e-8;

/// A step in which SOAP looks for a new basis comes every so many steps.
const RENEWAL: u64 = 10;

/// Which optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerMethod {
    /// Every weight by itself, as in the paper (Kingma and Ba 2015)
    #[default]
    Adam,
    /// Adam along the directions in which gradients vary independently (Vyas
    /// et al. 2024): a lower loss after as many steps
    Soap,
}

impl OptimizerMethod {
    /// How much of the running mean of squared gradients each step keeps. The basis
    /// of SOAP turns, and values in another basis have to be forgotten sooner.
    fn beta2(self) -> f64 {
        match self {
            OptimizerMethod::Adam => 0.999,
            OptimizerMethod::Soap => 0.99,
        }
    }
}

impl fmt::Display for OptimizerMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// The optimiser's memory: running means of each gradient and of its square.
///
/// All parameters, in the order in which they are always given, are one long
/// vector here. A step is then a dozen operations rather than a dozen for
/// each parameter, which counts on a GPU.
pub struct Optimizer {
    method: OptimizerMethod,
    mean: Tensor,
    /// The mean square, in the basis if there is one.
    variance: Tensor,
    basis: Option<Eigenbasis>,
    steps: u64,
}

/// What an [`Optimizer`] remembers.
pub struct State {
    /// The mean of the gradients, `f32` `[count]`.
    pub mean: Tensor,
    /// The mean of their squares, `f32` `[count]`.
    pub variance: Tensor,
    /// The basis in which these squares are, with [`OptimizerMethod::Soap`].
    pub basis: Option<EigenbasisState>,
}

impl Optimizer {
    /// For parameters of the given shapes.
    pub fn new(method: OptimizerMethod, shapes: &[Vec<usize>], device: &Device) -> Result<Self> {
        let count: usize = shapes.iter().map(|s| s.iter().product::<usize>()).sum();
        let zeros = Tensor::zeros(count, DType::F32, device)?;
        let basis = match method {
            OptimizerMethod::Adam => None,
            OptimizerMethod::Soap => Some(Eigenbasis::new(shapes, device)?),
        };
        Ok(Optimizer {
            method,
            mean: zeros.clone(),
            variance: zeros,
            basis,
            steps: 0,
        })
    }

    /// As it was after `steps` steps.
    ///
    /// # Errors
    /// A state that does not fit the shapes or the method.
    pub fn restore(
        method: OptimizerMethod,
        shapes: &[Vec<usize>],
        state: State,
        steps: u64,
        device: &Device,
    ) -> Result<Self> {
        let basis = match (method, state.basis) {
            (OptimizerMethod::Adam, _) => None,
            (OptimizerMethod::Soap, Some(basis)) => {
                Some(Eigenbasis::restore(shapes, &basis, device)?)
            }
            (OptimizerMethod::Soap, None) => bail!("no basis is saved, which {method} needs"),
        };
        Ok(Optimizer {
            method,
            mean: state.mean.to_device(device)?,
            variance: state.variance.to_device(device)?,
            basis,
            steps,
        })
    }

    /// All that [`Optimizer::restore`] needs to know, on the CPU.
    pub fn state(&self) -> Result<State> {
        Ok(State {
            mean: self.mean.to_device(&Device::Cpu)?,
            variance: self.variance.to_device(&Device::Cpu)?,
            basis: self.basis.as_ref().map(Eigenbasis::state).transpose()?,
        })
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves `parameters`, the same in the same order each time, against their
    /// [`gradient::flat`](crate::objective::gradient::flat) by about `rate`. The
    /// first step of [`OptimizerMethod::Soap`] moves
    /// nothing.
    ///
    /// # Errors
    /// With [`OptimizerMethod::Soap`], a gradient that is not finite.
    pub fn step(&mut self, parameters: &[Var], gradient: &Tensor, rate: f64) -> Result<()> {
        let values = parameters
            .iter()
            .map(|parameter| parameter.as_detached_tensor().flatten_all())
            .collect::<Result<Vec<_>>>()?;
        let moved = (Tensor::cat(&values, 0)? - self.update(gradient, rate)?)?;
        let mut start = 0;
        for parameter in parameters {
            let count = parameter.elem_count();
            parameter.set(&moved.narrow(0, start, count)?.reshape(parameter.shape())?)?;
            start += count;
        }
        Ok(())
    }

    /// What to take off the parameters.
    fn update(&mut self, gradient: &Tensor, rate: f64) -> Result<Tensor> {
        if let Some(basis) = &mut self.basis {
            basis.learn(gradient)?;
            // In the beginning little is known, and each step tells more.
            if self.steps < RENEWAL || self.steps.is_multiple_of(RENEWAL) {
                self.variance = basis.renew(&self.variance)?;
            }
        }
        let turned = |x: &Tensor| match &self.basis {
            Some(basis) => basis.turn(x),
            None => Ok(x.clone()),
        };
        self.steps += 1;
        let beta2 = self.method.beta2();
        self.mean = ((&self.mean * BETA1)? + (gradient * (1.0 - BETA1))?)?;
        self.variance = ((&self.variance * beta2)? + (turned(gradient)?.sqr()? * (1.0 - beta2))?)?;
        if self.steps == 1 && self.basis.is_some() {
            // In a basis made of this gradient alone it has hardly a direction, and
            // beside that rounding would count as much: the first step tells where to go.
            return gradient.zeros_like();
        }
        // Both means started at 0 and are that much too small.
        let rate = rate / (1.0 - BETA1.powf(self.steps as f64));
        let deviation = (&self.variance / (1.0 - beta2.powf(self.steps as f64)))?.sqrt()?;
        let update = ((turned(&self.mean)? * rate)? / (deviation + EPS)?)?;
        match &self.basis {
            Some(basis) => basis.turn_back(&update),
            None => Ok(update),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::gradient;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// The loss after learning the matrix 0, from a random one, by what it makes
    /// of random vectors: each is long in some directions and short in others,
    /// and none of these directions is an axis.
    fn loss_after(method: OptimizerMethod, steps: usize) -> Result<f32> {
        let device = Device::Cpu;
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut normal = |shape: (usize, usize)| {
            let numbers = (0..shape.0 * shape.1).map(|_| random.sample(StandardNormal));
            Tensor::from_vec(numbers.collect::<Vec<f32>>(), shape, &device)
        };
        let weight = Var::from_tensor(&normal((8, 8))?.reshape((8, 8, 1, 1))?)?;
        let lengths: Vec<f32> = (0..8).map(|i| 10f32.powf(-i as f32 / 4.0)).collect();
        let lengths = Tensor::new(lengths, &device)?.reshape((8, 1))?;
        // Mirrored in a plane across all axes.
        let across = normal((8, 1))?;
        let mirror = across
            .matmul(&across.t()?)?
            .broadcast_div(&across.sqr()?.sum_all()?)?;
        let mirror = (Tensor::eye(8, DType::F32, &device)? - (mirror * 2.0)?)?;
        let mut loss = |count| {
            let vectors = normal((8, count))?.broadcast_mul(&lengths)?;
            let made = weight
                .as_tensor()
                .reshape((8, 8))?
                .matmul(&mirror.matmul(&vectors)?)?;
            made.sqr()?.sum_all()? / count as f64
        };

        let parameters = [weight.clone()];
        let mut optimizer = Optimizer::new(method, &[vec![8, 8, 1, 1]], &device)?;
        for step in 0..steps {
            let gradient = gradient::flat(&parameters, &loss(16)?.backward()?)?;
            let left = 1.0 - step as f64 / steps as f64;
            optimizer.step(&parameters, &gradient, 0.2 * left)?;
        }
        loss(1024)?.to_scalar()
    }

    #[test]
    fn soap_beats_adam_on_a_rotated_problem() -> Result<()> {
        let start = loss_after(OptimizerMethod::Adam, 0)?;
        let (adam, soap) = (
            loss_after(OptimizerMethod::Adam, 150)?,
            loss_after(OptimizerMethod::Soap, 150)?,
        );
        assert!(adam < 0.1 * start, "from {start} to {adam}");
        assert!(soap < 0.05 * adam, "Adam {adam}, SOAP {soap}");
        Ok(())
    }
}
