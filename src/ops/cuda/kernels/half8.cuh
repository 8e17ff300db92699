// Arithmetic on eight 16-bit floats at a time: what one 16-byte access moves.
#pragma once

#include "device.cuh"

// The normalisation of eight channels.
struct Affine8 {
    float factor[8], offset[8];

    DEVICE Affine8(const Affine& affine, int channel) {
        UNROLL
        for (int i = 0; i < 8; i++) {
            factor[i] = affine.factor[channel + i];
            offset[i] = affine.offset[channel + i];
        }
    }

    DEVICE float of(float x, int i) const { return fmaf(x, factor[i], offset[i]); }
};

// One 16-bit float.
DEVICE float widen(Half x) { return unpack(x).x; }
DEVICE Half narrow(float x) { return Half(pack(x, 0.0f)); }

DEVICE void unpack8(const uint4& words, float (&to)[8]) {
    const unsigned word[4] = {words.x, words.y, words.z, words.w};
    UNROLL
    for (int i = 0; i < 4; i++) {
        const float2 pair = unpack(word[i]);
        to[2 * i] = pair.x;
        to[2 * i + 1] = pair.y;
    }
}

DEVICE uint4 pack8(const float (&x)[8]) {
    uint4 words;
    words.x = pack(x[0], x[1]);
    words.y = pack(x[2], x[3]);
    words.z = pack(x[4], x[5]);
    words.w = pack(x[6], x[7]);
    return words;
}

// N consecutive numbers, 8 or 1 of them.
template <int N>
DEVICE void load(const Half* from, float (&to)[N]) {
    if constexpr (N == 8)
        unpack8(*reinterpret_cast<const uint4*>(from), to);
    else
        to[0] = widen(*from);
}

template <int N>
DEVICE void store(const float (&from)[N], Half* to) {
    if constexpr (N == 8)
        *reinterpret_cast<uint4*>(to) = pack8(from);
    else
        *to = narrow(from[0]);
}

// In f32 and rounded once, which tensor cores leave ample time for.
DEVICE uint4 normalise_relu(const uint4& words, const Affine8& affine) {
    float x[8];
    unpack8(words, x);
    UNROLL
    for (int i = 0; i < 8; i++) x[i] = fmaxf(affine.of(x[i], i), 0.0f);
    return pack8(x);
}
