// The inner dimension of training's products (implicit GEMM): which pixel of an
// image, and which channels of it, a row of the product has at a place.
#pragma once

#include "border.cuh"
#include "half8.cuh"

// A place in the inner dimension: a tap of the kernel and a channel.
struct Place {
    int tap_y, tap_x;
    // Channel `start + channel`, with `channel` below `block`.
    int start, channel;

    DEVICE Place(const Gather& gather, int index) {
        channel = index % gather.block;
        index /= gather.block;
        tap_x = index % gather.taps_across;
        index /= gather.taps_across;
        tap_y = index % gather.taps_down;
        start = index / gather.taps_down * gather.block;
    }

    DEVICE void advance(const Gather& gather, int count) {
        channel += count;
        while (channel >= gather.block) {
            channel -= gather.block;
            if (++tap_x < gather.taps_across) continue;
            tap_x = 0;
            if (++tap_y < gather.taps_down) continue;
            tap_y = 0;
            start += gather.block;
        }
    }
};

// A pixel of the grid.
struct Pixel {
    int image, y, x;

    DEVICE Pixel(const Gather& gather, int index) {
        x = index % gather.across;
        index /= gather.across;
        y = index % gather.down;
        image = index / gather.down;
    }

    DEVICE void advance(const Gather& gather, int count) {
        x += count;
        while (x >= gather.across) {
            x -= gather.across;
            if (++y < gather.down) continue;
            y = 0;
            image++;
        }
    }
};

// Where the taps of a pixel of the grid begin.
struct Origin {
    // The first pixel of its image; -1 if there is no such pixel.
    int image;
    int y, x;

    DEVICE Origin(const Gather& gather, const Pixel& pixel) {
        image = pixel.image < gather.batch ? pixel.image * gather.height * gather.width : -1;
        y = pixel.y * gather.stride - gather.before_y;
        x = pixel.x * gather.stride - gather.before_x;
    }
};

// The pixel that a tap meets; -1 if zeros are there.
DEVICE int meet_tap(const Gather& gather, const Origin& origin, const Place& place) {
    int y = origin.y + place.tap_y, x = origin.x + place.tap_x;
    if (origin.image < 0 || place.start >= gather.channels) return -1;
    if (gather.mirrored) {
        y = mirror(y, gather.height);
        x = mirror(x, gather.width);
    }
    if (unsigned(y) >= unsigned(gather.height) || unsigned(x) >= unsigned(gather.width)) return -1;
    return origin.image + y * gather.width + x;
}

// Eight numbers of the inner dimension to shared memory, in the background where
// they are channels of one pixel and aligned.
template <bool ALIGNED>
DEVICE void gather8(const Gather& gather, const Origin& origin, Place place, char* to) {
    if constexpr (!ALIGNED) {
        if (gather.channels % 8 != 0) {
            unsigned words[4];
            UNROLL
            for (int i = 0; i < 8; i++) {
                const int pixel = meet_tap(gather, origin, place);
                const size_t at = size_t(max(pixel, 0)) * gather.channels + place.start + place.channel;
                const unsigned x = pixel < 0 ? 0 : gather.image[at];
                words[i / 2] = i % 2 == 0 ? x : words[i / 2] | x << 16;
                place.advance(gather, 1);
            }
            *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
            return;
        }
    }
    const int pixel = meet_tap(gather, origin, place);
    const Half* from = gather.image;
    if (pixel >= 0) from += size_t(pixel) * gather.channels + place.start + place.channel;
    copy_or_clear_later(to, from, pixel >= 0);
}
