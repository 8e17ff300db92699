// Convolutions and the gradients of their inputs as matrix products on tensor
// cores (implicit GEMM): rows are pixels, columns output channels, and the inner
// dimension runs over taps and channels, 32 of them at a time.
//
// A stage holds 32 numbers of each row and of each column. While one is
// multiplied, the copies of the next two are under way. Rows of a stage lie 80
// bytes apart, an odd number of 16-byte units: any 8 consecutive ones, a matrix,
// fall into different banks.
#pragma once

#include "training/gather.cuh"

enum Alignment { ANY = 0, ALIGNED = 1 };

template <Alignment ALIGNMENT_, int WARPS_DOWN_, int WARPS_ACROSS_, int GROUPS_, int WIDTH_>
struct ProductTiling {
    static constexpr bool IS_ALIGNED = ALIGNMENT_ == ALIGNED;
    // A warp has GROUPS times 16 rows and WIDTH columns.
    static constexpr int WARPS_DOWN = WARPS_DOWN_, WARPS_ACROSS = WARPS_ACROSS_;
    static constexpr int GROUPS = GROUPS_, WIDTH = WIDTH_;
    static constexpr int THREADS = 32 * WARPS_DOWN * WARPS_ACROSS;
    static constexpr int ROWS = WARPS_DOWN * GROUPS * 16, COLUMNS = WARPS_ACROSS * WIDTH;
    static constexpr int CHUNK = 32, PARTS = CHUNK / 8, PITCH = 2 * CHUNK + 16;
    static constexpr int STAGES = 3, STAGE_BYTES = (ROWS + COLUMNS) * PITCH;
    // The pitch of the 16 rows that a warp puts in order before it stores them.
    static constexpr int STAGING_PITCH = 2 * WIDTH + 16;
    static constexpr int SHARED = STAGES * STAGE_BYTES + ROWS * int(sizeof(Origin));

    static_assert(THREADS % PARTS == 0, "a thread copies the same part of all its rows");
    static_assert(THREADS / 32 * 16 * STAGING_PITCH <= STAGES * STAGE_BYTES, "results fit where stages were");
};

template <typename S>
struct Multiplier {
    const Product& p;
    char* stages;
    Origin* origins;
    int thread, lane, warp_down, warp_across;
    int first_row, first_column, padded_columns;
    // Where this thread's part of the next stage is.
    Place place;
    float sums[S::GROUPS][S::WIDTH / 8][4];

    DEVICE Multiplier(const Product& parameters)
        : p(parameters), place(parameters.gather, threadIdx.x % S::PARTS * 8) {
        stages = shared_memory();
        origins = reinterpret_cast<Origin*>(stages + S::STAGES * S::STAGE_BYTES);
        thread = threadIdx.x;
        lane = thread % 32;
        warp_down = thread / 32 / S::WARPS_ACROSS;
        warp_across = thread / 32 % S::WARPS_ACROSS;
        // Neighbours have the same rows, and share them in the cache.
        const int beside = (p.outputs + S::COLUMNS - 1) / S::COLUMNS;
        first_row = blockIdx.x / beside * S::ROWS;
        first_column = blockIdx.x % beside * S::COLUMNS;
        padded_columns = beside * S::COLUMNS;
        for (int row = thread; row < S::ROWS; row += S::THREADS) 
            origins[row] = Origin(p.gather, Pixel(p.gather, first_row + row));
    }

    DEVICE void load_stage(int chunk, int stage) {
        char* to = stages + stage * S::STAGE_BYTES + thread % S::PARTS * 16;
        for (int row = thread / S::PARTS; row < S::ROWS; row += S::THREADS / S::PARTS)
            gather8<S::IS_ALIGNED>(p.gather, origins[row], place, to + row * S::PITCH);
        place.advance(p.gather, S::CHUNK);
        to += S::ROWS * S::PITCH;
        const Half* from = p.weights + (size_t(chunk) * padded_columns + first_column) * S::CHUNK;
        for (int i = thread; i < S::COLUMNS * S::PARTS; i += S::THREADS)
            copy_later<16>(to + i / S::PARTS * S::PITCH, from + i * 8);
    }

    DEVICE void multiply_stage(const char* stage) {
        // As an ldmatrix wants them: 16 rows, first their lower 8 numbers, then
        // the upper ones; 8 columns' lower and upper ones, then 8 more columns.
        const char* a_row = stage + (warp_down * S::GROUPS * 16 + lane % 16) * S::PITCH + lane / 16 * 16;
        const int column = warp_across * S::WIDTH + lane % 8 + lane / 16 * 8;
        const char* b_row = stage + (S::ROWS + column) * S::PITCH + lane / 8 % 2 * 16;
        UNROLL
        for (int k = 0; k < S::CHUNK / 16; k++) {
            unsigned a[S::GROUPS][4];
            UNROLL
            for (int m = 0; m < S::GROUPS; m++) load_matrices(a[m], a_row + m * 16 * S::PITCH + k * 32);
            UNROLL
            for (int n = 0; n < S::WIDTH / 16; n++) {
                unsigned b[4];
                load_matrices(b, b_row + n * 16 * S::PITCH + k * 32);
                UNROLL
                for (int m = 0; m < S::GROUPS; m++) {
                    multiply(sums[m][2 * n], a[m], b[0], b[1]);
                    multiply(sums[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

    // With bias and ReLU, if there are such.
    DEVICE unsigned finished(const float* pair, int column) const {
        float x[2];
        UNROLL
        for (int i = 0; i < 2; i++) {
            const bool biased = p.bias != nullptr && column + i < p.outputs;
            x[i] = pair[i] + (biased ? p.bias[column + i] : 0.0f);
            if (p.relu) x[i] = fmaxf(x[i], 0.0f);
        }
        return pack(x[0], x[1]);
    }

    // Where the first channel of a row of the product belongs; null if nowhere.
    DEVICE Half* output_pixel(int row) const {
        const Pixel pixel(p.gather, row);
        const int y = pixel.y * p.step + p.first_y, x = pixel.x * p.step + p.first_x;
        if (pixel.image >= p.gather.batch || y >= p.output_height || x >= p.output_width) return nullptr;
        return p.output + ((size_t(pixel.image) * p.output_height + y) * p.output_width + x) * p.outputs;
    }

    DEVICE void store_sums() {
        char* staging = stages + thread / 32 * 16 * S::STAGING_PITCH;
        const int column = first_column + warp_across * S::WIDTH, g = lane / 4, q = lane % 4;
        UNROLL
        for (int m = 0; m < S::GROUPS; m++) {
            UNROLL
            for (int n = 0; n < S::WIDTH / 8; n++)
                UNROLL
                for (int half = 0; half < 2; half++)
                    *reinterpret_cast<unsigned*>(staging + (g + 8 * half) * S::STAGING_PITCH + n * 16 + q * 4) =
                        finished(sums[m][n] + 2 * half, column + n * 8 + q * 2);
            wait_for_warp();
            const int row = first_row + (warp_down * S::GROUPS + m) * 16;
            for (int i = lane; i < 16 * S::WIDTH / 8; i += 32) {
                const int below = i / (S::WIDTH / 8), beside = i % (S::WIDTH / 8) * 8;
                Half* pixel = output_pixel(row + below);
                if (pixel == nullptr) continue;
                const char* from = staging + below * S::STAGING_PITCH + beside * 2;
                const int count = min(p.outputs - (column + beside), 8);
                if (p.outputs % 8 == 0) {
                    if (count > 0)
                        *reinterpret_cast<uint4*>(pixel + column + beside) = *reinterpret_cast<const uint4*>(from);
                } else {
                    for (int c = 0; c < count; c++) pixel[column + beside + c] = reinterpret_cast<const Half*>(from)[c];
                }
            }
            wait_for_warp();
        }
    }

    DEVICE void run() {
        const int inner = p.gather.taps_down * p.gather.taps_across * p.gather.channels;
        const int chunks = (inner + S::CHUNK - 1) / S::CHUNK;
        UNROLL
        for (int m = 0; m < S::GROUPS; m++)
            UNROLL
            for (int n = 0; n < S::WIDTH / 8; n++)
                UNROLL
                for (int i = 0; i < 4; i++) sums[m][n][i] = 0;
        wait_for_block();  // For the origins.
        for (int i = 0; i < S::STAGES - 1; i++) {
            if (i < chunks) load_stage(i, i);
            end_copies();
        }
        int stage = 0;
        for (int chunk = 0; chunk < chunks; chunk++) {
            wait_for_copies<S::STAGES - 2>();
            // All have the stage, and none still reads the last.
            wait_for_block();
            const int next = stage == 0 ? S::STAGES - 1 : stage - 1;
            if (chunk + S::STAGES - 1 < chunks) load_stage(chunk + S::STAGES - 1, next);
            end_copies();
            multiply_stage(stages + stage * S::STAGE_BYTES);
            stage = stage + 1 == S::STAGES ? 0 : stage + 1;
        }
        wait_for_block();
        store_sums();
    }
};
