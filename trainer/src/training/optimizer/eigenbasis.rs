//! The basis of SOAP: directions along which gradients vary independently.
//!
//! The gradient of a convolution's weights has three axes: outputs, inputs and
//! the places of the kernel. For each axis a running mean of `G Gᵀ` is kept,
//! where the rows of `G` are the gradient's slices along that axis. Its
//! eigenvectors are the axis' basis (Vyas et al. 2024, arXiv 2409.11321,
//! algorithm 3; Gupta, Koren and Singer 2018 for tensors). What has fewer axes,
//! biases and norms, stays as it is.

use candle_core::{DType, Device, Result, Tensor, bail};
use nalgebra::{DMatrix, SymmetricEigen};

/// Decay of the running means, per step.
const BETA: f64 = 0.99;

/// Sweeps after which the search for eigenvectors is given up. A few for each
/// are the rule; numbers that are not finite would keep it going forever.
const MAX_SWEEPS: usize = 100_000;

/// Three orthonormal bases for each convolution's weights.
pub struct Eigenbasis {
    /// All parameters in their order.
    parameters: Vec<Parameter>,
}

/// What an [`Eigenbasis`] remembers: the matrices of all axes, one after the
/// other, as `f32` vectors.
pub struct EigenbasisState {
    /// The running means of `G Gᵀ`.
    pub statistics: Tensor,
    /// The bases, eigenvectors as columns.
    pub bases: Tensor,
}

struct Parameter {
    count: usize,
    /// If its gradient is turned.
    kernel: Option<[Axis; 3]>,
}

struct Axis {
    /// The running mean of `G Gᵀ`, `[size, size]`.
    statistics: Tensor,
    /// Eigenvectors as columns, `[size, size]`.
    basis: Tensor,
}

impl Eigenbasis {
    /// For parameters of the given shapes: those with four dimensions are
    /// weights `[outputs, inputs, height, width]` of convolutions. It turns
    /// nothing yet.
    pub fn new(shapes: &[Vec<usize>], device: &Device) -> Result<Self> {
        let axis = |size: usize| -> Result<Axis> {
            Ok(Axis {
                statistics: Tensor::zeros((size, size), DType::F32, device)?,
                basis: Tensor::eye(size, DType::F32, device)?,
            })
        };
        let parameters = shapes.iter().map(|shape| {
            Ok(Parameter {
                count: shape.iter().product(),
                kernel: match shape[..] {
                    [outputs, inputs, height, width] => {
                        Some([axis(outputs)?, axis(inputs)?, axis(height * width)?])
                    }
                    _ => None,
                },
            })
        });
        Ok(Eigenbasis {
            parameters: parameters.collect::<Result<_>>()?,
        })
    }

    /// As it was, for parameters of the same shapes.
    ///
    /// # Errors
    /// A state of another length.
    pub fn restore(
        shapes: &[Vec<usize>],
        state: &EigenbasisState,
        device: &Device,
    ) -> Result<Self> {
        let mut basis = Eigenbasis::new(shapes, device)?;
        let count: usize = basis.axes().map(|a| a.basis.elem_count()).sum();
        let has = (state.statistics.dims(), state.bases.dims());
        if has != (&[count][..], &[count][..]) {
            bail!("a basis of {count} numbers is needed, not of {has:?}");
        }
        let mut start = 0;
        for axis in basis.axes_mut() {
            let (shape, count) = (axis.basis.shape().clone(), axis.basis.elem_count());
            let part = |all: &Tensor| all.narrow(0, start, count)?.reshape(&shape)?.copy();
            axis.statistics = part(&state.statistics)?.to_device(device)?;
            axis.basis = part(&state.bases)?.to_device(device)?;
            start += count;
        }
        Ok(basis)
    }

    /// All that [`Eigenbasis::restore`] needs to know, on the CPU.
    pub fn state(&self) -> Result<EigenbasisState> {
        let join = |matrix: fn(&Axis) -> &Tensor| -> Result<Tensor> {
            let parts = self.axes().map(|axis| matrix(axis).flatten_all());
            let parts = parts.collect::<Result<Vec<_>>>()?;
            match parts.is_empty() {
                true => Tensor::zeros(0, DType::F32, &Device::Cpu),
                false => Tensor::cat(&parts, 0)?.to_device(&Device::Cpu),
            }
        };
        Ok(EigenbasisState {
            statistics: join(|axis| &axis.statistics)?,
            bases: join(|axis| &axis.basis)?,
        })
    }

    /// Takes note of a gradient of all parameters.
    pub fn learn(&mut self, gradient: &Tensor) -> Result<()> {
        let mut start = 0;
        for parameter in &mut self.parameters {
            let part = gradient.narrow(0, start, parameter.count)?;
            start += parameter.count;
            let Some(kernel) = &mut parameter.kernel else {
                continue;
            };
            let part = part.reshape(&kernel.each_ref().map(Axis::size))?;
            for (dim, axis) in kernel.iter_mut().enumerate() {
                let rows = part.transpose(0, dim)?.flatten_from(1)?;
                let now = rows.matmul(&rows.t()?)?;
                axis.statistics = ((&axis.statistics * BETA)? + (now * (1.0 - BETA))?)?;
            }
        }
        Ok(())
    }

    /// Takes the bases that fit best what has been learned, and gives mean
    /// squares in the new bases for those in the old ones.
    ///
    /// # Errors
    /// Gradients that were not finite.
    pub fn renew(&mut self, squares: &Tensor) -> Result<Tensor> {
        let parameters = self.parameters.iter_mut();
        let parameters = parameters.map(|p| (p.count, p.kernel.as_mut()));
        turned(parameters, squares, |axis: &mut Axis| {
            let basis = eigenvectors(&axis.statistics)?;
            // If numbers are independent, their squares add up like this.
            let turn = basis.t()?.matmul(&axis.basis)?.sqr()?;
            axis.basis = basis;
            Ok(turn)
        })
    }

    /// A vector of all parameters' numbers, turned into the basis.
    pub fn turn(&self, vector: &Tensor) -> Result<Tensor> {
        turned(self.kernels(), vector, |axis| axis.basis.t())
    }

    /// The inverse of [`Eigenbasis::turn`].
    pub fn turn_back(&self, vector: &Tensor) -> Result<Tensor> {
        turned(self.kernels(), vector, |axis| Ok(axis.basis.clone()))
    }

    fn kernels(&self) -> impl Iterator<Item = (usize, Option<&[Axis; 3]>)> {
        self.parameters.iter().map(|p| (p.count, p.kernel.as_ref()))
    }

    fn axes(&self) -> impl Iterator<Item = &Axis> {
        self.parameters.iter().flat_map(|p| &p.kernel).flatten()
    }

    fn axes_mut(&mut self) -> impl Iterator<Item = &mut Axis> {
        (self.parameters.iter_mut())
            .flat_map(|p| &mut p.kernel)
            .flatten()
    }
}

impl Axis {
    fn size(&self) -> usize {
        self.basis.dims()[0]
    }
}

/// `vector`, each part of which belongs to a parameter of so many numbers; those
/// of kernels multiplied along each axis by what `matrix` gives for it.
fn turned<A, K: IntoIterator<Item = A>>(
    parameters: impl Iterator<Item = (usize, Option<K>)>,
    vector: &Tensor,
    mut matrix: impl FnMut(A) -> Result<Tensor>,
) -> Result<Tensor> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (count, kernel) in parameters {
        let part = vector.narrow(0, start, count)?;
        start += count;
        parts.push(match kernel {
            Some(kernel) => {
                let matrices = kernel.into_iter().map(&mut matrix);
                turned_part(&part, &matrices.collect::<Result<Vec<_>>>()?)?
            }
            None => part,
        });
    }
    Tensor::cat(&parts, 0)
}

/// `part`, the numbers of a tensor with an axis for each of the square
/// `matrices`, multiplied by these.
fn turned_part(part: &Tensor, matrices: &[Tensor]) -> Result<Tensor> {
    let sizes: Vec<usize> = matrices.iter().map(|m| m.dims()[0]).collect();
    let mut part = part.reshape(sizes)?;
    for (dim, matrix) in matrices.iter().enumerate() {
        let rows = part.transpose(0, dim)?.contiguous()?;
        let product = matrix.contiguous()?.matmul(&rows.flatten_from(1)?)?;
        part = product.reshape(rows.shape())?.transpose(0, dim)?;
    }
    part.flatten_all()
}

/// The eigenvectors of a symmetric matrix, as columns.
fn eigenvectors(matrix: &Tensor) -> Result<Tensor> {
    let size = matrix.dim(0)?;
    let numbers: Vec<f64> = matrix.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    if numbers.iter().any(|n| !n.is_finite()) {
        bail!("a gradient is not finite");
    }
    let numbers = DMatrix::from_row_slice(size, size, &numbers);
    let Some(found) = SymmetricEigen::try_new(numbers, f64::EPSILON, MAX_SWEEPS) else {
        bail!("no eigenvectors found for what gradients have in common");
    };
    let columns: Vec<f32> = found.eigenvectors.iter().map(|n| *n as f32).collect();
    Tensor::from_vec(columns, (size, size), matrix.device())?
        .t()?
        .contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const SHAPES: [&[usize]; 4] = [&[5, 3, 3, 3], &[5], &[2, 5, 1, 1], &[1]];

    fn shapes() -> Vec<Vec<usize>> {
        SHAPES.map(<[usize]>::to_vec).to_vec()
    }

    fn count() -> usize {
        shapes().iter().map(|s| s.iter().product::<usize>()).sum()
    }

    fn random(seed: u64) -> Result<Tensor> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let numbers: Vec<f32> = (0..count())
            .map(|_| random.random_range(-1.0..1.0))
            .collect();
        Tensor::from_vec(numbers, count(), &Device::Cpu)
    }

    fn apart(a: &Tensor, b: &Tensor) -> Result<f32> {
        (a - b)?.abs()?.max_all()?.to_scalar()
    }

    /// A basis that has seen some gradients.
    fn learned() -> Result<Eigenbasis> {
        let mut basis = Eigenbasis::new(&shapes(), &Device::Cpu)?;
        for seed in 0..4 {
            basis.learn(&random(seed)?)?;
        }
        basis.renew(&Tensor::zeros(count(), DType::F32, &Device::Cpu)?)?;
        Ok(basis)
    }

    #[test]
    fn rotating_back_restores_the_gradient() -> Result<()> {
        let (basis, x) = (learned()?, random(9)?);
        let turned = basis.turn(&x)?;
        assert!(apart(&turned, &x)? > 0.1, "nothing is turned");
        assert!(apart(&basis.turn_back(&turned)?, &x)? < 1e-5);
        // What is not of a convolution stays.
        assert_eq!(
            apart(&turned.narrow(0, 135, 5)?, &x.narrow(0, 135, 5)?)?,
            0.0
        );
        // A turn leaves lengths as they are.
        let length = |x: &Tensor| x.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>();
        assert!((length(&turned)? - length(&x)?).abs() < 1e-4);
        Ok(())
    }

    #[test]
    fn gradients_are_uncorrelated_along_the_basis() -> Result<()> {
        for axis in learned()?.axes() {
            let basis = &axis.basis;
            let turned = basis.t()?.matmul(&axis.statistics)?.matmul(basis)?;
            let diagonal = Tensor::eye(axis.size(), DType::F32, &Device::Cpu)?;
            let around = (&turned - (&turned * &diagonal)?)?;
            assert!(
                around.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5,
                "{turned}"
            );
            assert!(
                apart(&basis.t()?.matmul(basis)?, &diagonal)? < 1e-5,
                "{basis}"
            );
        }
        Ok(())
    }

    /// Squares along a basis whose directions only change places and signs are
    /// those of the same directions.
    #[test]
    fn second_moments_follow_their_directions() -> Result<()> {
        let mut basis = learned()?;
        let x = random(5)?;
        let squares = basis.turn(&x)?.sqr()?;
        for axis in basis.axes_mut() {
            let last = axis.size() as u32 - 1;
            let backwards: Vec<u32> = (0..=last).rev().collect();
            let backwards = Tensor::new(backwards, &Device::Cpu)?;
            axis.basis = axis.basis.index_select(&backwards, 1)?.neg()?;
        }
        let mixed = basis.turn(&x)?.sqr()?;
        assert!(apart(&mixed, &squares)? > 0.1, "nothing has changed places");
        let renewed = basis.renew(&mixed)?;
        assert!(apart(&renewed, &squares)? < 1e-4, "{renewed} for {squares}");
        Ok(())
    }

    #[test]
    fn the_saved_state_is_complete() -> Result<()> {
        let basis = learned()?;
        let mut state = basis.state()?;
        assert_eq!(state.bases.dims(), [2 * 25 + 9 + 81 + 4 + 1]);
        let same = Eigenbasis::restore(&shapes(), &state, &Device::Cpu)?;
        let x = random(7)?;
        assert_eq!(apart(&basis.turn(&x)?, &same.turn(&x)?)?, 0.0);
        state.bases = state.bases.narrow(0, 1, 3)?;
        let error = Eigenbasis::restore(&shapes(), &state, &Device::Cpu).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("a basis of 145 numbers is needed"), "{text}");
        Ok(())
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_named() -> Result<()> {
        let mut basis = learned()?;
        let broken = (random(1)? * f64::INFINITY)?;
        basis.learn(&broken)?;
        let error = basis.renew(&random(2)?).unwrap_err().to_string();
        assert!(error.contains("a gradient is not finite"), "{error}");
        Ok(())
    }
}
