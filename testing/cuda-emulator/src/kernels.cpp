// The kernels themselves, and the door through which Rust calls them.
#include "emulator.h"
#include "entry.h"
#include "network.h"

#include "training/norm.cu"
#include "training/pixels.cu"
#include "training/product.cu"
#include "training/weights.cu"

namespace emulator {
const char* launch(size_t (*kernel)(const void*), dim3 grid, unsigned threads, unsigned shared_bytes,
                   const void* parameters, bool backwards, unsigned long long* conflicts);
}

namespace {

const Entry TRAINING[] = {
#define PRODUCT(alignment, columns, ...) ENTRY(Product, multiply_##alignment##_##columns),
#define WEIGHT_GRADIENT(alignment, columns, ...) ENTRY(WeightGradient, weight_gradient_##alignment##_##columns),
#include "training/product_tilings.h"
#undef WEIGHT_GRADIENT
#undef PRODUCT
    ENTRY(PackWeights, pack_weights),
    ENTRY(SumWeightGradient, sum_weight_gradient),
    ENTRY(Norm, finalize_statistics),
    ENTRY(Norm, finalize_norm_gradient),
#define BY_CHANNELS(parameters, kernel) ENTRY(parameters, kernel##_8), ENTRY(parameters, kernel##_1)
    BY_CHANNELS(Norm, sum_norm),
    BY_CHANNELS(Norm, sum_norm_gradient),
    BY_CHANNELS(Norm, normalise),
    BY_CHANNELS(Norm, normalise_gradient),
    BY_CHANNELS(Resize, max_pool),
    BY_CHANNELS(Resize, max_pool_gradient),
    BY_CHANNELS(Resize, upsample),
    BY_CHANNELS(Resize, upsample_gradient),
    BY_CHANNELS(Gate, gate),
    BY_CHANNELS(Fold, fold),
#undef BY_CHANNELS
};

const Entry* find(const char* name) {
    for (const Entry& entry : NETWORK)
        if (strcmp(entry.name, name) == 0) return &entry;
    for (const Entry& entry : TRAINING)
        if (strcmp(entry.name, name) == 0) return &entry;
    return find_bf16(name);
}

}  // namespace

// Bytes of each kernel's parameters, in the order of the enum in parameters.rs.
extern "C" void faststyle_parameter_sizes(size_t (&sizes)[18]) {
    const size_t all[] = {
        sizeof(Convolution), sizeof(First),       sizeof(Last),           sizeof(Residual),
        sizeof(FinalizeNorm),      sizeof(Enter),       sizeof(FindTone),       sizeof(Shrink),
        sizeof(Fields),      sizeof(Leave),       sizeof(Product),        sizeof(PackWeights),
        sizeof(WeightGradient),    sizeof(SumWeightGradient),  sizeof(Norm),  sizeof(Resize),
        sizeof(Gate),        sizeof(Fold)};
    static_assert(sizeof all == sizeof sizes, "one for each");
    memcpy(sizes, all, sizeof sizes);
}

// See parameter_bytes in lib.rs; 0 if there is no such kernel.
extern "C" size_t faststyle_parameter_bytes(const char* name) {
    const Entry* entry = find(name);
    return entry == nullptr ? 0 : entry->call(nullptr);
}

// See launch in lib.rs.
extern "C" const char* faststyle_launch(const char* name, unsigned across, unsigned down, unsigned threads,
                                        unsigned shared_bytes, const void* parameters, int backwards,
                                        unsigned long long* conflicts) {
    const Entry* entry = find(name);
    if (entry == nullptr) return "there is no such kernel";
    return emulator::launch(entry->call, {across, down, 1}, threads, shared_bytes, parameters, backwards != 0,
                            conflicts);
}
