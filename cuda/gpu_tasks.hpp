// What kernels of electrons take, by value; pointers lead into the GPU's memory.
#pragma once

#include <cstdint>

#include "materials.hpp"
#include "microscope.hpp"
#include "transport.hpp"

namespace porescope {

// Rows of a plane of Voxels or Bodies.
template <typename Geometry>
struct GpuPlane {
    MaterialsView materials;
    Geometry geometry;
    Beam beam;
    std::uint64_t seed;
    std::uint32_t first_row, rows;
    unsigned long long* sums;  // [signal][row][column], in parts of an electron; 0 to begin with
    unsigned long long* next;  // electron that no thread has taken; likewise
};

// First collisions of electrons numbered from 0.
struct GpuCollisions {
    MaterialsView materials;
    std::int32_t material;
    float row;
    Axes<float> direction;
    std::uint32_t count;
    std::uint64_t seed;
    float *path_nm, *turned_to;  // a number and three of each
};

}  // namespace porescope
