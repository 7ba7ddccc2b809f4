// The lane type: one float (or double) on a GPU and in plain builds, 8 or 16 floats on a processor
// that has AVX2 or AVX-512. Formulas are written once over it and give the same bits in each,
// because every operation here rounds as IEEE 754 says.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#if defined(__AVX2__) && !defined(__CUDACC__)
#include <immintrin.h>
#endif

#include "platform.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

template <typename Lane>
struct LaneTraits;  // Mask: what comparisons give; Index: a whole number a lane; width

struct ScalarTraits {
    using Mask = bool;
    using Index = std::int32_t;
    static constexpr int width = 1;
};
template <>
struct LaneTraits<float> : ScalarTraits {};
template <>
struct LaneTraits<double> : ScalarTraits {};

template <typename Lane>
using Mask = typename LaneTraits<Lane>::Mask;
template <typename Lane>
using Index = typename LaneTraits<Lane>::Index;

template <typename Value>
PORESCOPE_HOST_DEVICE inline Value select(bool mask, Value yes, Value no) {
    return mask ? yes : no;
}
PORESCOPE_HOST_DEVICE inline float smaller(float a, float b) { return a < b ? a : b; }
PORESCOPE_HOST_DEVICE inline double smaller(double a, double b) { return a < b ? a : b; }
PORESCOPE_HOST_DEVICE inline float larger(float a, float b) { return a > b ? a : b; }
PORESCOPE_HOST_DEVICE inline double larger(double a, double b) { return a > b ? a : b; }
PORESCOPE_HOST_DEVICE inline float root(float a) { return sqrtf(a); }
PORESCOPE_HOST_DEVICE inline double root(double a) { return sqrt(a); }
PORESCOPE_HOST_DEVICE inline float magnitude(float a) { return fabsf(a); }
PORESCOPE_HOST_DEVICE inline double magnitude(double a) { return fabs(a); }
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane load(const float* from) {
    return *from;
}
PORESCOPE_HOST_DEVICE inline void store(float* to, float a) { *to = a; }
PORESCOPE_HOST_DEVICE inline bool any(bool mask) { return mask; }
PORESCOPE_HOST_DEVICE inline std::int32_t first_of(bool, std::int32_t index) { return index; }
PORESCOPE_HOST_DEVICE inline bool without(bool mask, bool taken) { return mask && !taken; }
PORESCOPE_HOST_DEVICE inline std::uint32_t bits(bool mask) { return mask; }
PORESCOPE_HOST_DEVICE inline float deepest_of(float a) { return a; }

// values[index] of each lane.
PORESCOPE_HOST_DEVICE inline std::int32_t looked_up(const std::int32_t* values,
                                                    std::int32_t index) {
    return values[index];
}

#if defined(__AVX512F__) && !defined(__CUDACC__)

struct Lanes {
    __m512 value;
    Lanes() = default;
    Lanes(__m512 all) : value(all) {}
    Lanes(float all) : value(_mm512_set1_ps(all)) {}
};
struct LaneMask {
    __mmask16 value;
};
struct LaneIndex {
    __m512i value;
    LaneIndex() = default;
    LaneIndex(__m512i all) : value(all) {}
    LaneIndex(std::int32_t all) : value(_mm512_set1_epi32(all)) {}
};
template <>
struct LaneTraits<Lanes> {
    using Mask = LaneMask;
    using Index = LaneIndex;
    static constexpr int width = 16;
};
template <>
inline Lanes load<Lanes>(const float* from) {
    return _mm512_loadu_ps(from);
}
inline void store(float* to, Lanes a) { _mm512_storeu_ps(to, a.value); }
// A block of 4 lanes a row, into rows of some length.
inline void store_block(float* to, std::size_t row_length, Lanes a) {
    _mm_storeu_ps(to, _mm512_castps512_ps128(a.value));
    _mm_storeu_ps(to + row_length, _mm512_extractf32x4_ps(a.value, 1));
    _mm_storeu_ps(to + 2 * row_length, _mm512_extractf32x4_ps(a.value, 2));
    _mm_storeu_ps(to + 3 * row_length, _mm512_extractf32x4_ps(a.value, 3));
}
inline Lanes operator+(Lanes a, Lanes b) { return _mm512_add_ps(a.value, b.value); }
inline Lanes operator-(Lanes a, Lanes b) { return _mm512_sub_ps(a.value, b.value); }
inline Lanes operator*(Lanes a, Lanes b) { return _mm512_mul_ps(a.value, b.value); }
inline LaneMask operator<(Lanes a, Lanes b) {
    return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LT_OQ)};
}
inline LaneMask operator<=(Lanes a, Lanes b) {
    return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LE_OQ)};
}
inline LaneMask operator==(Lanes a, Lanes b) {
    return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_EQ_OQ)};
}
inline LaneMask operator<(LaneIndex a, LaneIndex b) {
    return {_mm512_cmplt_epi32_mask(a.value, b.value)};
}
inline LaneMask operator==(LaneIndex a, LaneIndex b) {
    return {_mm512_cmpeq_epi32_mask(a.value, b.value)};
}
inline LaneMask operator&(LaneMask a, LaneMask b) { return {_kand_mask16(a.value, b.value)}; }
inline LaneMask operator|(LaneMask a, LaneMask b) { return {_kor_mask16(a.value, b.value)}; }
inline LaneMask without(LaneMask mask, LaneMask taken) {
    return {_kandn_mask16(taken.value, mask.value)};
}
inline Lanes select(LaneMask mask, Lanes yes, Lanes no) {
    return _mm512_mask_blend_ps(mask.value, no.value, yes.value);
}
inline LaneIndex select(LaneMask mask, LaneIndex yes, LaneIndex no) {
    return _mm512_mask_blend_epi32(mask.value, no.value, yes.value);
}
inline Lanes smaller(Lanes a, Lanes b) { return _mm512_min_ps(a.value, b.value); }
inline Lanes larger(Lanes a, Lanes b) { return _mm512_max_ps(a.value, b.value); }
inline Lanes root(Lanes a) { return _mm512_sqrt_ps(a.value); }
inline Lanes magnitude(Lanes a) { return _mm512_abs_ps(a.value); }
inline float deepest_of(Lanes a) { return _mm512_reduce_max_ps(a.value); }
inline bool any(LaneMask mask) { return mask.value != 0; }
inline std::uint32_t bits(LaneMask mask) { return mask.value; }
inline LaneIndex looked_up(const std::int32_t* values, LaneIndex index) {
    return _mm512_i32gather_epi32(index.value, values, 4);
}
// The index in the first lane that the mask, not empty, takes.
inline std::int32_t first_of(LaneMask mask, LaneIndex index) {
    return _mm512_mask_reduce_or_epi32(mask.value & -mask.value, index.value);
}

#elif defined(__AVX2__) && !defined(__CUDACC__)

struct Lanes {
    __m256 value;
    Lanes() = default;
    Lanes(__m256 all) : value(all) {}
    Lanes(float all) : value(_mm256_set1_ps(all)) {}
};
struct LaneMask {
    __m256 value;
};
struct LaneIndex {
    __m256i value;
    LaneIndex() = default;
    LaneIndex(__m256i all) : value(all) {}
    LaneIndex(std::int32_t all) : value(_mm256_set1_epi32(all)) {}
};
template <>
struct LaneTraits<Lanes> {
    using Mask = LaneMask;
    using Index = LaneIndex;
    static constexpr int width = 8;
};
template <>
inline Lanes load<Lanes>(const float* from) {
    return _mm256_loadu_ps(from);
}
inline void store(float* to, Lanes a) { _mm256_storeu_ps(to, a.value); }
// A block of 4 lanes a row, into rows of some length.
inline void store_block(float* to, std::size_t row_length, Lanes a) {
    _mm_storeu_ps(to, _mm256_castps256_ps128(a.value));
    _mm_storeu_ps(to + row_length, _mm256_extractf128_ps(a.value, 1));
}
inline Lanes operator+(Lanes a, Lanes b) { return _mm256_add_ps(a.value, b.value); }
inline Lanes operator-(Lanes a, Lanes b) { return _mm256_sub_ps(a.value, b.value); }
inline Lanes operator*(Lanes a, Lanes b) { return _mm256_mul_ps(a.value, b.value); }
inline LaneMask operator<(Lanes a, Lanes b) {
    return {_mm256_cmp_ps(a.value, b.value, _CMP_LT_OQ)};
}
inline LaneMask operator<=(Lanes a, Lanes b) {
    return {_mm256_cmp_ps(a.value, b.value, _CMP_LE_OQ)};
}
inline LaneMask operator==(Lanes a, Lanes b) {
    return {_mm256_cmp_ps(a.value, b.value, _CMP_EQ_OQ)};
}
inline LaneMask operator<(LaneIndex a, LaneIndex b) {
    return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(b.value, a.value))};
}
inline LaneMask operator==(LaneIndex a, LaneIndex b) {
    return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.value, b.value))};
}
inline LaneMask operator&(LaneMask a, LaneMask b) { return {_mm256_and_ps(a.value, b.value)}; }
inline LaneMask operator|(LaneMask a, LaneMask b) { return {_mm256_or_ps(a.value, b.value)}; }
inline LaneMask without(LaneMask mask, LaneMask taken) {
    return {_mm256_andnot_ps(taken.value, mask.value)};
}
inline Lanes select(LaneMask mask, Lanes yes, Lanes no) {
    return _mm256_blendv_ps(no.value, yes.value, mask.value);
}
inline LaneIndex select(LaneMask mask, LaneIndex yes, LaneIndex no) {
    return _mm256_blendv_epi8(no.value, yes.value, _mm256_castps_si256(mask.value));
}
inline Lanes smaller(Lanes a, Lanes b) { return _mm256_min_ps(a.value, b.value); }
inline Lanes larger(Lanes a, Lanes b) { return _mm256_max_ps(a.value, b.value); }
inline Lanes root(Lanes a) { return _mm256_sqrt_ps(a.value); }
inline Lanes magnitude(Lanes a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.value); }
inline float deepest_of(Lanes a) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a.value), _mm256_extractf128_ps(a.value, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}
inline bool any(LaneMask mask) { return _mm256_movemask_ps(mask.value) != 0; }
inline std::uint32_t bits(LaneMask mask) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(mask.value));
}
inline LaneIndex looked_up(const std::int32_t* values, LaneIndex index) {
    return _mm256_i32gather_epi32(values, index.value, 4);
}
inline std::int32_t first_of(LaneMask mask, LaneIndex index) {
    std::int32_t values[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), index.value);
    return values[__builtin_ctz(bits(mask))];
}

#else

using Lanes = float;
inline void store_block(float* to, std::size_t, Lanes a) { *to = a; }

#endif

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
