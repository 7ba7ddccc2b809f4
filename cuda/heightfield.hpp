// Extended heightfields of primitives: what each pixel sees below a plane.
//
// Rays run through floats, many at a time; the few that rounding could have decided, or that lost a
// stretch for want of a place, are done again by exact_column. Either way a lane's answer depends
// on its own primitives alone, so it is the same for every lane type.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "bins.hpp"
#include "column.hpp"
#include "lanes.hpp"
#include "platform.hpp"
#include "primitives.hpp"

namespace porescope {

inline namespace PORESCOPE_INSTRUCTION_SET {

// What one pixel sees: depths below the plane, normal at the first entry.
template <int layers>
struct Sight {
    float enter[layers], leave[layers], normal[3];
};

// The uppermost entry below a depth: the lowest number of those that begin there.
struct Uppermost {
    double enter, leave;
    std::int32_t given_number, number;  // number is below 0 where there is none

    PORESCOPE_HOST_DEVICE bool is_above(const Uppermost& other) const {
        return enter < other.enter || (enter == other.enter && given_number < other.given_number);
    }
};

// Who works on a column: one thread here, a warp on a GPU. Its members take turns at the spans and
// then agree on what they found.
struct Alone {
    static constexpr int rank = 0, size = 1;
    PORESCOPE_HOST_DEVICE Uppermost uppermost(const Uppermost& found) const { return found; }
    PORESCOPE_HOST_DEVICE double deepest(double found) const { return found; }
};

// In doubles, without a list: each stretch grows until nothing it reaches goes deeper.
template <int layers, typename Team = Alone>
PORESCOPE_HOST_DEVICE inline Sight<layers> exact_column(const BinsView& bins, const SpanWalk& spans,
                                                        double plane, const Corner& corner,
                                                        double y, double x, const Team& team = {}) {
    const Corner from_zero{0, corner.y, corner.x, corner.span};
    Sight<layers> sight;
    for (int k = 0; k < layers; ++k) sight.enter[k] = sight.leave[k] = INFINITY;
    for (int k = 0; k < 3; ++k) sight.normal[k] = 0;
    const auto crossing = [&](const Span& span) {
        Prepared<double> primitive{};
        prepare(primitive, bins.primitives, span.number, from_zero);
        return cross<double>(primitive, y, x);
    };
    double reached = plane;
    for (int layer = 0; layer < layers; ++layer) {
        Uppermost found{INFINITY, INFINITY, INT32_MAX, -1};
        for (std::int64_t k = team.rank; k < spans.count() && spans[k].begin <= found.enter;
             k += team.size) {
            const Crossing<double> next = crossing(spans[k]);
            if (!next.hit || next.leave <= reached) continue;
            const Uppermost one{larger(next.enter, plane), next.leave,
                                bins.primitives.given_numbers[spans[k].number], spans[k].number};
            if (one.is_above(found)) found = one;
        }
        found = team.uppermost(found);
        if (found.number < 0) break;
        const double top = found.enter;
        double bottom = found.leave;
        for (double before = top; before < bottom;) {
            before = bottom;
            for (std::int64_t k = team.rank; k < spans.count() && spans[k].begin <= bottom;
                 k += team.size) {
                const Crossing<double> next = crossing(spans[k]);
                if (next.hit && next.enter <= bottom) bottom = larger(bottom, next.leave);
            }
            bottom = team.deepest(bottom);
        }
        sight.enter[layer] = static_cast<float>(top - plane);
        sight.leave[layer] = static_cast<float>(bottom - plane);
        reached = bottom;
        if (layer > 0) continue;
        sight.normal[0] = 1;
        if (top == plane) continue;
        Prepared<double> primitive{};
        prepare(primitive, bins.primitives, found.number, from_zero);
        const Vector<double> normal = entry_normal<double>(primitive, top, y, x);
        sight.normal[0] = static_cast<float>(normal.z);
        sight.normal[1] = static_cast<float>(normal.y);
        sight.normal[2] = static_cast<float>(normal.x);
    }
    return sight;
}

// Does the doubtful lanes of a crossing again in doubles.
template <typename Lane>
PORESCOPE_COLD PORESCOPE_HOST_DEVICE Crossing<Lane> settled(Crossing<Lane> crossing,
                                                            const BinsView& bins,
                                                            std::int32_t number,
                                                            const Corner& corner, Lane y, Lane x) {
    constexpr int width = LaneTraits<Lane>::width;
    float enter[width], leave[width], hit[width], rows[width], columns[width];
    store(enter, crossing.enter);
    store(leave, crossing.leave);
    store(hit, select(crossing.hit, Lane(1.f), Lane(0.f)));
    store(rows, y);
    store(columns, x);
    Prepared<double> primitive{};
    prepare(primitive, bins.primitives, number, corner);
    const std::uint32_t doubtful = bits(crossing.doubtful);
    for (int lane = 0; lane < width; ++lane) {
        if (!(doubtful >> lane & 1)) continue;
        const Crossing<double> exact = cross<double>(primitive, rows[lane], columns[lane]);
        enter[lane] = static_cast<float>(exact.enter);
        leave[lane] = static_cast<float>(exact.leave);
        hit[lane] = exact.hit ? 1.f : 0.f;
    }
    crossing.enter = load<Lane>(enter);
    crossing.leave = load<Lane>(leave);
    crossing.hit = Lane(0.f) < load<Lane>(hit);
    return crossing;
}

// A primitive that may be met below the plane, by `begin`, counted from the corner, at the
// earliest.
struct Candidate {
    float begin;
    Prepared<float> primitive{};
};

// What a block of rays sees: depths as counted from the corner, normal at the first entry, and
// which lanes are to be done again.
template <typename Lane, int layers>
struct View {
    Lane enter[layers], leave[layers];
    Vector<Lane> normal;
    Mask<Lane> unsure;
};

// Normals where lanes first enter, one primitive after another.
template <typename Lane, int kept, typename CandidateAt>
PORESCOPE_HOST_DEVICE inline Vector<Lane> first_normals(const Column<Lane, kept>& column,
                                                        CandidateAt& candidate, Lane plane, Lane y,
                                                        Lane x) {
    const Lane nothing(0.f);
    const Mask<Lane> cut = column.enter[0] < plane;
    Vector<Lane> normal{select(cut, Lane(1.f), nothing), nothing, nothing};
    Mask<Lane> left = without(column.enter[0] < Lane(INFINITY), cut);
    while (any(left)) {
        const std::int32_t number = first_of(left, column.first_number);
        const Mask<Lane> same = left & (column.first_number == Index<Lane>(number));
        const Prepared<float>& primitive = candidate.primitive(number);
        const Vector<Lane> here = entry_normal(primitive, column.first, y, x);
        normal = {select(same, here.z, normal.z), select(same, here.y, normal.y),
                  select(same, here.x, normal.x)};
        left = without(left, same);
    }
    return normal;
}

// Adds candidates of one shape from `place` on, as long as they are of that shape and some lane
// still looks for its stretches; returns the place of the next, or -1 when all lanes are done.
template <Shape shape, typename Lane, int layers, typename CandidateAt>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE std::int32_t add_run(Column<Lane, layers + 2>& found,
                                                            std::int32_t place,
                                                            const BinsView& bins, Lane plane,
                                                            const Corner& corner, Lane y, Lane x,
                                                            CandidateAt& candidate) {
    constexpr int looks_between = 6;  // primitives between looks how deep lanes still look
    const Lane tolerance(bins.tolerance);
    Column<Lane, layers + 2> column = found;
    int until_look = looks_between;
    float deepest = INFINITY;
    for (;; ++place) {
        const Candidate* const next = candidate(place);
        if (!next || next->primitive.shape != shape) break;
        // Merging may have moved the depth down since the last look, so look again before stopping.
        if (until_look == 0 || next->begin > deepest) {
            column.sort();
            deepest = deepest_of(column.leave[layers - 1]);
            if (next->begin > deepest) {
                place = -1;
                break;
            }
            until_look = looks_between;
        }
        Crossing<Lane> crossing = cross<shape>(next->primitive, y, x);
        if (any(crossing.doubtful))
            crossing = settled(crossing, bins, next->primitive.number, corner, y, x);
        if (!any(crossing.hit)) continue;
        column.add(crossing, next->primitive.number, bins.primitives.given_numbers, plane,
                   tolerance);
        --until_look;
    }
    found = column;
    return place;
}

template <Shape shape>
using OfShape = std::integral_constant<Shape, shape>;

// `candidate(k)` points to the k-th primitive of the tile that ends below the plane, or is null
// behind the last; `candidate.primitive(number)` is one that was a candidate before. (y, x) are
// seen from the corner of the tile.
template <typename Lane, int layers, typename CandidateAt>
PORESCOPE_HOST_DEVICE inline View<Lane, layers> look(const BinsView& bins, float plane_z,
                                                     const Corner& corner, Lane y, Lane x,
                                                     CandidateAt&& candidate) {
    const Lane plane(plane_z);
    Column<Lane, layers + 2> column;
    std::int32_t place = 0;
    const auto add = [&](auto shape) {
        place = add_run<decltype(shape)::value, Lane, layers>(column, place, bins, plane, corner, y,
                                                              x, candidate);
    };
    while (place >= 0) {
        const Candidate* const next = candidate(place);
        if (!next) break;
        switch (next->primitive.shape) {
            case Shape::sphere:
                add(OfShape<Shape::sphere>());
                break;
            case Shape::upright_cylinder:
                add(OfShape<Shape::upright_cylinder>());
                break;
            case Shape::lying_cylinder:
                add(OfShape<Shape::lying_cylinder>());
                break;
            case Shape::tilted_cylinder:
                add(OfShape<Shape::tilted_cylinder>());
                break;
            default:
                add(OfShape<Shape::cuboid>());
        }
    }
    if (place >= 0) column.sort();  // else it has just been
    View<Lane, layers> view;
    for (int layer = 0; layer < layers; ++layer) {
        view.enter[layer] = column.enter[layer];
        view.leave[layer] = column.leave[layer];
    }
    view.normal = first_normals(column, candidate, plane, y, x);
    view.unsure = column.unsure(layers, plane, Lane(bins.tolerance));
    return view;
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
