// What heightfield_tile.cpp offers for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "bins.hpp"

namespace porescope {

// Whether a plane has much in common with the one before.
inline bool follows_closely(double before, double plane) {
    constexpr double sweep_step = 64;
    return before <= plane && plane - before <= sweep_step;
}

// What is known of a tile from one plane to the next below it.
struct TileMemory {
    double plane = std::numeric_limits<double>::infinity();  // nothing is known yet
    SpanWalk spans{};                                        // of the first of these planes
    std::int64_t next_span = 0;                              // to be prepared
    std::int32_t prepared_count = 0;
    bool mostly_ended = false;  // most of them above the last plane
};

// Of a prepared primitive, what is looked at for every plane.
struct Listed {
    float end;
    std::uint16_t cells;
};

// Where a tile works. `prepared` and `listed` have a place for each of its spans, `lists` one for
// each and cell. What it sees goes to `pixels`: tile_size x tile_size floats for each channel,
// which are entries, exits, normal z, y, x. `kept_views`, of the same size, goes with the memory,
// or is null where none is kept.
struct TileWork {
    TileMemory* memory;
    void* prepared;
    Listed* listed;
    std::int32_t* lists;
    void* kept_views;
    float* pixels;
};

struct TileExtractor {
    using Extract = void (*)(const BinsView& bins, std::int64_t tile, double plane,
                             const TileWork& work);
    Extract extract;
    std::size_t prepared_size;  // bytes of one
};

TileExtractor plain_tile_extractor(int layers);
#ifdef PORESCOPE_VECTORS
TileExtractor avx2_tile_extractor(int layers);
TileExtractor avx512_tile_extractor(int layers);
#endif

}  // namespace porescope
