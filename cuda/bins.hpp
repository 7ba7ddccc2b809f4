// Which primitives a tile of pixels can see, sorted along the beam.
#pragma once

#include <cstdint>

#include "primitives.hpp"

namespace porescope {

constexpr int tile_size = 16;  // pixels a side
constexpr int cell_size = 4;   // of the cells that a tile falls into
constexpr int cells_across = tile_size / cell_size;
constexpr int cell_count = cells_across * cells_across;
constexpr int max_layers = 8;

// What one tile sees of one primitive: it lies between these depths, and over these cells.
struct Span {
    float begin, end;
    std::int32_t number;
    std::uint16_t cells;  // a bit each, row by row
};

// Spans of each tile, by begin; and for each slab of depth those that began before it and go on in
// it. A plane in a slab meets the running ones, then those that begin from the slab on.
struct BinsView {
    PrimitivesView primitives;
    std::int32_t rows, columns, tiles_down, tiles_across, slabs;
    double first_slab, slab_depth;
    float tolerance;  // ends of stretches closer than this are told apart in doubles
    const Span* spans;
    const std::uint64_t* slab_begin;  // tiles x (slabs + 1), in spans; the last is the tile's end
    const Span* running;
    const std::uint64_t* running_begin;  // tiles x slabs + 1, in running
};

// A tile's spans of interest for one plane, one after another.
struct SpanWalk {
    const Span *running, *running_end, *beginning, *end;

    PORESCOPE_INLINE PORESCOPE_HOST_DEVICE std::int64_t count() const {
        return (running_end - running) + (end - beginning);
    }
    PORESCOPE_INLINE PORESCOPE_HOST_DEVICE const Span& operator[](std::int64_t place) const {
        const std::int64_t beyond = place - (running_end - running);
        return beyond < 0 ? running[place] : beginning[beyond];
    }
};

inline namespace PORESCOPE_INSTRUCTION_SET {

PORESCOPE_HOST_DEVICE inline SpanWalk spans_below(const BinsView& bins, std::int64_t tile,
                                                  double plane_z) {
    const double slab = (plane_z - bins.first_slab) / bins.slab_depth;
    const std::int64_t last = bins.slabs - 1;
    const std::int64_t here = slab < 0                           ? 0
                              : slab > static_cast<double>(last) ? last
                                                                 : static_cast<std::int64_t>(slab);
    const std::uint64_t* const begin = bins.slab_begin + tile * (bins.slabs + 1);
    const std::uint64_t* const run = bins.running_begin + tile * bins.slabs + here;
    return {bins.running + run[0], bins.running + run[1], bins.spans + begin[here],
            bins.spans + begin[bins.slabs]};
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
