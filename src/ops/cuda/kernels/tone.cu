// The tone of a painting, from the luma of the picture: what engine/tone.rs does
// on the CPU, and explains.
#include "rgb_pixels.cuh"

typedef unsigned long long Whole;

// As the constants in tone.rs; block means are in steps of 1 / LUMA_STEPS.
const int LUMA_BLOCK = 4, LUMA_STEPS = 16;
const double BRIGHT = 176, CONTRAST = 16, SKEW_VARIANCE = 16;

// Adds up the sums of all threads; the first one gets them.
DEVICE void sum_of_block(Whole (&sums)[3]) {
    Whole(*shared)[3] = reinterpret_cast<Whole(*)[3]>(shared_memory());
    UNROLL
    for (int i = 0; i < 3; i++) shared[threadIdx.x][i] = sums[i];
    for (int half = 128; half > 0; half /= 2) {
        wait_for_block();
        if (int(threadIdx.x) >= half) continue;
        UNROLL
        for (int i = 0; i < 3; i++) shared[threadIdx.x][i] += shared[threadIdx.x + half][i];
    }
    UNROLL
    for (int i = 0; i < 3; i++) sums[i] = shared[threadIdx.x][i];
}

// A thread takes one block of pixels after the other.
KERNEL(256, 4) NAMED(measure_luma)(const __grid_constant__ FindTone p) {
    const int across = (p.width + LUMA_BLOCK - 1) / LUMA_BLOCK, down = (p.height + LUMA_BLOCK - 1) / LUMA_BLOCK;
    Whole sums[3] = {0, 0, 0};
    for (size_t i = size_t(blockIdx.x) * 256 + threadIdx.x; i < size_t(across) * down; i += size_t(gridDim.x) * 256) {
        const int top = int(i / across) * LUMA_BLOCK, left = int(i % across) * LUMA_BLOCK;
        const int bottom = min(top + LUMA_BLOCK, p.height), right = min(left + LUMA_BLOCK, p.width);
        float sum = 0;
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++) sum += luma(read_picture(p.picture, size_t(y) * p.width + x));
        const int pixels = (bottom - top) * (right - left);
        const Whole mean = Whole(within(sum * LUMA_STEPS / pixels, 0, 255 * LUMA_STEPS) + 0.5f);
        Whole power = pixels;
        UNROLL
        for (int k = 0; k < 3; k++) {
            power *= mean;
            sums[k] += power;
        }
    }
    sum_of_block(sums);
    if (threadIdx.x > 0) return;
    UNROLL
    for (int k = 0; k < 3; k++) p.moments[size_t(blockIdx.x) * 3 + k] = sums[k];
}

DEVICE double tone_gain(double x) {
    const double dark = 1 - fmin(fmax(x / BRIGHT, 0.0), 1.0);
    return 1 - dark * dark * dark * dark;
}

KERNEL(256, 1) NAMED(find_tone)(const __grid_constant__ FindTone p) {
    Whole sums[3] = {0, 0, 0};
    for (int row = threadIdx.x; row < p.rows; row += 256)
        UNROLL
        for (int k = 0; k < 3; k++) sums[k] += p.moments[size_t(row) * 3 + k];
    sum_of_block(sums);
    if (threadIdx.x > 0) return;
    const double step = 1.0 / LUMA_STEPS, part = step / (double(p.height) * p.width);
    const double mean = sums[0] * part, square = sums[1] * part * step, cube = sums[2] * part * step * step;
    const double variance = fmax(square - mean * mean, 0.0), smoothed = variance + SKEW_VARIANCE;
    const double third = cube - mean * (3 * square - 2 * mean * mean);
    const double skewness = third / (smoothed * sqrt(smoothed)), root = sqrt(skewness * skewness + 4);
    const double low = mean + sqrt(variance) * (skewness - root) / 2;
    const double high = mean + sqrt(variance) * (skewness + root) / 2;
    const double black = tone_gain(high), white = tone_gain(255 - low);
    const double contrast = fmin((high - low) / CONTRAST, 1.0), paint = contrast * contrast * (3 - 2 * contrast);
    p.tone->factor = float(paint * black * white);
    p.tone->offset = float(paint * (1 - white) * 255);
    p.tone->keep = float(1 - paint);
}
