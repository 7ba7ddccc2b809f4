// A warp of a GPU as lanes: each thread holds one, and what asks all lanes, any() and deepest_of(),
// asks all 32, so that what is written for lanes stays in step. For nvcc only.
#pragma once

#include <cstdint>

#include "lanes.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

constexpr int warp_size = 32;
constexpr std::uint32_t whole_warp = 0xffffffff;

struct WarpLanes {
    float value;
    WarpLanes() = default;
    __device__ WarpLanes(float value) : value(value) {}
};
struct WarpMask {
    bool value;
    WarpMask() = default;
    __device__ WarpMask(bool value) : value(value) {}
};
// One lane, as far as a thread can see.
template <>
struct LaneTraits<WarpLanes> {
    using Mask = WarpMask;
    using Index = std::int32_t;
    static constexpr int width = 1;
};
__device__ inline void store(float* to, WarpLanes a) { *to = a.value; }
__device__ inline WarpLanes operator+(WarpLanes a, WarpLanes b) { return a.value + b.value; }
__device__ inline WarpLanes operator-(WarpLanes a, WarpLanes b) { return a.value - b.value; }
__device__ inline WarpLanes operator*(WarpLanes a, WarpLanes b) { return a.value * b.value; }
__device__ inline WarpMask operator<(WarpLanes a, WarpLanes b) { return a.value < b.value; }
__device__ inline WarpMask operator<=(WarpLanes a, WarpLanes b) { return a.value <= b.value; }
__device__ inline WarpMask operator==(WarpLanes a, WarpLanes b) { return a.value == b.value; }
__device__ inline WarpMask operator&(WarpMask a, WarpMask b) { return a.value && b.value; }
__device__ inline WarpMask operator|(WarpMask a, WarpMask b) { return a.value || b.value; }
__device__ inline WarpMask without(WarpMask mask, WarpMask taken) {
    return mask.value && !taken.value;
}
template <typename Value>
__device__ inline Value select(WarpMask mask, Value yes, Value no) {
    return mask.value ? yes : no;
}
__device__ inline WarpLanes smaller(WarpLanes a, WarpLanes b) { return smaller(a.value, b.value); }
__device__ inline WarpLanes larger(WarpLanes a, WarpLanes b) { return larger(a.value, b.value); }
__device__ inline WarpLanes root(WarpLanes a) { return root(a.value); }
__device__ inline WarpLanes magnitude(WarpLanes a) { return magnitude(a.value); }
__device__ inline float deepest_of(WarpLanes a) {
    for (int apart = warp_size / 2; apart > 0; apart /= 2)
        a.value = larger(a.value, __shfl_xor_sync(whole_warp, a.value, apart));
    return a.value;
}
__device__ inline bool any(WarpMask mask) { return __any_sync(whole_warp, mask.value); }
__device__ inline std::uint32_t bits(WarpMask mask) { return mask.value; }
__device__ inline std::int32_t first_of(WarpMask, std::int32_t index) { return index; }

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
