// The convolutions that are compiled, by step, channels of a chunk and columns
// of a block: how many warps lie below and beside each other, how many rows of
// 16 pixels and how many columns each of them has, and how many blocks are to
// fit on a multiprocessor. launches.rs reads this table too.
//
// Wide blocks have warps of 64 x 64, whose 128 sums in registers leave no room
// for a second block: then a matrix that is loaded serves 4 (a) or 8 (b)
// products, and shared memory keeps pace with the tensor cores.
//
//     step,  chunk, columns, warps down, across, rows, width, blocks
CONVOLUTION(SAME,   32, 128, 4, 2, 4, 64, 1)
CONVOLUTION(SAME,   32,  64, 8, 1, 2, 64, 2)
CONVOLUTION(SAME,   32,  32, 8, 1, 2, 32, 2)
CONVOLUTION(SAME,   32,  16, 8, 1, 2, 16, 2)
CONVOLUTION(SAME,   16,  16, 8, 1, 2, 16, 2)
CONVOLUTION(HALF,   32, 128, 4, 2, 2, 64, 1)
CONVOLUTION(HALF,   32,  64, 4, 2, 2, 32, 1)
CONVOLUTION(HALF,   32,  32, 8, 1, 1, 32, 2)
CONVOLUTION(HALF,   32,  16, 8, 1, 1, 16, 2)
CONVOLUTION(HALF,   16,  16, 8, 1, 1, 16, 2)
CONVOLUTION(DOUBLE, 32, 128, 2, 4, 8, 32, 1)
CONVOLUTION(DOUBLE, 32,  64, 2, 4, 8, 16, 2)
CONVOLUTION(DOUBLE, 16,  64, 2, 4, 8, 16, 2)
