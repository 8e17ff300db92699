// What lies beyond the border of an image.
#pragma once

#include "device.cuh"

// Where a mirrored coordinate lands in 0..length: ..., 2, 1, 0, 1, 2, ... An
// image smaller than the border is mirrored again and again.
DEVICE int mirror(int i, int length) {
    if (length == 1) return 0;
    while (i < 0 || i >= length) i = i < 0 ? -i : 2 * (length - 1) - i;
    return i;
}

DEVICE int clamp_to(int i, int length) { return min(max(i, 0), length - 1); }
