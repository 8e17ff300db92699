// The kernels convolve_to_picture_CHUNK.
#include "last.cuh"

KERNEL(256, 2) NAMED(convolve_to_picture_16)(const __grid_constant__ Last p) { convolve_to_picture<LastTiling<16>>(p); }
KERNEL(256, 2) NAMED(convolve_to_picture_32)(const __grid_constant__ Last p) { convolve_to_picture<LastTiling<32>>(p); }
