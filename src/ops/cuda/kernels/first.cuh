// The first convolution, 9x9 from a picture's three colours.
//
// A pixel is four 16-bit floats, 8 bytes, and two of them are what one half of
// a tensor core's inner dimension of 16 takes: the 9 pixels of a kernel's row
// are 5 such pairs, the last with a zero weight, and 9 rows are 45 pairs; with
// one pair of zero weights they make 23 steps.
//
// Where a pair starts at an odd pixel it is not aligned to 16 bytes, which an
// ldmatrix would want. Lanes load their words one by one instead: lane 4 g + q
// needs of pixel g the word q from there on. The 32 words lie within 72 bytes,
// so no bank is asked for two different ones.
//
// A block keeps all weights of its columns in shared memory, and goes from tile
// to tile; the next one's pixels are copied while one is computed.
#pragma once

#include "border.cuh"
#include "result.cuh"

template <int WIDTH_>
struct FirstTiling {
    static constexpr int WIDTH = WIDTH_, ROWS = 2, WARPS = 8, THREADS = 32 * WARPS;
    static constexpr int TILE_WIDTH = 16, TILE_HEIGHT = WARPS * ROWS;
    static constexpr int SIDE = 9, REACH = SIDE / 2;
    static constexpr int PAIRS = (SIDE + 1) / 2, STEPS = (SIDE * PAIRS + 1) / 2;
    // One column more than the taps need, for the pairs' second pixels.
    static constexpr int HALO_WIDTH = TILE_WIDTH + SIDE, HALO_HEIGHT = TILE_HEIGHT + SIDE - 1;
    static constexpr int HALO_BYTES = (HALO_WIDTH * HALO_HEIGHT * 8 + 127) / 128 * 128;
    // [pair][column][8]: eight columns of a pair are a matrix, 128 bytes in a row.
    static constexpr int WEIGHTS_BYTES = 2 * STEPS * WIDTH * 16;
    static constexpr int STAGING_BYTES = Result<ROWS, WIDTH>::STAGING;
    static constexpr int SHARED = 2 * HALO_BYTES + WEIGHTS_BYTES + WARPS * STAGING_BYTES + WARPS * WIDTH * 8;
};

template <typename S>
DEVICE void convolve_picture(const First& p) {
    char* halos = shared_memory();
    char* weights = halos + 2 * S::HALO_BYTES;
    char* staging = weights + S::WEIGHTS_BYTES;
    float2* moments = reinterpret_cast<float2*>(staging + S::WARPS * S::STAGING_BYTES);
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    staging += warp * S::STAGING_BYTES;

    const auto load_halo = [&](int tile, int buffer) {
        const int top = tile / p.tiles_across * S::TILE_HEIGHT - S::REACH;
        const int left = tile % p.tiles_across * S::TILE_WIDTH - S::REACH;
        char* to = halos + buffer * S::HALO_BYTES;
        for (int i = thread; i < S::HALO_WIDTH * S::HALO_HEIGHT; i += S::THREADS) {
            // First the picture is mirrored up to multiples of 4, then that is.
            const int row = min(top + i / S::HALO_WIDTH, p.height + S::REACH);
            const int column = min(left + i % S::HALO_WIDTH, p.width + S::REACH);
            const size_t y = mirror(mirror(row, p.height), p.picture_height);
            const size_t x = mirror(mirror(column, p.width), p.picture_width);
            copy_later<8>(to + i * 8, p.picture + (y * p.picture_width + x) * 4);
        }
    };

    for (int i = thread; i < S::WARPS * S::WIDTH; i += S::THREADS) moments[i] = make_float2(0, 0);
    for (int i = thread; i < 2 * S::STEPS * S::WIDTH; i += S::THREADS)
        copy_later<16>(weights + i * 16, p.weights + (size_t(blockIdx.y) * 2 * S::STEPS * S::WIDTH + i) * 8);
    load_halo(blockIdx.x, 0);
    end_copies();

    int halo = 0;
    for (int tile = blockIdx.x; tile < p.tiles; tile += gridDim.x) {
        wait_for_copies<0>();
        // All have copied, and none still reads what is copied to next.
        wait_for_block();
        if (tile + int(gridDim.x) < p.tiles) load_halo(tile + gridDim.x, 1 - halo);
        end_copies();

        Result<S::ROWS, S::WIDTH> result;
        result.clear();
        const char* words = halos + halo * S::HALO_BYTES + (warp * S::ROWS * S::HALO_WIDTH + lane / 4) * 8 + lane % 4 * 4;
        const char* b_row = weights + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * S::WIDTH * 16;
        UNROLL
        for (int step = 0; step < S::STEPS; step++) {
            unsigned a[S::ROWS][4];
            UNROLL
            for (int half = 0; half < 2; half++) {
                // The pair of zero weights takes the first's pixels.
                const int pair = 2 * step + half < S::SIDE * S::PAIRS ? 2 * step + half : 0;
                const int from = (pair / S::PAIRS * S::HALO_WIDTH + pair % S::PAIRS * 2) * 8;
                UNROLL
                for (int row = 0; row < S::ROWS; row++)
                    UNROLL
                    for (int i = 0; i < 2; i++)
                        a[row][2 * half + i] =
                            *reinterpret_cast<const unsigned*>(words + from + (row * S::HALO_WIDTH + i * 8) * 8);
            }
            UNROLL
            for (int n = 0; n < S::WIDTH / 16; n++) {
                unsigned b[4];
                load_matrices(b, b_row + (step * 2 * S::WIDTH + n * 16) * 16);
                UNROLL
                for (int row = 0; row < S::ROWS; row++) {
                    multiply(result.sums[row][2 * n], a[row], b[0], b[1]);
                    multiply(result.sums[row][2 * n + 1], a[row], b[2], b[3]);
                }
            }
        }
        const int top = tile / p.tiles_across * S::TILE_HEIGHT + warp * S::ROWS;
        const int left = tile % p.tiles_across * S::TILE_WIDTH;
        result.finish(staging, moments + warp * S::WIDTH, [&](int row, int x) -> Half* {
            const int y = top + row;
            x += left;
            if (y >= p.height || x >= p.width) return nullptr;
            return p.output + (size_t(y) * p.width + x) * p.outputs + blockIdx.y * S::WIDTH;
        });
        halo = 1 - halo;
    }

    wait_for_block();
    float2* row = reinterpret_cast<float2*>(p.moments) + size_t(blockIdx.x) * p.outputs + blockIdx.y * S::WIDTH;
    for (int column = thread; column < S::WIDTH; column += S::THREADS) {
        float2 sum = moments[column];
        for (int i = 1; i < S::WARPS; i++) {
            sum.x += moments[i * S::WIDTH + column].x;
            sum.y += moments[i * S::WIDTH + column].y;
        }
        row[column] = sum;
    }
}
