// What montecarlo.cpp offers for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bodies.hpp"
#include "materials.hpp"
#include "microscope.hpp"
#include "plane_layers.hpp"
#include "voxels.hpp"

namespace porescope {

// Electrons `first` to `first + count` into layers; a number each of the energy left (0 if it was
// absorbed), of three of the direction, of the depth, of the secondaries.
struct LayerTask {
    const MaterialsView* materials;
    const PlaneLayers* layers;
    float direction[3];
    float row;
    std::uint32_t first, count;
    std::uint64_t seed;
    bool secondaries;
    float *energy_ev, *direction_out, *deepest_nm, *secondaries_out;
};

// A tile of pixels of a plane, each with all its electrons. `sums` holds [signal][row][column] of
// the image's rows from `first_row_summed`, `summed` pixels for each signal, in parts of an
// electron. A geometry is Voxels or Bodies.
template <typename Geometry>
struct PixelTask {
    const MaterialsView* materials;
    const Geometry* geometry;
    const Beam* beam;
    std::uint32_t first_row, first_column, rows, columns;
    std::uint64_t seed;
    bool secondaries;
    std::int64_t* sums;
    std::uint32_t first_row_summed;
    std::size_t summed;
};

struct MonteCarlo {
    void (*layers)(const LayerTask&);
    void (*pixels)(const PixelTask<Voxels>&);
    void (*pixels_of_bodies)(const PixelTask<Bodies>&);
};

MonteCarlo plain_monte_carlo();
#ifdef PORESCOPE_VECTORS
MonteCarlo avx2_monte_carlo();
MonteCarlo avx512_monte_carlo();
#endif

}  // namespace porescope
