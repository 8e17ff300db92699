// The kernels convolve_KIND_CHUNK_COLUMNS of shapes.h.
#include "convolution.cuh"

#define CONVOLUTION(kind, chunk, columns, down, across, rows, width, blocks)                                 \
    static_assert(across * width == columns, "the warps cover the block's columns");                        \
    KERNEL(32 * down * across, blocks)                                                                       \
    NAMED(convolve_##kind##_##chunk##_##columns)(const __grid_constant__ Convolution p) {                    \
        Convolver<Shape<kind, chunk, down, across, rows, width>>(p).run();                                   \
    }
#include "shapes.h"
#undef CONVOLUTION
