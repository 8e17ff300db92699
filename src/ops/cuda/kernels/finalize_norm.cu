// What normalises an image, from the moments that its blocks gathered: always
// summed in the same order, in 64 bits because the mean is taken away from
// squares that may be far larger than the variance.
#include "device.cuh"

// Eight channels a block; 32 threads sum the rows of each.
const int BLOCK_CHANNELS = 8, SUMMING = 32;

KERNEL(256, 1) NAMED(finalize_norm)(const __grid_constant__ FinalizeNorm p) {
    double* sums = reinterpret_cast<double*>(shared_memory());
    double* squares = sums + SUMMING * BLOCK_CHANNELS;
    const int own = threadIdx.x % BLOCK_CHANNELS, channel = blockIdx.x * BLOCK_CHANNELS + own;
    double sum = 0, square = 0;
    if (channel < p.channels)
        for (int row = threadIdx.x / BLOCK_CHANNELS; row < p.rows; row += SUMMING) {
            const float2 moments = reinterpret_cast<const float2*>(p.moments)[size_t(row) * p.channels + channel];
            sum += moments.x;
            square += moments.y;
        }
    sums[threadIdx.x] = sum;
    squares[threadIdx.x] = square;
    for (int half = SUMMING / 2; half > 0; half /= 2) {
        wait_for_block();
        if (int(threadIdx.x) < half * BLOCK_CHANNELS) {
            sums[threadIdx.x] += sums[threadIdx.x + half * BLOCK_CHANNELS];
            squares[threadIdx.x] += squares[threadIdx.x + half * BLOCK_CHANNELS];
        }
    }
    if (threadIdx.x >= BLOCK_CHANNELS || channel >= p.channels) return;
    const double mean = sums[own] / p.pixels;
    const double variance = fmax(squares[own] / p.pixels - mean * mean, 0.0);
    const float factor = float(p.scale[channel] / sqrt(variance + p.eps[channel]));
    p.factor[channel] = factor;
    p.offset[channel] = float(p.shift[channel] - mean * factor);
}
