// The kernels convolve_STEP_CHUNK_COLUMNS of conv_tilings.h.
#include "convolution.cuh"

#define CONVOLUTION(step, chunk, columns, down, across, rows, width, blocks)                                 \
    static_assert(across * width == columns, "the warps cover the block's columns");                        \
    KERNEL(32 * down * across, blocks)                                                                       \
    NAMED(convolve_##step##_##chunk##_##columns)(const __grid_constant__ Convolution p) {                    \
        Convolver<ConvTiling<step, chunk, down, across, rows, width>>(p).run();                              \
    }
#include "conv_tilings.h"
#undef CONVOLUTION
