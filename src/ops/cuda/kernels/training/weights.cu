// The kernels weight_gradient_ALIGNMENT_COLUMNS of product_tilings.h, and what adds up
// their parts.
#include "training/weights.cuh"

#define PRODUCT(...)
#define WEIGHT_GRADIENT(alignment, columns, down, across, groups, width)                                            \
    static_assert(across * width == columns, "the warps cover the block's columns");                               \
    KERNEL(32 * down * across, 2) weight_gradient_##alignment##_##columns(const __grid_constant__ WeightGradient p) { \
        WeightMultiplier<WeightTiling<alignment, down, across, groups, width>>(p).run();                            \
    }
#include "training/product_tilings.h"
#undef WEIGHT_GRADIENT
#undef PRODUCT

KERNEL(256, 1) sum_weight_gradient(const __grid_constant__ SumWeightGradient p) {
    const int count = p.taps * p.channels * p.outputs;
    const size_t line = size_t(p.padded_rows) * p.padded_columns;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const int output = i % p.outputs, row = i / p.outputs;
        const float* from = p.sums + size_t(row) * p.padded_columns + output;
        float sum = 0;
        for (int j = 0; j < p.lines; j++) sum += from[j * line];
        p.gradient[(size_t(output) * p.channels + row % p.channels) * p.taps + row / p.channels] = sum;
    }
}
