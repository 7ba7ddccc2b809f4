// Spheres, cylinders and cuboids made ready for electrons, once for all planes: which of them reach
// into each cell of a grid, and which cells lie wholly in one of them or in none. Host only.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "bodies.hpp"
#include "extents.hpp"
#include "parallel.hpp"
#include "voxel_sample.hpp"

namespace porescope {

constexpr std::size_t most_members = std::size_t{1} << 28;
// Of what rounds, beside the box: its walls are kept to a hundred thousandth of the box.
constexpr double most_radii = 64;

struct Away {
    double distance;  // from a solid's surface, negative inside
    std::array<double, 3> outward;
};

using Point = std::array<double, 3>;

inline double dot(const double (&a)[3], const Point& b) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
inline Point offset_from(const double (&centre)[3], const Point& at) {
    return {at[0] - centre[0], at[1] - centre[1], at[2] - centre[2]};
}
// Outside, the way to the surface is put together from those across some of its sides.
inline Away put_together(const double (&outside)[3], const Point (&outward)[3], int sides) {
    double square = 0;
    int nearest = 0;
    for (int k = 0; k < sides; ++k) {
        if (outside[k] > 0) square += outside[k] * outside[k];
        if (outside[k] > outside[nearest]) nearest = k;
    }
    if (square == 0) return {outside[nearest], outward[nearest]};
    Away away{std::sqrt(square), {}};
    for (int k = 0; k < sides; ++k)
        for (int j = 0; j < 3; ++j)
            if (outside[k] > 0) away.outward[j] += outside[k] / away.distance * outward[k][j];
    return away;
}
inline Point along_unless_zero(const Point& vector, double length) {
    if (length == 0) return {1, 0, 0};
    return {vector[0] / length, vector[1] / length, vector[2] / length};
}

inline Away away_from(const Sphere& sphere, const Point& at) {
    const Point offset = offset_from(sphere.centre, at);
    const double length = std::hypot(offset[0], offset[1], offset[2]);
    return {length - sphere.radius, along_unless_zero(offset, length)};
}
inline Away away_from(const Cylinder& cylinder, const Point& at) {
    Point offset = offset_from(cylinder.centre, at);
    const double along = dot(cylinder.axis, offset), sign = along < 0 ? -1 : 1;
    for (int j = 0; j < 3; ++j) offset[j] -= along * cylinder.axis[j];
    const double length = std::hypot(offset[0], offset[1], offset[2]);
    const double* const axis = cylinder.axis;
    return put_together(
        {std::abs(along) - cylinder.half_height, length - cylinder.radius, 0},
        {{sign * axis[0], sign * axis[1], sign * axis[2]}, along_unless_zero(offset, length), {}},
        2);
}
inline Away away_from(const Cuboid& cuboid, const Point& at) {
    const Point offset = offset_from(cuboid.centre, at);
    double outside[3];
    Point outward[3];
    for (int k = 0; k < 3; ++k) {
        const double along = dot(cuboid.axes[k], offset), sign = along < 0 ? -1 : 1;
        outside[k] = std::abs(along) - cuboid.half_edge[k];
        for (int j = 0; j < 3; ++j) outward[k][j] = sign * cuboid.axes[k][j];
    }
    return put_together(outside, outward, 3);
}

// The sample's box from the origin, in the unit of the primitives, and its cells.
struct CellGrid {
    Point box;
    std::array<std::size_t, 3> cells;
    double unit_nm;

    double size(int axis) const { return box[axis] / static_cast<double>(cells[axis]); }
    double diagonal() const { return std::hypot(box[0], box[1], box[2]); }
};

// What sticks out far beyond the box is cut off, so that floats hold the rest well. False if
// nothing is left.
inline bool shortened(double (&centre)[3], const double (&axis)[3], double& half,
                      const CellGrid& grid) {
    const Point middle{grid.box[0] / 2, grid.box[1] / 2, grid.box[2] / 2};
    const double at = -dot(axis, offset_from(centre, middle)), reach = 2 * grid.diagonal();
    const Range kept = around(at, half).within({-reach, reach});
    if (!(kept.low < kept.high)) return false;
    const double shift = (kept.low + kept.high) / 2 - at;
    for (int j = 0; j < 3; ++j) centre[j] += shift * axis[j];
    half = (kept.high - kept.low) / 2;
    return true;
}
inline bool shortened(Sphere&, const CellGrid&) { return true; }
inline bool shortened(Cylinder& cylinder, const CellGrid& grid) {
    return shortened(cylinder.centre, cylinder.axis, cylinder.half_height, grid);
}
inline bool shortened(Cuboid& cuboid, const CellGrid& grid) {
    for (int k = 0; k < 3; ++k)
        if (!shortened(cuboid.centre, cuboid.axes[k], cuboid.half_edge[k], grid)) return false;
    return true;
}
inline double radius(const Sphere& sphere) { return sphere.radius; }
inline double radius(const Cylinder& cylinder) { return cylinder.radius; }
inline double radius(const Cuboid&) { return 0; }

// Cells and bodies for Bodies to point into.
class BodySample {
  public:
    // The walls of pores are listed as far as secondaries reach; 0 where none are asked for.
    BodySample(std::vector<Sphere> spheres, std::vector<Cylinder> cylinders,
               std::vector<Cuboid> cuboids, const CellGrid& grid, std::int32_t solid,
               std::int32_t filler, double reach_nm)
        : grid_(grid),
          solid_(solid),
          filler_(filler),
          has_walls_(filler == vacuum && reach_nm > 0) {
        largest_nm_ = grid.diagonal() * grid.unit_nm;
        keep(spheres);
        keep(cylinders);
        keep(cuboids);
        for (const Sphere& sphere : spheres) add(sphere.centre, {sphere.radius});
        spheres_ = static_cast<std::int32_t>(spheres.size());
        for (const Cylinder& cylinder : cylinders) {
            const double* const axis = cylinder.axis;
            add(cylinder.centre, {cylinder.radius, cylinder.half_height},
                {axis[0], axis[1], axis[2]});
        }
        round_ = spheres_ + static_cast<std::int32_t>(cylinders.size());
        for (const Cuboid& cuboid : cuboids) {
            const double* const half = cuboid.half_edge;
            const auto& axes = cuboid.axes;
            add(cuboid.centre, {half[0], half[1], half[2]},
                {axes[0][0], axes[0][1], axes[0][2], axes[1][0], axes[1][1], axes[1][2]});
        }
        numbers_.resize(numbers_.size() + numbers_of_body);  // lanes without a body read the first
        sort_into_cells({spheres.data(), cylinders.data(), cuboids.data(), nullptr, spheres_,
                         static_cast<std::int32_t>(cylinders.size()),
                         static_cast<std::int32_t>(cuboids.size())},
                        reach_nm / grid.unit_nm);
    }

    Bodies view(float plane, bool periodic) const {
        const auto count = [&](int axis) { return static_cast<std::int32_t>(grid_.cells[axis]); };
        const auto size = [&](int axis) {
            return static_cast<float>(grid_.size(axis) * grid_.unit_nm);
        };
        const float least = std::min({size(0), size(1), size(2)});
        return {{words_.data(),
                 nullptr,
                 count(0),
                 count(1),
                 count(2),
                 {size(0), size(1), size(2)},
                 {1 / size(0), 1 / size(1), 1 / size(2)},
                 least,
                 static_cast<float>(plane / grid_.size(0)),
                 periodic,
                 filler_ == vacuum},
                first_member_.data(),
                members_.data(),
                numbers_.data(),
                spheres_,
                round_,
                solid_,
                filler_,
                tolerance_nm(),
                has_walls_};
    }
    std::int32_t last_material() const { return std::max(solid_, filler_); }

    // Calls act(pointer, count) for each array of a view, always in this order.
    template <typename Act>
    void for_arrays(Bodies& view, const Act& act) const {
        act(view.words, words_.size());
        act(view.first_member, first_member_.size());
        act(view.members, members_.size());
        act(view.numbers, numbers_.size());
    }

  private:
    // Several roundings of the largest lengths.
    float tolerance_nm() const { return static_cast<float>(0x1p-20 * largest_nm_); }

    // Forget what is not in the box or holds all of it, and cut down what is huge.
    template <typename Shape>
    void keep(std::vector<Shape>& shapes) {
        const Point middle{grid_.box[0] / 2, grid_.box[1] / 2, grid_.box[2] / 2};
        const double reach = grid_.diagonal() / 2;
        std::vector<Shape> kept;
        for (Shape shape : shapes) {
            if (!shortened(shape, grid_)) continue;
            const double distance = away_from(shape, middle).distance;
            if (distance > reach) continue;
            if (distance < -1.01 * reach) {
                all_solid_ = true;
                continue;
            }
            if (radius(shape) > most_radii * grid_.diagonal())
                throw std::invalid_argument(
                    "A sphere or cylinder is so much wider than the sample's box that its wall "
                    "cannot be told exactly there; replace it by a cuboid, or take a larger box.");
            largest_nm_ = std::max(largest_nm_, radius(shape) * grid_.unit_nm);
            kept.push_back(shape);
        }
        shapes = std::move(kept);
    }

    void add(const double (&centre)[3], std::array<double, 3> sizes,
             const std::array<double, 6>& axes = {}) {
        for (const double value : centre)
            numbers_.push_back(static_cast<float>(value * grid_.unit_nm));
        for (const double value : sizes)
            numbers_.push_back(static_cast<float>(value * grid_.unit_nm));
        for (const double value : axes) numbers_.push_back(static_cast<float>(value));
    }

    enum CellState : std::uint8_t { empty_cell, crossed_cell, solid_cell, deep_cell };

    struct Layer {
        std::vector<std::pair<std::int32_t, std::int32_t>> reached;  // cell of the layer, body
    };

    void sort_into_cells(const PrimitivesView& primitives, double reach) {
        const auto [depth, height, width] = grid_.cells;
        const std::size_t slice = height * width, size = depth * slice;
        std::vector<std::uint8_t> state(size, all_solid_ ? deep_cell : empty_cell);
        std::vector<Layer> layers(depth);
        std::atomic<std::size_t> pairs{0};
        const std::int32_t count =
            primitives.sphere_count + primitives.cylinder_count + primitives.cuboid_count;
        const double margin = tolerance_nm() / grid_.unit_nm * 4;
        share_out(all_solid_ ? 0 : depth, 0, [&](const auto& next) {
            for (std::size_t z; (z = next()) < depth;) {
                Layer& layer = layers[z];
                for (std::int32_t body = 0; body < count && pairs < most_members; ++body) {
                    const std::size_t before = layer.reached.size();
                    if (body < spheres_)
                        sort_in(primitives.spheres[body], body, z, reach, margin,
                                state.data() + z * slice, layer);
                    else if (body < round_)
                        sort_in(primitives.cylinders[body - spheres_], body, z, reach, margin,
                                state.data() + z * slice, layer);
                    else
                        sort_in(primitives.cuboids[body - round_], body, z, reach, margin,
                                state.data() + z * slice, layer);
                    pairs += layer.reached.size() - before;
                }
            }
        });
        if (pairs >= most_members)
            throw std::invalid_argument(
                "So many primitives overlap that sorting them takes too much memory; take a "
                "smaller box, or fewer primitives in each place.");

        std::vector<std::uint8_t> material(size);
        std::transform(state.begin(), state.end(), material.begin(), [&](std::uint8_t cell) {
            return static_cast<std::uint8_t>(cell == empty_cell                        ? filler_
                                             : cell >= solid_cell || solid_ == filler_ ? solid_
                                                                                       : mixed);
        });
        words_ =
            voxel_words(material.data(), static_cast<std::ptrdiff_t>(depth),
                        static_cast<std::ptrdiff_t>(height), static_cast<std::ptrdiff_t>(width));
        const double least = std::min({grid_.size(0), grid_.size(1), grid_.size(2)});
        first_member_.assign(1, 0);
        first_member_.reserve(size + 1);
        for (std::size_t z = 0; z < depth; ++z) {
            std::vector<std::int32_t> places(slice + 1, 0);
            const auto listed = [&](std::int32_t cell) {
                const std::size_t at = z * slice + static_cast<std::size_t>(cell);
                if (material[at] == mixed) return true;
                return has_walls_ && state[at] == solid_cell && (words_[at] >> 8) * least < reach;
            };
            for (const auto& [cell, body] : layers[z].reached)
                if (listed(cell)) ++places[cell + 1];
            for (std::size_t cell = 0; cell < slice; ++cell) {
                places[cell + 1] += places[cell];
                first_member_.push_back(static_cast<std::int32_t>(members_.size()) +
                                        places[cell + 1]);
            }
            const std::size_t begin = members_.size();
            members_.resize(begin + static_cast<std::size_t>(places[slice]));
            for (const auto& [cell, body] : layers[z].reached)
                if (listed(cell)) members_[begin + static_cast<std::size_t>(places[cell]++)] = body;
            layers[z] = {};
        }
        members_.push_back(0);  // lanes without a list read the first
        for (std::size_t at = 0; at < size; ++at)
            if (material[at] == mixed) words_[at] = mixed;
    }

    template <typename Shape>
    void sort_in(const Shape& shape, std::int32_t body, std::size_t z, double reach, double margin,
                 std::uint8_t* state, Layer& layer) const {
        const Extents ends = extents(shape);
        std::size_t first[3], last[3];
        for (int k = 0; k < 3; ++k) {
            const double size = grid_.size(k), most = static_cast<double>(grid_.cells[k] - 1);
            first[k] = static_cast<std::size_t>(
                std::clamp(std::floor((ends[k].low - margin) / size), 0.0, most));
            last[k] = static_cast<std::size_t>(
                std::clamp(std::floor((ends[k].high + margin) / size), 0.0, most));
        }
        if (z < first[0] || z > last[0]) return;
        const double half[3] = {grid_.size(0) / 2, grid_.size(1) / 2, grid_.size(2) / 2};
        const double corner = std::hypot(half[0], half[1], half[2]);
        for (std::size_t y = first[1]; y <= last[1]; ++y)
            for (std::size_t x = first[2]; x <= last[2]; ++x) {
                const Point middle{(2 * static_cast<double>(z) + 1) * half[0],
                                   (2 * static_cast<double>(y) + 1) * half[1],
                                   (2 * static_cast<double>(x) + 1) * half[2]};
                const Away away = away_from(shape, middle);
                // The shape is convex: it lies behind the plane that touches it there.
                const double toward = std::abs(away.outward[0]) * half[0] +
                                      std::abs(away.outward[1]) * half[1] +
                                      std::abs(away.outward[2]) * half[2];
                if (away.distance > toward + margin) continue;
                const std::size_t cell = y * grid_.cells[2] + x;
                const double deepest = -away.distance - corner - margin;
                const CellState found = deepest > reach ? deep_cell
                                        : deepest > 0   ? solid_cell
                                                        : crossed_cell;
                state[cell] = std::max<std::uint8_t>(state[cell], found);
                if (found != deep_cell)
                    layer.reached.emplace_back(static_cast<std::int32_t>(cell), body);
            }
    }

    CellGrid grid_;
    std::int32_t solid_, filler_;
    bool has_walls_, all_solid_ = false;
    double largest_nm_ = 0;
    std::int32_t spheres_ = 0, round_ = 0;
    std::vector<std::uint16_t> words_;
    std::vector<std::int32_t> first_member_, members_;
    std::vector<float> numbers_;
};

}  // namespace porescope
