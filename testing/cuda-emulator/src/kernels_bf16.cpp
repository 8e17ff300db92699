// The kernels of the network with 16-bit floats of 8 bits of exponent.
#define BFLOAT16

#include "emulator.h"
#include "entry.h"
#include "parameters.h"

namespace bf16 {

// In place of those for the other kind.
inline unsigned pack(float first, float second) {
    return emulator::float_to_bf16(first) | unsigned(emulator::float_to_bf16(second)) << 16;
}

inline float2 unpack(unsigned word) {
    return {emulator::bf16_to_float(uint16_t(word)), emulator::bf16_to_float(uint16_t(word >> 16))};
}

inline void multiply(float (&sums)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    emulator::multiply_bf16(sums, a, b0, b1);
}

#include "network.h"

}  // namespace bf16

const Entry* find_bf16(const char* name) {
    for (const Entry& entry : bf16::NETWORK)
        if (strcmp(entry.name, name) == 0) return &entry;
    return nullptr;
}
