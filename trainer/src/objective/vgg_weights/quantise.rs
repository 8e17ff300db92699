//! Weights as indices into a table of 256 values.

/// Values that the weights of a convolution can take.
pub const TABLE: usize = 256;

/// Rounds of the refinement; it has long settled by then.
const ROUNDS: usize = 60;

/// An index for each weight, and the table of [`TABLE`] values, in ascending
/// order.
///
/// Weights of no more than [`TABLE`] different values are kept exactly. Others
/// go to the nearest of the values that one-dimensional k-means finds. All
/// weights have to be finite.
pub fn quantise(weights: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let mut sorted = weights.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut table = sorted.clone();
    table.dedup();
    if table.len() > TABLE {
        table = refine(&sorted, spread(&sorted));
    }
    // The rest of the table is never looked up.
    table.resize(TABLE, table.last().copied().unwrap_or(0.0));
    let indices = weights.iter().map(|weight| nearest(&table, *weight));
    (indices.collect(), table)
}

/// The index of the value closest to `weight`.
fn nearest(table: &[f32], weight: f32) -> u8 {
    let above = table.partition_point(|value| *value < weight);
    let index = match above {
        0 => 0,
        TABLE => TABLE - 1,
        _ if weight - table[above - 1] <= table[above] - weight => above - 1,
        _ => above,
    };
    index as u8
}

/// Where to begin: values as dense as the cube root of the weights' density,
/// which is the best that there is for many values. Quantiles would leave the
/// long tails, which matter most, to a few values.
fn spread(sorted: &[f32]) -> Vec<f32> {
    const BINS: usize = 4096;
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let width = (f64::from(high) - f64::from(low)) / BINS as f64;
    let mut counts = vec![0u32; BINS];
    for weight in sorted {
        let bin = (f64::from(*weight) - f64::from(low)) / width;
        counts[(bin as usize).min(BINS - 1)] += 1;
    }
    let roots = counts.iter().map(|count| f64::from(*count).cbrt());
    let total: f64 = roots.clone().sum();
    let mut table = Vec::with_capacity(TABLE);
    let mut sum = 0.0;
    for (bin, root) in roots.enumerate() {
        sum += root;
        while table.len() < TABLE && sum >= total * (table.len() as f64 + 0.5) / TABLE as f64 {
            table.push((f64::from(low) + (bin as f64 + 0.5) * width) as f32);
        }
    }
    table.resize(TABLE, high);
    table
}

/// Lloyd's algorithm: each value moves to the mean of the weights that are
/// nearest to it, until none moves. In one dimension those are a stretch of
/// the sorted weights.
fn refine(sorted: &[f32], mut table: Vec<f32>) -> Vec<f32> {
    let mut sums = vec![0.0f64];
    sums.extend(sorted.iter().scan(0.0, |sum, weight| {
        *sum += f64::from(*weight);
        Some(*sum)
    }));
    for _ in 0..ROUNDS {
        let mut start = 0;
        let mut moved = false;
        let border = |pair: &[f32]| pair[0] / 2.0 + pair[1] / 2.0;
        let mut ends: Vec<usize> = table
            .windows(2)
            .map(|pair| sorted.partition_point(|weight| *weight <= border(pair)))
            .collect();
        ends.push(sorted.len());
        for (value, end) in table.iter_mut().zip(ends) {
            if end > start {
                let mean = ((sums[end] - sums[start]) / (end - start) as f64) as f32;
                moved |= mean != *value;
                *value = mean;
            }
            start = start.max(end);
        }
        if !moved {
            break;
        }
    }
    table
}
