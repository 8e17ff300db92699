// The convolutions inside the network, 3x3, as matrix products on tensor cores
// (implicit GEMM): rows are output pixels, columns output channels, and the
// inner dimension runs over CHUNK channels of a tap of the kernel at a time.
//
// A block computes tiles of 16 x TILE_HEIGHT pixels. Of the input it holds what
// the tile depends on (the halo), CHUNK channels deep: loaded once by copies in
// the background, normalised there by the thread that copied, then read by all
// taps. Weights pass by, one tap of a chunk at a time. While one stage is
// multiplied, the copies of the next two and the next halo are under way, those
// of the block's next tile included.
//
// Every 8 channels of a pixel, 16 bytes, are a row of an ldmatrix. Pixels lie
// PITCH = 2 * CHUNK + 16 bytes apart, an odd number of 16-byte units: any 8
// consecutive pixels, a matrix, fall into different banks. So do the rows of
// the weights.
#pragma once

#include "border.cuh"
#include "result.cuh"

// How the result's size compares to the input's.
enum ConvStep {
    SAME,
    HALF,
    // Nearest x2, then 3x3: as the kernel's taps meet the same pixel twice, each
    // of the four pixels that one becomes is a 2x2 convolution of the small
    // image with summed weights. The four phases are so many groups of columns,
    // each warp in one of them.
    DOUBLE,
};

template <ConvStep STEP_, int CHUNK_, int WARPS_DOWN_, int WARPS_ACROSS_, int ROWS_, int WIDTH_>
struct ConvTiling {
    static constexpr ConvStep STEP = STEP_;
    static constexpr int CHUNK = CHUNK_;
    // A warp has ROWS rows of 16 pixels and WIDTH columns.
    static constexpr int WARPS_DOWN = WARPS_DOWN_, WARPS_ACROSS = WARPS_ACROSS_;
    static constexpr int ROWS = ROWS_, WIDTH = WIDTH_;
    static constexpr int WARPS = WARPS_DOWN * WARPS_ACROSS, THREADS = 32 * WARPS;
    static constexpr int TILE_WIDTH = 16, TILE_HEIGHT = WARPS_DOWN * ROWS;
    static constexpr int COLUMNS = WARPS_ACROSS * WIDTH;

    static constexpr int STRIDE = STEP == HALF ? 2 : 1;
    static constexpr int SIDE = STEP == DOUBLE ? 2 : 3, TAPS = SIDE * SIDE;
    static constexpr int HALO_WIDTH = (TILE_WIDTH - 1) * STRIDE + 3;
    static constexpr int HALO_HEIGHT = (TILE_HEIGHT - 1) * STRIDE + 3;

    static constexpr int PITCH = 2 * CHUNK + 16;
    static constexpr int PARTS = CHUNK / 8;
    static constexpr int HALO_BYTES = HALO_WIDTH * HALO_HEIGHT * PITCH;
    static constexpr int STAGES = 3;
    static constexpr int STAGE_BYTES = COLUMNS * PITCH;
    static constexpr int STAGING_BYTES = Result<ROWS, WIDTH>::STAGING;
    static constexpr int MOMENTS_BYTES = WARPS_DOWN * COLUMNS * 8;
    static constexpr int SHARED = 2 * HALO_BYTES + STAGES * STAGE_BYTES + WARPS * STAGING_BYTES + MOMENTS_BYTES;

    static_assert(TAPS >= 4, "a halo is normalised three stages after its copies start");
    static_assert(THREADS % PARTS == 0, "a thread copies the same channels of all its pixels");

    // Where a column of the halo lies. With stride 2 neighbours in the result
    // are two columns apart: even and odd ones lie by themselves.
    static DEVICE int place(int column) {
        return STRIDE == 1 ? column : column / 2 + column % 2 * ((HALO_WIDTH + 1) / 2);
    }
};

template <typename S>
struct Convolver {
    const Convolution& p;
    char *halos, *stages, *staging;
    float2* moments;
    int thread, lane, warp_down, warp_across;

    DEVICE Convolver(const Convolution& parameters) : p(parameters) {
        halos = shared_memory();
        stages = halos + 2 * S::HALO_BYTES;
        staging = stages + S::STAGES * S::STAGE_BYTES;
        moments = reinterpret_cast<float2*>(staging + S::WARPS * S::STAGING_BYTES);
        thread = threadIdx.x;
        lane = thread % 32;
        warp_down = thread / 32 / S::WARPS_ACROSS;
        warp_across = thread / 32 % S::WARPS_ACROSS;
        staging += thread / 32 * S::STAGING_BYTES;
    }

    // The row of the image that a row of the halo shows, `first` being the one
    // that the tile's first output belongs to.
    static DEVICE int source(int first, int i, int length) {
        const int at = first * S::STRIDE + i - 1;
        // Mirrored at a doubled pixel's middle, that is itself.
        return S::STEP == DOUBLE ? clamp_to(at, length) : mirror(min(at, 2 * length), length);
    }

    DEVICE void load_halo(int tile, int chunk, int buffer) {
        const int top = tile / p.tiles_across * S::TILE_HEIGHT;
        const int left = tile % p.tiles_across * S::TILE_WIDTH;
        const int part = thread % S::PARTS;
        const Half* channels = p.input + chunk * S::CHUNK + part * 8;
        char* to = halos + buffer * S::HALO_BYTES + part * 16;
        for (int i = thread / S::PARTS; i < S::HALO_WIDTH * S::HALO_HEIGHT; i += S::THREADS / S::PARTS) {
            const int row = i / S::HALO_WIDTH, column = i % S::HALO_WIDTH;
            const size_t y = source(top, row, p.height), x = source(left, column, p.width);
            copy_later<16>(to + (row * S::HALO_WIDTH + S::place(column)) * S::PITCH,
                           channels + (y * p.width + x) * p.inputs);
        }
    }

    // What this thread has copied, normalised.
    DEVICE void normalise_halo(int chunk, int buffer) {
        if (p.pending.factor == nullptr) return;
        const int part = thread % S::PARTS;
        const Affine8 affine(p.pending, chunk * S::CHUNK + part * 8);
        char* data = halos + buffer * S::HALO_BYTES + part * 16;
        for (int i = thread / S::PARTS; i < S::HALO_WIDTH * S::HALO_HEIGHT; i += S::THREADS / S::PARTS) {
            const int row = i / S::HALO_WIDTH, column = i % S::HALO_WIDTH;
            uint4* at = reinterpret_cast<uint4*>(data + (row * S::HALO_WIDTH + S::place(column)) * S::PITCH);
            *at = normalise_relu(*at, affine);
        }
    }

    // Stage `index` of the chunks' taps: [COLUMNS][CHUNK].
    DEVICE void load_weights(int index, int buffer) {
        const size_t stages_of_block = p.inputs / S::CHUNK * S::TAPS;
        const Half* from = p.weights + (blockIdx.y * stages_of_block + index) * (S::COLUMNS * S::CHUNK);
        char* to = stages + buffer * S::STAGE_BYTES;
        for (int i = thread; i < S::COLUMNS * S::PARTS; i += S::THREADS)
            copy_later<16>(to + i / S::PARTS * S::PITCH + i % S::PARTS * 16, from + i * 8);
    }

    // One tap of a chunk. (dy, dx) is where it meets the halo.
    DEVICE void multiply_tap(Result<S::ROWS, S::WIDTH>& result, const char* halo, const char* stage, int dy, int dx) {
        // As an ldmatrix wants them: pixels 0..16 of a row, first their lower 8
        // channels, then the upper ones.
        const int pixel = S::place(lane % 16 * S::STRIDE + dx);
        const char* a_row = halo + ((warp_down * S::ROWS * S::STRIDE + dy) * S::HALO_WIDTH + pixel) * S::PITCH +
                            lane / 16 * 16;
        // 8 columns at the lower 8 channels, at the upper; then 8 more columns.
        const int column = warp_across * S::WIDTH + lane % 8 + lane / 16 * 8;
        const char* b_row = stage + column * S::PITCH + lane / 8 % 2 * 16;
        UNROLL
        for (int k = 0; k < S::CHUNK / 16; k++) {
            unsigned a[S::ROWS][4];
            UNROLL
            for (int row = 0; row < S::ROWS; row++)
                load_matrices(a[row], a_row + row * S::STRIDE * S::HALO_WIDTH * S::PITCH + k * 32);
            UNROLL
            for (int n = 0; n < S::WIDTH / 16; n++) {
                unsigned b[4];
                load_matrices(b, b_row + n * 16 * S::PITCH + k * 32);
                UNROLL
                for (int row = 0; row < S::ROWS; row++) {
                    multiply(result.sums[row][2 * n], a[row], b[0], b[1]);
                    multiply(result.sums[row][2 * n + 1], a[row], b[2], b[3]);
                }
            }
        }
    }

    DEVICE void store(Result<S::ROWS, S::WIDTH>& result, int tile) {
        const int top = tile / p.tiles_across * S::TILE_HEIGHT + warp_down * S::ROWS;
        const int left = tile % p.tiles_across * S::TILE_WIDTH;
        const int column = blockIdx.y * S::COLUMNS + warp_across * S::WIDTH;
        float2* own = moments + warp_down * S::COLUMNS + warp_across * S::WIDTH;
        const int height = p.height / S::STRIDE, width = p.width / S::STRIDE;
        result.finish(staging, own, [&](int row, int x) -> Half* {
            const int y = top + row;
            x += left;
            if (y >= height || x >= width) return nullptr;
            if (S::STEP != DOUBLE) return p.output + (size_t(y) * width + x) * p.outputs + column;
            const int phase = column / p.outputs;
            const size_t at = (2 * y + phase / 2) * size_t(2 * width) + 2 * x + phase % 2;
            return p.output + at * p.outputs + column % p.outputs;
        });
    }

    DEVICE void run() {
        for (int i = thread; i < S::WARPS_DOWN * S::COLUMNS; i += S::THREADS) moments[i] = make_float2(0, 0);
        const int chunks = p.inputs / S::CHUNK, stages_of_tile = chunks * S::TAPS;
        const int own_tiles = (p.tiles - int(blockIdx.x) + int(gridDim.x) - 1) / int(gridDim.x);
        const int steps = own_tiles * stages_of_tile;
        int phase_y = 0, phase_x = 0;
        if (S::STEP == DOUBLE) {
            const int phase = (blockIdx.y * S::COLUMNS + warp_across * S::WIDTH) / p.outputs;
            phase_y = phase / 2;
            phase_x = phase % 2;
        }

        // A group of copies a step, that of step i + 2 ended in step i.
        load_halo(blockIdx.x, 0, 0);
        load_weights(0, 0);
        end_copies();
        load_weights(1, 1);
        end_copies();

        Result<S::ROWS, S::WIDTH> result;
        result.clear();
        int tile = blockIdx.x, chunk = 0, tap = 0, halo = 0, stage = 0;
        int next_weights = 2;
        for (int step = 0; step < steps; step++) {
            const bool last_chunk = chunk + 1 == chunks;
            const int next_chunk = last_chunk ? 0 : chunk + 1;
            const int next_tile = last_chunk ? tile + gridDim.x : tile;
            wait_for_copies<1>();
            if (step == 0) normalise_halo(0, 0);
            // The halo of the next chunk was copied along with the weights of
            // this one's third tap.
            if (tap == S::TAPS - 1 && next_tile < p.tiles) normalise_halo(next_chunk, 1 - halo);
            // All have the stage and the halo, and none still reads the last.
            wait_for_block();
            if (step + 2 < steps) {
                load_weights(next_weights, (stage + 2) % S::STAGES);
                next_weights = next_weights + 1 == stages_of_tile ? 0 : next_weights + 1;
            }
            if (tap == 0 && next_tile < p.tiles) load_halo(next_tile, next_chunk, 1 - halo);
            end_copies();
            multiply_tap(result, halos + halo * S::HALO_BYTES, stages + stage * S::STAGE_BYTES,
                         tap / S::SIDE + phase_y, tap % S::SIDE + phase_x);
            stage = (stage + 1) % S::STAGES;
            if (++tap < S::TAPS) continue;
            tap = 0;
            halo = 1 - halo;
            chunk = next_chunk;
            if (last_chunk) {
                store(result, tile);
                result.clear();
                tile = next_tile;
            }
        }

        wait_for_block();
        const int columns = gridDim.y * S::COLUMNS;
        float2* row = reinterpret_cast<float2*>(p.moments) + size_t(blockIdx.x) * columns + blockIdx.y * S::COLUMNS;
        for (int column = thread; column < S::COLUMNS; column += S::THREADS) {
            float2 sum = moments[column];
            for (int i = 1; i < S::WARPS_DOWN; i++) {
                sum.x += moments[i * S::COLUMNS + column].x;
                sum.y += moments[i * S::COLUMNS + column].y;
            }
            row[column] = sum;
        }
    }
};
