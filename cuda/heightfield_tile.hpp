// What heightfield_tile.cpp offers for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bins.hpp"

namespace porescope {

// Fills the channels of a tile, each tile_size x tile_size: entries, exits, normal z, y, x.
// `scratch` holds `scratch_size` bytes for each of the tile's spans.
struct TileExtractor {
    using Extract = void (*)(const BinsView& bins, std::int64_t tile, double plane, void* scratch,
                             float* channels);
    Extract extract;
    std::size_t scratch_size;
};

TileExtractor plain_tile_extractor(int layers);
#ifdef PORESCOPE_VECTORS
TileExtractor avx2_tile_extractor(int layers);
TileExtractor avx512_tile_extractor(int layers);
#endif

}  // namespace porescope
