// Labelled voxels made ready for electrons, once for all planes: how far the material of each goes
// on along the axes, to the nearest voxel of another kind or the end of the sample.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "voxels.hpp"

namespace porescope {

// Words for Voxels, one more than there are voxels: lanes read beyond the last. The distance, that
// of a king on a chessboard, follows from neighbours before and then from those behind.
inline std::vector<std::uint16_t> voxel_words(const std::uint8_t* material, std::ptrdiff_t depth,
                                              std::ptrdiff_t height, std::ptrdiff_t width) {
    const std::ptrdiff_t slice = height * width, size = depth * slice;
    const std::ptrdiff_t before[] = {-slice - width - 1,
                                     -slice - width,
                                     -slice - width + 1,
                                     -slice - 1,
                                     -slice,
                                     -slice + 1,
                                     -slice + width - 1,
                                     -slice + width,
                                     -slice + width + 1,
                                     -width - 1,
                                     -width,
                                     -width + 1,
                                     -1};
    std::vector<std::uint8_t> free(static_cast<std::size_t>(size), 0);
    const auto pass = [&](bool forward) {
        const std::ptrdiff_t sense = forward ? 1 : -1;
        for (std::ptrdiff_t z = 1; z < depth - 1; ++z)
            for (std::ptrdiff_t y = 1; y < height - 1; ++y)
                for (std::ptrdiff_t x = 1; x < width - 1; ++x) {
                    const std::ptrdiff_t from_start = z * slice + y * width + x;
                    const std::ptrdiff_t at = forward ? from_start : size - 1 - from_start;
                    int least = forward ? most_free_voxels : free[at];
                    for (const std::ptrdiff_t offset : before) {
                        const std::ptrdiff_t other = at + sense * offset;
                        least =
                            std::min(least, material[other] == material[at] ? free[other] + 1 : 0);
                    }
                    free[at] = static_cast<std::uint8_t>(least);
                }
    };
    pass(true);
    pass(false);
    std::vector<std::uint16_t> words(static_cast<std::size_t>(size) + 1);
    for (std::ptrdiff_t at = 0; at < size; ++at)
        words[at] = static_cast<std::uint16_t>(material[at] | free[at] << 8);
    return words;
}

}  // namespace porescope
