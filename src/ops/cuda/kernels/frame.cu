// From a frame into the network, and from the network into a frame.
#include "frame.cuh"
#include "half8.cuh"

KERNEL(256, 4) NAMED(enter_network)(const __grid_constant__ Enter p) {
    const int x = blockIdx.x * 256 + threadIdx.x;
    if (x >= p.frame.width) return;
    for (int y = blockIdx.y; y < p.frame.height; y += gridDim.y)
        write_picture(p.picture, size_t(y) * p.frame.width + x, read_pixel(p.frame, x, y));
}

// Where pixel i of `to` is among `from` pixels of the same extent: between which
// two, and how far on the way.
struct Position {
    int before, after;
    float part;

    DEVICE Position(int i, int from, int to) {
        const float at = within((i + 0.5f) * from / to - 0.5f, 0, from - 1);
        before = min(int(at), max(from - 2, 0));
        after = min(before + 1, from - 1);
        part = at - before;
    }
};

DEVICE float between(const Position& x, const Position& y, float a, float b, float c, float d) {
    const float above = fmaf(b - a, x.part, a), below = fmaf(d - c, x.part, c);
    return fmaf(below - above, y.part, above);
}

// Pixel (x, y) of what the network painted at another size: that picture
// between its pixels, and what the frame has of detail there.
DEVICE Colour enlarged(const Leave& p, int frame_x, int frame_y, const Colour& old) {
    const Position x(frame_x, p.fields_width, p.before.width), y(frame_y, p.fields_height, p.before.height);
    float field[4][8];
    UNROLL
    for (int i = 0; i < 4; i++) {
        const size_t row = i / 2 == 0 ? y.before : y.after, column = i % 2 == 0 ? x.before : x.after;
        const size_t pixel = row * p.fields_width + column;
        unpack8(*reinterpret_cast<const uint4*>(p.fields + pixel * 8), field[i]);
    }
    float here[8];
    UNROLL
    for (int i = 0; i < 8; i++) here[i] = between(x, y, field[0][i], field[1][i], field[2][i], field[3][i]);
    const float detail = luma(old) - from_kept(here[0]);
    return {fmaf(here[4], detail, from_kept(here[1])), fmaf(here[5], detail, from_kept(here[2])),
            fmaf(here[6], detail, from_kept(here[3]))};
}

// The new picture's pixel, with as much of the old one as is wanted.
DEVICE Colour new_pixel(const Leave& p, int x, int y) {
    const bool same_size = p.fields == nullptr;
    const bool opaque = p.strength >= 1 && !p.keep_color;
    if (same_size && opaque && p.styled.tone->keep <= 0) return read_styled(p.styled, x, y, {0, 0, 0});
    const Colour old = read_pixel(p.before, x, y);
    Colour colour = same_size ? read_styled(p.styled, x, y, old) : enlarged(p, x, y, old);
    if (p.keep_color) {
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
KERNEL(256, 2) NAMED(leave_network)(const __grid_constant__ Leave p) {
    const FrameLayout& to = p.after;
    const int left = (blockIdx.x * 256 + threadIdx.x) * to.group_width;
    if (left >= to.width) return;
    const int shift_x = to.components[1].shift_x, shift_y = to.components[1].shift_y;
    for (int top = blockIdx.y * to.group_height; top < to.height; top += gridDim.y * to.group_height) {
        SampleWriter writer(to);
        // Pixels whose chroma is one are a step.
        for (int step = 0; step < to.group_width; step += 1 << shift_x) {
            Colour sum = {0, 0, 0};
            for (int i = 0; i < 1 << (shift_x + shift_y); i++) {
                const int x = left + step + (i & ((1 << shift_x) - 1)), row = top + (i >> shift_x);
                // A lone last row or column counts for the one that is
                // missing; what else fills up a group is black.
                const int y = min(row, to.height - 1);
                Colour colour = {0, 0, 0};
                if (x < to.width + to.width % 2) colour = new_pixel(p, min(x, to.width - 1), y);
                sum = {sum.r + colour.r, sum.g + colour.g, sum.b + colour.b};
                if (row >= to.height) continue;
                if (to.family == RGB) {
                    writer.write(to.components[0], x, y, colour.r * to.back_gain + to.back_offset);
                    writer.write(to.components[1], x, y, colour.g * to.back_gain + to.back_offset);
                    writer.write(to.components[2], x, y, colour.b * to.back_gain + to.back_offset);
                } else {
                    writer.write(to.components[0], x, y, weigh(to.back[0], colour));
                }
                write_opacity(p, writer, x, y);
            }
            if (to.family != YUV) continue;
            const float part = 1.0f / (1 << (shift_x + shift_y));
            const Colour mean = {sum.r * part, sum.g * part, sum.b * part};
            writer.write(to.components[1], left + step, top, weigh(to.back[1], mean));
            writer.write(to.components[2], left + step, top, weigh(to.back[2], mean));
        }
        writer.finish(left, top);
    }
}
