#include "emulator.h"

#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
namespace {

const int LANES = 32;
const size_t STACK = 256 << 10;

struct Copy {
    void* to;
    const void* from;
    int bytes, group;
};

struct Fiber {
    ucontext_t context;
    bool done = false;
    // What it waits for to change, if it waits.
    const unsigned* waits_for = nullptr;
    unsigned since = 0;
    std::deque<Copy> copies;
    int groups = 0;
};

// A gathering of lanes or threads: `arrived` of them are there, and `rounds`
// changes when all are.
struct Meeting {
    const char* what = nullptr;
    unsigned arrived = 0;
    unsigned rounds = 0;
    const void* in[LANES];
    void* out[LANES];
};

struct Block {
    std::vector<Fiber> fibers;
    std::vector<Meeting> warps;
    Meeting all;
    std::unique_ptr<char[]> shared;
    size_t shared_bytes = 0;
    ucontext_t scheduler;
    unsigned current = 0;
    std::string error;
    unsigned long long conflicts = 0;
    size_t (*kernel)(const void*) = nullptr;
    const void* parameters = nullptr;
};

thread_local Block* block;
// Kept from launch to launch.
thread_local std::vector<std::unique_ptr<char[]>> stacks;

void to_scheduler() { swapcontext(&block->fibers[block->current].context, &block->scheduler); }

// Ends the launch.
void fail(const std::string& what) {
    if (block->error.empty()) {
        char where[96];
        snprintf(where, sizeof where, "block (%u, %u), thread %u: ", blockIdx.x, blockIdx.y, block->current);
        block->error = where + what;
    }
    to_scheduler();
    abort();  // Never resumed.
}

void yield_until_changed(const unsigned& rounds, unsigned since) {
    while (rounds == since) {
        Fiber& fiber = block->fibers[block->current];
        fiber.waits_for = &rounds;
        fiber.since = since;
        to_scheduler();
    }
}

// All lanes of the warp, `exchange` being done once by the last.
void meet(const char* what, const void* in, void* out, void (*exchange)(const Meeting&)) {
    Meeting& meeting = block->warps[block->current / LANES];
    const unsigned lane = block->current % LANES;
    if (meeting.arrived == 0) meeting.what = what;
    if (meeting.what != what) fail(std::string("lanes of a warp part: ") + what + " beside " + meeting.what);
    meeting.in[lane] = in;
    meeting.out[lane] = out;
    const unsigned since = meeting.rounds;
    if (++meeting.arrived < LANES) return yield_until_changed(meeting.rounds, since);
    if (exchange != nullptr) exchange(meeting);
    meeting.arrived = 0;
    meeting.rounds++;
}

void check_shared(const void* address, int bytes, int alignment, const char* what) {
    const char* at = static_cast<const char*>(address);
    const char* start = block->shared.get();
    if (at < start || at + bytes > start + block->shared_bytes)
        fail(std::string(what) + " outside of shared memory");
    if ((at - start) % alignment != 0) fail(std::string(what) + " at an address that is not aligned");
}

void fiber_main() {
    block->kernel(block->parameters);
    Fiber& fiber = block->fibers[block->current];
    if (!fiber.copies.empty()) fail("a copy in the background was never waited for");
    fiber.done = true;
    to_scheduler();
}

// Runs the lanes of a warp until all of them wait or are done; false if none
// could go on.
bool run_warp(unsigned warp) {
    bool any = false;
    for (bool progress = true; progress;) {
        progress = false;
        for (unsigned i = warp * LANES; i < (warp + 1) * LANES; i++) {
            Fiber& fiber = block->fibers[i];
            if (fiber.done || (fiber.waits_for != nullptr && *fiber.waits_for == fiber.since)) continue;
            fiber.waits_for = nullptr;
            block->current = i;
            threadIdx = {i, 0, 0};
            swapcontext(&block->scheduler, &fiber.context);
            if (!block->error.empty()) return false;
            progress = any = true;
        }
    }
    return any;
}

void start(Fiber& fiber, char* stack) {
#ifdef __SANITIZE_ADDRESS__
    // The fiber before has left it without returning.
    __asan_unpoison_memory_region(stack, STACK);
#endif
    fiber = Fiber();
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
}

void run_block(bool backwards) {
    const unsigned warps = unsigned(block->warps.size());
    for (Meeting& warp : block->warps) warp = Meeting();
    block->all = Meeting();
    // All bits set: NaN in either width of float.
    memset(block->shared.get(), 0xff, block->shared_bytes);
    for (size_t i = 0; i < block->fibers.size(); i++) start(block->fibers[i], stacks[i].get());
    for (bool progress = true; progress;) {
        progress = false;
        for (unsigned i = 0; i < warps; i++) {
            progress |= run_warp(backwards ? warps - 1 - i : i);
            if (!block->error.empty()) return;
        }
    }
    for (size_t i = 0; i < block->fibers.size(); i++)
        if (!block->fibers[i].done) {
            const Meeting& warp = block->warps[i / LANES];
            block->error = "thread " + std::to_string(i) + " waits for others that never come, at " +
                           (warp.arrived > 0 ? warp.what : "the block's barrier");
            return;
        }
}

}  // namespace

float half_to_float(uint16_t half) {
    const unsigned sign = unsigned(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) {
        const float value = std::ldexp(float(fraction), -24);
        return sign ? -value : value;
    }
    const unsigned bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | fraction << 13;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// To the nearest, ties to even.
uint16_t float_to_half(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    const unsigned magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00;
    if (magnitude >= 0x477ff000) return sign | 0x7c00;
    if (magnitude < 0x38800000) {  // Less than the smallest normal one.
        float absolute;
        memcpy(&absolute, &magnitude, 4);
        return sign | uint16_t(std::nearbyint(std::ldexp(absolute, 24)));
    }
    const unsigned rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return sign | uint16_t((rounded >> 13) - (112 << 10));
}

float bf16_to_float(uint16_t half) {
    const unsigned bits = unsigned(half) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// To the nearest, ties to even.
uint16_t float_to_bf16(float value) {
    unsigned bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

char* shared() { return block->shared.get(); }

void copy_later(void* to, const void* from, int bytes) {
    check_shared(to, bytes, bytes, "a copy");
    if (reinterpret_cast<uintptr_t>(from) % bytes != 0) fail("a copy from an address that is not aligned");
    Fiber& fiber = block->fibers[block->current];
    fiber.copies.push_back({to, from, bytes, fiber.groups});
}

void copy_or_clear_later(void* to, const void* from, bool copied) {
    static const uint4 zeros = {0, 0, 0, 0};
    copy_later(to, copied ? from : &zeros, 16);
}

void end_copies() { block->fibers[block->current].groups++; }

void wait_for_copies(int pending) {
    Fiber& fiber = block->fibers[block->current];
    while (!fiber.copies.empty() && fiber.copies.front().group < fiber.groups - pending) {
        const Copy& copy = fiber.copies.front();
        memcpy(copy.to, copy.from, copy.bytes);
        fiber.copies.pop_front();
    }
}

namespace {

// Pairs of a matrix's rows in the same banks.
void count_conflicts(const Meeting& lanes, int matrix) {
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < i; j++) {
            const char* a = static_cast<const char*>(lanes.in[matrix * 8 + i]);
            const char* b = static_cast<const char*>(lanes.in[matrix * 8 + j]);
            if (a != b && (a - b) % 128 == 0) block->conflicts++;
        }
}

}  // namespace

void load_matrices(unsigned (&to)[4], const void* row) {
    check_shared(row, 16, 16, "a matrix");
    meet("load_matrices", row, to, [](const Meeting& lanes) {
        for (int matrix = 0; matrix < 4; matrix++) {
            count_conflicts(lanes, matrix);
            for (int lane = 0; lane < LANES; lane++) {
                const char* row = static_cast<const char*>(lanes.in[matrix * 8 + lane / 4]);
                memcpy(static_cast<unsigned*>(lanes.out[lane]) + matrix, row + lane % 4 * 4, 4);
            }
        }
    });
}

void load_transposed(unsigned (&to)[4], const void* row) {
    check_shared(row, 16, 16, "a matrix");
    meet("load_transposed", row, to, [](const Meeting& lanes) {
        for (int matrix = 0; matrix < 4; matrix++) {
            count_conflicts(lanes, matrix);
            for (int lane = 0; lane < LANES; lane++) {
                const uint16_t* first = static_cast<const uint16_t*>(lanes.in[matrix * 8 + lane % 4 * 2]);
                const uint16_t* second = static_cast<const uint16_t*>(lanes.in[matrix * 8 + lane % 4 * 2 + 1]);
                static_cast<unsigned*>(lanes.out[lane])[matrix] = first[lane / 4] | unsigned(second[lane / 4]) << 16;
            }
        }
    });
}

namespace {
struct Factors {
    unsigned a[4], b[2];
};
}  // namespace

namespace {

template <float (*WIDEN)(uint16_t)>
void multiply_by(const Meeting& lanes) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < LANES; lane++) {
        const Factors& own = *static_cast<const Factors*>(lanes.in[lane]);
        const int g = lane / 4, q = lane % 4 * 2;
        for (int i = 0; i < 4; i++) {
            float* at = &a[g + i % 2 * 8][q + i / 2 * 8];
            at[0] = WIDEN(uint16_t(own.a[i]));
            at[1] = WIDEN(uint16_t(own.a[i] >> 16));
        }
        for (int i = 0; i < 2; i++) {
            b[q + i * 8][g] = WIDEN(uint16_t(own.b[i]));
            b[q + i * 8 + 1][g] = WIDEN(uint16_t(own.b[i] >> 16));
        }
    }
    for (int lane = 0; lane < LANES; lane++) {
        float* sums = static_cast<float*>(lanes.out[lane]);
        for (int i = 0; i < 4; i++) {
            const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            float sum = 0;
            for (int k = 0; k < 16; k++) sum += a[row][k] * b[k][column];
            sums[i] += sum;
        }
    }
}

}  // namespace

void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const Factors factors = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
    meet("multiply", &factors, sums, multiply_by<half_to_float>);
}

void multiply_bf16(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const Factors factors = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
    meet("multiply", &factors, sums, multiply_by<bf16_to_float>);
}

namespace {
struct Across {
    float value;
    int mask;
};
}  // namespace

float from_lane_across(float value, int mask) {
    const Across own = {value, mask};
    float other;
    meet("from_lane_across", &own, &other, [](const Meeting& lanes) {
        for (int lane = 0; lane < LANES; lane++) {
            const int mask = static_cast<const Across*>(lanes.in[lane])->mask;
            *static_cast<float*>(lanes.out[lane]) = static_cast<const Across*>(lanes.in[lane ^ mask])->value;
        }
    });
    return other;
}

void wait_for_warp() { meet("wait_for_warp", nullptr, nullptr, nullptr); }

void wait_for_block() {
    Meeting& all = block->all;
    const unsigned since = all.rounds;
    if (++all.arrived < block->fibers.size()) return yield_until_changed(all.rounds, since);
    all.arrived = 0;
    all.rounds++;
}

// Runs a grid. Returns what is wrong, or null; valid until the next launch of
// this thread of the host.
const char* launch(size_t (*kernel)(const void*), dim3 grid, unsigned threads, unsigned shared_bytes,
                   const void* parameters, bool backwards, unsigned long long* conflicts) {
    static thread_local std::string error;
    Block own;
    own.fibers.resize(threads);
    own.warps.resize(threads / LANES);
    own.shared.reset(new (std::align_val_t(128)) char[shared_bytes]);
    own.shared_bytes = shared_bytes;
    own.kernel = kernel;
    own.parameters = parameters;
    while (stacks.size() < threads) stacks.emplace_back(new char[STACK]);
    block = &own;
    gridDim = grid;
    blockDim = {threads, 1, 1};
    for (unsigned y = 0; y < grid.y && own.error.empty(); y++)
        for (unsigned x = 0; x < grid.x && own.error.empty(); x++) {
            blockIdx = {x, y, 0};
            run_block(backwards);
        }
    block = nullptr;
    // Taken with an alignment, to be given back so.
    ::operator delete[](own.shared.release(), std::align_val_t(128));
    *conflicts = own.conflicts;
    error = own.error;
    return error.empty() ? nullptr : error.c_str();
}

}  // namespace emulator
