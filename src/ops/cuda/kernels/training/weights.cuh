// Gradients of a convolution's weights as matrix products on tensor cores: rows
// are the taps and channels of the input, columns output channels, and the inner
// dimension runs over pixels, 32 at a time.
//
// Both factors lie in memory pixel by pixel, and so they do in shared memory; an
// ldmatrix transposes them. Each line of blocks sums up a part of the pixels, so
// that there is work for all; the parts are added in a fixed order.
#pragma once

#include "training/product.cuh"

template <Alignment ALIGNMENT_, int WARPS_DOWN_, int WARPS_ACROSS_, int GROUPS_, int WIDTH_>
struct WeightTiling {
    static constexpr bool IS_ALIGNED = ALIGNMENT_ == ALIGNED;
    static constexpr int WARPS_DOWN = WARPS_DOWN_, WARPS_ACROSS = WARPS_ACROSS_;
    static constexpr int GROUPS = GROUPS_, WIDTH = WIDTH_;
    static constexpr int THREADS = 32 * WARPS_DOWN * WARPS_ACROSS;
    static constexpr int ROWS = WARPS_DOWN * GROUPS * 16, COLUMNS = WARPS_ACROSS * WIDTH;
    static constexpr int PIXELS = 32;
    static constexpr int ROW_PARTS = ROWS / 8, COLUMN_PARTS = COLUMNS / 8;
    // Odd numbers of 16-byte units, for the banks.
    static constexpr int ROW_PITCH = 2 * ROWS + 16, COLUMN_PITCH = 2 * COLUMNS + 16;
    static constexpr int STAGES = 3, STAGE_BYTES = PIXELS * (ROW_PITCH + COLUMN_PITCH);
    static constexpr int SHARED = STAGES * STAGE_BYTES;

    static_assert(THREADS % ROW_PARTS == 0 && THREADS % COLUMN_PARTS == 0, "a thread copies the same part of all its pixels");
};

template <typename S>
struct WeightMultiplier {
    const WeightGradient& p;
    char* stages;
    int thread, lane, warp_down, warp_across;
    int first_row, first_column, end;
    // Where this thread's part of the rows is, and the next pixel to load.
    Place place;
    Pixel next;
    float sums[S::GROUPS][S::WIDTH / 8][4];

    static DEVICE int beside(const WeightGradient& p) { return p.padded_columns / S::COLUMNS; }

    DEVICE WeightMultiplier(const WeightGradient& parameters)
        : p(parameters),
          place(parameters.gather,
                blockIdx.x / beside(parameters) * S::ROWS + int(threadIdx.x) % S::ROW_PARTS * 8),
          next(parameters.gather, blockIdx.y * parameters.pixels_of_line + threadIdx.x / S::ROW_PARTS) {
        stages = shared_memory();
        thread = threadIdx.x;
        lane = thread % 32;
        warp_down = thread / 32 / S::WARPS_ACROSS;
        warp_across = thread / 32 % S::WARPS_ACROSS;
        first_row = blockIdx.x / beside(p) * S::ROWS;
        first_column = blockIdx.x % beside(p) * S::COLUMNS;
        const int pixels = p.gather.batch * p.gather.down * p.gather.across;
        end = min((blockIdx.y + 1) * p.pixels_of_line, pixels);
    }

    // A pixel's part of the gradient.
    DEVICE void load_gradient(int pixel, char* to) {
        const int column = first_column + thread % S::COLUMN_PARTS * 8;
        const Half* from = p.gradient + size_t(pixel) * p.outputs + column;
        if constexpr (!S::IS_ALIGNED) {
            if (p.outputs % 8 != 0) {
                for (int i = 0; i < 8; i++)
                    reinterpret_cast<Half*>(to)[i] = pixel < end && column + i < p.outputs ? from[i] : 0;
                return;
            }
        }
        const bool copied = pixel < end && column < p.outputs;
        copy_or_clear_later(to, copied ? from : p.gradient, copied);
    }

    DEVICE void load_stage(int first_pixel, int stage) {
        char* to = stages + stage * S::STAGE_BYTES;
        for (int i = thread / S::ROW_PARTS; i < S::PIXELS; i += S::THREADS / S::ROW_PARTS) {
            // Beyond the line's last pixel, too: the gradient is 0 there.
            const Origin origin(p.gather, next);
            next.advance(p.gather, S::THREADS / S::ROW_PARTS);
            gather8<S::IS_ALIGNED>(p.gather, origin, place, to + i * S::ROW_PITCH + thread % S::ROW_PARTS * 16);
        }
        to += S::PIXELS * S::ROW_PITCH;
        for (int i = thread / S::COLUMN_PARTS; i < S::PIXELS; i += S::THREADS / S::COLUMN_PARTS)
            load_gradient(first_pixel + i, to + i * S::COLUMN_PITCH + thread % S::COLUMN_PARTS * 16);
    }

    DEVICE void multiply_stage(const char* stage) {
        // 8 pixels at 8 rows of the product, at the next 8; then 8 more pixels.
        const char* a_pixel = stage + (lane % 8 + lane / 16 * 8) * S::ROW_PITCH + warp_down * S::GROUPS * 32 +
                              lane / 8 % 2 * 16;
        // 16 pixels at 8 columns; then at the next 8.
        const char* b_pixel = stage + S::PIXELS * S::ROW_PITCH + lane % 16 * S::COLUMN_PITCH +
                              warp_across * S::WIDTH * 2 + lane / 16 * 16;
        UNROLL
        for (int k = 0; k < S::PIXELS / 16; k++) {
            unsigned a[S::GROUPS][4];
            UNROLL
            for (int m = 0; m < S::GROUPS; m++) load_transposed(a[m], a_pixel + k * 16 * S::ROW_PITCH + m * 32);
            UNROLL
            for (int n = 0; n < S::WIDTH / 16; n++) {
                unsigned b[4];
                load_transposed(b, b_pixel + k * 16 * S::COLUMN_PITCH + n * 32);
                UNROLL
                for (int m = 0; m < S::GROUPS; m++) {
                    multiply(sums[m][2 * n], a[m], b[0], b[1]);
                    multiply(sums[m][2 * n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

    DEVICE void store_sums() const {
        const int row = first_row + warp_down * S::GROUPS * 16 + lane / 4;
        const int column = first_column + warp_across * S::WIDTH + lane % 4 * 2;
        float* to = p.sums + (size_t(blockIdx.y) * p.padded_rows + row) * p.padded_columns + column;
        UNROLL
        for (int m = 0; m < S::GROUPS; m++)
            UNROLL
            for (int n = 0; n < S::WIDTH / 8; n++)
                UNROLL
                for (int half = 0; half < 2; half++)
                    *reinterpret_cast<float2*>(to + (m * 16 + half * 8) * p.padded_columns + n * 8) =
                        make_float2(sums[m][n][2 * half], sums[m][n][2 * half + 1]);
    }

    DEVICE void run() {
        UNROLL
        for (int m = 0; m < S::GROUPS; m++)
            UNROLL
            for (int n = 0; n < S::WIDTH / 8; n++)
                UNROLL
                for (int i = 0; i < 4; i++) sums[m][n][i] = 0;
        const int start = blockIdx.y * p.pixels_of_line;
        for (int i = 0; i < S::STAGES - 1; i++) {
            if (start + i * S::PIXELS < end) load_stage(start + i * S::PIXELS, i);
            end_copies();
        }
        int stage = 0;
        for (int pixel = start; pixel < end; pixel += S::PIXELS) {
            wait_for_copies<S::STAGES - 2>();
            // All have the stage, and none still reads the last.
            wait_for_block();
            const int next = stage == 0 ? S::STAGES - 1 : stage - 1, later = pixel + (S::STAGES - 1) * S::PIXELS;
            if (later < end) load_stage(later, next);
            end_copies();
            multiply_stage(stages + stage * S::STAGE_BYTES);
            stage = stage + 1 == S::STAGES ? 0 : stage + 1;
        }
        store_sums();
    }
};
