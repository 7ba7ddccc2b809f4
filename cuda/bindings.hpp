// What the parts of porescope._core share: each part binds its functions to the module.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "primitives.hpp"
#include "recycled.hpp"

namespace porescope {

template <typename Value, std::size_t Axes>
nanobind::ndarray<nanobind::numpy, Value, nanobind::ndim<Axes>> to_numpy(
    std::unique_ptr<Value[]> values, const std::array<std::size_t, Axes>& shape) {
    Value* const data = values.release();
    nanobind::capsule owner(data,
                            [](void* memory) noexcept { delete[] static_cast<Value*>(memory); });
    return nanobind::ndarray<nanobind::numpy, Value, nanobind::ndim<Axes>>(data, Axes, shape.data(),
                                                                           owner);
}

// The memory is used again once the array is gone.
template <std::size_t Axes>
nanobind::ndarray<nanobind::numpy, float, nanobind::ndim<Axes>> to_numpy(
    RecycledFloats values, const std::array<std::size_t, Axes>& shape) {
    auto* const owned = new RecycledFloats(std::move(values));
    nanobind::capsule owner(
        owned, [](void* memory) noexcept { delete static_cast<RecycledFloats*>(memory); });
    return nanobind::ndarray<nanobind::numpy, float, nanobind::ndim<Axes>>(owned->get(), Axes,
                                                                           shape.data(), owner);
}

// Rows of numbers as porescope.geometry.Primitives holds them.
template <int columns>
using PrimitiveRows = nanobind::ndarray<nanobind::ro, double, nanobind::shape<-1, columns>,
                                        nanobind::c_contig, nanobind::device::cpu>;

// An axis that is upright or level but for rounding is made exactly so, where it has cases of its
// own; it points down the beam.
inline void settle_axis(double (&axis)[3]) {
    for (double& part : axis)
        if (std::abs(part) < 1e-12) part = 0;
    const double sign = axis[0] < 0 ? -1 : 1;
    for (double& part : axis) part *= sign;
    if (axis[1] == 0 && axis[2] == 0) axis[0] = 1;
}

inline std::vector<Sphere> as_spheres(const PrimitiveRows<4>& rows) {
    std::vector<Sphere> spheres(rows.shape(0));
    for (std::size_t k = 0; k < spheres.size(); ++k) {
        const double* const row = rows.data() + 4 * k;
        spheres[k] = {{row[0], row[1], row[2]}, row[3]};
    }
    return spheres;
}

inline std::vector<Cylinder> as_cylinders(const PrimitiveRows<8>& rows) {
    std::vector<Cylinder> cylinders(rows.shape(0));
    for (std::size_t k = 0; k < cylinders.size(); ++k) {
        const double* const row = rows.data() + 8 * k;
        cylinders[k] = {{row[0], row[1], row[2]}, {row[3], row[4], row[5]}, row[6], row[7] / 2};
        settle_axis(cylinders[k].axis);
    }
    return cylinders;
}

inline std::vector<Cuboid> as_cuboids(const PrimitiveRows<10>& rows) {
    std::vector<Cuboid> cuboids(rows.shape(0));
    for (std::size_t k = 0; k < cuboids.size(); ++k) {
        const double* const row = rows.data() + 10 * k;
        const double w = row[3], x = row[4], y = row[5], z = row[6];
        cuboids[k] = {{row[0], row[1], row[2]},
                      {{1 - 2 * (x * x + y * y), 2 * (y * z - w * x), 2 * (x * z + w * y)},
                       {2 * (y * z + w * x), 1 - 2 * (x * x + z * z), 2 * (x * y - w * z)},
                       {2 * (x * z - w * y), 2 * (x * y + w * z), 1 - 2 * (y * y + z * z)}},
                      {row[7] / 2, row[8] / 2, row[9] / 2}};
        for (auto& axis : cuboids[k].axes) settle_axis(axis);
    }
    return cuboids;
}

// An array for a GPU, as bytes; a view that keeps its owner.
using Bytes = nanobind::ndarray<nanobind::numpy, nanobind::ro, const std::uint8_t,
                                nanobind::ndim<1>, nanobind::c_contig>;
template <typename Value>
Bytes as_bytes(const Value* values, std::size_t count, nanobind::handle owner) {
    return Bytes(reinterpret_cast<const std::uint8_t*>(values), {count * sizeof(Value)}, owner);
}
// Where such an array lies there.
template <typename Value>
void point_to(Value*& pointer, std::uint64_t address) {
    pointer = reinterpret_cast<Value*>(static_cast<std::uintptr_t>(address));
}

void bind_random(nanobind::module_& module);
void bind_distance(nanobind::module_& module);
void bind_primitives(nanobind::module_& module);
void bind_volume_heightfield(nanobind::module_& module);
void bind_device(nanobind::module_& module);
void bind_transport(nanobind::module_& module);

}  // namespace porescope
