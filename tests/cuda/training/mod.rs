//! What training runs: every operation and its gradients against plain
//! operations and Candle's own gradients.

mod convolution;
mod norm;
mod pixels;

use crate::emulated::Emulated;
use crate::numbers::{Random, tensor, values};
use candle_core::{Tensor, Var};
use gstfaststyle::internals::ops::cuda::training::Scratch;
use gstfaststyle::internals::ops::cuda::{Gpu, Launch};
use half::f16;

/// Runs launches; their kernels' names.
fn run(gpu: &Emulated, plan: impl Fn(&mut Scratch) -> Vec<Launch>) -> Vec<String> {
    let mut scratch = Scratch::default();
    plan(&mut scratch);
    let memory = gpu.allocate(scratch.used()).unwrap();
    let launches = plan(&mut Scratch::from(gpu.address(&memory)));
    for launch in &launches {
        // SAFETY: all memory is as large as the launch says.
        unsafe { gpu.launch(launch) }.unwrap();
    }
    launches.into_iter().map(|launch| launch.kernel).collect()
}

fn to_f16(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&x| f16::from_f32(x)).collect()
}

fn to_f32(values: &[f16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

/// Random images `[batch, height, width, channels]`.
fn images(random: &mut Random, shape: [usize; 4], span: f32) -> Vec<f32> {
    random.values(shape.iter().product(), span)
}

/// What Candle says: a function's result, and the gradients of its arguments
/// where the result has the gradient `upstream` makes for it.
fn reference(
    arguments: &[(&[f32], &[usize])],
    function: impl Fn(&[Tensor]) -> Tensor,
    upstream: impl FnOnce(&Tensor) -> Vec<f32>,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let var = |(data, shape): &(&[f32], &[usize])| Var::from_tensor(&tensor(data, shape)).unwrap();
    let vars: Vec<Var> = arguments.iter().map(var).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = function(&tensors);
    let weights = tensor(&upstream(&y), y.dims());
    let gradients = (&y * weights).unwrap().sum_all().unwrap();
    let gradients = gradients.backward().unwrap();
    let of_arguments = vars.iter().map(|v| values(gradients.get(v).unwrap()));
    (values(&y), of_arguments.collect())
}
