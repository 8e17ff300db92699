//! Adam (Kingma and Ba 2015), with a state that can be saved.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var, bail};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// The gradient of all `parameters`, one after the other.
pub fn gradient(parameters: &[Var], gradients: &GradStore) -> Result<Tensor> {
    let gradients = parameters
        .iter()
        .map(|parameter| match gradients.get(parameter) {
            Some(gradient) => gradient.flatten_all(),
            None => bail!(
                "a parameter of shape {:?} has no gradient",
                parameter.dims()
            ),
        })
        .collect::<Result<Vec<_>>>()?;
    Tensor::cat(&gradients, 0)
}

/// The optimiser's memory: running means of each gradient and of its square.
///
/// All parameters, in the order in which they are always given, are one long
/// vector here. A step is then a dozen operations rather than a dozen for
/// each parameter, which counts on a GPU.
pub struct Adam {
    mean: Tensor,
    variance: Tensor,
    steps: u64,
}

impl Adam {
    /// For `count` numbers to be learned.
    pub fn new(count: usize, device: &Device) -> Result<Self> {
        let zeros = Tensor::zeros(count, DType::F32, device)?;
        Ok(Adam {
            mean: zeros.clone(),
            variance: zeros,
            steps: 0,
        })
    }

    /// As it was after `steps` steps: both moments are `f32` `[count]`.
    pub fn restore(mean: Tensor, variance: Tensor, steps: u64) -> Self {
        Adam {
            mean,
            variance,
            steps,
        }
    }

    /// The mean of the gradients and of their squares, `[count]` each.
    pub fn moments(&self) -> (&Tensor, &Tensor) {
        (&self.mean, &self.variance)
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moves `parameters`, the same in the same order each time, against their
    /// [`gradient`] by about `rate`.
    pub fn step(&mut self, parameters: &[Var], gradient: &Tensor, rate: f64) -> Result<()> {
        let values = parameters
            .iter()
            .map(|parameter| parameter.as_detached_tensor().flatten_all())
            .collect::<Result<Vec<_>>>()?;
        let values = Tensor::cat(&values, 0)?;

        self.steps += 1;
        self.mean = ((&self.mean * BETA1)? + (gradient * (1.0 - BETA1))?)?;
        self.variance = ((&self.variance * BETA2)? + (gradient.sqr()? * (1.0 - BETA2))?)?;
        // Both means started at 0 and are that much too small.
        let rate = rate / (1.0 - BETA1.powf(self.steps as f64));
        let deviation = (&self.variance / (1.0 - BETA2.powf(self.steps as f64)))?.sqrt()?;
        let moved = (values - ((&self.mean * rate)? / (deviation + EPS)?)?)?;

        let mut start = 0;
        for parameter in parameters {
            let count = parameter.elem_count();
            parameter.set(&moved.narrow(0, start, count)?.reshape(parameter.shape())?)?;
            start += count;
        }
        Ok(())
    }
}
