// What the kernels ask of the machine, one function each: tensor cores, copies
// in the background, exchange between the lanes of a warp, 16-bit floats.
//
// nvcc turns these into the instructions of the device. For tests any C++
// compiler builds the very same kernels against host/emulator.h instead.
#pragma once

#include "parameters.h"

// With BFLOAT16 defined, 16-bit floats have 8 bits of exponent, and kernels
// another name.
#ifdef BFLOAT16
#define NAMED(kernel) kernel##_bf16
#else
#define NAMED(kernel) kernel
#endif

#ifndef __CUDACC__
#include "emulator.h"
#else

#include <cuda_fp16.h>

#define KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define DEVICE __device__ __forceinline__
// The types of a product's factors.
#ifdef BFLOAT16
#define FACTORS "bf16.bf16"
#else
#define FACTORS "f16.f16"
#endif
#define UNROLL _Pragma("unroll")

// Shared memory of the block, as many bytes as the launch asks for.
DEVICE char* shared_memory() {
    extern __shared__ __align__(128) char memory[];
    return memory;
}

DEVICE unsigned shared_address(const void* pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// Starts to copy 16 or 8 bytes to shared memory.
template <int BYTES>
DEVICE void copy_later(void* to, const void* from) {
    if constexpr (BYTES == 16)  // Not by way of the first-level cache.
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from));
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(to)), "l"(from),
                     "n"(BYTES));
}

// Starts to copy 16 bytes to shared memory, or to clear them there. By way of the
// first-level cache: for what is soon copied again.
DEVICE void copy_or_clear_later(void* to, const void* from, bool copied) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(copied ? 16 : 0));
}

// Ends a group of copies.
DEVICE void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for the thread's own copies, but for those of the last PENDING groups.
template <int PENDING>
DEVICE void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8x8 matrices of 16-bit floats. Lane i gives the address of a row of 16
// bytes, row i % 8 of matrix i / 8, and gets of row lane / 4 of each matrix the
// elements 2 * (lane % 4) and the next.
DEVICE void load_matrices(unsigned (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, with each matrix transposed: of column lane / 4 of each matrix the
// elements 2 * (lane % 4) and the next.
DEVICE void load_transposed(unsigned (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// sums += a * b with a of 16x16, b of 16x8. A lane holds, with g = lane / 4 and
// q = 2 * (lane % 4): of a the rows g and g + 8 at columns q, q + 1, then both
// at columns q + 8, q + 9; of b column g at rows q, q + 1 and q + 8, q + 9; of
// the sums rows g and g + 8 at columns q, q + 1.
DEVICE void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." FACTORS ".f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The value of the lane whose number differs in the bits of `mask`.
DEVICE float from_lane_across(float value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
}

DEVICE void wait_for_block() { __syncthreads(); }
DEVICE void wait_for_warp() { __syncwarp(); }

// Two 16-bit floats in a word, the first in the lower half.
#ifdef BFLOAT16

DEVICE unsigned pack(float first, float second) {
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
    return word;
}

DEVICE float2 unpack(unsigned word) {
    return make_float2(__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u));
}

#else

DEVICE unsigned pack(float first, float second) {
    const __half2 pair = __floats2half2_rn(first, second);
    return *reinterpret_cast<const unsigned*>(&pair);
}

DEVICE float2 unpack(unsigned word) {
    return __half22float2(*reinterpret_cast<const __half2*>(&word));
}

#endif

#endif
