// The kernels of the network, and a table of them: included once for each kind of
// 16-bit floats, each time in a namespace of its own.
#include "../kernels/convolution.cu"
#include "../kernels/first.cu"
#include "../kernels/frame.cu"
#include "../kernels/last.cu"
#include "../kernels/residual.cu"
#include "../kernels/resize.cu"
#include "../kernels/settle.cu"

const Entry NETWORK[] = {
#define CONVOLUTION(kind, chunk, columns, ...) ENTRY(Convolution, NAMED(convolve_##kind##_##chunk##_##columns)),
#include "../kernels/shapes.h"
#undef CONVOLUTION
    ENTRY(First, NAMED(convolve_picture_16)),
    ENTRY(First, NAMED(convolve_picture_32)),
    ENTRY(Last, NAMED(convolve_to_picture_16)),
    ENTRY(Last, NAMED(convolve_to_picture_32)),
    ENTRY(Residual, NAMED(add_residual)),
    ENTRY(Settle, NAMED(settle_norm)),
    ENTRY(Enter, NAMED(enter_network)),
    ENTRY(Shrink, NAMED(shrink_picture)),
    ENTRY(Fields, NAMED(find_fields)),
    ENTRY(Leave, NAMED(leave_network)),
};
