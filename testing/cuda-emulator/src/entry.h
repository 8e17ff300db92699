// A kernel by its name.
#pragma once

#include <cstddef>

struct Entry {
    const char* name;
    // Tells how many bytes the parameters are; with null, that is all it does.
    size_t (*call)(const void*);
};

template <typename P, void (*KERNEL_)(const P)>
size_t call(const void* parameters) {
    if (parameters != nullptr) KERNEL_(*static_cast<const P*>(parameters));
    return sizeof(P);
}

// By way of a second macro, so that the kernel's name is put together first.
#define ENTRY(parameters, kernel) ENTRY_OF(parameters, kernel)
#define ENTRY_OF(parameters, kernel) {#kernel, call<parameters, kernel>}

// For the kernels with 16-bit floats that have 8 bits of exponent (bf16).
const Entry* find_bf16(const char* name);
