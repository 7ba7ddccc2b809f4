// The heightfield of one tile on the CPU. Compiled once for each instruction set.
#include "heightfield_tile.hpp"

#include <cstring>

#include "heightfield.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {
namespace {

constexpr int width = LaneTraits<Lanes>::width;
constexpr int block_columns = width == 1 ? 1 : 4;
constexpr int block_rows = width / block_columns;

// Where the rays of a block lie, from its corner.
struct BlockRays {
    float y[width], x[width];
    constexpr BlockRays() : y(), x() {
        for (int lane = 0; lane < width; ++lane) {
            y[lane] = static_cast<float>(lane / block_columns) + 0.5f;
            x[lane] = static_cast<float>(lane % block_columns) + 0.5f;
        }
    }
};
constexpr BlockRays block_rays;

std::int64_t smaller_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

int lowest_bit(std::uint32_t bits) {
#if defined(__GNUC__)
    return __builtin_ctz(bits);
#else
    int place = 0;
    while (!(bits >> place & 1)) ++place;
    return place;
#endif
}

void prefetch(const PrimitivesView& primitives, std::int32_t number) {
#if defined(__GNUC__)
    const std::int32_t cylinder = number - primitives.sphere_count;
    const std::int32_t cuboid = cylinder - primitives.cylinder_count;
    if (cylinder < 0)
        __builtin_prefetch(primitives.spheres + number);
    else if (cuboid < 0)
        __builtin_prefetch(primitives.cylinders + cylinder);
    else
        __builtin_prefetch(primitives.cuboids + cuboid);
#endif
}

struct Place {
    int cell, row, column;  // of the pixel in the upper left corner, from that of the tile
};

Place place_of(int block) {
    constexpr int across = tile_size / block_columns;
    const int row = block / across * block_rows, column = block % across * block_columns;
    return {row / cell_size * cells_across + column / cell_size, row, column};
}

// A tile and one plane through it. Primitives are prepared once for all cells, as far down as one
// of them looks, and stay so for the planes that follow.
template <int layers>
struct Tile {
    const BinsView& bins;
    TileMemory& memory;
    Candidate* prepared;
    Listed* listed;
    std::int32_t* lists;  // for each cell, places in `prepared`
    double plane;
    Corner corner;
    std::uint32_t open_cells = 0;  // that look for their stretches
    std::int32_t list_count[cell_count] = {};

    const Candidate* candidate(int cell, std::int32_t place) {
        while (place >= list_count[cell])
            if (!prepare_more()) return nullptr;
        return prepared + lists[cell * memory.spans.count() + place];
    }

    void enlist(std::int32_t place) {
        for (std::uint32_t left = listed[place].cells & open_cells; left; left &= left - 1) {
            const int cell = lowest_bit(left);
            lists[cell * memory.spans.count() + list_count[cell]++] = place;
        }
    }

    // False if there are no more.
    PORESCOPE_COLD bool prepare_more() {
        constexpr std::int64_t at_once = 8;  // fetched ahead, as they lie scattered in memory
        const std::int64_t count = memory.spans.count();
        const std::int64_t end = smaller_of(count, memory.next_span + at_once);
        for (std::int64_t k = end; k < smaller_of(count, end + at_once); ++k)
            prefetch(bins.primitives, memory.spans[k].number);
        if (memory.next_span == end) return false;
        for (; memory.next_span < end; ++memory.next_span) {
            const Span& span = memory.spans[memory.next_span];
            if (span.end <= plane) continue;
            const std::int32_t place = memory.prepared_count++;
            prepared[place].begin = static_cast<float>(span.begin - corner.z);
            prepare(prepared[place].primitive, bins.primitives, span.number, corner);
            listed[place] = {span.end, span.cells};
            enlist(place);
        }
        return true;
    }

    // Takes up the primitives that earlier planes have prepared and that end below this one.
    void enlist_prepared() {
        std::int32_t ended = 0;
        for (std::int32_t place = 0; place < memory.prepared_count; ++place) {
            if (listed[place].end <= plane)
                ++ended;
            else
                enlist(place);
        }
        memory.mostly_ended = 2 * ended > memory.prepared_count;
    }

    void forget_ended() {
        std::int32_t kept = 0;
        for (std::int32_t place = 0; place < memory.prepared_count; ++place) {
            if (listed[place].end <= plane) continue;
            prepared[kept] = prepared[place];
            listed[kept++] = listed[place];
        }
        memory.prepared_count = kept;
        memory.mostly_ended = false;
    }
};

template <int layers>
struct CellCandidates {
    Tile<layers>& tile;
    int cell;

    PORESCOPE_INLINE const Candidate* operator()(std::int32_t place) {
        return tile.candidate(cell, place);
    }

    // Found by looking through the list again, from above: shorter than preparing it again.
    const Prepared<float>& primitive(std::int32_t number) {
        std::int32_t place = 0;
        while (tile.candidate(cell, place)->primitive.number != number) ++place;
        return tile.candidate(cell, place)->primitive;
    }
};

// A block's part of a tile's pixels.
struct Block {
    float* pixels;
    Place place;

    void put(int channel, Lanes lanes) const { store_block(at(channel, 0), tile_size, lanes); }

    float* at(int channel, int lane) const {
        const int row = place.row + lane / block_columns;
        const int column = place.column + lane % block_columns;
        return pixels + (channel * tile_size + row) * tile_size + column;
    }

    template <int layers>
    void put(const View<Lanes, layers>& view, Lanes plane) const {
        for (int layer = 0; layer < layers; ++layer) {
            put(layer, larger(view.enter[layer] - plane, Lanes(0.f)));
            put(layers + layer, view.leave[layer] - plane);
        }
        put(2 * layers, view.normal.z);
        put(2 * layers + 1, view.normal.y);
        put(2 * layers + 2, view.normal.x);
    }

    template <int layers>
    void put(const Sight<layers>& sight, int lane) const {
        for (int layer = 0; layer < layers; ++layer) {
            *at(layer, lane) = sight.enter[layer];
            *at(layers + layer, lane) = sight.leave[layer];
        }
        for (int k = 0; k < 3; ++k) *at(2 * layers + k, lane) = sight.normal[k];
    }
};

// Views as they are kept for the planes that follow, lane by lane.
template <int layers>
struct KeptView {
    float values[2 * layers + 3][width];

    void keep(const View<Lanes, layers>& view) {
        for (int layer = 0; layer < layers; ++layer) {
            store(values[layer], view.enter[layer]);
            store(values[layers + layer], view.leave[layer]);
        }
        store(values[2 * layers], view.normal.z);
        store(values[2 * layers + 1], view.normal.y);
        store(values[2 * layers + 2], view.normal.x);
        // What is not sure holds for no other plane.
        if (any(view.unsure))
            store(values[layers], select(view.unsure, Lanes(-INFINITY), view.leave[0]));
    }

    // Whether a plane further down sees the same stretches.
    bool holds(Lanes plane, Lanes tolerance) const {
        const Lanes enter = load<Lanes>(values[0]), leave = load<Lanes>(values[layers]);
        return !any(is_near_plane(enter, leave, plane, tolerance));
    }

    View<Lanes, layers> cut(Lanes plane) const {
        View<Lanes, layers> view;
        for (int layer = 0; layer < layers; ++layer) {
            view.enter[layer] = load<Lanes>(values[layer]);
            view.leave[layer] = load<Lanes>(values[layers + layer]);
        }
        const auto solid = view.enter[0] < plane;
        const Lanes nothing(0.f);
        view.normal = {select(solid, Lanes(1.f), load<Lanes>(values[2 * layers])),
                       select(solid, nothing, load<Lanes>(values[2 * layers + 1])),
                       select(solid, nothing, load<Lanes>(values[2 * layers + 2]))};
        return view;
    }
};

template <int layers>
void prefetch(const KeptView<layers>* kept) {
#if defined(__GNUC__)
    constexpr std::size_t line = 64;
    for (std::size_t k = 0; k < sizeof *kept; k += line)
        __builtin_prefetch(reinterpret_cast<const char*>(kept) + k);
#endif
}

template <int layers>
void extract_tile(const BinsView& bins, std::int64_t number, double plane_z, const TileWork& work) {
    constexpr int blocks = tile_size * tile_size / width;
    TileMemory& memory = *work.memory;
    const SpanWalk spans = spans_below(bins, number, plane_z);
    const double origin = depth_origin(plane_z);
    const bool goes_on = memory.plane >= origin && follows_closely(memory.plane, plane_z);
    if (!goes_on) memory = {plane_z, spans, 0, 0, false};
    memory.plane = plane_z;
    auto* const kept = static_cast<KeptView<layers>*>(work.kept_views);
    Tile<layers> tile{bins,
                      memory,
                      static_cast<Candidate*>(work.prepared),
                      work.listed,
                      work.lists,
                      plane_z,
                      {origin, static_cast<double>(number / bins.tiles_across * tile_size),
                       static_cast<double>(number % bins.tiles_across * tile_size), tile_size}};
    const float below_origin = static_cast<float>(plane_z - origin);
    const Lanes plane(below_origin), tolerance(bins.tolerance);
    bool open[blocks];
    for (int block = 0; block < blocks; ++block) {
        open[block] = !goes_on || !kept || !kept[block].holds(plane, tolerance);
        if (open[block]) tile.open_cells |= 1u << place_of(block).cell;
    }
    if (memory.mostly_ended) tile.forget_ended();
    if (tile.open_cells) tile.enlist_prepared();
    for (int block = 0; block < blocks; ++block) {
        const Block here{work.pixels, place_of(block)};
        if (kept) prefetch(kept + blocks + block);  // of the next tile
        if (!open[block]) {
            here.put(kept[block].cut(plane), plane);
            continue;
        }
        const Lanes y = load<Lanes>(block_rays.y) + Lanes(static_cast<float>(here.place.row));
        const Lanes x = load<Lanes>(block_rays.x) + Lanes(static_cast<float>(here.place.column));
        CellCandidates<layers> candidates{tile, here.place.cell};
        const View<Lanes, layers> view =
            look<Lanes, layers>(bins, below_origin, tile.corner, y, x, candidates);
        here.put(view, plane);
        if (kept) kept[block].keep(view);
        const std::uint32_t again = bits(view.unsure);
        for (int lane = 0; again >> lane; ++lane)
            if (again >> lane & 1)
                here.put(exact_column<layers>(bins, spans, plane_z, tile.corner,
                                              here.place.row + lane / block_columns + 0.5,
                                              here.place.column + lane % block_columns + 0.5),
                         lane);
    }
}

}  // namespace
}  // namespace PORESCOPE_INSTRUCTION_SET

#define PORESCOPE_JOINED(set, name) set##_##name
#define PORESCOPE_NAMED(set, name) PORESCOPE_JOINED(set, name)
TileExtractor PORESCOPE_NAMED(PORESCOPE_INSTRUCTION_SET, tile_extractor)(int layers) {
    constexpr TileExtractor::Extract each[] = {extract_tile<1>, extract_tile<2>, extract_tile<3>,
                                               extract_tile<4>, extract_tile<5>, extract_tile<6>,
                                               extract_tile<7>, extract_tile<8>};
    static_assert(sizeof each / sizeof *each == max_layers);
    return {each[layers - 1], sizeof(Candidate)};
}

}  // namespace porescope
