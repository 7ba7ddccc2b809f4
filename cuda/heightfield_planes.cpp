#include "heightfield_planes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "heightfield_tile.hpp"
#include "instruction_sets.hpp"
#include "parallel.hpp"

namespace porescope {
namespace {

constexpr std::size_t tile_area = tile_size * tile_size;
// Handed out together: neighbours lie in the same cache lines of the image.
constexpr std::size_t tiles_at_once = 8;
constexpr std::size_t most_sweep_bytes = 512u << 20;

using TileSet = InstructionSet<TileExtractor (*)(int layers)>;

const std::vector<TileSet>& known_sets() {
    static const std::vector<TileSet> sets{
#ifdef PORESCOPE_VECTORS
        {"avx512", avx512_tile_extractor},
        {"avx2", avx2_tile_extractor},
#endif
        {"plain", plain_tile_extractor},
    };
    return sets;
}

void prefetch_to_write(const float* pixel) {
#if defined(__GNUC__)
    __builtin_prefetch(pixel, 1);
#endif
}

// Memory for the work on tiles with `spans` spans together.
struct WorkSpace {
    WorkSpace(std::size_t spans, const TileExtractor& extractor)
        : prepared(new std::byte[spans * extractor.prepared_size]), listed(new Listed[spans]) {}
    std::unique_ptr<std::byte[]> prepared;
    std::unique_ptr<Listed[]> listed;
};

}  // namespace

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const TileSet& set : known_sets())
        if (runs_here(set.name)) names.push_back(set.name);
    return names;
}

// The last plane, and what is kept of each of its tiles.
struct Sweep {
    double plane;
    int layers;
    const TileSet* set;
    std::vector<TileMemory> tiles;
    std::unique_ptr<WorkSpace> space;
    std::unique_ptr<float[]> views;

    bool is_for(int its_layers, const TileSet& its_set) const {
        return layers == its_layers && set == &its_set;
    }
};

HeightfieldPlanes::HeightfieldPlanes(Bins bins) : bins_(std::move(bins)) {}
HeightfieldPlanes::~HeightfieldPlanes() = default;

void HeightfieldPlanes::extract(double plane_z, int layers, const std::vector<float*>& channels,
                                std::size_t threads, const std::string& instruction_set) {
    const TileSet& set = find_set(known_sets(), instruction_set);
    const TileExtractor extractor = set.offer(layers);
    const BinsView view = bins_.view();
    const std::size_t rows = bins_.rows(), columns = bins_.columns(), tiles = bins_.tile_count();
    const std::size_t view_floats = channels.size() * tile_area;

    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    Sweep* sweep = nullptr;
    if (lock.owns_lock()) {
        const std::size_t bytes = bins_.span_count() * (extractor.prepared_size + sizeof(Listed)) +
                                  tiles * view_floats * sizeof(float);
        if (!sweep_ || !sweep_->is_for(layers, set)) {
            sweep_.reset(new Sweep{plane_z, layers, &set, {}, {}, {}});
        } else if (follows_closely(sweep_->plane, plane_z) && bytes <= most_sweep_bytes) {
            sweep = sweep_.get();
            if (!sweep->space) {
                sweep->tiles.resize(tiles);
                sweep->views.reset(new float[tiles * view_floats]);
                sweep->space.reset(new WorkSpace(bins_.span_count(), extractor));
            }
        }
        sweep_->plane = plane_z;
    }

    const std::size_t runs = (tiles + tiles_at_once - 1) / tiles_at_once;
    share_out(runs, threads, [&](const auto& next) {
        const std::size_t longest = bins_.longest_list();
        std::unique_ptr<WorkSpace> own;
        if (!sweep) own.reset(new WorkSpace(longest, extractor));
        std::unique_ptr<std::int32_t[]> lists(new std::int32_t[longest * cell_count]);
        std::vector<float> pixels(view_floats);
        const auto extract_one = [&](std::size_t tile) {
            const std::size_t across = static_cast<std::size_t>(view.tiles_across);
            const std::size_t top = tile / across * tile_size, left = tile % across * tile_size;
            const std::size_t height = std::min<std::size_t>(tile_size, rows - top);
            const std::size_t width = std::min<std::size_t>(tile_size, columns - left);
            const auto over_rows = [&](const auto& act) {
                const float* from = pixels.data();
                for (float* const channel : channels)
                    for (std::size_t row = 0; row < tile_size; ++row, from += tile_size)
                        if (row < height) act(channel + (top + row) * columns + left, from);
            };
            // The image lies in no cache: fetched for the next tile while this one is looked at.
            over_rows([&](float* to, const float*) { prefetch_to_write(to + 2 * tile_size - 1); });

            TileMemory forgotten;
            const WorkSpace& space = sweep ? *sweep->space : *own;
            const std::size_t first_span =
                sweep ? view.slab_begin[tile * (static_cast<std::size_t>(view.slabs) + 1)] : 0;
            const TileWork work{sweep ? &sweep->tiles[tile] : &forgotten,
                                space.prepared.get() + first_span * extractor.prepared_size,
                                space.listed.get() + first_span,
                                lists.get(),
                                sweep ? sweep->views.get() + tile * view_floats : nullptr,
                                pixels.data()};
            extractor.extract(view, static_cast<std::int64_t>(tile), plane_z, work);
            if (width == tile_size)  // a length known beforehand is copied faster
                over_rows([&](float* to, const float* from) {
                    std::memcpy(to, from, tile_size * sizeof(float));
                });
            else
                over_rows([&](float* to, const float* from) {
                    std::memcpy(to, from, width * sizeof(float));
                });
        };
        for (std::size_t run; (run = next()) < runs;)
            for (std::size_t k = run * tiles_at_once;
                 k < std::min(tiles, (run + 1) * tiles_at_once); ++k)
                extract_one(k);
    });
}

}  // namespace porescope
