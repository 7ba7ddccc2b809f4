// Philox4x32-10, the counter-based random numbers of
//   J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2,
//   3", Proc. SC'11 (2011), doi:10.1145/2063384.2063405.
// A number is a function of (seed, stream, index) alone, so any thread may draw any of them.
#pragma once

#include <cmath>
#include <cstdint>

#include "lane_words.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

template <typename Word>
struct PhiloxWords {
    Word word[4];
};
using PhiloxBlock = PhiloxWords<std::uint32_t>;

struct PhiloxKey {
    std::uint32_t word[2];
};

PORESCOPE_HOST_DEVICE inline PhiloxKey philox_key(std::uint64_t seed) {
    return {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}};
}

template <typename Word>
PORESCOPE_HOST_DEVICE inline PhiloxWords<Word> philox4x32(PhiloxWords<Word> counter,
                                                          PhiloxKey key) {
    constexpr std::uint32_t weyl_0 = 0x9E3779B9, weyl_1 = 0xBB67AE85;
    const Word multiplier_0(0xD2511F53), multiplier_1(0xCD9E8D57);
    constexpr int rounds = 10;
    for (int round = 0; round < rounds; ++round) {
        const WideProduct<Word> product_0 = wide_product(multiplier_0, counter.word[0]);
        const WideProduct<Word> product_1 = wide_product(multiplier_1, counter.word[2]);
        counter = {{product_1.high ^ counter.word[1] ^ Word(key.word[0]), product_1.low,
                    product_0.high ^ counter.word[3] ^ Word(key.word[1]), product_0.low}};
        key = {{key.word[0] + weyl_0, key.word[1] + weyl_1}};
    }
    return counter;
}

struct Pair {
    double value[2];
};

// 52 bits and a half step: exact in a double, so neither 0 nor 1 is ever drawn.
PORESCOPE_HOST_DEVICE inline double open_unit_interval(std::uint32_t high, std::uint32_t low) {
    const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32) | low;
    return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52;
}

// Two independent numbers, uniform in (0, 1): those with indices 2 * pair and 2 * pair + 1.
PORESCOPE_HOST_DEVICE inline Pair uniform_pair(std::uint64_t seed, std::uint64_t stream,
                                               std::uint64_t pair) {
    const PhiloxBlock counter{
        {static_cast<std::uint32_t>(pair), static_cast<std::uint32_t>(pair >> 32),
         static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)}};
    const PhiloxBlock random = philox4x32(counter, philox_key(seed));
    return {{open_unit_interval(random.word[0], random.word[1]),
             open_unit_interval(random.word[2], random.word[3])}};
}

// Two independent standard normal numbers (Box and Muller 1958).
PORESCOPE_HOST_DEVICE inline Pair normal_pair(std::uint64_t seed, std::uint64_t stream,
                                              std::uint64_t pair) {
    constexpr double two_pi = 6.283185307179586;
    const Pair uniform = uniform_pair(seed, stream, pair);
    const double radius = std::sqrt(-2.0 * std::log(uniform.value[0]));
    const double angle = two_pi * uniform.value[1];
    return {{radius * std::cos(angle), radius * std::sin(angle)}};
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
