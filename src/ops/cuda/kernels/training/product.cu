// The kernels multiply_ALIGNMENT_COLUMNS of product_tilings.h, and what packs weights for
// them.
#include "training/product.cuh"

#define WEIGHT_GRADIENT(...)
#define PRODUCT(alignment, columns, down, across, groups, width)                                      \
    static_assert(across * width == columns, "the warps cover the block's columns");                 \
    KERNEL(32 * down * across, 2) multiply_##alignment##_##columns(const __grid_constant__ Product p) { \
        Multiplier<ProductTiling<alignment, down, across, groups, width>>(p).run();                   \
    }
#include "training/product_tilings.h"
#undef PRODUCT
#undef WEIGHT_GRADIENT

KERNEL(256, 1) pack_weights(const __grid_constant__ PackWeights p) {
    const int count = p.chunks * p.padded_columns * 32;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        const int column = i / 32 % p.padded_columns;
        int index = i / 32 / p.padded_columns * 32 + i % 32;
        int channel = index % p.block;
        index /= p.block;
        const int x = p.first_x + index % p.taps_across * p.step;
        index /= p.taps_across;
        const int y = p.first_y + index % p.taps_down * p.step;
        channel += index / p.taps_down * p.block;
        const bool there = column < p.columns && channel < p.channels && y < p.side && x < p.side;
        const int at = column * p.column_stride + channel * p.channel_stride + y * p.side + x;
        p.packed[i] = narrow(there ? p.weights[at] : 0.0f);
    }
}
