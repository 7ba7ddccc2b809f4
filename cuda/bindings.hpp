// What the parts of porescope._core share: each part binds its functions to the module.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

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

void bind_random(nanobind::module_& module);
void bind_distance(nanobind::module_& module);
void bind_primitives(nanobind::module_& module);
void bind_volume_heightfield(nanobind::module_& module);
void bind_device(nanobind::module_& module);
void bind_transport(nanobind::module_& module);

}  // namespace porescope
