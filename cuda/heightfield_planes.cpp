#include "heightfield_planes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "heightfield_tile.hpp"
#include "parallel.hpp"

namespace porescope {
namespace {

constexpr std::size_t tile_area = tile_size * tile_size;
constexpr double sweep_step = 64;  // planes further apart have little in common
constexpr std::size_t most_sweep_bytes = 512u << 20;

struct InstructionSet {
    const char* name;
    bool available;
    TileExtractor (*tile_extractor)(int layers);
};

const std::vector<InstructionSet>& known_sets() {
    static const std::vector<InstructionSet> sets{
#ifdef PORESCOPE_VECTORS
        {"avx512", __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"),
         avx512_tile_extractor},
        {"avx2", static_cast<bool>(__builtin_cpu_supports("avx2")), avx2_tile_extractor},
#endif
        {"plain", true, plain_tile_extractor},
    };
    return sets;
}

const InstructionSet& find_set(const std::string& name) {
    for (const InstructionSet& set : known_sets())
        if (set.available && (name.empty() || name == set.name)) return set;
    throw std::invalid_argument("This processor does not have the instruction set " + name + ".");
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
    for (const InstructionSet& set : known_sets())
        if (set.available) names.push_back(set.name);
    return names;
}

// The last plane, and what is kept of each of its tiles.
struct Sweep {
    double plane;
    int layers;
    const InstructionSet* set;
    std::vector<TileMemory> tiles;
    std::unique_ptr<WorkSpace> space;
    std::unique_ptr<float[]> views;

    // Whether a plane follows on the last one closely.
    bool goes_on_to(double next, int its_layers, const InstructionSet& its_set) const {
        return layers == its_layers && set == &its_set && plane <= next &&
               next - plane <= sweep_step;
    }
};

HeightfieldPlanes::HeightfieldPlanes(Bins bins) : bins_(std::move(bins)) {}
HeightfieldPlanes::~HeightfieldPlanes() = default;

void HeightfieldPlanes::extract(double plane_z, int layers, const std::vector<float*>& channels,
                                std::size_t threads, const std::string& instruction_set) {
    const InstructionSet& set = find_set(instruction_set);
    const TileExtractor extractor = set.tile_extractor(layers);
    const BinsView view = bins_.view();
    const std::size_t rows = bins_.rows(), columns = bins_.columns(), tiles = bins_.tile_count();
    const std::size_t view_floats = channels.size() * tile_area;

    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    Sweep* sweep = nullptr;
    if (lock.owns_lock()) {
        const std::size_t bytes = bins_.span_count() * (extractor.prepared_size + sizeof(Listed)) +
                                  tiles * view_floats * sizeof(float);
        if (!sweep_ || !sweep_->goes_on_to(plane_z, layers, set)) {
            sweep_.reset(new Sweep{plane_z, layers, &set, {}, {}, {}});
        } else if (bytes <= most_sweep_bytes) {
            sweep = sweep_.get();
            if (!sweep->space) {
                sweep->tiles.resize(tiles);
                sweep->space.reset(new WorkSpace(bins_.span_count(), extractor));
                sweep->views.reset(new float[tiles * view_floats]);
            }
        }
        sweep_->plane = plane_z;
    }

    share_out(tiles, threads, [&](const auto& next) {
        const std::size_t longest = bins_.longest_list();
        std::unique_ptr<WorkSpace> own;
        if (!sweep) own.reset(new WorkSpace(longest, extractor));
        std::unique_ptr<std::int32_t[]> lists(new std::int32_t[longest * cell_count]);
        std::vector<float> edge(view_floats);  // of a tile that the image holds in part
        std::vector<float*> places(channels.size());
        for (std::size_t tile; (tile = next()) < tiles;) {
            const std::size_t across = static_cast<std::size_t>(view.tiles_across);
            const std::size_t top = tile / across * tile_size, left = tile % across * tile_size;
            const std::size_t height = std::min<std::size_t>(tile_size, rows - top);
            const std::size_t width = std::min<std::size_t>(tile_size, columns - left);
            const bool whole = height == tile_size && width == tile_size;
            for (std::size_t channel = 0; channel < channels.size(); ++channel)
                places[channel] = whole ? channels[channel] + top * columns + left
                                        : edge.data() + channel * tile_area;

            TileMemory forgotten;
            const WorkSpace& space = sweep ? *sweep->space : *own;
            const std::size_t first_span =
                sweep ? view.slab_begin[tile * (static_cast<std::size_t>(view.slabs) + 1)] : 0;
            const TileWork work{sweep ? &sweep->tiles[tile] : &forgotten,
                                space.prepared.get() + first_span * extractor.prepared_size,
                                space.listed.get() + first_span,
                                lists.get(),
                                sweep ? sweep->views.get() + tile * view_floats : nullptr,
                                places.data(),
                                whole ? columns : tile_size};
            extractor.extract(view, static_cast<std::int64_t>(tile), plane_z, work);
            if (whole) continue;
            for (std::size_t channel = 0; channel < channels.size(); ++channel)
                for (std::size_t row = 0; row < height; ++row)
                    std::memcpy(channels[channel] + (top + row) * columns + left,
                                places[channel] + row * tile_size, width * sizeof(float));
        }
    });
}

}  // namespace porescope
