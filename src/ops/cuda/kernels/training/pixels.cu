// Operations on single pixels and the gradients of such: halving, doubling, ReLU,
// mirrored borders.
//
// Kernels that end in 8 take 8 channels at a time, those that end in 1 one.
#include "border.cuh"
#include "half8.cuh"

// Calls f(image, y, x, channel) for every N channels of images of that size.
template <int N, typename F>
DEVICE void for_pixels(int batch, int height, int width, int channels, F f) {
    const int groups = channels / N;
    const long long count = (long long)batch * height * width * groups;
    const int step = gridDim.x * blockDim.x;
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const int pixel = int(i / groups);
        f(pixel / width / height, pixel / width % height, pixel % width, int(i % groups) * N);
    }
}

struct Grid {
    int height, width, channels;

    DEVICE size_t at(int image, int y, int x, int channel) const {
        return ((size_t(image) * height + y) * width + x) * channels + channel;
    }
};

template <int N>
DEVICE void max_pool(const Resize& p) {
    const Grid large = {p.height, p.width, p.channels}, small = {p.height / 2, p.width / 2, p.channels};
    for_pixels<N>(p.batch, small.height, small.width, p.channels, [&](int image, int y, int x, int channel) {
        float largest[N], value[N];
        load(p.from + large.at(image, 2 * y, 2 * x, channel), largest);
        UNROLL
        for (int i = 1; i < 4; i++) {
            load(p.from + large.at(image, 2 * y + i / 2, 2 * x + i % 2, channel), value);
            UNROLL
            for (int c = 0; c < N; c++) largest[c] = fmaxf(largest[c], value[c]);
        }
        store(largest, p.to + small.at(image, y, x, channel));
    });
}

// The gradient goes to the first of the largest. Each thread writes up to four
// pixels; those that a lone last row or column adds get none.
template <int N>
DEVICE void max_pool_gradient(const Resize& p) {
    const Grid large = {p.height, p.width, p.channels}, small = {p.height / 2, p.width / 2, p.channels};
    const int down = (p.height + 1) / 2, across = (p.width + 1) / 2;
    for_pixels<N>(p.batch, down, across, p.channels, [&](int image, int y, int x, int channel) {
        const bool pooled = y < small.height && x < small.width;
        float left[N], largest[N], value[N];
        UNROLL
        for (int c = 0; c < N; c++) left[c] = largest[c] = 0;
        if (pooled) {
            load(p.from + small.at(image, y, x, channel), left);
            load(p.small + small.at(image, y, x, channel), largest);
        }
        UNROLL
        for (int i = 0; i < 4; i++) {
            const int row = 2 * y + i / 2, column = 2 * x + i % 2;
            if (row >= p.height || column >= p.width) continue;
            const size_t at = large.at(image, row, column, channel);
            load(p.large + at, value);
            UNROLL
            for (int c = 0; c < N; c++) {
                const bool hit = pooled && value[c] == largest[c];
                value[c] = hit ? left[c] : 0.0f;
                left[c] = hit ? 0.0f : left[c];
            }
            store(value, p.to + at);
        }
    });
}

template <int N>
DEVICE void upsample(const Resize& p) {
    const Grid large = {p.height, p.width, p.channels}, small = {p.height / 2, p.width / 2, p.channels};
    for_pixels<N>(p.batch, p.height, p.width, p.channels, [&](int image, int y, int x, int channel) {
        float value[N];
        load(p.from + small.at(image, y / 2, x / 2, channel), value);
        store(value, p.to + large.at(image, y, x, channel));
    });
}

template <int N>
DEVICE void upsample_gradient(const Resize& p) {
    const Grid large = {p.height, p.width, p.channels}, small = {p.height / 2, p.width / 2, p.channels};
    for_pixels<N>(p.batch, small.height, small.width, p.channels, [&](int image, int y, int x, int channel) {
        float sum[N], value[N];
        UNROLL
        for (int c = 0; c < N; c++) sum[c] = 0;
        UNROLL
        for (int i = 0; i < 4; i++) {
            load(p.from + large.at(image, 2 * y + i / 2, 2 * x + i % 2, channel), value);
            UNROLL
            for (int c = 0; c < N; c++) sum[c] += value[c];
        }
        store(sum, p.to + small.at(image, y, x, channel));
    });
}

template <int N>
DEVICE void gate(const Gate& p) {
    const int step = gridDim.x * blockDim.x;
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < p.count / N; i += step) {
        float gradient[N], result[N];
        load(p.gradient + i * N, gradient);
        load(p.result + i * N, result);
        UNROLL
        for (int c = 0; c < N; c++) gradient[c] = result[c] > 0.0f ? gradient[c] : 0.0f;
        store(gradient, p.gated + i * N);
    }
}

// Calls f(j) for all j in -reach..length + reach that are mirrored to i: those
// that differ from i, or from -i, by a multiple of the period.
template <typename F>
DEVICE void for_mirrored(int i, int length, int reach, F f) {
    const int period = max(2 * (length - 1), 1);
    const int both = 2 * i % period == 0 ? 1 : 2;
    for (int k = 0; k < both; k++) {
        // At least 0 steps of a period above -reach.
        const int from = (k == 0 ? i : -i) + reach;
        for (int j = (from % period + period) % period; j < length + 2 * reach; j += period) f(j - reach);
    }
}

template <int N>
DEVICE void fold(const Fold& p) {
    const Grid mirrored = {p.height + 2 * p.reach, p.width + 2 * p.reach, p.channels};
    const Grid folded = {p.height, p.width, p.channels};
    for_pixels<N>(p.batch, p.height, p.width, p.channels, [&](int image, int y, int x, int channel) {
        float sum[N];
        UNROLL
        for (int c = 0; c < N; c++) sum[c] = 0;
        for_mirrored(y, p.height, p.reach, [&](int row) {
            for_mirrored(x, p.width, p.reach, [&](int column) {
                float value[N];
                load(p.mirrored + mirrored.at(image, row + p.reach, column + p.reach, channel), value);
                UNROLL
                for (int c = 0; c < N; c++) sum[c] += value[c];
            });
        });
        store(sum, p.folded + folded.at(image, y, x, channel));
    });
}

#define KERNELS(name, parameters)                                                     \
    KERNEL(256, 2) name##_8(const __grid_constant__ parameters p) { name<8>(p); } \
    KERNEL(256, 2) name##_1(const __grid_constant__ parameters p) { name<1>(p); }
KERNELS(max_pool, Resize)
KERNELS(max_pool_gradient, Resize)
KERNELS(upsample, Resize)
KERNELS(upsample_gradient, Resize)
KERNELS(gate, Gate)
KERNELS(fold, Fold)
#undef KERNELS
