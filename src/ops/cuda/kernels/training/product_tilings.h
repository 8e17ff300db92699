// The products of training that are compiled, by kind and columns of a block: how
// many warps lie below and beside each other, and how many groups of 16 rows and
// how many columns each of them has. product_tiling.rs reads this table too.
//
// ALIGNED ones want channels in multiples of 8, ANY ones take all. Warps of
// 64 x 64 have 128 sums in registers; two blocks of four fit on a multiprocessor.
//
//      kind,    columns, warps down, across, rows / 16, width
PRODUCT(ALIGNED, 128, 2, 2, 4, 64)
PRODUCT(ALIGNED,  64, 4, 1, 4, 64)
PRODUCT(ALIGNED,  32, 4, 1, 4, 32)
PRODUCT(ALIGNED,  16, 4, 1, 4, 16)
PRODUCT(ANY,      64, 4, 1, 2, 64)
PRODUCT(ANY,      32, 4, 1, 2, 32)
PRODUCT(ANY,      16, 4, 1, 2, 16)
WEIGHT_GRADIENT(ALIGNED, 128, 2, 2, 4, 64)
WEIGHT_GRADIENT(ALIGNED,  64, 2, 2, 4, 32)
WEIGHT_GRADIENT(ALIGNED,  32, 4, 1, 2, 32)
WEIGHT_GRADIENT(ALIGNED,  16, 4, 1, 2, 16)
WEIGHT_GRADIENT(ANY,      64, 2, 2, 4, 32)
WEIGHT_GRADIENT(ANY,      32, 4, 1, 2, 32)
WEIGHT_GRADIENT(ANY,      16, 4, 1, 2, 16)
