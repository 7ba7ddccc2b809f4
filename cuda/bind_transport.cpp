// Electron transport for Python.
#include "bindings.hpp"

#include <nanobind/stl/array.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "parallel.hpp"
#include "plane_layers.hpp"
#include "transport.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

template <std::size_t Axes>
using Floats = nb::ndarray<const float, nb::ndim<Axes>, nb::c_contig, nb::device::cpu>;
template <std::size_t Axes>
using FloatsOut = nb::ndarray<nb::numpy, float, nb::ndim<Axes>>;

class Materials {
  public:
    Materials(const Floats<3>& at_range, const Floats<2>& range_nm, const Floats<3>& shares,
              const Floats<2>& constants, const Floats<2>& screening, const Floats<3>& quantiles,
              float secondary_reach_nm)
        : count_(constants.shape(0)),
          elements_(screening.shape(0)),
          rows_(screening.shape(1)),
          secondary_reach_nm_(secondary_reach_nm) {
        const bool fits = count_ > 0 && elements_ > 0 && rows_ > 0 && at_range.shape(0) == count_ &&
                          at_range.shape(1) == range_nodes && at_range.shape(2) == 4 &&
                          range_nm.shape(0) == count_ && range_nm.shape(1) == energy_nodes &&
                          shares.shape(0) == count_ && shares.shape(1) == rows_ &&
                          shares.shape(2) == elements_ && constants.shape(1) == 4 &&
                          quantiles.shape(0) == elements_ && quantiles.shape(1) == rows_ &&
                          quantiles.shape(2) == quantile_count;
        if (!fits) throw std::invalid_argument("The tables of the materials do not go together.");
        for (std::size_t k = 0; k < at_range.size(); k += 4) {
            const float* const node = at_range.data() + k;
            if (!(node[2] >= 0 && node[2] <= static_cast<float>(rows_ - 1)))
                throw std::invalid_argument("A row of elastic scattering lies outside the tables.");
            at_range_.push_back({node[0], node[1], node[2], node[3]});
        }
        for (std::size_t k = 0; k < count_; ++k) {
            const float* const values = constants.data() + 4 * k;
            constants_.push_back({values[0], values[1], values[2], values[3]});
        }
        const auto copy = [](std::vector<float>& to, const auto& from) {
            to.assign(from.data(), from.data() + from.size());
        };
        copy(range_nm_, range_nm);
        copy(shares_, shares);
        copy(screening_, screening);
        copy(quantiles_, quantiles);
    }

    std::size_t count() const { return count_; }
    MaterialsView view() const {
        return {at_range_.data(),
                range_nm_.data(),
                shares_.data(),
                constants_.data(),
                screening_.data(),
                quantiles_.data(),
                static_cast<std::int32_t>(elements_),
                static_cast<std::int32_t>(rows_),
                secondary_reach_nm_};
    }
    void check(std::int32_t material) const {
        if (material < 1 || static_cast<std::size_t>(material) > count_)
            throw std::invalid_argument("There is no material of that number.");
    }

  private:
    std::size_t count_, elements_, rows_;
    float secondary_reach_nm_;
    std::vector<RangeNode> at_range_;
    std::vector<float> range_nm_, shares_, screening_, quantiles_;
    std::vector<MaterialConstants> constants_;
};

Electron electron_in(const MaterialsView& materials, std::int32_t material, std::int32_t region,
                     float energy_ev, const std::array<float, 3>& direction) {
    const float range_nm = range_at(materials, material, energy_ev);
    return {{0, 0, 0}, {direction[0], direction[1], direction[2]}, region, material,
            range_nm,  at_range(materials, material, range_nm)};
}

// Histories of electrons that come down on plane layers.
std::tuple<FloatsOut<1>, FloatsOut<2>, FloatsOut<1>, FloatsOut<1>> trace_layers(
    const Materials& materials, const std::vector<std::int32_t>& layer_material,
    const std::vector<float>& thickness_nm, float energy_ev, const std::array<float, 3>& direction,
    std::uint32_t first, std::uint32_t electrons, std::uint64_t seed, bool secondaries,
    std::size_t threads) {
    if (layer_material.empty() || layer_material.size() != thickness_nm.size())
        throw std::invalid_argument("Each layer needs a material and a thickness.");
    for (const float thickness : thickness_nm)
        if (!(thickness > 0)) throw std::invalid_argument("A layer's thickness must be above 0.");
    for (const std::int32_t material : layer_material)
        if (material != vacuum) materials.check(material);
    if (layer_material[0] == vacuum) throw std::invalid_argument("The first layer must be solid.");
    if (!(direction[0] > 0)) throw std::invalid_argument("The beam must come down on the layers.");
    std::unique_ptr<float[]> energy(new float[electrons]),
        exit(new float[3 * std::size_t{electrons}]), deepest(new float[electrons]),
        secondary(new float[electrons]);
    {
        nb::gil_scoped_release released;
        const MaterialsView view = materials.view();
        const std::vector<PlaneRegion> regions = plane_regions(layer_material, thickness_nm, view);
        const PlaneLayers layers{regions.data(), static_cast<std::int32_t>(regions.size() - 1)};
        const Electron entering = electron_in(view, layer_material[0], 1, energy_ev, direction);
        constexpr std::size_t piece = 256;
        share_out((electrons + piece - 1) / piece, threads, [&](const auto& next) {
            for (std::size_t begin; (begin = next() * piece) < electrons;)
                for (std::size_t k = begin; k < std::min<std::size_t>(begin + piece, electrons);
                     ++k) {
                    const auto number = static_cast<std::uint32_t>(first + k);
                    const Outcome outcome =
                        secondaries ? history<true>(entering, layers, view, seed, 0, number)
                                    : history<false>(entering, layers, view, seed, 0, number);
                    energy[k] = outcome.energy_ev;
                    exit[3 * k] = outcome.direction.z;
                    exit[3 * k + 1] = outcome.direction.y;
                    exit[3 * k + 2] = outcome.direction.x;
                    deepest[k] = outcome.deepest_nm;
                    secondary[k] = outcome.secondaries;
                }
        });
    }
    const std::size_t count = electrons;
    return {to_numpy<float, 1>(std::move(energy), {count}),
            to_numpy<float, 2>(std::move(exit), {count, 3}),
            to_numpy<float, 1>(std::move(deepest), {count}),
            to_numpy<float, 1>(std::move(secondary), {count})};
}

// First collisions alone: free paths and new directions.
std::tuple<FloatsOut<1>, FloatsOut<2>> first_collisions(const Materials& materials,
                                                        std::int32_t material, float energy_ev,
                                                        const std::array<float, 3>& direction,
                                                        std::uint32_t count, std::uint64_t seed) {
    materials.check(material);
    std::unique_ptr<float[]> path(new float[count]), turned_to(new float[3 * std::size_t{count}]);
    const MaterialsView view = materials.view();
    const Electron electron = electron_in(view, material, 0, energy_ev, direction);
    for (std::uint32_t number = 0; number < count; ++number) {
        const Numbers numbers = numbers_of(seed, 0, number, 0);
        path[number] = path_of(electron.now, numbers.optical_depth);
        const Axes to = turned(electron.direction,
                               deflection(view, material, electron.now.elastic_row, numbers.row,
                                          numbers.element, numbers.angle),
                               numbers.turn);
        turned_to[3 * std::size_t{number}] = to.z;
        turned_to[3 * std::size_t{number} + 1] = to.y;
        turned_to[3 * std::size_t{number} + 2] = to.x;
    }
    return {to_numpy<float, 1>(std::move(path), {count}),
            to_numpy<float, 2>(std::move(turned_to), {count, 3})};
}

}  // namespace

void bind_transport(nb::module_& module) {
    using namespace nb::literals;
    nb::class_<Materials>(module, "Materials")
        .def(nb::init<const Floats<3>&, const Floats<2>&, const Floats<3>&, const Floats<2>&,
                      const Floats<2>&, const Floats<3>&, float>(),
             "at_range"_a, "range_nm"_a, "shares"_a, "constants"_a, "screening"_a, "quantiles"_a,
             "secondary_reach_nm"_a);
    module.def("trace_layers", &trace_layers, "materials"_a, "layer_material"_a, "thickness_nm"_a,
               "energy_ev"_a, "direction"_a, "first"_a, "electrons"_a, "seed"_a,
               "secondaries"_a = true, "threads"_a = 0);
    module.def("first_collisions", &first_collisions, "materials"_a, "material"_a, "energy_ev"_a,
               "direction"_a, "count"_a, "seed"_a);
}

}  // namespace porescope
