// Runs kernels on the host, one block after the other, for tests.
//
// Each thread of a block is a fiber. A warp's collectives exchange through
// memory once all 32 lanes are there and fail where they are not. Copies in the
// background happen as late as they may: when they are waited for. Shared
// memory starts as NaN. Warps run from one barrier to the next in either order,
// so that what lacks a barrier shows.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __device__
#define __grid_constant__
#define DEVICE inline
#define UNROLL
// A kernel, and its entry in the table by which it is found.
#define KERNEL(threads, blocks) extern "C" void

struct uint4 {
    alignas(16) unsigned x;
    unsigned y, z, w;
};
struct uint2 {
    alignas(8) unsigned x;
    unsigned y;
};
struct float2 {
    float x, y;
};
struct dim3 {
    unsigned x, y, z;
};

inline float2 make_float2(float x, float y) { return {x, y}; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

extern thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

float half_to_float(uint16_t half);
uint16_t float_to_half(float value);
float bf16_to_float(uint16_t bits);
uint16_t float_to_bf16(float value);

char* shared();
void copy_later(void* to, const void* from, int bytes);
void copy_or_clear_later(void* to, const void* from, bool copied);
void end_copies();
void wait_for_copies(int pending);
void load_matrices(unsigned (&to)[4], const void* row);
void load_transposed(unsigned (&to)[4], const void* row);
void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
void multiply_bf16(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
float from_lane_across(float value, int mask);
void wait_for_block();
void wait_for_warp();

}  // namespace emulator

inline char* shared_memory() { return emulator::shared(); }

template <int BYTES>
inline void copy_later(void* to, const void* from) {
    emulator::copy_later(to, from, BYTES);
}

inline void end_copies() { emulator::end_copies(); }

template <int PENDING>
inline void wait_for_copies() {
    emulator::wait_for_copies(PENDING);
}

using emulator::copy_or_clear_later;
using emulator::from_lane_across;
using emulator::load_matrices;
using emulator::load_transposed;
using emulator::multiply;
using emulator::wait_for_block;
using emulator::wait_for_warp;

inline unsigned pack(float first, float second) {
    return emulator::float_to_half(first) | unsigned(emulator::float_to_half(second)) << 16;
}

inline float2 unpack(unsigned word) {
    return {emulator::half_to_float(uint16_t(word)), emulator::half_to_float(uint16_t(word >> 16))};
}
