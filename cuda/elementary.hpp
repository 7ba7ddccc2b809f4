// Logarithm, exponential and circle for floats, from sums and products alone: every processor and
// every GPU rounds them alike, so that an electron takes the same way on each.
// Polynomials: S. L. Moshier, Methods and Programs for Mathematical Functions (1989), Cephes.
#pragma once

#include <cstdint>
#include <cstring>

#include "platform.hpp"

namespace porescope {

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

// In (0, 1), both ends excluded: 23 bits and a half step are exact in a float.
PORESCOPE_HOST_DEVICE inline float open_unit_float(std::uint32_t word) {
    return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f;
}

// Of 16 bits, in (0, 1).
PORESCOPE_HOST_DEVICE inline float coarse_unit_float(std::uint32_t half_word) {
    return (static_cast<float>(half_word & 0xFFFF) + 0.5f) * 0x1p-16f;
}

// -ln(value) of a value above 0, normal and finite.
PORESCOPE_HOST_DEVICE inline float negative_log(float value) {
    // From sqrt(1/2) to sqrt(2), so that logarithms near 0 keep their digits.
    const std::uint32_t shifted = bits_of(value) - 0x3F3504F3u;
    const float exponent = static_cast<float>(static_cast<std::int32_t>(shifted) >> 23);
    const float x = float_of((shifted & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f;
    float series = 7.0376836292e-2f;
    series = series * x - 1.1514610310e-1f;
    series = series * x + 1.1676998740e-1f;
    series = series * x - 1.2420140846e-1f;
    series = series * x + 1.4249322787e-1f;
    series = series * x - 1.6668057665e-1f;
    series = series * x + 2.0000714765e-1f;
    series = series * x - 2.4999993993e-1f;
    series = series * x + 3.3333331174e-1f;
    const float square = x * x;
    const float low = x * square * series - 2.12194440e-4f * exponent - 0.5f * square;
    return -(x + low + 0.693359375f * exponent);
}

// exp(-value) of a value from 0 to infinity; 0 beyond 87.
PORESCOPE_HOST_DEVICE inline float decay(float value) {
    const float limited = value < 87.0f ? value : 87.0f;
    const auto halvings = static_cast<std::int32_t>(limited * 1.44269504f + 0.5f);
    const float count = static_cast<float>(halvings);
    const float x = (count * 0.693359375f - limited) - count * 2.12194440e-4f;
    float series = 1.9875691500e-4f;
    series = series * x + 1.3981999507e-3f;
    series = series * x + 8.3334519073e-3f;
    series = series * x + 4.1665795894e-2f;
    series = series * x + 1.6666665459e-1f;
    series = series * x + 5.0000001201e-1f;
    const float power = float_of(static_cast<std::uint32_t>(127 - halvings) << 23);
    return value < 87.0f ? (series * x * x + x + 1.0f) * power : 0.0f;
}

struct CirclePoint {
    float cosine, sine;
};

// The point of the unit circle after a part, from 0 to 1, of a full turn.
PORESCOPE_HOST_DEVICE inline CirclePoint circle_point(float turn) {
    const auto quadrant = static_cast<std::int32_t>(turn * 4.0f + 0.5f);
    const float x = (turn * 4.0f - static_cast<float>(quadrant)) * 1.57079633f;
    const float square = x * x;
    float sine = -1.9515295891e-4f;
    sine = sine * square + 8.3321608736e-3f;
    sine = sine * square - 1.6666654611e-1f;
    sine = sine * square * x + x;
    float cosine = 2.443315711809948e-5f;
    cosine = cosine * square - 1.388731625493765e-3f;
    cosine = cosine * square + 4.166664568298827e-2f;
    cosine = cosine * square * square - 0.5f * square + 1.0f;
    const float first = quadrant & 1 ? sine : cosine, second = quadrant & 1 ? cosine : sine;
    return {(quadrant + 1) & 2 ? -first : first, quadrant & 2 ? -second : second};
}

}  // namespace porescope
