// Random numbers for Python.
#include <nanobind/stl/array.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>

#include "bindings.hpp"
#include "parallel.hpp"
#include "philox.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

std::array<std::uint32_t, 4> philox4x32_words(const std::array<std::uint32_t, 4>& counter,
                                              const std::array<std::uint32_t, 2>& key) {
    const PhiloxBlock block = philox4x32(
        PhiloxBlock{{counter[0], counter[1], counter[2], counter[3]}}, PhiloxKey{{key[0], key[1]}});
    return {block.word[0], block.word[1], block.word[2], block.word[3]};
}

template <Pair (*draw)(std::uint64_t, std::uint64_t, std::uint64_t)>
nb::ndarray<nb::numpy, double, nb::ndim<1>> random_numbers(std::uint64_t seed, std::uint64_t stream,
                                                           std::uint64_t offset, std::size_t count,
                                                           std::size_t threads) {
    if (count > PTRDIFF_MAX / sizeof(double) || offset + count < offset)
        throw std::invalid_argument(
            "More random numbers are asked for than a stream or memory holds.");
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

}  // namespace

void bind_random(nb::module_& module) {
    using namespace nb::literals;
    module.def("philox4x32", &philox4x32_words, "counter"_a, "key"_a);
    module.def("uniform", &random_numbers<uniform_pair>, "seed"_a, "stream"_a, "offset"_a,
               "count"_a, "threads"_a = 0);
    module.def("normal", &random_numbers<normal_pair>, "seed"_a, "stream"_a, "offset"_a, "count"_a,
               "threads"_a = 0);
}

}  // namespace porescope
