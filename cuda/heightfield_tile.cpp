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

constexpr int cell_size = 4;  // pixels a side; each cell has its own list
constexpr int cells_across = tile_size / cell_size;
constexpr int cell_count = cells_across * cells_across;

struct CellCentres {
    float y[cell_count], x[cell_count];
    constexpr CellCentres() : y(), x() {
        for (int cell = 0; cell < cell_count; ++cell) {
            y[cell] = (static_cast<float>(cell / cells_across) + 0.5f) * cell_size;
            x[cell] = (static_cast<float>(cell % cells_across) + 0.5f) * cell_size;
        }
    }
};
constexpr CellCentres cell_centres;

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
    if (cylinder < 0) __builtin_prefetch(primitives.spheres + number);
    else if (cuboid < 0) __builtin_prefetch(primitives.cylinders + cylinder);
    else __builtin_prefetch(primitives.cuboids + cuboid);
#endif
}

// Which cells of a tile a primitive may meet: those its shadow, a disc drawn along a line, touches.
std::uint32_t cells_below(const Prepared<float>& primitive) {
    float along_y = 0, along_x = 0, low = 0, high = 0, inverse = 0;
    if (primitive.shape == Shape::tilted_cylinder || primitive.shape == Shape::lying_cylinder) {
        along_y = primitive.axes[0][1];
        along_x = primitive.axes[0][2];
        low = primitive.low[0];
        high = primitive.high[0];
        inverse = primitive.inverse_horizontal_squared;
    }
    constexpr float half_diagonal = 0.70710678f * cell_size, margin = 0.01f;
    const float reach = primitive.radius + half_diagonal + margin;
    const Lanes squared(reach * reach);
    std::uint32_t cells = 0;
    for (int cell = 0; cell < cell_count; cell += width) {
        const Lanes y = load<Lanes>(cell_centres.y + cell) - Lanes(primitive.origin[1]);
        const Lanes x = load<Lanes>(cell_centres.x + cell) - Lanes(primitive.origin[2]);
        const Lanes along = (Lanes(along_y) * y + Lanes(along_x) * x) * Lanes(inverse);
        const Lanes nearest = smaller(larger(along, Lanes(low)), Lanes(high));
        const Lanes off_y = y - nearest * Lanes(along_y), off_x = x - nearest * Lanes(along_x);
        cells |= bits(off_y * off_y + off_x * off_x <= squared) << cell;
    }
    return cells;
}

// Primitives are prepared once for all cells of a tile, as far down as one of them looks.
struct Tile {
    const BinsView& bins;
    SpanWalk spans;
    double plane, corner_y, corner_x;
    Candidate* prepared;
    std::int32_t* lists;  // of places in `prepared`, one list after another
    std::int32_t prepared_count = 0, list_count[cell_count] = {};
    std::int64_t next_span = 0;

    const Candidate* candidate(int cell, std::int32_t place) {
        while (place >= list_count[cell])
            if (!prepare_more()) return nullptr;
        return prepared + lists[cell * spans.count() + place];
    }

    // False if there are no more.
    PORESCOPE_COLD bool prepare_more() {
        constexpr std::int64_t at_once = 8;  // fetched ahead, as they lie scattered in memory
        const std::int64_t count = spans.count();
        const std::int64_t end = smaller_of(count, next_span + at_once);
        for (std::int64_t k = end; k < smaller_of(count, end + at_once); ++k)
            prefetch(bins.primitives, spans[k].number);
        if (next_span == end) return false;
        for (; next_span < end; ++next_span) {
            const Span& span = spans[next_span];
            if (span.end <= plane) continue;
            Candidate& candidate = prepared[prepared_count];
            candidate.begin = span.begin;
            prepare(candidate.primitive, bins.primitives, span.number, corner_y, corner_x,
                    tile_size);
            for (std::uint32_t cells = cells_below(candidate.primitive); cells; cells &= cells - 1) {
                const int cell = lowest_bit(cells);
                lists[cell * count + list_count[cell]++] = prepared_count;
            }
            ++prepared_count;
        }
        return true;
    }
};

void put(float* channel, int row, int column, Lanes lanes) {
    float values[width];
    store(values, lanes);
    for (int k = 0; k < block_rows; ++k)
        std::memcpy(channel + (row + k) * tile_size + column, values + k * block_columns,
                    block_columns * sizeof(float));
}

template <int layers>
void extract_block(Tile& tile, int row, int column, float* channels) {
    constexpr int area = tile_size * tile_size;
    const int cell = row / cell_size * cells_across + column / cell_size;
    const Lanes y = load<Lanes>(block_rays.y) + Lanes(static_cast<float>(row));
    const Lanes x = load<Lanes>(block_rays.x) + Lanes(static_cast<float>(column));
    const Lanes plane(static_cast<float>(tile.plane));
    const auto seen = look<Lanes, layers>(
        tile.bins, static_cast<float>(tile.plane), tile.corner_y, tile.corner_x, y, x,
        [&](std::int32_t place) { return tile.candidate(cell, place); });
    for (int layer = 0; layer < layers; ++layer) {
        put(channels + layer * area, row, column, seen.enter[layer] - plane);
        put(channels + (layers + layer) * area, row, column, seen.leave[layer] - plane);
    }
    float* const normal = channels + 2 * layers * area;
    put(normal, row, column, seen.normal.z);
    put(normal + area, row, column, seen.normal.y);
    put(normal + 2 * area, row, column, seen.normal.x);
    const std::uint32_t again = bits(seen.unsure);
    if (!again) return;
    for (int lane = 0; lane < width; ++lane) {
        if (!(again >> lane & 1)) continue;
        const int its_row = row + lane / block_columns, its_column = column + lane % block_columns;
        const Sight<layers> sight =
            exact_column<layers>(tile.bins, tile.spans, tile.plane, tile.corner_y, tile.corner_x,
                                 its_row + 0.5, its_column + 0.5);
        const int place = its_row * tile_size + its_column;
        for (int layer = 0; layer < layers; ++layer) {
            channels[layer * area + place] = sight.enter[layer];
            channels[(layers + layer) * area + place] = sight.leave[layer];
        }
        for (int k = 0; k < 3; ++k) normal[k * area + place] = sight.normal[k];
    }
}

template <int layers>
void extract_tile(const BinsView& bins, std::int64_t number, double plane, void* scratch,
                  float* channels) {
    const std::int64_t down = number / bins.tiles_across, across = number % bins.tiles_across;
    Tile tile{bins,
              {spans_below(bins, number, plane)},
              plane,
              static_cast<double>(down * tile_size),
              static_cast<double>(across * tile_size),
              static_cast<Candidate*>(scratch),
              nullptr};
    tile.lists = reinterpret_cast<std::int32_t*>(tile.prepared + tile.spans.count());
    for (int row = 0; row < tile_size; row += block_rows)
        for (int column = 0; column < tile_size; column += block_columns)
            extract_block<layers>(tile, row, column, channels);
}

}  // namespace
}  // namespace PORESCOPE_INSTRUCTION_SET

#define PORESCOPE_JOINED(set, name) set##_##name
#define PORESCOPE_NAMED(set, name) PORESCOPE_JOINED(set, name)
TileExtractor PORESCOPE_NAMED(PORESCOPE_INSTRUCTION_SET, tile_extractor)(int layers) {
    constexpr TileExtractor::Extract each[] = {
        extract_tile<1>, extract_tile<2>, extract_tile<3>, extract_tile<4>,
        extract_tile<5>, extract_tile<6>, extract_tile<7>, extract_tile<8>};
    static_assert(sizeof each / sizeof *each == max_layers);
    return {each[layers - 1], sizeof(Candidate) + cell_count * sizeof(std::int32_t)};
}

}  // namespace porescope
