// Electron transport for Python.
#include "bindings.hpp"

#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "body_sample.hpp"
#include "gpu_tasks.hpp"
#include "instruction_sets.hpp"
#include "montecarlo.hpp"
#include "parallel.hpp"
#include "voxel_sample.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

template <std::size_t Axes>
using Floats = nb::ndarray<const float, nb::ndim<Axes>, nb::c_contig, nb::device::cpu>;
template <std::size_t Axes>
using FloatsOut = nb::ndarray<nb::numpy, float, nb::ndim<Axes>>;

// Tables of materials, each with a row for vacuum, number 0, before those of the solids.
class Materials {
  public:
    Materials(const Floats<2>& row_at_range, const Floats<3>& at_row, const Floats<2>& constants,
              const Floats<2>& screening, const Floats<3>& quantiles, float top_ev, float log_step,
              float secondary_reach_nm)
        : count_(constants.shape(0)) {
        const std::size_t rows = screening.shape(1);
        const bool fits = count_ > 1 && count_ <= most_materials && rows > 1 &&
                          row_at_range.shape(0) == count_ && row_at_range.shape(1) == range_nodes &&
                          at_row.shape(0) == count_ &&
                          at_row.shape(1) == rows * nodes_per_row + 1 && at_row.shape(2) == 2 &&
                          constants.shape(1) == 4 && screening.shape(0) == count_ &&
                          quantiles.shape(0) == count_ && quantiles.shape(1) == rows &&
                          quantiles.shape(2) == quantile_count;
        if (!fits) throw std::invalid_argument("The tables of the materials do not go together.");
        for (std::size_t k = 0; k < row_at_range.size(); ++k)
            if (!(row_at_range.data()[k] >= 0 &&
                  row_at_range.data()[k] <= static_cast<float>(rows)))
                throw std::invalid_argument("A row of elastic scattering lies outside the tables.");
        const auto copied = [](std::vector<float>& to, const auto& from) {
            to.assign(from.data(), from.data() + from.size());
            return to.data();
        };
        view_.row_at_range = copied(row_at_range_, row_at_range);
        view_.at_row = copied(at_row_, at_row);
        view_.screening = copied(screening_, screening);
        view_.quantiles = copied(quantiles_, quantiles);
        for (std::size_t k = 0; k < count_; ++k) {
            const float* const values = constants.data() + 4 * k;
            view_.range_at_cut_off_nm[k] = values[0];
            view_.per_range_at_cut_off[k] = 1 / values[0];
            view_.per_escape_depth[k] = values[1];
            view_.secondaries_per_ev[k] = values[2];
            view_.reach_ratio[k] = values[3];
        }
        view_.rows = static_cast<std::int32_t>(rows);
        view_.top_ev = top_ev;
        view_.log_step = log_step;
        view_.secondary_reach_nm = secondary_reach_nm;
    }
    Materials(const Materials&) = delete;  // the view points into it

    const MaterialsView& view() const { return view_; }

    // Calls act(pointer, count) for each array of a view, always in this order.
    template <typename Act>
    void for_arrays(MaterialsView& view, const Act& act) const {
        act(view.row_at_range, row_at_range_.size());
        act(view.at_row, at_row_.size());
        act(view.screening, screening_.size());
        act(view.quantiles, quantiles_.size());
    }
    float row_of(float energy_ev) const {
        return static_cast<float>(view_.rows) - std::log(view_.top_ev / energy_ev) / view_.log_step;
    }
    void check(std::int32_t material) const {
        if (material < 1 || static_cast<std::size_t>(material) >= count_)
            throw std::invalid_argument("There is no material of that number.");
    }

  private:
    std::size_t count_;
    MaterialsView view_{};
    std::vector<float> row_at_range_, at_row_, screening_, quantiles_;
};

// Voxels ready for electrons at any plane.
class VoxelSample {
  public:
    VoxelSample(
        const nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>& material,
        const std::array<float, 3>& spacing_nm)
        : shape_{material.shape(0), material.shape(1), material.shape(2)}, spacing_nm_(spacing_nm) {
        if (material.size() == 0 || material.size() >= std::size_t{1} << 31)
            throw std::invalid_argument("A sample has from 1 to 2^31 - 1 voxels.");
        for (const float spacing : spacing_nm)
            if (!(spacing > 0 && std::isfinite(spacing)))
                throw std::invalid_argument("spacing_nm must be three finite numbers above 0.");
        const std::uint8_t* const end = material.data() + material.size();
        porous_ = std::find(material.data(), end, vacuum) != end;
        last_material_ = *std::max_element(material.data(), end);
        nb::gil_scoped_release released;
        words_ = voxel_words(material.data(), static_cast<std::ptrdiff_t>(shape_[0]),
                             static_cast<std::ptrdiff_t>(shape_[1]),
                             static_cast<std::ptrdiff_t>(shape_[2]));
    }

    // Where secondaries come out into pores, see Voxels::surface_depth_nm.
    void set_surfaces(const nb::ndarray<const std::uint32_t, nb::ndim<3>, nb::c_contig,
                                        nb::device::cpu>& surfaces) {
        for (int axis = 0; axis < 3; ++axis)
            if (surfaces.shape(axis) != shape_[axis])
                throw std::invalid_argument("Surfaces and voxels have different shapes.");
        surfaces_.assign(surfaces.data(), surfaces.data() + surfaces.size());
    }

    Voxels view(float plane, bool periodic) const {
        const auto count = [&](int axis) { return static_cast<std::int32_t>(shape_[axis]); };
        const float least = *std::min_element(spacing_nm_.begin(), spacing_nm_.end());
        return {words_.data(),
                surfaces_.empty() ? nullptr : surfaces_.data(),
                count(0),
                count(1),
                count(2),
                {spacing_nm_[0], spacing_nm_[1], spacing_nm_[2]},
                {1 / spacing_nm_[0], 1 / spacing_nm_[1], 1 / spacing_nm_[2]},
                least,
                plane,
                periodic,
                porous_};
    }
    std::int32_t last_material() const { return last_material_; }
    bool porous() const { return porous_; }

    // Calls act(pointer, count) for each array of a view, always in this order.
    template <typename Act>
    void for_arrays(Voxels& view, const Act& act) const {
        act(view.words, words_.size());
        act(view.surfaces, surfaces_.size());
    }

  private:
    std::array<std::size_t, 3> shape_;
    std::array<float, 3> spacing_nm_;
    bool porous_;
    std::int32_t last_material_;
    std::vector<std::uint16_t> words_;
    std::vector<std::uint32_t> surfaces_;
};

MonteCarlo monte_carlo_on(const std::string& instruction_set) {
    static const std::vector<InstructionSet<MonteCarlo>> sets{
#ifdef PORESCOPE_VECTORS
        {"avx512", avx512_monte_carlo()},
        {"avx2", avx2_monte_carlo()},
#endif
        {"plain", plain_monte_carlo()},
    };
    return find_set(sets, instruction_set).offer;
}

// The regions of layers given from the top, each with a material (vacuum too) and a thickness, of
// which the last may be infinite. A secondary that comes to a gap does not get over it.
inline std::vector<PlaneRegion> plane_regions(const std::vector<std::int32_t>& material,
                                              const std::vector<float>& thickness_nm,
                                              const MaterialsView& materials) {
    constexpr float far = std::numeric_limits<float>::infinity();
    std::vector<PlaneRegion> regions{{-far, 0, vacuum, 0, 0, 0, 0}};
    float top = 0, attenuation = 0, solid = 0;
    for (std::size_t layer = 0; layer < material.size(); ++layer) {
        const float thickness = thickness_nm[layer];
        const bool filled = material[layer] != vacuum;
        const float per_nm = filled ? materials.per_escape_depth[material[layer]] : 0;
        if (!filled) attenuation = far;
        regions.push_back({top, top + thickness, static_cast<float>(material[layer]), attenuation,
                           per_nm, solid, 0});
        top += thickness;
        attenuation += thickness * per_nm;
        if (filled) solid += thickness;
    }
    regions.push_back({top, far, vacuum, far, 0, solid, 0});
    solid = 0;
    for (std::size_t region = regions.size() - 1; region-- > 1;) {
        regions[region].solid_below_nm = solid;
        if (regions[region].material != vacuum)
            solid += regions[region].bottom_nm - regions[region].top_nm;
    }
    return regions;
}

// Histories of electrons that come down on plane layers.
std::tuple<FloatsOut<1>, FloatsOut<2>, FloatsOut<1>, FloatsOut<1>> trace_layers(
    const Materials& materials, const std::vector<std::int32_t>& layer_material,
    const std::vector<float>& thickness_nm, float energy_ev, const std::array<float, 3>& direction,
    std::uint32_t first, std::uint32_t electrons, std::uint64_t seed, bool secondaries,
    std::size_t threads, const std::string& instruction_set) {
    if (layer_material.empty() || layer_material.size() != thickness_nm.size())
        throw std::invalid_argument("Each layer needs a material and a thickness.");
    for (const float thickness : thickness_nm)
        if (!(thickness > 0)) throw std::invalid_argument("A layer's thickness must be above 0.");
    for (const std::int32_t material : layer_material)
        if (material != vacuum) materials.check(material);
    if (layer_material[0] == vacuum) throw std::invalid_argument("The first layer must be solid.");
    if (!(direction[0] > 0)) throw std::invalid_argument("The beam must come down on the layers.");
    const MonteCarlo monte_carlo = monte_carlo_on(instruction_set);
    std::unique_ptr<float[]> energy(new float[electrons]),
        exit(new float[3 * std::size_t{electrons}]), deepest(new float[electrons]),
        secondary(new float[electrons]);
    {
        nb::gil_scoped_release released;
        const std::vector<PlaneRegion> regions =
            plane_regions(layer_material, thickness_nm, materials.view());
        const PlaneLayers layers{regions.data(), static_cast<std::int32_t>(regions.size() - 1)};
        constexpr std::uint32_t piece = 4096;
        share_out((electrons + piece - 1) / piece, threads, [&](const auto& next) {
            for (std::size_t begin; (begin = next() * piece) < electrons;) {
                const auto offset = static_cast<std::uint32_t>(begin);
                monte_carlo.layers({&materials.view(),
                                    &layers,
                                    {direction[0], direction[1], direction[2]},
                                    materials.row_of(energy_ev),
                                    first + offset,
                                    std::min(piece, electrons - offset),
                                    seed,
                                    secondaries,
                                    energy.get() + begin,
                                    exit.get() + 3 * begin,
                                    deepest.get() + begin,
                                    secondary.get() + begin});
            }
        });
    }
    const std::size_t count = electrons;
    return {to_numpy<float, 1>(std::move(energy), {count}),
            to_numpy<float, 2>(std::move(exit), {count, 3}),
            to_numpy<float, 1>(std::move(deepest), {count}),
            to_numpy<float, 1>(std::move(secondary), {count})};
}

// Rows of pixels of a plane: sums [signal][y][x], in electrons.
void follow_pixels(const MonteCarlo& monte_carlo, const PixelTask<Voxels>& task) {
    monte_carlo.pixels(task);
}
void follow_pixels(const MonteCarlo& monte_carlo, const PixelTask<Bodies>& task) {
    monte_carlo.pixels_of_bodies(task);
}

std::vector<DetectorWindow> detector_windows(const Floats<2>& windows) {
    if (windows.shape(1) != 10) throw std::invalid_argument("A window has ten numbers.");
    std::vector<DetectorWindow> detectors;
    for (std::size_t k = 0; k < windows.shape(0); ++k) {
        const float* const v = windows.data() + 10 * k;
        detectors.push_back({v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]});
    }
    return detectors;
}

// A plane of a sample and the beam that scans it, as Python tells them.
template <typename Sample>
struct Scan {
    decltype(std::declval<Sample>().view(0, false)) geometry;
    std::vector<DetectorWindow> windows;
    Beam beam;

    Scan(const Materials& materials, const Sample& sample, float plane, float energy_ev,
         const std::array<float, 3>& direction, std::uint32_t electrons, float pixel_nm,
         const std::array<std::int32_t, 2>& pixels, const std::array<float, 2>& first_nm,
         float probe_nm, const Floats<2>& windows, bool periodic, std::uint32_t first_row,
         std::uint32_t rows)
        : geometry(sample.view(plane, periodic)),
          windows(detector_windows(windows)),
          beam{direction[0],
               direction[1] + least_cosine,
               direction[2] + least_cosine,
               materials.row_of(energy_ev),
               probe_nm,
               pixels[0],
               pixels[1],
               pixel_nm,
               first_nm[0],
               first_nm[1],
               electrons,
               this->windows.data(),
               static_cast<std::int32_t>(this->windows.size())} {
        if (sample.last_material() > 0) materials.check(sample.last_material());
        if (!(geometry.plane >= 0 && geometry.plane < static_cast<float>(geometry.depth)))
            throw std::invalid_argument("The plane lies outside the sample.");
        if (!(direction[0] > 0))
            throw std::invalid_argument("The beam must come down on the sample.");
        if (electrons == 0 || pixels[0] <= 0 || pixels[1] <= 0 || !(pixel_nm > 0) ||
            !(probe_nm >= 0) || !std::isfinite(first_nm[0]) || !std::isfinite(first_nm[1]) ||
            first_row + rows > static_cast<std::uint32_t>(pixels[0]))
            throw std::invalid_argument("The image has no pixels or no electrons.");
    }
    Scan(const Scan&) = delete;  // the beam points into it
};

template <typename Sample>
nb::ndarray<nb::numpy, float, nb::ndim<3>> image_plane(
    const Materials& materials, const Sample& sample, float plane, float energy_ev,
    const std::array<float, 3>& direction, std::uint32_t electrons, float pixel_nm,
    const std::array<std::int32_t, 2>& pixels, const std::array<float, 2>& first_nm, float probe_nm,
    const Floats<2>& windows, bool secondaries, bool periodic, std::uint64_t seed,
    std::uint32_t first_row, std::uint32_t rows, std::size_t threads,
    const std::string& instruction_set) {
    const Scan<Sample> scan(materials, sample, plane, energy_ev, direction, electrons, pixel_nm,
                            pixels, first_nm, probe_nm, windows, periodic, first_row, rows);
    const MonteCarlo monte_carlo = monte_carlo_on(instruction_set);
    const auto columns = static_cast<std::uint32_t>(pixels[1]);
    const std::size_t count = std::size_t{rows} * columns;
    const std::size_t signals = first_window_signal + scan.windows.size();
    std::unique_ptr<float[]> image(new float[signals * count]);
    {
        nb::gil_scoped_release released;
        std::vector<std::int64_t> sums(signals * count, 0);
        // Electrons of a square of pixels meet the same voxels.
        const auto side =
            static_cast<std::uint32_t>(std::clamp(std::sqrt(8192.0 / electrons), 4.0, 32.0));
        const std::size_t tiles_wide = (columns + side - 1) / side;
        const std::size_t tiles = (rows + side - 1) / side * tiles_wide;
        share_out(tiles, threads, [&](const auto& next) {
            for (std::size_t tile; (tile = next()) < tiles;) {
                const auto row = static_cast<std::uint32_t>(tile / tiles_wide) * side;
                const auto column = static_cast<std::uint32_t>(tile % tiles_wide) * side;
                follow_pixels(monte_carlo, PixelTask<decltype(scan.geometry)>{
                                               &materials.view(), &scan.geometry, &scan.beam,
                                               first_row + row, column, std::min(side, rows - row),
                                               std::min(side, columns - column), seed, secondaries,
                                               sums.data(), first_row, count});
            }
        });
        std::transform(sums.begin(), sums.end(), image.get(), [](std::int64_t parts) {
            return static_cast<float>(static_cast<double>(parts) / parts_of_electron);
        });
    }
    return to_numpy<float, 3>(std::move(image), {signals, rows, columns});
}

// First collisions alone: free paths and new directions.
std::tuple<FloatsOut<1>, FloatsOut<2>> first_collisions(const Materials& materials,
                                                        std::int32_t material, float energy_ev,
                                                        const std::array<float, 3>& direction,
                                                        std::uint32_t count, std::uint64_t seed) {
    materials.check(material);
    std::unique_ptr<float[]> path(new float[count]), turned_to(new float[3 * std::size_t{count}]);
    const PhiloxKey key = philox_key(seed);
    for (std::uint32_t number = 0; number < count; ++number) {
        const Collision<float> collision =
            first_collision<float>(materials.view(), material, materials.row_of(energy_ev),
                                   {direction[0], direction[1], direction[2]}, key, number);
        path[number] = collision.path_nm;
        turned_to[3 * std::size_t{number}] = collision.direction.z;
        turned_to[3 * std::size_t{number} + 1] = collision.direction.y;
        turned_to[3 * std::size_t{number} + 2] = collision.direction.x;
    }
    return {to_numpy<float, 1>(std::move(path), {count}),
            to_numpy<float, 2>(std::move(turned_to), {count, 3})};
}

// What a GPU needs of materials or of a sample, and their view once it lies at some addresses.
template <typename Owner, typename View>
std::vector<Bytes> arrays_of(const Owner& owner, View view) {
    std::vector<Bytes> arrays;
    owner.for_arrays(view, [&](auto pointer, std::size_t count) {
        arrays.push_back(as_bytes(pointer, count, nb::find(owner)));
    });
    return arrays;
}
template <typename Owner, typename View>
View moved_to(const std::vector<std::uint64_t>& addresses, const Owner& owner, View view) {
    std::size_t place = 0;
    owner.for_arrays(view,
                     [&](auto& pointer, std::size_t) { point_to(pointer, addresses.at(place++)); });
    return view;
}
template <typename Task>
nb::bytes as_argument(const Task& task) {
    static_assert(std::is_trivially_copyable_v<Task>);
    return nb::bytes(&task, sizeof task);
}

// The name of a kernel and its argument.
template <typename Sample>
std::tuple<std::string, nb::bytes> device_plane(
    const Materials& materials, const Sample& sample, float plane, float energy_ev,
    const std::array<float, 3>& direction, std::uint32_t electrons, float pixel_nm,
    const std::array<std::int32_t, 2>& pixels, const std::array<float, 2>& first_nm, float probe_nm,
    const Floats<2>& windows, bool secondaries, bool periodic, std::uint64_t seed,
    std::uint32_t first_row, std::uint32_t rows, const std::vector<std::uint64_t>& materials_at,
    const std::vector<std::uint64_t>& sample_at, std::uint64_t windows_at, std::uint64_t sums_at,
    std::uint64_t next_at) {
    const Scan<Sample> scan(materials, sample, plane, energy_ev, direction, electrons, pixel_nm,
                            pixels, first_nm, probe_nm, windows, periodic, first_row, rows);
    GpuPlane<decltype(scan.geometry)> task{moved_to(materials_at, materials, materials.view()),
                                           moved_to(sample_at, sample, scan.geometry),
                                           scan.beam,
                                           seed,
                                           first_row,
                                           rows,
                                           nullptr,
                                           nullptr};
    static_assert(sizeof(DetectorWindow) == 10 * sizeof(float));
    point_to(task.beam.windows, windows_at);
    point_to(task.sums, sums_at);
    point_to(task.next, next_at);
    const bool voxels = std::is_same_v<Sample, VoxelSample>;
    return {std::string(voxels ? "voxels" : "bodies") + (secondaries ? "_with_secondaries" : ""),
            as_argument(task)};
}

nb::bytes device_collisions(const Materials& materials, std::int32_t material, float energy_ev,
                            const std::array<float, 3>& direction, std::uint32_t count,
                            std::uint64_t seed, const std::vector<std::uint64_t>& materials_at,
                            std::uint64_t path_at, std::uint64_t direction_at) {
    materials.check(material);
    GpuCollisions task{moved_to(materials_at, materials, materials.view()),
                       material,
                       materials.row_of(energy_ev),
                       {direction[0], direction[1], direction[2]},
                       count,
                       seed,
                       nullptr,
                       nullptr};
    point_to(task.path_nm, path_at);
    point_to(task.turned_to, direction_at);
    return as_argument(task);
}

}  // namespace

void bind_transport(nb::module_& module) {
    using namespace nb::literals;
    nb::class_<Materials>(module, "Materials")
        .def(nb::init<const Floats<2>&, const Floats<3>&, const Floats<2>&, const Floats<2>&,
                      const Floats<3>&, float, float, float>(),
             "row_at_range"_a, "at_row"_a, "constants"_a, "screening"_a, "quantiles"_a, "top_ev"_a,
             "log_step"_a, "secondary_reach_nm"_a);
    nb::class_<VoxelSample>(module, "VoxelSample")
        .def(nb::init<
                 const nb::ndarray<const std::uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>&,
                 const std::array<float, 3>&>(),
             "material"_a, "spacing_nm"_a)
        .def("set_surfaces", &VoxelSample::set_surfaces, "surfaces"_a)
        .def_prop_ro("porous", &VoxelSample::porous);
    nb::class_<BodySample>(module, "BodySample")
        .def(
            "__init__",
            [](BodySample* sample, const PrimitiveRows<4>& spheres,
               const PrimitiveRows<8>& cylinders, const PrimitiveRows<10>& cuboids,
               const std::array<double, 3>& box, const std::array<std::size_t, 3>& cells,
               double unit_nm, std::int32_t solid, std::int32_t filler, double reach_nm) {
                if (solid < 1 || filler < 0 || std::max(solid, filler) >= most_materials)
                    throw std::invalid_argument("There is no material of that number.");
                for (int axis = 0; axis < 3; ++axis)
                    if (!(box[axis] > 0 && std::isfinite(box[axis]) && cells[axis] > 0 &&
                          cells[axis] < std::size_t{1} << 20))
                        throw std::invalid_argument("The box or its cells make no sense.");
                if (cells[0] * cells[1] * cells[2] >= std::size_t{1} << 31 ||
                    spheres.shape(0) + cylinders.shape(0) + cuboids.shape(0) >= 1 << 27)
                    throw std::invalid_argument("There are too many cells or primitives.");
                nb::gil_scoped_release released;
                new (sample)
                    BodySample(as_spheres(spheres), as_cylinders(cylinders), as_cuboids(cuboids),
                               {box, cells, unit_nm}, solid, filler, reach_nm);
            },
            "spheres"_a, "cylinders"_a, "cuboids"_a, "box"_a, "cells"_a, "unit_nm"_a, "solid"_a,
            "filler"_a, "reach_nm"_a);
    module.def("trace_layers", &trace_layers, "materials"_a, "layer_material"_a, "thickness_nm"_a,
               "energy_ev"_a, "direction"_a, "first"_a, "electrons"_a, "seed"_a,
               "secondaries"_a = true, "threads"_a = 0, "instruction_set"_a = "");
    module.def(
        "device_arrays",
        [](const Materials& materials) { return arrays_of(materials, materials.view()); },
        "materials"_a);
    const auto def_planes_of = [&](auto* sample) {
        using Sample = std::remove_pointer_t<decltype(sample)>;
        module.def("image_plane", &image_plane<Sample>, "materials"_a, "sample"_a, "plane"_a,
                   "energy_ev"_a, "direction"_a, "electrons"_a, "pixel_nm"_a, "pixels"_a,
                   "first_nm"_a, "probe_nm"_a, "windows"_a, "secondaries"_a, "periodic"_a, "seed"_a,
                   "first_row"_a, "rows"_a, "threads"_a = 0, "instruction_set"_a = "");
        module.def(
            "device_arrays",
            [](const Sample& sample) { return arrays_of(sample, sample.view(0, false)); },
            "sample"_a);
        module.def("device_plane", &device_plane<Sample>, "materials"_a, "sample"_a, "plane"_a,
                   "energy_ev"_a, "direction"_a, "electrons"_a, "pixel_nm"_a, "pixels"_a,
                   "first_nm"_a, "probe_nm"_a, "windows"_a, "secondaries"_a, "periodic"_a, "seed"_a,
                   "first_row"_a, "rows"_a, "materials_at"_a, "sample_at"_a, "windows_at"_a,
                   "sums_at"_a, "next_at"_a);
    };
    def_planes_of(static_cast<VoxelSample*>(nullptr));
    def_planes_of(static_cast<BodySample*>(nullptr));
    module.attr("parts_of_electron") = parts_of_electron;
    module.def("device_collisions", &device_collisions, "materials"_a, "material"_a, "energy_ev"_a,
               "direction"_a, "count"_a, "seed"_a, "materials_at"_a, "path_at"_a, "direction_at"_a);
    module.def("first_collisions", &first_collisions, "materials"_a, "material"_a, "energy_ev"_a,
               "direction"_a, "count"_a, "seed"_a);
}

}  // namespace porescope
