// Axis-aligned bounds of primitives. Host only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "primitives.hpp"

namespace porescope {

struct Range {
    double low, high;
    bool empty() const { return !(low <= high); }
    Range within(Range other) const {
        return {std::max(low, other.low), std::min(high, other.high)};
    }
    Range grown(double by) const { return {low - by, high + by}; }
};

inline Range around(double centre, double half) { return {centre - half, centre + half}; }

using Extents = std::array<Range, 3>;  // along z, y, x

inline Extents extents(const Sphere& sphere) {
    Extents ends;
    for (int k = 0; k < 3; ++k) ends[k] = around(sphere.centre[k], sphere.radius);
    return ends;
}

inline Extents extents(const Cylinder& cylinder) {
    Extents ends;
    for (int k = 0; k < 3; ++k) {
        const double slope = cylinder.axis[k];
        ends[k] = around(cylinder.centre[k],
                         cylinder.half_height * std::abs(slope) +
                             cylinder.radius * std::sqrt(std::max(0.0, 1 - slope * slope)));
    }
    return ends;
}

inline Extents extents(const Cuboid& cuboid) {
    Extents ends;
    for (int k = 0; k < 3; ++k) {
        double reach = 0;
        for (int j = 0; j < 3; ++j) reach += cuboid.half_edge[j] * std::abs(cuboid.axes[j][k]);
        ends[k] = around(cuboid.centre[k], reach);
    }
    return ends;
}

inline Extents extents(const PrimitivesView& primitives, std::int32_t number) {
    if (number < primitives.sphere_count) return extents(primitives.spheres[number]);
    number -= primitives.sphere_count;
    if (number < primitives.cylinder_count) return extents(primitives.cylinders[number]);
    return extents(primitives.cuboids[number - primitives.cylinder_count]);
}

}  // namespace porescope
