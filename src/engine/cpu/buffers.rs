//! Memory that goes from layer to layer and from frame to frame.

/// Buffers that nobody uses at the moment.
#[derive(Default)]
pub struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// A buffer of `len` numbers, of any value: the smallest free one that is
    /// large enough, else a new one in place of the largest free one. After a
    /// few frames of one size there are no new ones.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        let fitting = (0..self.0.len())
            .filter(|&i| self.0[i].capacity() >= len)
            .min_by_key(|&i| self.0[i].capacity());
        let mut buffer = match fitting {
            Some(i) => self.0.swap_remove(i),
            None => {
                let largest = (0..self.0.len()).max_by_key(|&i| self.0[i].capacity());
                drop(largest.map(|i| self.0.swap_remove(i)));
                Vec::with_capacity(len)
            }
        };
        buffer.truncate(len);
        buffer.resize(len, 0.0);
        buffer
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
        let (large, small) = (buffers.take(100), buffers.take(10));
        let (large_at, small_at) = (large.as_ptr(), small.as_ptr());
        buffers.give_back(large);
        buffers.give_back(small);
        assert_eq!(buffers.take(8).as_ptr(), small_at);
        let again = buffers.take(50);
        assert_eq!((again.as_ptr(), again.len()), (large_at, 50));
    }
}
