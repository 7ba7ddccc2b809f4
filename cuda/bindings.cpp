// porescope._core: the native core for the CPU. Arrays go in and out without a copy, and the
// interpreter runs on meanwhile. Documentation and types: src/porescope/_core.pyi.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>

#include "distance.hpp"
#include "parallel.hpp"
#include "philox.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

template <typename Value, std::size_t Axes>
nb::ndarray<nb::numpy, Value, nb::ndim<Axes>> to_numpy(std::unique_ptr<Value[]> values,
                                                       const std::array<std::size_t, Axes>& shape) {
    Value* const data = values.release();
    nb::capsule owner(data, [](void* memory) noexcept { delete[] static_cast<Value*>(memory); });
    return nb::ndarray<nb::numpy, Value, nb::ndim<Axes>>(data, Axes, shape.data(), owner);
}

std::array<std::uint32_t, 4> philox4x32_words(const std::array<std::uint32_t, 4>& counter,
                                              const std::array<std::uint32_t, 2>& key) {
    const PhiloxBlock block =
        philox4x32({{counter[0], counter[1], counter[2], counter[3]}}, {{key[0], key[1]}});
    return {block.word[0], block.word[1], block.word[2], block.word[3]};
}

template <Pair (*draw)(std::uint64_t, std::uint64_t, std::uint64_t)>
nb::ndarray<nb::numpy, double, nb::ndim<1>> random_numbers(std::uint64_t seed, std::uint64_t stream,
                                                           std::uint64_t offset, std::size_t count,
                                                           std::size_t threads) {
    if (count > PTRDIFF_MAX / sizeof(double) || offset + count < offset)
        throw std::invalid_argument("More random numbers are asked for than a stream or memory holds.");
    std::unique_ptr<double[]> values(new double[count]);
    {
        nb::gil_scoped_release released;
        constexpr std::size_t piece_length = 1 << 14;
        share_out((count + piece_length - 1) / piece_length, threads, [&](const auto& next) {
            for (std::size_t begin; (begin = next() * piece_length) < count;) {
                const std::size_t end = std::min(begin + piece_length, count);
                Pair pair{};
                for (std::size_t k = begin; k < end; ++k) {
                    const std::uint64_t index = offset + k;
                    if (k == begin || index % 2 == 0) pair = draw(seed, stream, index / 2);
                    values[k] = pair.value[index % 2];
                }
            }
        });
    }
    return to_numpy<double, 1>(std::move(values), {count});
}

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

NB_MODULE(_core, module) {
    using namespace nb::literals;
    module.def("philox4x32", &philox4x32_words, "counter"_a, "key"_a);
    module.def("uniform", &random_numbers<uniform_pair>, "seed"_a, "stream"_a, "offset"_a, "count"_a,
               "threads"_a = 0);
    module.def("normal", &random_numbers<normal_pair>, "seed"_a, "stream"_a, "offset"_a, "count"_a,
               "threads"_a = 0);
    module.def("distance_to_other_label", &distance_volume, "labels"_a, "spacing_nm"_a,
               "threads"_a = 0);
}

}  // namespace porescope
