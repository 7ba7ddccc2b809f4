// Which voxels of a block have their centre in the union of primitives. Host only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "extents.hpp"
#include "parallel.hpp"
#include "primitives.hpp"

namespace porescope {

// Sets true the voxels (z, y, x) of `solid`, all false before, whose block starts at `start`.
inline void voxelize(const PrimitivesView& primitives, const std::array<std::int64_t, 3>& start,
                     const std::array<std::size_t, 3>& shape, bool* solid, std::size_t threads) {
    constexpr std::size_t band = 16;  // rows a thread takes at a time
    const std::int32_t count =
        primitives.sphere_count + primitives.cylinder_count + primitives.cuboid_count;
    // The voxels of the block whose centres lie within an extent.
    const auto covered = [&](int axis, Range ends, double first, double stop) {
        const double origin = static_cast<double>(start[axis]) + 0.5;
        const double low = std::clamp(std::ceil(ends.low - origin), first, stop);
        const double high = std::clamp(std::floor(ends.high - origin) + 1, low, stop);
        return std::array<std::size_t, 2>{static_cast<std::size_t>(low),
                                          static_cast<std::size_t>(high)};
    };
    const std::size_t bands = (shape[1] + band - 1) / band;
    share_out(bands, threads, [&](const auto& next) {
        for (std::size_t number; (number = next()) < bands;) {
            const double first_row = static_cast<double>(number * band);
            const double last_row = static_cast<double>(std::min(shape[1], (number + 1) * band));
            for (std::int32_t k = 0; k < count; ++k) {
                const Extents ends = extents(primitives, k);
                const auto rows = covered(1, ends[1], first_row, last_row);
                if (rows[0] == rows[1]) continue;
                const auto columns = covered(2, ends[2], 0, static_cast<double>(shape[2]));
                Prepared<double> primitive{};
                prepare(primitive, primitives, k,
                        {0, static_cast<double>(start[1]), static_cast<double>(start[2]), 0});
                for (std::size_t row = rows[0]; row < rows[1]; ++row)
                    for (std::size_t column = columns[0]; column < columns[1]; ++column) {
                        const Crossing<double> crossing =
                            cross<double>(primitive, static_cast<double>(row) + 0.5,
                                          static_cast<double>(column) + 0.5);
                        if (!crossing.hit) continue;
                        const auto planes = covered(0, {crossing.enter, crossing.leave}, 0,
                                                    static_cast<double>(shape[0]));
                        for (std::size_t plane = planes[0]; plane < planes[1]; ++plane)
                            solid[(plane * shape[1] + row) * shape[2] + column] = true;
                    }
            }
        }
    });
}

}  // namespace porescope
