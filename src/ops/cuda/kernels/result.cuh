// What becomes of a warp's sums: rounded, stored, and measured for the
// normalisation that follows.
#pragma once

#include "half8.cuh"

// A warp's part of a tile: ROWS times 16 pixels of a row, WIDTH channels.
template <int ROWS, int WIDTH>
struct Result {
    static constexpr int COLUMNS8 = WIDTH / 8;
    // Bytes between the 16 pixels that are put in order in shared memory. The
    // 16 beyond a pixel's own shift each by 4 banks: the words that a warp
    // writes at once (8 pixels, 4 words each) and the vectors that it reads
    // then lie in different banks.
    static constexpr int PITCH = WIDTH * 2 + 16;
    static constexpr int STAGING = 16 * PITCH;

    float sums[ROWS][COLUMNS8][4];

    DEVICE void clear() {
        UNROLL
        for (int row = 0; row < ROWS; row++)
            UNROLL
            for (int n = 0; n < COLUMNS8; n++)
                UNROLL
                for (int i = 0; i < 4; i++) sums[row][n][i] = 0;
    }

    // Stores pixel (row, x) at place(row, x), a pointer to its first of WIDTH
    // channels, or null if there is no such pixel. Adds sum and sum of squares
    // of each column to `moments`, which belongs to this warp.
    //
    // Measured is what is stored: an image of one colour, all of whose pixels
    // are rounded alike, then has the mean of its pixels and no variance.
    template <typename Place>
    DEVICE void finish(char* staging, float2* moments, Place place) {
        const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
        unsigned valid = 0;
        UNROLL
        for (int row = 0; row < ROWS; row++) {
            valid |= (place(row, g) != nullptr ? 1u : 0u) << (2 * row);
            valid |= (place(row, g + 8) != nullptr ? 1u : 0u) << (2 * row + 1);
        }
        UNROLL
        for (int n = 0; n < COLUMNS8; n++) {
            float total[4] = {0, 0, 0, 0};
            UNROLL
            for (int row = 0; row < ROWS; row++)
                UNROLL
                for (int half = 0; half < 2; half++) {
                    float* pair = sums[row][n] + 2 * half;
                    const float2 rounded = unpack(pack(pair[0], pair[1]));
                    if (valid >> (2 * row + half) & 1) {
                        total[0] += rounded.x;
                        total[1] += rounded.y;
                        total[2] += rounded.x * rounded.x;
                        total[3] += rounded.y * rounded.y;
                    }
                }
            UNROLL
            for (int i = 0; i < 4; i++)
                UNROLL
                for (int mask = 4; mask < 32; mask *= 2) total[i] += from_lane_across(total[i], mask);
            if (g == 0) {
                float2& first = moments[n * 8 + q * 2];
                float2& second = moments[n * 8 + q * 2 + 1];
                first.x += total[0];
                first.y += total[2];
                second.x += total[1];
                second.y += total[3];
            }
        }
        UNROLL
        for (int row = 0; row < ROWS; row++) {
            UNROLL
            for (int n = 0; n < COLUMNS8; n++) {
                const float* x = sums[row][n];
                char* words = staging + n * 16 + q * 4;
                *reinterpret_cast<unsigned*>(words + g * PITCH) = pack(x[0], x[1]);
                *reinterpret_cast<unsigned*>(words + (g + 8) * PITCH) = pack(x[2], x[3]);
            }
            wait_for_warp();
            UNROLL
            for (int i = lane; i < 16 * COLUMNS8; i += 32) {
                const int x = i / COLUMNS8, part = i % COLUMNS8;
                Half* to = place(row, x);
                if (to != nullptr)
                    *reinterpret_cast<uint4*>(to + part * 8) =
                        *reinterpret_cast<const uint4*>(staging + x * PITCH + part * 16);
            }
            wait_for_warp();
        }
    }
};
