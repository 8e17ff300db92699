// The parameters of the kernels: one structure a kernel, by value. parameters.rs
// mirrors them, and a test compares the layouts.
#pragma once

#include <cstdint>

// A 16-bit float in memory.
typedef uint16_t Half;

// What is still to be done to an image when it is loaded: x * factor + offset
// of its channel, then ReLU. Null if nothing.
struct Affine {
    const float* factor;
    const float* offset;
};

// Image sizes are in pixels; images are [height][width][channels].
struct Convolution {
    const Half* input;
    const Half* weights;
    Half* output;
    // Sum and sum of squares of each column, a row for each block in a line of
    // the grid: [gridDim.x][columns][2].
    float* moments;
    Affine pending;
    // Of the input.
    int height, width;
    // Channels of either side, multiples of 16.
    int inputs, outputs;
    // Tiles of the result.
    int tiles_across, tiles;
};

struct First {
    // [picture height][picture width][4]: red, green, blue, nothing.
    const Half* picture;
    const Half* weights;
    Half* output;
    float* moments;
    int picture_height, picture_width;
    // Of the output: the picture's rounded up to multiples of 4.
    int height, width;
    int outputs;
    int tiles_across, tiles;
};

struct Last {
    const Half* input;
    const Half* weights;
    // [height][width][4]
    Half* output;
    // [gridDim.x][4][2]
    float* moments;
    Affine pending;
    int height, width;
    int inputs;
    int tiles_across, tiles;
};

// x += y * factor + offset
struct Residual {
    Half* sum;
    const Half* added;
    Affine affine;
    // Whether x is to become y * factor + offset alone, at least 0.
    int replace;
    int channels;
    // Groups of 8 numbers.
    int groups;
};

// Moments into what normalises by them.
struct FinalizeNorm {
    // [rows][channels][2]
    const float* moments;
    const float* scale;
    const float* shift;
    const float* eps;
    float* factor;
    float* offset;
    int rows, channels;
    // That each channel has.
    float pixels;
};

// Where a frame keeps one component of its pixels.
struct ComponentLayout {
    int plane;
    // Pixel (x, y) has sample (x >> shift_x) * step + first of row y >> shift_y.
    int first, step;
    int shift_x, shift_y;
};

// How the samples of a row lie in its bytes.
enum Storage { BYTES = 0, LOW = 1, HIGH = 2, TENS = 3, TENS_AND_TWO = 4, FLOATS = 5 };

// What the numbers stand for.
enum Family { RGB = 0, YUV = 1, GRAY = 2 };

struct FrameLayout {
    uint8_t* planes[3];
    long long strides[3];
    // Samples in a row of each plane, those that fill up the last group too.
    int samples[3];
    int storage, family, bits;
    int width, height;
    // Pixels that are written together.
    int group_width, group_height;
    // Red, green, blue or luma, chroma twice; then opacity or what pads in its
    // place, whose plane is -1 if there is neither.
    ComponentLayout components[3];
    ComponentLayout opacity;
    // From samples to 0..255: gain and offset of RGB and luma, the middle of
    // chroma, then red of V, green of U, green of V, blue of U.
    float gain, offset, middle;
    float red_v, green_u, green_v, blue_u;
    // From 0..255 to samples: gain and offset of RGB, weights of red, green and
    // blue and offset of each of Y, U, V.
    float back_gain, back_offset;
    float back[3][4];
    float largest;
};

struct Enter {
    FrameLayout frame;
    // [height][width][4]: (value - 128) / 128
    Half* picture;
};

// What becomes of a painting's values: painted * factor + offset + keep * picture.
struct Tone {
    float factor, offset, keep;
};

// The tone that follows from a picture's luma.
struct FindTone {
    // As in Enter.
    const Half* picture;
    int height, width;
    // [rows][3]: sums over blocks of pixels of the mean luma and of its second and
    // third powers, whole numbers.
    unsigned long long* moments;
    int rows;
    Tone* tone;
};

// What the network painted.
struct Styled {
    // The last layer's result, [..][width][4] with rows of so many pixels.
    const Half* numbers;
    int width;
    Affine affine;
    // tanh(x) * span + 127.5, or x itself if span is 0; then cut to 0..255.
    float span;
    const Tone* tone;
};

// A picture into a smaller one; both as in Enter.
struct Shrink {
    const Half* picture;
    Half* small;
    int height, width;
    int small_height, small_width;
};

// What was painted at another size than the frame's, into what is interpolated
// there.
struct Fields {
    // What the network saw, as in Enter.
    const Half* picture;
    Styled styled;
    // [height][width][8]: luma and the styled colours as in Enter, then how
    // strongly each colour follows luma, nothing.
    Half* fields;
    int height, width;
    // How much of the second differences is taken off.
    float sharpen_row, sharpen_column;
};

struct Leave {
    FrameLayout before, after;
    Styled styled;
    // In place of `styled`, if the network painted at another size; else null.
    const Half* fields;
    int fields_height, fields_width;
    // How much of the new picture shows, 0..1.
    float strength;
    int keep_color;
    // Whether opacity is taken from the frame before; else there is none.
    int keep_opacity;
};

// The structures of training. Images are [batch][height][width][channels] with the true number
// of channels, whatever it is.

// What the inner dimension of a product is gathered from: for each pixel of a
// grid, the channels of all taps. `block` channels of each tap make a round over
// the taps; then come the next `block`.
struct Gather {
    const Half* image;
    int height, width, channels;
    // The grid of pixels.
    int batch, down, across;
    // Its pixel (y, x) meets tap (i, j) at y * stride - before_y + i, and so on.
    int stride, before_y, before_x;
    int taps_down, taps_across;
    int block;
    // Whether the image is mirrored beyond its border; else there are zeros.
    int mirrored;
};

// A convolution, or the gradient of its input.
struct Product {
    Gather gather;
    // [chunks of 32 of the inner dimension][columns of all blocks][32]
    const Half* weights;
    // Null if there is none.
    const float* bias;
    Half* output;
    int output_height, output_width, outputs;
    // Pixel (y, x) of the grid is (y * step + first_y, ..) of the output.
    int step, first_y, first_x;
    int relu;
};

// Weights as a product wants them.
struct PackWeights {
    const float* weights;
    Half* packed;
    // From one column and one channel to the next, and the kernel's side.
    int column_stride, channel_stride, side;
    // Tap (i, j) is the kernel's (first_y + i * step, first_x + j * step); there is
    // nothing beyond its sides.
    int first_y, first_x, step;
    int taps_down, taps_across;
    int channels, block;
    int columns, padded_columns;
    int chunks;
};

struct WeightGradient {
    Gather gather;
    // [pixels of the grid][outputs]
    const Half* gradient;
    int outputs;
    // [gridDim.y][padded_rows][padded_columns]
    float* sums;
    int padded_rows, padded_columns;
    // That a line of blocks sums up; a multiple of 32.
    int pixels_of_line;
};

struct SumWeightGradient {
    const float* sums;
    // [outputs][channels][taps]
    float* gradient;
    int lines, padded_rows, padded_columns;
    int outputs, channels, taps;
};

// Normalisation and its gradients.
struct Norm {
    const Half* x;
    const float* scale;
    const float* shift;
    // The result, and its gradient.
    Half* y;
    const Half* y_gradient;
    Half* x_gradient;
    float* scale_gradient;
    float* shift_gradient;
    // [batch][slices][channels][2]
    float* sums;
    // [batch][channels][2]: mean, and 1 by the deviation.
    float* statistics;
    // [batch][channels][2]: means of the gradient, and of it times x.
    float* means;
    float eps;
    int relu;
    int batch, pixels, channels;
    // Of an image's pixels, for sums.
    int slices, pixels_of_slice;
};

// Halving and doubling of images.
struct Resize {
    const Half* from;
    Half* to;
    // Of a pooling's gradient: what was pooled, and the result.
    const Half* large;
    const Half* small;
    // The larger image's.
    int batch, height, width, channels;
};

// A gradient where a ReLU let through, else 0.
struct Gate {
    const Half* gradient;
    const Half* result;
    Half* gated;
    long long count;
};

// The sum of a mirrored image's gradients: of `reach` pixels more on each side.
struct Fold {
    const Half* mirrored;
    Half* folded;
    int batch, height, width, channels;
    int reach;
};
