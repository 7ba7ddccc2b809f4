// Distances in label volumes for Python.
#include <nanobind/stl/array.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "bindings.hpp"
#include "distance.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

using AnyVolume = nb::ndarray<nb::ro, nb::ndim<3>, nb::device::cpu>;

template <typename Label>
LabelVolume<Label> as_labels(const AnyVolume& volume) {
    return {static_cast<const Label*>(volume.data()),
            {volume.shape(0), volume.shape(1), volume.shape(2)},
            {volume.stride(0), volume.stride(1), volume.stride(2)}};
}

nb::ndarray<nb::numpy, float, nb::ndim<3>> distance_volume(const AnyVolume& labels,
                                                           const std::array<double, 3>& spacing_nm,
                                                           std::size_t threads) {
    for (const double spacing : spacing_nm)
        if (!(std::isfinite(spacing) && spacing > 0))
            throw std::invalid_argument("spacing_nm must be three finite numbers above 0.");
    const nb::dlpack::dtype type = labels.dtype();
    const bool whole = type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::UInt) ||
                       type.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bool);
    if (!whole || type.lanes != 1 || type.bits > 32)
        throw nb::type_error("labels must be bool, uint8, uint16 or uint32.");

    const std::array<std::size_t, 3> shape{labels.shape(0), labels.shape(1), labels.shape(2)};
    std::unique_ptr<float[]> distance_nm(new float[labels.size()]);
    {
        nb::gil_scoped_release released;
        if (type.bits == 8)
            distance_to_other_label(as_labels<std::uint8_t>(labels), spacing_nm, distance_nm.get(),
                                    threads);
        else if (type.bits == 16)
            distance_to_other_label(as_labels<std::uint16_t>(labels), spacing_nm, distance_nm.get(),
                                    threads);
        else
            distance_to_other_label(as_labels<std::uint32_t>(labels), spacing_nm, distance_nm.get(),
                                    threads);
    }
    return to_numpy<float, 3>(std::move(distance_nm), shape);
}

}  // namespace

void bind_distance(nb::module_& module) {
    using namespace nb::literals;
    module.def("distance_to_other_label", &distance_volume, "labels"_a, "spacing_nm"_a,
               "threads"_a = 0);
}

}  // namespace porescope
