// Primitives, their heightfields and their voxels for Python.
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "bindings.hpp"
#include "heightfield_planes.hpp"
#include "voxelize.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

using Channels = nb::ndarray<nb::numpy, float, nb::ndim<3>>;

std::tuple<Channels, Channels, Channels> extract(HeightfieldPlanes& planes, double plane_z,
                                                 int layers, std::size_t threads,
                                                 const std::string& instruction_set) {
    if (layers < 1 || layers > max_layers)
        throw std::invalid_argument("layers must be from 1 to 8.");
    if (!std::isfinite(plane_z)) throw std::invalid_argument("plane_z must be finite.");
    const std::size_t rows = planes.bins().rows(), columns = planes.bins().columns();
    const std::size_t area = rows * columns;
    const std::size_t counts[3] = {static_cast<std::size_t>(layers),
                                   static_cast<std::size_t>(layers), 3};
    RecycledFloats values[3];
    std::vector<float*> channels;
    for (int k = 0; k < 3; ++k) {
        values[k] = recycled_floats(counts[k] * area);
        for (std::size_t channel = 0; channel < counts[k]; ++channel)
            channels.push_back(values[k].get() + channel * area);
    }
    {
        nb::gil_scoped_release released;
        planes.extract(plane_z, layers, channels, threads, instruction_set);
    }
    const auto to_array = [&](int k) {
        return to_numpy<3>(std::move(values[k]), {counts[k], rows, columns});
    };
    return {to_array(0), to_array(1), to_array(2)};
}

nb::ndarray<nb::numpy, bool, nb::ndim<3>> voxelize_block(const PrimitiveRows<4>& sphere_rows,
                                                         const PrimitiveRows<8>& cylinder_rows,
                                                         const PrimitiveRows<10>& cuboid_rows,
                                                         const std::array<std::int64_t, 3>& start,
                                                         const std::array<std::size_t, 3>& shape,
                                                         std::size_t threads) {
    std::unique_ptr<bool[]> solid(new bool[shape[0] * shape[1] * shape[2]]());
    {
        nb::gil_scoped_release released;
        const auto spheres = as_spheres(sphere_rows);
        const auto cylinders = as_cylinders(cylinder_rows);
        const auto cuboids = as_cuboids(cuboid_rows);
        voxelize(
            {spheres.data(), cylinders.data(), cuboids.data(), nullptr,
             static_cast<std::int32_t>(spheres.size()), static_cast<std::int32_t>(cylinders.size()),
             static_cast<std::int32_t>(cuboids.size())},
            start, shape, solid.get(), threads);
    }
    return to_numpy<bool, 3>(std::move(solid), shape);
}

}  // namespace

void bind_primitives(nb::module_& module) {
    using namespace nb::literals;
    nb::class_<HeightfieldPlanes>(module, "Bins")
        .def(
            "__init__",
            [](HeightfieldPlanes* planes, const PrimitiveRows<4>& spheres,
               const PrimitiveRows<8>& cylinders, const PrimitiveRows<10>& cuboids,
               std::size_t rows, std::size_t columns, std::size_t threads) {
                constexpr std::size_t most = 1 << 30;
                if (rows < 1 || columns < 1 || rows > most || columns > most)
                    throw std::invalid_argument("rows and columns must be from 1 to 2**30.");
                if (spheres.shape(0) + cylinders.shape(0) + cuboids.shape(0) > INT32_MAX)
                    throw std::invalid_argument("More than 2**31 - 1 primitives.");
                nb::gil_scoped_release released;
                new (planes) HeightfieldPlanes(Bins(as_spheres(spheres), as_cylinders(cylinders),
                                                    as_cuboids(cuboids), rows, columns, threads));
            },
            "spheres"_a, "cylinders"_a, "cuboids"_a, "rows"_a, "columns"_a, "threads"_a = 0)
        .def("heightfield", &extract, "plane_z"_a, "layers"_a, "threads"_a = 0,
             "instruction_set"_a = "");
    module.def("instruction_sets", &instruction_sets);
    module.def("voxelize", &voxelize_block, "spheres"_a, "cylinders"_a, "cuboids"_a, "start"_a,
               "shape"_a, "threads"_a = 0);
}

}  // namespace porescope
