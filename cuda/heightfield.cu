// Heightfields on a GPU.
//
// A warp takes 8 x 4 pixels, two cells, and works by itself, so that none waits for another. Its
// threads look at 32 spans at once, one each, prepare those that lie over its cells in shared
// memory, and walk through these together, each with its own ray; the warp stops once all its rays
// have their stretches. A ray that rounding may have spoilt is done again in doubles by the whole
// warp, whose threads take turns at the primitives: alone, one thread would keep the others
// waiting.
#include <cmath>
#include <cstdint>

#include "heightfield.hpp"
#include "warp.hpp"

// Given by value, as bytes: a host that lays it out in another way would be misread.
static_assert(sizeof(porescope::BinsView) == 128, "A host's BinsView has this size.");

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {
namespace {

constexpr int warp_columns = 8, warp_rows = warp_size / warp_columns;
constexpr int warps_across = tile_size / warp_columns;
constexpr int warps_a_tile = warps_across * (tile_size / warp_rows);
constexpr int warps_a_block = 2;  // more of them keep places occupied until the last one is done

__device__ int warp_lane() { return static_cast<int>(threadIdx.x) % warp_size; }

// Where a warp's pixels lie.
struct WarpPixels {
    Corner corner;  // of the tile
    std::uint32_t cells;
};

// Prepares the primitives of 32 spans, those that the warp may meet, in shared memory, in order;
// returns how many.
__device__ __noinline__ int prepare_some(const BinsView& bins, const SpanWalk& spans,
                                         std::int64_t first_span, double plane,
                                         const WarpPixels& pixels, Candidate* shared) {
    const std::int64_t mine = first_span + warp_lane();
    Span span{};
    if (mine < spans.count()) span = spans[mine];
    const bool kept = (span.cells & pixels.cells) != 0 && span.end > plane;
    const std::uint32_t all_kept = __ballot_sync(whole_warp, kept);
    const std::uint32_t before = all_kept & ((1u << warp_lane()) - 1);
    __syncwarp();  // the last ones have been read
    if (kept) {
        Candidate candidate{};
        candidate.begin = static_cast<float>(span.begin - pixels.corner.z);
        prepare(candidate.primitive, bins.primitives, span.number, pixels.corner);
        shared[__popc(before)] = candidate;
    }
    __syncwarp();
    return __popc(all_kept);
}

// The primitives that a warp may meet, in the order of the spans.
struct WarpCandidates {
    const BinsView& bins;
    const SpanWalk& spans;
    double plane;
    const WarpPixels& pixels;
    Candidate* shared;
    std::int64_t span_count = spans.count(), next_span = 0;
    std::int32_t first_place = 0, count = 0;

    __device__ const Candidate* operator()(std::int32_t place) {
        while (place >= first_place + count) {
            if (next_span >= span_count) return nullptr;
            first_place += count;
            count = prepare_some(bins, spans, next_span, plane, pixels, shared);
            next_span += warp_size;
        }
        return shared + (place - first_place);
    }

    // By then others may lie in its place.
    __device__ Prepared<float> primitive(std::int32_t number) const {
        Prepared<float> prepared{};
        prepare(prepared, bins.primitives, number, pixels.corner);
        return prepared;
    }
};

struct WarpTeam {
    int rank = warp_lane();
    static constexpr int size = warp_size;

    __device__ WarpTeam() {}

    template <typename Act>
    __device__ static void over_pairs(const Act& act) {
        for (int apart = warp_size / 2; apart > 0; apart /= 2) act(apart);
    }
    __device__ Uppermost uppermost(Uppermost found) const {
        over_pairs([&](int apart) {
            const Uppermost other{__shfl_xor_sync(whole_warp, found.enter, apart),
                                  __shfl_xor_sync(whole_warp, found.leave, apart),
                                  __shfl_xor_sync(whole_warp, found.given_number, apart),
                                  __shfl_xor_sync(whole_warp, found.number, apart)};
            if (other.is_above(found)) found = other;
        });
        return found;
    }
    __device__ double deepest(double found) const {
        over_pairs(
            [&](int apart) { found = larger(found, __shfl_xor_sync(whole_warp, found, apart)); });
        return found;
    }
};

// In a function of its own, so that its registers do not count for the others.
template <int layers>
__device__ __noinline__ Sight<layers> exact_by_warp(const BinsView& bins, const SpanWalk& spans,
                                                    double plane, const Corner& corner, float y,
                                                    float x) {
    return exact_column<layers>(bins, spans, plane, corner, y, x, WarpTeam());
}

template <int layers>
__device__ void extract(const BinsView& bins, double plane, float* entry, float* exit,
                        float* normal) {
    alignas(Candidate)
        __shared__ unsigned char shared[warps_a_block][warp_size * sizeof(Candidate)];
    const int warp = static_cast<int>(threadIdx.x) / warp_size;
    const std::int64_t number = std::int64_t{blockIdx.x} * warps_a_block + warp;
    const std::int64_t tile = number / warps_a_tile;
    const int part = static_cast<int>(number % warps_a_tile);
    const std::int64_t top = tile / bins.tiles_across * tile_size;
    const std::int64_t left = tile % bins.tiles_across * tile_size;
    const int upper = part / warps_across * warp_rows, lefter = part % warps_across * warp_columns;
    if (top + upper >= bins.rows || left + lefter >= bins.columns) return;

    // Outside the image a thread helps on with the ray of the last pixel inside.
    const std::int64_t row = top + upper + warp_lane() / warp_columns;
    const std::int64_t column = left + lefter + warp_lane() % warp_columns;
    const bool inside = row < bins.rows && column < bins.columns;
    const std::int64_t last_row = bins.rows - 1, last_column = bins.columns - 1;
    const float y = static_cast<float>((row < last_row ? row : last_row) - top) + 0.5f;
    const float x = static_cast<float>((column < last_column ? column : last_column) - left) + 0.5f;

    const Corner corner{depth_origin(plane), static_cast<double>(top), static_cast<double>(left),
                        tile_size};
    const SpanWalk spans = spans_below(bins, tile, plane);
    static_assert(warp_rows == cell_size && warp_columns == 2 * cell_size);
    const WarpPixels pixels{corner, 3u << (upper / cell_size * cells_across + lefter / cell_size)};
    WarpCandidates candidates{bins, spans, plane, pixels,
                              reinterpret_cast<Candidate*>(shared[warp])};
    const float plane_z = static_cast<float>(plane - corner.z);
    const View<WarpLanes, layers> seen =
        look<WarpLanes, layers>(bins, plane_z, corner, WarpLanes(y), WarpLanes(x), candidates);
    Sight<layers> sight;
    for (int layer = 0; layer < layers; ++layer) {
        sight.enter[layer] = larger(seen.enter[layer].value - plane_z, 0.f);
        sight.leave[layer] = seen.leave[layer].value - plane_z;
    }
    sight.normal[0] = seen.normal.z.value;
    sight.normal[1] = seen.normal.y.value;
    sight.normal[2] = seen.normal.x.value;

    for (std::uint32_t again = __ballot_sync(whole_warp, seen.unsure.value); again;
         again &= again - 1) {
        const int lane = __ffs(static_cast<int>(again)) - 1;
        const Sight<layers> exact =
            exact_by_warp<layers>(bins, spans, plane, corner, __shfl_sync(whole_warp, y, lane),
                                  __shfl_sync(whole_warp, x, lane));
        if (lane == warp_lane()) sight = exact;
    }
    if (!inside) return;
    const std::int64_t area = std::int64_t{bins.rows} * bins.columns;
    const std::int64_t pixel = row * bins.columns + column;
    for (int layer = 0; layer < layers; ++layer) {
        entry[layer * area + pixel] = sight.enter[layer];
        exit[layer * area + pixel] = sight.leave[layer];
    }
    for (int k = 0; k < 3; ++k) normal[k * area + pixel] = sight.normal[k];
}

}  // namespace
}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope

// A block takes `warps_a_block` of the `warps_a_tile` warps of each tile; entry and exit (layers,
// y, x) and normal (3, y, x) are written whole. Registers are held down to keep 24 warps on a
// multiprocessor: what is spilt for that lies around the seldom calls.
#define PORESCOPE_KERNEL(layers)                                                                 \
    extern "C" __global__ void __launch_bounds__(porescope::warps_a_block* porescope::warp_size, \
                                                 12)                                             \
        heightfield_##layers(const __grid_constant__ porescope::BinsView bins, double plane,     \
                             float* entry, float* exit, float* normal) {                         \
        porescope::extract<layers>(bins, plane, entry, exit, normal);                            \
    }
PORESCOPE_KERNEL(1)
PORESCOPE_KERNEL(2)
PORESCOPE_KERNEL(3)
PORESCOPE_KERNEL(4)
PORESCOPE_KERNEL(5)
PORESCOPE_KERNEL(6)
PORESCOPE_KERNEL(7)
PORESCOPE_KERNEL(8)
