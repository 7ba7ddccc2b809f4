// Whole numbers in lanes: words of 32 bits, look-ups in tables, and lanes that are filled anew one
// by one. A processor without vectors and a GPU hold one lane, plain numbers.
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

template <typename Lane>
struct WordOf {
    using Type = Index<Lane>;  // lanes of one kind hold both
};
template <>
struct WordOf<float> {
    using Type = std::uint32_t;
};
template <typename Lane>
using Word = typename WordOf<Lane>::Type;  // unsigned, while an Index is signed

template <typename Word>
struct WideProduct {
    Word high, low;
};
template <typename Lane>
struct LanePair {
    Lane first, second;
};

PORESCOPE_HOST_DEVICE inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
PORESCOPE_HOST_DEVICE inline float float_of(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
PORESCOPE_HOST_DEVICE inline std::uint32_t as_word(std::int32_t index) {
    return static_cast<std::uint32_t>(index);
}
PORESCOPE_HOST_DEVICE inline std::int32_t as_index(std::uint32_t word) {
    return static_cast<std::int32_t>(word);
}
// Toward 0.
PORESCOPE_HOST_DEVICE inline std::int32_t whole_part(float value) {
    return static_cast<std::int32_t>(value);
}
PORESCOPE_HOST_DEVICE inline float as_float(std::int32_t index) {
    return static_cast<float>(index);
}
PORESCOPE_HOST_DEVICE inline std::int32_t smaller(std::int32_t a, std::int32_t b) {
    return a < b ? a : b;
}
PORESCOPE_HOST_DEVICE inline std::int32_t larger(std::int32_t a, std::int32_t b) {
    return a > b ? a : b;
}
PORESCOPE_HOST_DEVICE inline WideProduct<std::uint32_t> wide_product(std::uint32_t a,
                                                                     std::uint32_t b) {
    const std::uint64_t product = static_cast<std::uint64_t>(a) * b;
    return {static_cast<std::uint32_t>(product >> 32), static_cast<std::uint32_t>(product)};
}
PORESCOPE_HOST_DEVICE inline float looked_up(const float* values, std::int32_t index) {
    return values[index];
}
PORESCOPE_HOST_DEVICE inline std::uint32_t looked_up(const std::uint32_t* values,
                                                     std::int32_t index) {
    return values[index];
}
// Lanes read one value beyond.
PORESCOPE_HOST_DEVICE inline std::int32_t looked_up(const std::uint16_t* values,
                                                    std::int32_t index) {
    return values[index];
}
// Of 16 values.
PORESCOPE_HOST_DEVICE inline float looked_up_of_16(const float* values, std::int32_t index) {
    return values[index];
}
PORESCOPE_HOST_DEVICE inline LanePair<float> looked_up_pair(const float* values,
                                                            std::int32_t index) {
    return {values[index], values[index + 1]};
}
// Lanes of the mask get the next values, in order.
PORESCOPE_HOST_DEVICE inline void refill(std::uint32_t& word, bool mask,
                                         const std::uint32_t* next) {
    if (mask) word = *next;
}
// Words of lanes of the mask, in order; a whole vector is written.
PORESCOPE_HOST_DEVICE inline void store_packed(std::uint32_t* to, bool, std::uint32_t word) {
    *to = word;
}
// Whatever a lane holds, as a word and back.
PORESCOPE_HOST_DEVICE inline std::uint32_t word_of(float value) { return bits_of(value); }
PORESCOPE_HOST_DEVICE inline std::uint32_t word_of(std::int32_t value) { return as_word(value); }
PORESCOPE_HOST_DEVICE inline std::uint32_t word_of(std::uint32_t value) { return value; }
PORESCOPE_HOST_DEVICE inline void set_word(float& value, std::uint32_t word) {
    value = float_of(word);
}
PORESCOPE_HOST_DEVICE inline void set_word(std::int32_t& value, std::uint32_t word) {
    value = as_index(word);
}
PORESCOPE_HOST_DEVICE inline void set_word(std::uint32_t& value, std::uint32_t word) {
    value = word;
}

#if defined(__AVX512F__) && !defined(__CUDACC__)

inline Lanes operator/(Lanes a, Lanes b) { return _mm512_div_ps(a.value, b.value); }
inline LaneIndex operator+(LaneIndex a, LaneIndex b) { return _mm512_add_epi32(a.value, b.value); }
inline LaneIndex operator-(LaneIndex a, LaneIndex b) { return _mm512_sub_epi32(a.value, b.value); }
inline LaneIndex operator*(LaneIndex a, LaneIndex b) {
    return _mm512_mullo_epi32(a.value, b.value);
}
inline LaneIndex operator&(LaneIndex a, LaneIndex b) { return _mm512_and_si512(a.value, b.value); }
inline LaneIndex operator^(LaneIndex a, LaneIndex b) { return _mm512_xor_si512(a.value, b.value); }
inline LaneIndex operator<<(LaneIndex a, int count) {
    return _mm512_slli_epi32(a.value, static_cast<unsigned>(count));
}
inline LaneIndex operator>>(LaneIndex a, int count) {  // as words
    return _mm512_srli_epi32(a.value, static_cast<unsigned>(count));
}
inline LaneIndex smaller(LaneIndex a, LaneIndex b) { return _mm512_min_epi32(a.value, b.value); }
inline LaneIndex larger(LaneIndex a, LaneIndex b) { return _mm512_max_epi32(a.value, b.value); }
inline LaneIndex bits_of(Lanes a) { return _mm512_castps_si512(a.value); }
inline Lanes float_of(LaneIndex a) { return _mm512_castsi512_ps(a.value); }
inline LaneIndex as_word(LaneIndex a) { return a; }
inline LaneIndex as_index(LaneIndex a) { return a; }
inline LaneIndex whole_part(Lanes a) { return _mm512_cvttps_epi32(a.value); }
inline Lanes as_float(LaneIndex a) { return _mm512_cvtepi32_ps(a.value); }
inline WideProduct<LaneIndex> wide_product(LaneIndex a, LaneIndex b) {
    const __m512i even = _mm512_mul_epu32(a.value, b.value);
    const __m512i odd =
        _mm512_mul_epu32(_mm512_srli_epi64(a.value, 32), _mm512_srli_epi64(b.value, 32));
    return {_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd),
            _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32))};
}
inline Lanes looked_up(const float* values, LaneIndex index) {
    return _mm512_i32gather_ps(index.value, values, 4);
}
inline LaneIndex looked_up(const std::uint32_t* values, LaneIndex index) {
    return _mm512_i32gather_epi32(index.value, values, 4);
}
inline LaneIndex looked_up(const std::uint16_t* values, LaneIndex index) {
    return _mm512_and_si512(_mm512_i32gather_epi32(index.value, values, 2),
                            _mm512_set1_epi32(0xFFFF));
}
inline Lanes looked_up_of_16(const float* values, LaneIndex index) {
    return _mm512_permutexvar_ps(index.value, _mm512_loadu_ps(values));
}
// Both at once, as one number of 64 bits: half the reads.
inline LanePair<Lanes> looked_up_pair(const float* values, LaneIndex index) {
    const __m512 low =
        _mm512_castsi512_ps(_mm512_i32gather_epi64(_mm512_castsi512_si256(index.value), values, 4));
    const __m512 high = _mm512_castsi512_ps(
        _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(index.value, 1), values, 4));
    const __m512i first =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return {_mm512_permutex2var_ps(low, first, high),
            _mm512_permutex2var_ps(low, _mm512_add_epi32(first, _mm512_set1_epi32(1)), high)};
}
inline void refill(LaneIndex& words, LaneMask mask, const std::uint32_t* next) {
    words.value = _mm512_mask_expand_epi32(words.value, mask.value, _mm512_loadu_si512(next));
}
inline void store_packed(std::uint32_t* to, LaneMask mask, LaneIndex words) {
    _mm512_storeu_si512(to, _mm512_maskz_compress_epi32(mask.value, words.value));
}
inline LaneMask mask_of(std::uint32_t bits) { return {static_cast<__mmask16>(bits)}; }

#elif defined(__AVX2__) && !defined(__CUDACC__)

inline Lanes operator/(Lanes a, Lanes b) { return _mm256_div_ps(a.value, b.value); }
inline LaneIndex operator+(LaneIndex a, LaneIndex b) { return _mm256_add_epi32(a.value, b.value); }
inline LaneIndex operator-(LaneIndex a, LaneIndex b) { return _mm256_sub_epi32(a.value, b.value); }
inline LaneIndex operator*(LaneIndex a, LaneIndex b) {
    return _mm256_mullo_epi32(a.value, b.value);
}
inline LaneIndex operator&(LaneIndex a, LaneIndex b) { return _mm256_and_si256(a.value, b.value); }
inline LaneIndex operator^(LaneIndex a, LaneIndex b) { return _mm256_xor_si256(a.value, b.value); }
inline LaneIndex operator<<(LaneIndex a, int count) { return _mm256_slli_epi32(a.value, count); }
inline LaneIndex operator>>(LaneIndex a, int count) {  // as words
    return _mm256_srli_epi32(a.value, count);
}
inline LaneIndex smaller(LaneIndex a, LaneIndex b) { return _mm256_min_epi32(a.value, b.value); }
inline LaneIndex larger(LaneIndex a, LaneIndex b) { return _mm256_max_epi32(a.value, b.value); }
inline LaneIndex bits_of(Lanes a) { return _mm256_castps_si256(a.value); }
inline Lanes float_of(LaneIndex a) { return _mm256_castsi256_ps(a.value); }
inline LaneIndex as_word(LaneIndex a) { return a; }
inline LaneIndex as_index(LaneIndex a) { return a; }
inline LaneIndex whole_part(Lanes a) { return _mm256_cvttps_epi32(a.value); }
inline Lanes as_float(LaneIndex a) { return _mm256_cvtepi32_ps(a.value); }
inline WideProduct<LaneIndex> wide_product(LaneIndex a, LaneIndex b) {
    const __m256i even = _mm256_mul_epu32(a.value, b.value);
    const __m256i odd =
        _mm256_mul_epu32(_mm256_srli_epi64(a.value, 32), _mm256_srli_epi64(b.value, 32));
    return {_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA),
            _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA)};
}
inline Lanes looked_up(const float* values, LaneIndex index) {
    return _mm256_i32gather_ps(values, index.value, 4);
}
inline LaneIndex looked_up(const std::uint32_t* values, LaneIndex index) {
    return _mm256_i32gather_epi32(reinterpret_cast<const int*>(values), index.value, 4);
}
inline LaneIndex looked_up(const std::uint16_t* values, LaneIndex index) {
    return _mm256_and_si256(
        _mm256_i32gather_epi32(reinterpret_cast<const int*>(values), index.value, 2),
        _mm256_set1_epi32(0xFFFF));
}
inline Lanes looked_up_of_16(const float* values, LaneIndex index) {
    return looked_up(values, index);
}
inline LanePair<Lanes> looked_up_pair(const float* values, LaneIndex index) {
    return {looked_up(values, index), looked_up(values + 1, index)};
}
// There is no instruction to spread or pack lanes: words take the way over memory.
inline void refill(LaneIndex& words, LaneMask mask, const std::uint32_t* next) {
    std::uint32_t values[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), words.value);
    for (std::uint32_t left = bits(mask); left != 0; left &= left - 1)
        values[__builtin_ctz(left)] = *next++;
    words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
}
inline void store_packed(std::uint32_t* to, LaneMask mask, LaneIndex words) {
    std::uint32_t values[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), words.value);
    for (std::uint32_t left = bits(mask); left != 0; left &= left - 1)
        *to++ = values[__builtin_ctz(left)];
}
inline LaneMask mask_of(std::uint32_t bits) {
    const __m256i places = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i taken =
        _mm256_and_si256(_mm256_set1_epi32(static_cast<std::int32_t>(bits)), places);
    return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(taken, places))};
}

#else

inline bool mask_of(std::uint32_t bits) { return bits & 1; }

#endif

#if (defined(__AVX512F__) || defined(__AVX2__)) && !defined(__CUDACC__)
inline LaneIndex word_of(Lanes lanes) { return bits_of(lanes); }
inline LaneIndex word_of(LaneIndex lanes) { return lanes; }
inline void set_word(Lanes& lanes, LaneIndex words) { lanes = float_of(words); }
inline void set_word(LaneIndex& lanes, LaneIndex words) { lanes = words; }
#endif

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
