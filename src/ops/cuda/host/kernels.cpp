// The kernels themselves, and the door through which Rust calls them.
#include "../kernels/convolution.cu"
#include "../kernels/first.cu"
#include "../kernels/frame.cu"
#include "../kernels/last.cu"
#include "../kernels/residual.cu"
#include "../kernels/settle.cu"
#include "../kernels/training/norm.cu"
#include "../kernels/training/pixels.cu"
#include "../kernels/training/product.cu"
#include "../kernels/training/weights.cu"

#include <utility>

namespace emulator {
const char* launch(void (*kernel)(const void*), dim3 grid, unsigned threads, unsigned shared_bytes,
                   const void* parameters, bool backwards, unsigned long long* conflicts);
}

namespace {

template <typename P, void (*KERNEL_)(const P)>
void call(const void* parameters) {
    KERNEL_(*static_cast<const P*>(parameters));
}

struct Entry {
    const char* name;
    void (*call)(const void*);
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
    {"leave_network", call<Leave, leave_network>},
#define PRODUCT(alignment, columns, ...) \
    {"multiply_" #alignment "_" #columns, call<Product, multiply_##alignment##_##columns>},
#define WEIGHT_GRADIENT(alignment, columns, ...) \
    {"weight_gradient_" #alignment "_" #columns, call<WeightGradient, weight_gradient_##alignment##_##columns>},
#include "../kernels/training/shapes.h"
#undef WEIGHT_GRADIENT
#undef PRODUCT
    {"pack_weights", call<PackWeights, pack_weights>},
    {"sum_weight_gradient", call<SumWeightGradient, sum_weight_gradient>},
    {"settle_statistics", call<Norm, settle_statistics>},
    {"settle_norm_gradient", call<Norm, settle_norm_gradient>},
#define BY_CHANNELS(name, parameters) {#name "_8", call<parameters, name##_8>}, {#name "_1", call<parameters, name##_1>}
    BY_CHANNELS(sum_norm, Norm),
    BY_CHANNELS(sum_norm_gradient, Norm),
    BY_CHANNELS(normalise, Norm),
    BY_CHANNELS(normalise_gradient, Norm),
    BY_CHANNELS(max_pool, Resize),
    BY_CHANNELS(max_pool_gradient, Resize),
    BY_CHANNELS(upsample, Resize),
    BY_CHANNELS(upsample_gradient, Resize),
    BY_CHANNELS(gate, Gate),
    BY_CHANNELS(fold, Fold),
#undef BY_CHANNELS
};

}  // namespace

// Bytes of each kernel's parameters, in the order of the enum in parameters.rs.
extern "C" void faststyle_parameter_sizes(size_t (&sizes)[15]) {
    const size_t all[] = {sizeof(Convolution), sizeof(First),          sizeof(Last),
                          sizeof(Residual),    sizeof(Settle),         sizeof(Enter),
                          sizeof(Leave),       sizeof(Product),        sizeof(PackWeights),
                          sizeof(WeightGradient), sizeof(SumWeightGradient), sizeof(Norm),
                          sizeof(Resize),      sizeof(Gate),           sizeof(Fold)};
    static_assert(sizeof all == sizeof sizes, "one for each");
    memcpy(sizes, all, sizeof sizes);
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
