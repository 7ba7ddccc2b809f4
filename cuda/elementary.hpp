// Logarithm, exponential and circle for lanes, from sums and products alone: every processor and
// every GPU rounds them alike, so that an electron takes the same way on each.
// Polynomials: S. L. Moshier, Methods and Programs for Mathematical Functions (1989), Cephes.
#pragma once

#include <cstdint>

#include "lane_words.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

// In (0, 1), both ends excluded: 23 bits and a half step are exact in a float.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane open_unit_float(Word<Lane> word) {
    return (as_float(as_index(word >> 9)) + Lane(0.5f)) * Lane(0x1p-23f);
}

// Of the lower 16 bits, in (0, 1).
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane coarse_unit_float(Word<Lane> word) {
    return (as_float(as_index(word & Word<Lane>(0xFFFF))) + Lane(0.5f)) * Lane(0x1p-16f);
}

// -ln(value) of a value above 0, normal and finite.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane negative_log(Lane value) {
    // From sqrt(1/2) to sqrt(2), so that logarithms near 0 keep their digits.
    const Word<Lane> shifted = bits_of(value) - Word<Lane>(0x3F3504F3);
    // 128 more, so that no number is negative while it is shifted.
    const Lane exponent = as_float(as_index((shifted + Word<Lane>(1 << 30)) >> 23)) - Lane(128.0f);
    const Lane x = float_of((shifted & Word<Lane>(0x7FFFFF)) + Word<Lane>(0x3F3504F3)) - Lane(1.0f);
    Lane series = 7.0376836292e-2f;
    series = series * x - Lane(1.1514610310e-1f);
    series = series * x + Lane(1.1676998740e-1f);
    series = series * x - Lane(1.2420140846e-1f);
    series = series * x + Lane(1.4249322787e-1f);
    series = series * x - Lane(1.6668057665e-1f);
    series = series * x + Lane(2.0000714765e-1f);
    series = series * x - Lane(2.4999993993e-1f);
    series = series * x + Lane(3.3333331174e-1f);
    const Lane square = x * x;
    const Lane low = x * square * series - Lane(2.12194440e-4f) * exponent - Lane(0.5f) * square;
    return Lane(0.0f) - (x + low + Lane(0.693359375f) * exponent);
}

// exp(-value) of a value from 0 to infinity; 0 beyond 87.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane decay(Lane value) {
    const Lane limited = smaller(value, Lane(87.0f));
    const Index<Lane> halvings = whole_part(limited * Lane(1.44269504f) + Lane(0.5f));
    const Lane count = as_float(halvings);
    const Lane x = (count * Lane(0.693359375f) - limited) - count * Lane(2.12194440e-4f);
    Lane series = 1.9875691500e-4f;
    series = series * x + Lane(1.3981999507e-3f);
    series = series * x + Lane(8.3334519073e-3f);
    series = series * x + Lane(4.1665795894e-2f);
    series = series * x + Lane(1.6666665459e-1f);
    series = series * x + Lane(5.0000001201e-1f);
    const Lane power = float_of(as_word(Index<Lane>(127) - halvings) << 23);
    return select(value < Lane(87.0f), (series * x * x + x + Lane(1.0f)) * power, Lane(0.0f));
}

template <typename Lane>
struct CirclePoint {
    Lane cosine, sine;
};

// The point of the unit circle after a part, from 0 to 1, of a full turn.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline CirclePoint<Lane> circle_point(Lane turn) {
    const Index<Lane> quadrant = whole_part(turn * Lane(4.0f) + Lane(0.5f));
    const Lane x = (turn * Lane(4.0f) - as_float(quadrant)) * Lane(1.57079633f);
    const Lane square = x * x;
    Lane sine = -1.9515295891e-4f;
    sine = sine * square + Lane(8.3321608736e-3f);
    sine = sine * square - Lane(1.6666654611e-1f);
    sine = sine * square * x + x;
    Lane cosine = 2.443315711809948e-5f;
    cosine = cosine * square - Lane(1.388731625493765e-3f);
    cosine = cosine * square + Lane(4.166664568298827e-2f);
    cosine = cosine * square * square - Lane(0.5f) * square + Lane(1.0f);
    const Word<Lane> word = as_word(quadrant);
    const auto odd = as_index(word & Word<Lane>(1)) == Index<Lane>(1);
    const Lane first = select(odd, sine, cosine), second = select(odd, cosine, sine);
    const Word<Lane> turned_back = (word + Word<Lane>(1)) & Word<Lane>(2);
    return {float_of(bits_of(first) ^ (turned_back << 30)),
            float_of(bits_of(second) ^ ((word & Word<Lane>(2)) << 30))};
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
