// The last convolution, 9x9 to a picture's three colours.
//
// Three columns would leave five of a tensor core's eight idle, and each matrix
// of pixels would serve one product. So the 9 columns of the kernel become
// columns of the product: for pixels x of a row
//
//     part[x][tap][colour] = sum over rows dy and channels c of
//                            input[y + dy][x][c] * weight[dy][tap][c][colour]
//
// with 27 of 32 columns in use, and each pixel of the result is the sum over
// taps of part[x + tap][tap]. A row of 64 parts gives 56 pixels.
//
// A warp computes a row of the tile. The parts come to lie over the input in
// shared memory when all have read it.
#pragma once

#include "border.cuh"
#include "half8.cuh"

template <int CHUNK_>
struct LastTiling {
    static constexpr int CHUNK = CHUNK_, PARTS = CHUNK / 8;
    static constexpr int WARPS = 8, THREADS = 32 * WARPS;
    static constexpr int SIDE = 9, REACH = SIDE / 2;
    static constexpr int ACROSS = 64, TILE_WIDTH = ACROSS - SIDE + 1, TILE_HEIGHT = WARPS;
    static constexpr int HALO_HEIGHT = TILE_HEIGHT + SIDE - 1;
    static constexpr int COLUMNS = 32;
    // As in convolution.cuh: eight pixels or columns lie in different banks.
    static constexpr int PITCH = 2 * CHUNK + 16;
    static constexpr int HALO_BYTES = ACROSS * HALO_HEIGHT * PITCH;
    static constexpr int WEIGHTS_BYTES = SIDE * COLUMNS * PITCH;
    // Floats from one part to the next: odd, so that a column of the parts of
    // 32 pixels lies in different banks.
    static constexpr int PART_PITCH = COLUMNS + 1;
    static constexpr int PARTS_BYTES = WARPS * ACROSS * PART_PITCH * 4;
    static constexpr int AREA = HALO_BYTES + WEIGHTS_BYTES > PARTS_BYTES ? HALO_BYTES + WEIGHTS_BYTES : PARTS_BYTES;
    static constexpr int SHARED = AREA + WARPS * 8 * 4;
};

template <typename S>
DEVICE void convolve_to_picture(const Last& p) {
    char* halo = shared_memory();
    char* weights = halo + S::HALO_BYTES;
    float* parts = reinterpret_cast<float*>(halo);
    // Each warp's sum and sum of squares of three colours.
    float* moments = reinterpret_cast<float*>(halo + S::AREA);
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int chunks = p.inputs / S::CHUNK;
    float total[6] = {0, 0, 0, 0, 0, 0};

    for (int tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
        const int top = tile / p.tiles_across * S::TILE_HEIGHT, left = tile % p.tiles_across * S::TILE_WIDTH;
        float sums[4][4][4];
        UNROLL
        for (int m = 0; m < 4; m++)
            UNROLL
            for (int n = 0; n < 4; n++)
                UNROLL
                for (int i = 0; i < 4; i++) sums[m][n][i] = 0;

        for (int chunk = 0; chunk < chunks; chunk++) {
            // None still reads what was there.
            wait_for_block();
            const int part = thread % S::PARTS;
            const Half* channels = p.input + chunk * S::CHUNK + part * 8;
            for (int i = thread / S::PARTS; i < S::ACROSS * S::HALO_HEIGHT; i += S::THREADS / S::PARTS) {
                const int row = min(top + i / S::ACROSS - S::REACH, p.height + S::REACH);
                const int column = min(left + i % S::ACROSS - S::REACH, p.width + S::REACH);
                const size_t y = mirror(row, p.height), x = mirror(column, p.width);
                copy_later<16>(halo + i * S::PITCH + part * 16, channels + (y * p.width + x) * p.inputs);
            }
            const Half* from = p.weights + size_t(chunk) * S::SIDE * S::COLUMNS * S::CHUNK;
            for (int i = thread; i < S::SIDE * S::COLUMNS * S::PARTS; i += S::THREADS)
                copy_later<16>(weights + i / S::PARTS * S::PITCH + i % S::PARTS * 16, from + i * 8);
            end_copies();
            wait_for_copies<0>();
            if (p.pending.factor != nullptr) {
                const Affine8 affine(p.pending, chunk * S::CHUNK + part * 8);
                for (int i = thread / S::PARTS; i < S::ACROSS * S::HALO_HEIGHT; i += S::THREADS / S::PARTS) {
                    uint4* at = reinterpret_cast<uint4*>(halo + i * S::PITCH + part * 16);
                    *at = normalise_relu(*at, affine);
                }
            }
            wait_for_block();

            const char* a_row = halo + (warp * S::ACROSS + lane % 16) * S::PITCH + lane / 16 * 16;
            const char* b_row = weights + (lane % 8 + lane / 16 * 8) * S::PITCH + lane / 8 % 2 * 16;
            for (int dy = 0; dy < S::SIDE; dy++) {
                UNROLL
                for (int k = 0; k < S::CHUNK / 16; k++) {
                    unsigned b[2][4];
                    UNROLL
                    for (int n = 0; n < 2; n++)
                        load_matrices(b[n], b_row + (dy * S::COLUMNS + n * 16) * S::PITCH + k * 32);
                    UNROLL
                    for (int m = 0; m < 4; m++) {
                        unsigned a[4];
                        load_matrices(a, a_row + (dy * S::ACROSS + m * 16) * S::PITCH + k * 32);
                        UNROLL
                        for (int n = 0; n < 2; n++) {
                            multiply(sums[m][2 * n], a, b[n][0], b[n][1]);
                            multiply(sums[m][2 * n + 1], a, b[n][2], b[n][3]);
                        }
                    }
                }
            }
        }

        // All have read the input: the parts may lie over it.
        wait_for_block();
        float* row = parts + warp * S::ACROSS * S::PART_PITCH;
        UNROLL
        for (int m = 0; m < 4; m++)
            UNROLL
            for (int n = 0; n < 4; n++)
                UNROLL
                for (int i = 0; i < 4; i++)
                    row[(m * 16 + lane / 4 + i / 2 * 8) * S::PART_PITCH + n * 8 + lane % 4 * 2 + i % 2] =
                        sums[m][n][i];
        wait_for_warp();
        const int y = top + warp;
        for (int i = lane; i < S::TILE_WIDTH; i += 32) {
            const int x = left + i;
            if (y >= p.height || x >= p.width) continue;
            float colour[3] = {0, 0, 0};
            UNROLL
            for (int tap = 0; tap < S::SIDE; tap++)
                UNROLL
                for (int c = 0; c < 3; c++) colour[c] += row[(i + tap) * S::PART_PITCH + tap * 3 + c];
            uint2 words;
            words.x = pack(colour[0], colour[1]);
            words.y = pack(colour[2], 0.0f);
            *reinterpret_cast<uint2*>(p.output + (size_t(y) * p.width + x) * 4) = words;
            const float2 first = unpack(words.x), second = unpack(words.y);
            const float rounded[3] = {first.x, first.y, second.x};
            UNROLL
            for (int c = 0; c < 3; c++) {
                total[2 * c] += rounded[c];
                total[2 * c + 1] += rounded[c] * rounded[c];
            }
        }
    }

    UNROLL
    for (int i = 0; i < 6; i++) {
        UNROLL
        for (int mask = 1; mask < 32; mask *= 2) total[i] += from_lane_across(total[i], mask);
        if (lane == 0) moments[warp * 8 + i] = total[i];
    }
    wait_for_block();
    if (thread < 8) {
        float sum = 0;
        for (int i = 0; i < S::WARPS; i++) sum += thread < 6 ? moments[i * 8 + thread] : 0.0f;
        p.moments[blockIdx.x * 8 + thread] = sum;
    }
}
