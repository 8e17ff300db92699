//! Memory that goes from layer to layer and from frame to frame.

use crate::engine::EngineError;

/// Buffers that nobody uses at the moment.
#[derive(Default)]
pub struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// A buffer of `len` numbers, of any value: the smallest free one that is
    /// large enough, else a new one in place of the largest free one. After a
    /// few frames of one size there are no new ones.
    ///
    /// # Errors
    /// [`EngineError::OutOfMemory`].
    pub fn take(&mut self, len: usize) -> Result<Vec<f32>, EngineError> {
        let fitting = (0..self.0.len())
            .filter(|&i| self.0[i].capacity() >= len)
            .min_by_key(|&i| self.0[i].capacity());
        let mut buffer = match fitting {
            Some(i) => self.0.swap_remove(i),
            None => {
                let largest = (0..self.0.len()).max_by_key(|&i| self.0[i].capacity());
                drop(largest.map(|i| self.0.swap_remove(i)));
                let mut buffer = Vec::new();
                buffer
                    .try_reserve_exact(len)
                    .map_err(|_| EngineError::OutOfMemory {
                        needed_mib: len.saturating_mul(size_of::<f32>()) >> 20,
                    })?;
                buffer
            }
        };
        buffer.truncate(len);
        buffer.resize(len, 0.0);
        Ok(buffer)
    }

    /// Keeps `buffer` for later.
    pub fn give_back(&mut self, buffer: Vec<f32>) {
        self.0.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_buffer_that_fits_is_taken() {
        let mut buffers = Buffers::default();
        let (large, small) = (buffers.take(100).unwrap(), buffers.take(10).unwrap());
        let (large_at, small_at) = (large.as_ptr(), small.as_ptr());
        buffers.give_back(large);
        buffers.give_back(small);
        let small = buffers.take(8).unwrap();
        assert_eq!(small.as_ptr(), small_at);
        let again = buffers.take(50).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (large_at, 50));
    }

    #[test]
    fn too_much_is_an_error() {
        let error = Buffers::default().take(usize::MAX / 8).unwrap_err();
        assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error}");
    }
}
