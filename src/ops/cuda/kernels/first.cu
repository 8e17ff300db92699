// The kernels convolve_picture_COLUMNS.
#include "first.cuh"

KERNEL(256, 2) NAMED(convolve_picture_16)(const __grid_constant__ First p) { convolve_picture<FirstTiling<16>>(p); }
KERNEL(256, 2) NAMED(convolve_picture_32)(const __grid_constant__ First p) { convolve_picture<FirstTiling<32>>(p); }
