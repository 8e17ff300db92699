// The kernels themselves, and the door through which Rust calls them.
#include "../kernels/convolution.cu"
#include "../kernels/first.cu"
#include "../kernels/frame.cu"
#include "../kernels/last.cu"
#include "../kernels/residual.cu"
#include "../kernels/resize.cu"
#include "../kernels/settle.cu"

#include <utility>

namespace emulator {
const char* launch(size_t (*kernel)(const void*), dim3 grid, unsigned threads, unsigned shared_bytes,
                   const void* parameters, bool backwards, unsigned long long* conflicts);
}

namespace {

// Tells how many bytes the parameters are; with null, that is all it does.
template <typename P, void (*KERNEL_)(const P)>
size_t call(const void* parameters) {
    if (parameters != nullptr) KERNEL_(*static_cast<const P*>(parameters));
    return sizeof(P);
}

struct Entry {
    const char* name;
    size_t (*call)(const void*);
};

const Entry ENTRIES[] = {
#define CONVOLUTION(kind, chunk, columns, ...)      \
    {"convolve_" #kind "_" #chunk "_" #columns, call<Convolution, convolve_##kind##_##chunk##_##columns>},
#include "../kernels/shapes.h"
#undef CONVOLUTION
    {"convolve_picture_16", call<First, convolve_picture_16>},
    {"convolve_picture_32", call<First, convolve_picture_32>},
    {"convolve_to_picture_16", call<Last, convolve_to_picture_16>},
    {"convolve_to_picture_32", call<Last, convolve_to_picture_32>},
    {"add_residual", call<Residual, add_residual>},
    {"settle_norm", call<Settle, settle_norm>},
    {"enter_network", call<Enter, enter_network>},
    {"shrink_picture", call<Shrink, shrink_picture>},
    {"find_fields", call<Fields, find_fields>},
    {"leave_network", call<Leave, leave_network>},
};

}  // namespace

// Bytes of each kernel's parameters, in the order of the enum in parameters.rs.
extern "C" void faststyle_parameter_sizes(size_t (&sizes)[9]) {
    const size_t all[] = {sizeof(Convolution), sizeof(First),  sizeof(Last),   sizeof(Residual), sizeof(Settle),
                          sizeof(Enter),       sizeof(Shrink), sizeof(Fields), sizeof(Leave)};
    memcpy(sizes, all, sizeof sizes);
}

// See parameter_bytes in lib.rs; 0 if there is no such kernel.
extern "C" size_t faststyle_parameter_bytes(const char* name) {
    for (const Entry& entry : ENTRIES)
        if (strcmp(entry.name, name) == 0) return entry.call(nullptr);
    return 0;
}

// See launch in lib.rs.
extern "C" const char* faststyle_launch(const char* name, unsigned across, unsigned down, unsigned threads,
                                        unsigned shared_bytes, const void* parameters, int backwards,
                                        unsigned long long* conflicts) {
    for (const Entry& entry : ENTRIES)
        if (strcmp(entry.name, name) == 0)
            return emulator::launch(entry.call, {across, down, 1}, threads, shared_bytes, parameters, backwards != 0,
                                    conflicts);
    return "there is no such kernel";
}
