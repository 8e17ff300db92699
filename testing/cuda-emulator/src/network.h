// The kernels of the network, and a table of them: included once for each kind of
// 16-bit floats, each time in a namespace of its own.
#include "convolution.cu"
#include "first.cu"
#include "frame.cu"
#include "last.cu"
#include "residual.cu"
#include "resize.cu"
#include "finalize_norm.cu"
#include "tone.cu"

const Entry NETWORK[] = {
#define CONVOLUTION(step, chunk, columns, ...) ENTRY(Convolution, NAMED(convolve_##step##_##chunk##_##columns)),
#include "conv_tilings.h"
#undef CONVOLUTION
    ENTRY(First, NAMED(convolve_picture_16)),
    ENTRY(First, NAMED(convolve_picture_32)),
    ENTRY(Last, NAMED(convolve_to_picture_16)),
    ENTRY(Last, NAMED(convolve_to_picture_32)),
    ENTRY(Residual, NAMED(add_residual)),
    ENTRY(FinalizeNorm, NAMED(finalize_norm)),
    ENTRY(Enter, NAMED(enter_network)),
    ENTRY(FindTone, NAMED(measure_luma)),
    ENTRY(FindTone, NAMED(find_tone)),
    ENTRY(Shrink, NAMED(shrink_picture)),
    ENTRY(Fields, NAMED(find_fields)),
    ENTRY(Leave, NAMED(leave_network)),
};
