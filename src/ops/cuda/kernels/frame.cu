// From a frame into the network, and from the network into a frame.
#include "frame.cuh"

// (value - 128) / 128: exact for bytes, and near 0. What that adds to every
// pixel and takes from none, the first layer's normalisation removes.
KERNEL(256, 4) enter_network(const __grid_constant__ Enter p) {
    const int x = blockIdx.x * 256 + threadIdx.x;
    if (x >= p.frame.width) return;
    for (int y = blockIdx.y; y < p.frame.height; y += gridDim.y) {
        const Colour colour = read_pixel(p.frame, x, y);
        uint2 words;
        words.x = pack((colour.r - 128) / 128, (colour.g - 128) / 128);
        words.y = pack((colour.b - 128) / 128, 0.0f);
        *reinterpret_cast<uint2*>(p.picture + (size_t(y) * p.frame.width + x) * 4) = words;
    }
}

DEVICE float leave_range(const Leave& p, float x, int channel) {
    const float y = fmaf(x, p.affine.factor[channel], p.affine.offset[channel]);
    return within(p.span > 0 ? tanhf(y) * p.span + 127.5f : y, 0, 255);
}

// Luma of BT.601.
DEVICE float luma(const Colour& c) { return 0.299f * c.r + (1.0f - 0.299f - 0.114f) * c.g + 0.114f * c.b; }

// The new picture's pixel, with as much of the old one as is wanted.
DEVICE Colour new_pixel(const Leave& p, int x, int y) {
    const uint2 words = *reinterpret_cast<const uint2*>(p.styled + (size_t(y) * p.styled_width + x) * 4);
    const float2 first = unpack(words.x), second = unpack(words.y);
    Colour colour = {leave_range(p, first.x, 0), leave_range(p, first.y, 1), leave_range(p, second.x, 2)};
    if (p.strength >= 1 && !p.keep_colours) return colour;
    const Colour old = read_pixel(p.before, x, y);
    if (p.keep_colours) {
        const float brighter = luma(colour) - luma(old);
        colour = {within(old.r + brighter, 0, 255), within(old.g + brighter, 0, 255),
                  within(old.b + brighter, 0, 255)};
    }
    if (p.strength < 1)
        colour = {old.r + p.strength * (colour.r - old.r), old.g + p.strength * (colour.g - old.g),
                  old.b + p.strength * (colour.b - old.b)};
    return colour;
}

DEVICE float weigh(const float (&weights)[4], const Colour& c) {
    return weights[0] * c.r + weights[1] * c.g + weights[2] * c.b + weights[3];
}

DEVICE void write_opacity(const Leave& p, SampleWriter& writer, int x, int y) {
    const FrameLayout& to = p.after;
    if (to.opacity.plane < 0) return;
    float opacity = to.largest;
    if (p.keep_opacity && x < to.width)
        opacity *= read_sample(p.before, p.before.opacity, x, y) / p.before.largest;
    writer.write(to.opacity, x, y, opacity);
}

// A thread writes a group: the pixels that share chroma or a word.
KERNEL(256, 2) leave_network(const __grid_constant__ Leave p) {
    const FrameLayout& to = p.after;
    const int left = (blockIdx.x * 256 + threadIdx.x) * to.group_width;
    if (left >= to.width) return;
    const int shift_x = to.lanes[1].shift_x, shift_y = to.lanes[1].shift_y;
    for (int top = blockIdx.y * to.group_height; top < to.height; top += gridDim.y * to.group_height) {
        SampleWriter writer(to);
        // Pixels whose chroma is one are a step.
        for (int step = 0; step < to.group_width; step += 1 << shift_x) {
            Colour sum = {0, 0, 0};
            for (int i = 0; i < 1 << (shift_x + shift_y); i++) {
                const int x = left + step + (i & ((1 << shift_x) - 1)), row = top + (i >> shift_x);
                // A lone last row or column stands in for the one that is
                // missing; what else fills up a group is black.
                const int y = min(row, to.height - 1);
                Colour colour = {0, 0, 0};
                if (x < to.width + to.width % 2) colour = new_pixel(p, min(x, to.width - 1), y);
                sum = {sum.r + colour.r, sum.g + colour.g, sum.b + colour.b};
                if (row >= to.height) continue;
                if (to.family == RGB) {
                    writer.write(to.lanes[0], x, y, colour.r * to.back_gain + to.back_offset);
                    writer.write(to.lanes[1], x, y, colour.g * to.back_gain + to.back_offset);
                    writer.write(to.lanes[2], x, y, colour.b * to.back_gain + to.back_offset);
                } else {
                    writer.write(to.lanes[0], x, y, weigh(to.back[0], colour));
                }
                write_opacity(p, writer, x, y);
            }
            if (to.family != YUV) continue;
            const float part = 1.0f / (1 << (shift_x + shift_y));
            const Colour mean = {sum.r * part, sum.g * part, sum.b * part};
            writer.write(to.lanes[1], left + step, top, weigh(to.back[1], mean));
            writer.write(to.lanes[2], left + step, top, weigh(to.back[2], mean));
        }
        writer.finish(left, top);
    }
}
