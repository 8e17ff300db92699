// Instance normalisation and its gradients. Sums over the pixels of an image go
// slice by slice, in f32; the slices are added in a fixed order in f64.
//
// Kernels that end in 8 take 8 channels at a time, those that end in 1 one.
#include "half8.cuh"

const int NORM_THREADS = 256, NORM_GROUPS = 32;

// A value of the gradient, nothing where the ReLU let nothing through, and the
// normalised x that it belongs to.
template <int N>
struct NormPoint {
    float gradient[N], x[N];

    DEVICE NormPoint(const Norm& p, size_t at, const float2* statistics) {
        float y[N];
        load(p.x + at, x);
        load(p.y_gradient + at, gradient);
        load(p.y + at, y);
        UNROLL
        for (int i = 0; i < N; i++) {
            x[i] = (x[i] - statistics[i].x) * statistics[i].y;
            if (p.relu && y[i] <= 0.0f) gradient[i] = 0;
        }
    }
};

// Two sums over the pixels of a slice, for each channel: of x and of its square,
// relative to the image's first pixel, or of the gradient and of it times x.
//
// Blocks in a line take an image's slices, lines take images and NORM_GROUPS
// groups of N channels of them.
template <int N, bool GRADIENT>
DEVICE void sum_slice(const Norm& p) {
    float2* parts = reinterpret_cast<float2*>(shared_memory());
    const int groups = p.channels / N, lines = (groups + NORM_GROUPS - 1) / NORM_GROUPS;
    const int image = blockIdx.y / lines, first = blockIdx.y % lines * NORM_GROUPS;
    const int beside = min(groups - first, NORM_GROUPS), below = NORM_THREADS / beside;
    const int thread = threadIdx.x;
    if (thread < beside * below) {
        const int channel = (first + thread % beside) * N;
        const size_t start = size_t(image) * p.pixels * p.channels + channel;
        const int end = min((blockIdx.x + 1) * p.pixels_of_slice, p.pixels);
        const float2* statistics = reinterpret_cast<const float2*>(p.statistics) + image * p.channels + channel;
        float shift[N], sum[N], product[N];
        load(p.x + start, shift);
        UNROLL
        for (int i = 0; i < N; i++) sum[i] = product[i] = 0;
        for (int pixel = blockIdx.x * p.pixels_of_slice + thread / beside; pixel < end; pixel += below) {
            const size_t at = start + size_t(pixel) * p.channels;
            if constexpr (GRADIENT) {
                const NormPoint<N> point(p, at, statistics);
                UNROLL
                for (int i = 0; i < N; i++) {
                    sum[i] += point.gradient[i];
                    product[i] += point.gradient[i] * point.x[i];
                }
            } else {
                float x[N];
                load(p.x + at, x);
                UNROLL
                for (int i = 0; i < N; i++) {
                    const float difference = x[i] - shift[i];
                    sum[i] += difference;
                    product[i] += difference * difference;
                }
            }
        }
        UNROLL
        for (int i = 0; i < N; i++) parts[thread * N + i] = make_float2(sum[i], product[i]);
    }
    wait_for_block();
    for (int i = thread; i < beside * N; i += NORM_THREADS) {
        float2 total = make_float2(0, 0);
        for (int j = 0; j < below; j++) {
            total.x += parts[j * beside * N + i].x;
            total.y += parts[j * beside * N + i].y;
        }
        reinterpret_cast<float2*>(p.sums)[(size_t(image) * p.slices + blockIdx.x) * p.channels + first * N + i] = total;
    }
}

KERNEL(256, 2) sum_norm_8(const __grid_constant__ Norm p) { sum_slice<8, false>(p); }
KERNEL(256, 2) sum_norm_1(const __grid_constant__ Norm p) { sum_slice<1, false>(p); }
KERNEL(256, 2) sum_norm_gradient_8(const __grid_constant__ Norm p) { sum_slice<8, true>(p); }
KERNEL(256, 2) sum_norm_gradient_1(const __grid_constant__ Norm p) { sum_slice<1, true>(p); }

// The sums of all slices of an image.
DEVICE void sum_slices(const Norm& p, int image, int channel, double& sum, double& product) {
    const float2* from = reinterpret_cast<const float2*>(p.sums) + size_t(image) * p.slices * p.channels + channel;
    sum = product = 0;
    for (int i = 0; i < p.slices; i++) {
        sum += from[size_t(i) * p.channels].x;
        product += from[size_t(i) * p.channels].y;
    }
}

// A thread for each channel of each image.
KERNEL(256, 1) finalize_statistics(const __grid_constant__ Norm p) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= p.batch * p.channels) return;
    const int image = i / p.channels, channel = i % p.channels;
    double sum, square;
    sum_slices(p, image, channel, sum, square);
    const double mean = sum / p.pixels, variance = fmax(square / p.pixels - mean * mean, 0.0);
    const float first = widen(p.x[size_t(image) * p.pixels * p.channels + channel]);
    reinterpret_cast<float2*>(p.statistics)[i] = make_float2(float(first + mean), float(1 / sqrt(variance + p.eps)));
}

// A thread for each channel.
KERNEL(256, 1) finalize_norm_gradient(const __grid_constant__ Norm p) {
    const int channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= p.channels) return;
    double scale = 0, shift = 0;
    for (int image = 0; image < p.batch; image++) {
        double sum, product;
        sum_slices(p, image, channel, sum, product);
        shift += sum;
        scale += product;
        reinterpret_cast<float2*>(p.means)[image * p.channels + channel] =
            make_float2(float(sum / p.pixels), float(product / p.pixels));
    }
    p.scale_gradient[channel] = float(scale);
    p.shift_gradient[channel] = float(shift);
}

// Calls f(first number, image times channels + channel, channel) for every N
// numbers of the images.
template <int N, typename F>
DEVICE void for_numbers(const Norm& p, F f) {
    const int groups = p.channels / N;
    const long long count = (long long)p.batch * p.pixels * groups;
    const int step = gridDim.x * blockDim.x;
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        const int channel = int(i % groups) * N, image = int(i / groups / p.pixels);
        f(size_t(i) * N, image * p.channels + channel, channel);
    }
}

template <int N>
DEVICE void normalise(const Norm& p) {
    for_numbers<N>(p, [&](size_t at, int of_image, int channel) {
        const float2* statistics = reinterpret_cast<const float2*>(p.statistics) + of_image;
        float x[N];
        load(p.x + at, x);
        UNROLL
        for (int i = 0; i < N; i++) {
            x[i] = (x[i] - statistics[i].x) * statistics[i].y * p.scale[channel + i] + p.shift[channel + i];
            if (p.relu) x[i] = fmaxf(x[i], 0.0f);
        }
        store(x, p.y + at);
    });
}

template <int N>
DEVICE void normalise_gradient(const Norm& p) {
    for_numbers<N>(p, [&](size_t at, int of_image, int channel) {
        const float2* statistics = reinterpret_cast<const float2*>(p.statistics) + of_image;
        const float2* means = reinterpret_cast<const float2*>(p.means) + of_image;
        const NormPoint<N> point(p, at, statistics);
        float gradient[N];
        UNROLL
        for (int i = 0; i < N; i++)
            gradient[i] = p.scale[channel + i] * statistics[i].y *
                          (point.gradient[i] - means[i].x - point.x[i] * means[i].y);
        store(gradient, p.x_gradient + at);
    });
}

KERNEL(256, 2) normalise_8(const __grid_constant__ Norm p) { normalise<8>(p); }
KERNEL(256, 2) normalise_1(const __grid_constant__ Norm p) { normalise<1>(p); }
KERNEL(256, 2) normalise_gradient_8(const __grid_constant__ Norm p) { normalise_gradient<8>(p); }
KERNEL(256, 2) normalise_gradient_1(const __grid_constant__ Norm p) { normalise_gradient<1>(p); }
