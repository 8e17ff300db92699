// The kernels themselves, and the door through which Rust calls them.
#include "emulator.h"
#include "entry.h"
#include "network.h"

namespace emulator {
const char* launch(size_t (*kernel)(const void*), dim3 grid, unsigned threads, unsigned shared_bytes,
                   const void* parameters, bool backwards, unsigned long long* conflicts);
}

namespace {

const Entry* find(const char* name) {
    for (const Entry& entry : NETWORK)
        if (strcmp(entry.name, name) == 0) return &entry;
    return find_bf16(name);
}

}  // namespace

// Bytes of each kernel's parameters, in the order of the enum in parameters.rs.
extern "C" void faststyle_parameter_sizes(size_t (&sizes)[9]) {
    const size_t all[] = {sizeof(Convolution), sizeof(First),  sizeof(Last),   sizeof(Residual), sizeof(Settle),
                          sizeof(Enter),       sizeof(Shrink), sizeof(Fields), sizeof(Leave)};
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
