// Pictures of four 16-bit floats a pixel: red, green, blue, nothing.
#pragma once

#include "device.cuh"

struct Colour {
    float r, g, b;
};

// Never NaN.
DEVICE float within(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

// Luma of BT.601.
DEVICE float luma(const Colour& c) { return 0.299f * c.r + (1.0f - 0.299f - 0.114f) * c.g + 0.114f * c.b; }

DEVICE Colour read_numbers(const Half* picture, size_t pixel) {
    const uint2 words = *reinterpret_cast<const uint2*>(picture + pixel * 4);
    const float2 first = unpack(words.x), second = unpack(words.y);
    return {first.x, first.y, second.x};
}

// Colours in 0..255 are kept as (value - 128) / 128: exact for bytes, and near
// 0. What that adds to every pixel and takes from none, the first layer's
// normalisation removes.
DEVICE float from_kept(float x) { return fmaf(x, 128, 128); }
DEVICE float kept(float value) { return (value - 128) / 128; }

DEVICE Colour read_picture(const Half* picture, size_t pixel) {
    const Colour c = read_numbers(picture, pixel);
    return {from_kept(c.r), from_kept(c.g), from_kept(c.b)};
}

DEVICE void write_picture(Half* picture, size_t pixel, const Colour& c) {
    uint2 words;
    words.x = pack(kept(c.r), kept(c.g));
    words.y = pack(kept(c.b), 0.0f);
    *reinterpret_cast<uint2*>(picture + pixel * 4) = words;
}

DEVICE float finish(const Styled& styled, float x, int channel) {
    const float y = fmaf(x, styled.affine.factor[channel], styled.affine.offset[channel]);
    return within(styled.span > 0 ? tanhf(y) * styled.span + 127.5f : y, 0, 255);
}

DEVICE float in_tone(const Tone& tone, float painted, float original) {
    return painted * tone.factor + tone.offset + tone.keep * original;
}

// Pixel (x, y) that the network has painted, in 0..255, in the tone of the
// `original` picture, whose pixel counts only if the tone keeps some of it.
DEVICE Colour read_styled(const Styled& styled, int x, int y, const Colour& original) {
    const Colour c = read_numbers(styled.numbers, size_t(y) * styled.width + x);
    const Tone& tone = *styled.tone;
    return {in_tone(tone, finish(styled, c.r, 0), original.r), in_tone(tone, finish(styled, c.g, 1), original.g),
            in_tone(tone, finish(styled, c.b, 2), original.b)};
}
