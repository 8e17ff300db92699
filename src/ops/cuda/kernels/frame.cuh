// Video frames as FrameLayout describes them: one code for all formats.
//
// Samples are put together byte by byte, so that any plane and any stride will
// do: the loads of a warp lie side by side and meet in the first-level cache.
#pragma once

#include "rgb_pixels.cuh"

DEVICE unsigned word32(const uint8_t* at) {
    return at[0] | unsigned(at[1]) << 8 | unsigned(at[2]) << 16 | unsigned(at[3]) << 24;
}

DEVICE int sample_index(const ComponentLayout& component, int x) { return (x >> component.shift_x) * component.step + component.first; }

// From two bits of opacity to ten.
const int OPACITY_STEP = 341;

DEVICE float read_sample(const FrameLayout& frame, const ComponentLayout& component, int x, int y) {
    const uint8_t* row = frame.planes[component.plane] + (y >> component.shift_y) * frame.strides[component.plane];
    const int i = sample_index(component, x);
    switch (frame.storage) {
        case BYTES: return row[i];
        case LOW: return float((row[2 * i] | row[2 * i + 1] << 8) & (0xffff >> (16 - frame.bits)));
        case HIGH: return float((row[2 * i] | row[2 * i + 1] << 8) >> (16 - frame.bits));
        case TENS: return float(word32(row + i / 3 * 4) >> (i % 3 * 10) & 1023);
        case TENS_AND_TWO: {
            const unsigned word = word32(row + i / 4 * 4);
            return float(i % 4 == 3 ? (word >> 30) * OPACITY_STEP : word >> (i % 4 * 10) & 1023);
        }
        default: return reinterpret_cast<const float*>(row)[i];
    }
}

// Pixel (x, y) in 0..255.
DEVICE Colour read_pixel(const FrameLayout& frame, int x, int y) {
    const float first = read_sample(frame, frame.components[0], x, y) * frame.gain + frame.offset;
    if (frame.family == GRAY) {
        const float luma = within(first, 0, 255);
        return {luma, luma, luma};
    }
    const float second = read_sample(frame, frame.components[1], x, y);
    const float third = read_sample(frame, frame.components[2], x, y);
    if (frame.family == RGB)
        return {within(first, 0, 255), within(second * frame.gain + frame.offset, 0, 255),
                within(third * frame.gain + frame.offset, 0, 255)};
    const float u = second - frame.middle, v = third - frame.middle;
    return {within(first + frame.red_v * v, 0, 255),
            within(first + frame.green_u * u + frame.green_v * v, 0, 255),
            within(first + frame.blue_u * u, 0, 255)};
}

// Writes the samples of a group of pixels, of which a thread has all.
struct SampleWriter {
    const FrameLayout& frame;
    // The words of a group in a packed format.
    unsigned words[4];

    DEVICE SampleWriter(const FrameLayout& layout) : frame(layout), words{0, 0, 0, 0} {}

    // Writes the sample of a component at pixel (x, y).
    DEVICE void write(const ComponentLayout& component, int x, int y, float value) {
        uint8_t* row = frame.planes[component.plane] + (y >> component.shift_y) * frame.strides[component.plane];
        const int i = sample_index(component, x);
        if (i >= frame.samples[component.plane]) return;
        if (frame.storage == FLOATS) {
            reinterpret_cast<float*>(row)[i] = value;
            return;
        }
        const unsigned sample = unsigned(rintf(within(value, 0, frame.largest)));
        switch (frame.storage) {
            case BYTES: row[i] = uint8_t(sample); break;
            case LOW:
            case HIGH: {
                const unsigned word = frame.storage == HIGH ? sample << (16 - frame.bits) : sample;
                row[2 * i] = uint8_t(word);
                row[2 * i + 1] = uint8_t(word >> 8);
                break;
            }
            case TENS: words[i % 12 / 3] |= sample << (i % 3 * 10); break;
            default:
                words[0] |= i % 4 == 3 ? (sample + OPACITY_STEP / 2) / OPACITY_STEP << 30 : sample << (i % 4 * 10);
        }
    }

    // After all samples of the group at (x, y).
    DEVICE void finish(int x, int y) {
        if (frame.storage != TENS && frame.storage != TENS_AND_TWO) return;
        const int count = frame.storage == TENS ? 4 : 1;
        uint8_t* row = frame.planes[0] + y * frame.strides[0] + x / frame.group_width * count * 4;
        for (int i = 0; i < count * 4; i++) row[i] = uint8_t(words[i / 4] >> (i % 4 * 8));
    }
};
