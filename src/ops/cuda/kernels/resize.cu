// Down to the network's size, and the way back prepared: what
// engine/resize.rs and engine/upsample.rs do on the CPU, and explain.
#include "border.cuh"
#include "rgb_pixels.cuh"

// Which pixels of a line make one of a shorter line, and how much of each.
struct Taps {
    int first, count;
    float middle, reach, share;

    DEVICE Taps(int i, int from, int to) {
        const float ratio = float(from) / to;
        reach = fmaxf(ratio, 1);
        count = min(int(ceilf(2 * reach)), from);
        middle = (i + 0.5f) * ratio;
        first = min(max(int(floorf(middle - reach + 0.5f)), 0), from - count);
        float sum = 0;
        for (int tap = 0; tap < count; tap++) sum += unscaled(tap);
        share = 1 / sum;
    }

    DEVICE float unscaled(int tap) const { return fmaxf(1 - fabsf(first + tap + 0.5f - middle) / reach, 0); }
    DEVICE float weight(int tap) const { return unscaled(tap) * share; }
};

KERNEL(256, 4) NAMED(shrink_picture)(const __grid_constant__ Shrink p) {
    const int x = blockIdx.x * 256 + threadIdx.x;
    if (x >= p.small_width) return;
    const Taps columns(x, p.width, p.small_width);
    for (int y = blockIdx.y; y < p.small_height; y += gridDim.y) {
        const Taps rows(y, p.height, p.small_height);
        Colour sum = {0, 0, 0};
        for (int row = 0; row < rows.count; row++)
            for (int column = 0; column < columns.count; column++) {
                const size_t pixel = size_t(rows.first + row) * p.width + columns.first + column;
                const float weight = rows.weight(row) * columns.weight(column);
                const Colour c = read_picture(p.picture, pixel);
                sum = {fmaf(c.r, weight, sum.r), fmaf(c.g, weight, sum.g), fmaf(c.b, weight, sum.b)};
            }
        write_picture(p.small, size_t(y) * p.small_width + x, sum);
    }
}

// As the constants of the same names in upsample.rs.
const int REACH = 2, WINDOW = 2 * REACH + 1;
const float EPS = 64, TRUST = 1.5f;

// A block makes 16 x 16 pixels; of their windows it holds luma and the styled
// colours.
const int TILE = 16, HALO = TILE + 2 * REACH;
typedef float Sources[HALO][HALO][4];

// A number and its neighbours: what interpolation will blur is made good, but
// nothing overshoots.
DEVICE float sharpen(const Fields& p, const Sources& sources, int row, int column, int i) {
    const float middle = sources[row][column][i];
    const float left = sources[row][column - 1][i], right = sources[row][column + 1][i];
    const float above = sources[row - 1][column][i], below = sources[row + 1][column][i];
    const float in_row = (left + right - 2 * middle) * p.sharpen_row;
    const float in_column = (above + below - 2 * middle) * p.sharpen_column;
    const float least = fminf(fminf(fminf(left, right), fminf(above, below)), middle);
    const float most = fmaxf(fmaxf(fmaxf(left, right), fmaxf(above, below)), middle);
    return within(middle - in_row - in_column, least, most);
}

// How strongly each colour of the style follows the picture's luma.
DEVICE Colour find_gains(const Sources& sources, int row, int column) {
    float sum[4] = {0, 0, 0, 0}, with_luma[4] = {0, 0, 0, 0}, squares = 0;
    for (int i = 0; i < WINDOW * WINDOW; i++) {
        const float* at = sources[row + i / WINDOW - REACH][column + i % WINDOW - REACH];
        UNROLL
        for (int k = 0; k < 4; k++) {
            sum[k] += at[k];
            with_luma[k] = fmaf(at[0], at[k], with_luma[k]);
            if (k > 0) squares = fmaf(at[k], at[k], squares);
        }
    }
    const float share = 1.0f / (WINDOW * WINDOW);
    float covariance[4], variance = squares * share, explained = 0;
    UNROLL
    for (int k = 0; k < 4; k++) {
        covariance[k] = (with_luma[k] - sum[0] * sum[k] * share) * share;
        if (k == 0) continue;
        variance -= sum[k] * share * (sum[k] * share);
        explained = fmaf(covariance[k], covariance[k], explained);
    }
    const float of_luma = fmaxf(covariance[0], 0);
    // Less than anything that shows, against 0 / 0.
    const float all = of_luma * fmaxf(variance, 0) + 1e-3f;
    const float factor = fminf(explained / all * TRUST, 1) / (of_luma + EPS);
    return {covariance[1] * factor, covariance[2] * factor, covariance[3] * factor};
}

KERNEL(256, 4) NAMED(find_fields)(const __grid_constant__ Fields p) {
    Sources& sources = *reinterpret_cast<Sources*>(shared_memory());
    const int top = blockIdx.y * TILE, left = blockIdx.x * TILE;
    for (int i = threadIdx.x; i < HALO * HALO; i += 256) {
        const int y = clamp_to(top + i / HALO - REACH, p.height), x = clamp_to(left + i % HALO - REACH, p.width);
        float* to = sources[i / HALO][i % HALO];
        const Colour picture = read_picture(p.picture, size_t(y) * p.width + x);
        const Colour styled = read_styled(p.styled, x, y, picture);
        to[0] = luma(picture);
        to[1] = styled.r;
        to[2] = styled.g;
        to[3] = styled.b;
    }
    wait_for_block();
    const int row = threadIdx.x / TILE, column = threadIdx.x % TILE;
    if (top + row >= p.height || left + column >= p.width) return;
    float sharp[4];
    UNROLL
    for (int k = 0; k < 4; k++) sharp[k] = kept(sharpen(p, sources, row + REACH, column + REACH, k));
    const Colour gains = find_gains(sources, row + REACH, column + REACH);
    uint4 words;
    words.x = pack(sharp[0], sharp[1]);
    words.y = pack(sharp[2], sharp[3]);
    words.z = pack(gains.r, gains.g);
    words.w = pack(gains.b, 0.0f);
    const size_t pixel = size_t(top + row) * p.width + left + column;
    *reinterpret_cast<uint4*>(p.fields + pixel * 8) = words;
}
