// The sum at the end of a residual block, and what its input must be at the
// first: nothing may be pending on an image that others are added to.
#include "half8.cuh"

KERNEL(256, 4) NAMED(add_residual)(const __grid_constant__ Residual p) {
    // The threads of a line of blocks go through the image side by side.
    const int step = gridDim.x * blockDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < p.groups; i += step) {
        const Affine8 affine(p.affine, i % (p.channels / 8) * 8);
        float y[8];
        unpack8(reinterpret_cast<const uint4*>(p.added)[i], y);
        uint4* sum = reinterpret_cast<uint4*>(p.sum) + i;
        if (p.replace) {
            UNROLL
            for (int c = 0; c < 8; c++) y[c] = fmaxf(affine.of(y[c], c), 0.0f);
        } else {
            float x[8];
            unpack8(*sum, x);
            UNROLL
            for (int c = 0; c < 8; c++) y[c] = x[c] + affine.of(y[c], c);
        }
        *sum = pack8(y);
    }
}
