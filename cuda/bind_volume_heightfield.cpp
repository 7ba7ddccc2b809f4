// Heightfields of voxel volumes for Python.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "bindings.hpp"
#include "volume_heightfield.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

using AnyVolume = nb::ndarray<nb::ro, nb::ndim<3>, nb::device::cpu>;
using Channels = nb::ndarray<nb::numpy, float, nb::ndim<3>>;

struct Request {
    const AnyVolume& volume;
    const Plane& plane;
    const VolumeHeightfield& heightfield;
    std::size_t threads;

    template <typename Value>
    VoxelView<Value> voxels() const {
        const auto whole = [](std::size_t length) { return static_cast<std::ptrdiff_t>(length); };
        return {static_cast<const Value*>(volume.data()),
                {whole(volume.shape(0)), whole(volume.shape(1)), whole(volume.shape(2))},
                {volume.stride(0), volume.stride(1), volume.stride(2)}};
    }
    template <typename Label>
    void of_labels() const {
        const LabelColumns<Label> columns{voxels<Label>(), NormalKernel(plane.spacing)};
        extract_volume_heightfield(columns, plane, heightfield, threads);
    }
    template <typename Value>
    void of_field(double level) const {
        using Level = decltype(FieldColumns<Value>::level);
        const auto& spacing = plane.spacing;
        const FieldColumns<Value> columns{
            voxels<Value>(), static_cast<Level>(level), {spacing[0], spacing[1], spacing[2]}};
        extract_volume_heightfield(columns, plane, heightfield, threads);
    }
};

std::tuple<Channels, Channels, Channels> volume_heightfield(const AnyVolume& volume,
                                                            const std::array<double, 3>& spacing,
                                                            double plane_z, std::size_t layers,
                                                            std::optional<double> level,
                                                            std::size_t threads) {
    using Code = nb::dlpack::dtype_code;
    const nb::dlpack::dtype type = volume.dtype();
    const auto is = [&](Code code, int bits) {
        return type.code == static_cast<std::uint8_t>(code) && type.bits == bits && type.lanes == 1;
    };
    const bool image = is(Code::UInt, 8) || is(Code::UInt, 16);
    const bool field = is(Code::Float, 32) || is(Code::Float, 64);
    if (!(image || field || is(Code::Bool, 8) || is(Code::UInt, 32)))
        throw nb::type_error("volume must be bool, uint8, uint16, uint32, float32 or float64.");
    if (field && !level) throw nb::type_error("A volume of floats needs a level.");
    if (level && !(field || image))
        throw nb::type_error("A level goes with a volume of floats, uint8 or uint16.");
    if (level && !std::isfinite(*level)) throw std::invalid_argument("level must be finite.");
    for (const double length : spacing)
        if (!(std::isfinite(length) && length > 0))
            throw std::invalid_argument("spacing must be three finite numbers above 0.");
    if (layers < 1 || layers > 8) throw std::invalid_argument("layers must be from 1 to 8.");
    if (volume.size() == 0) throw std::invalid_argument("volume has no voxels.");
    if (!(plane_z >= 0 && plane_z < static_cast<double>(volume.shape(0))))
        throw std::invalid_argument(
            "plane_z lies outside the volume: it must be at least 0 and below the number of "
            "slices.");
    const std::size_t height = volume.shape(1), width = volume.shape(2), pixels = height * width;
    if (pixels > PTRDIFF_MAX / (8 * sizeof(float)))
        throw std::invalid_argument("The heightfield has more pixels than memory holds.");

    RecycledFloats entry = recycled_floats(layers * pixels);
    RecycledFloats exit = recycled_floats(layers * pixels);
    RecycledFloats normal = recycled_floats(3 * pixels);
    const Plane plane{plane_z, {spacing[0], spacing[1], spacing[2]}};
    const VolumeHeightfield heightfield{entry.get(), exit.get(), normal.get(), pixels,
                                        static_cast<unsigned>(layers)};
    {
        nb::gil_scoped_release released;
        const Request request{volume, plane, heightfield, threads};
        if (is(Code::Float, 32))
            request.of_field<float>(*level);
        else if (field)
            request.of_field<double>(*level);
        else if (level && type.bits == 8)
            request.of_field<std::uint8_t>(*level);
        else if (level)
            request.of_field<std::uint16_t>(*level);
        else if (type.bits == 8)
            request.of_labels<std::uint8_t>();
        else if (type.bits == 16)
            request.of_labels<std::uint16_t>();
        else
            request.of_labels<std::uint32_t>();
    }
    return {to_numpy<3>(std::move(entry), {layers, height, width}),
            to_numpy<3>(std::move(exit), {layers, height, width}),
            to_numpy<3>(std::move(normal), {3, height, width})};
}

}  // namespace

void bind_volume_heightfield(nb::module_& module) {
    using namespace nb::literals;
    module.def("volume_heightfield", &volume_heightfield, "volume"_a, "spacing"_a, "plane_z"_a,
               "layers"_a, "level"_a = nb::none(), "threads"_a = 0);
}

}  // namespace porescope
