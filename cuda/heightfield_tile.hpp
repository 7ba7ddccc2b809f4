// What heightfield_tile.cpp offers for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "bins.hpp"

namespace porescope {

// What is known of a tile from one plane to the next below it.
struct TileMemory {
    double plane = std::numeric_limits<double>::infinity();  // nothing is known yet
    SpanWalk spans{};                                         // of the first of these planes
    std::int64_t next_span = 0;                               // to be prepared
    std::int32_t prepared_count = 0;
};

// Where a tile works. `prepared` and `cells` have a place for each of its spans, `lists` one for
// each and cell, `channels` tile_size x tile_size floats for each of entries, exits, normal z, y, x.
// `kept_views`, as large as the channels, goes with the memory, or is null where none is kept.
struct TileWork {
    TileMemory* memory;
    void* prepared;
    std::uint16_t* cells;
    std::int32_t* lists;
    void* kept_views;
    float* channels;
};

struct TileExtractor {
    using Extract = void (*)(const BinsView& bins, std::int64_t tile, double plane,
                             const TileWork& work);
    Extract extract;
    std::size_t prepared_size;  // bytes of one
    std::size_t cell_count;
};

TileExtractor plain_tile_extractor(int layers);
#ifdef PORESCOPE_VECTORS
TileExtractor avx2_tile_extractor(int layers);
TileExtractor avx512_tile_extractor(int layers);
#endif

}  // namespace porescope
