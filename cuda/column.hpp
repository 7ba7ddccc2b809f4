// The union of what rays cross, as disjoint stretches of solid: the first few of each column.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "lanes.hpp"
#include "platform.hpp"
#include "primitives.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Mask<Lane> is_cut(Lane enter, Lane plane, Lane tolerance) {
    return enter < plane - tolerance;
}

// Whether the plane is so near an end of the first stretch that rounding may have decided.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Mask<Lane> is_near_plane(Lane enter, Lane leave, Lane plane,
                                                      Lane tolerance) {
    return (leave - tolerance <= plane) |
           without(enter - tolerance < plane, is_cut(enter, plane, tolerance));
}

// Keeps the `kept` uppermost stretches of each lane; what finds no place is noted in `lost`.
//
// Rounding must decide nothing: stretches are joined only where they overlap by more than the
// tolerance, and cut, which puts their entry at minus infinity, only where they begin above the
// plane by more. Whatever is closer stays apart and shows in the end, where unsure() sends its lane
// to be done again. Where depths are exact, the tolerance is 0, and touching is overlapping.
template <typename Lane, int kept>
struct Column {
    Lane enter[kept], leave[kept];  // in no order; empty places are infinite
    Lane first, second;             // the uppermost entries below the plane
    Index<Lane> first_number;       // of the primitive entered first
    Lane lost;

    PORESCOPE_HOST_DEVICE Column()
        : first(INFINITY), second(INFINITY), first_number(0), lost(INFINITY) {
        for (int k = 0; k < kept; ++k) enter[k] = leave[k] = Lane(INFINITY);
    }

    // No branches but for ties: a wrongly guessed one costs more than all of this.
    PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void add(const Crossing<Lane>& crossing,
                                                    std::int32_t number,
                                                    const std::int32_t* given_numbers, Lane plane,
                                                    Lane tolerance) {
        const Lane above_plane = plane - tolerance;
        const Mask<Lane> hit = crossing.hit & (above_plane < crossing.leave);
        const Mask<Lane> uncut = hit & (above_plane <= crossing.enter);
        const Index<Lane> numbers(number);
        Mask<Lane> closer = uncut & (crossing.enter < first);
        const Mask<Lane> tie = uncut & (crossing.enter == first);
        if (any(tie))
            closer = closer | (tie & (looked_up(given_numbers, numbers) <
                                      looked_up(given_numbers, first_number)));
        second = select(uncut, smaller(second, larger(first, crossing.enter)), second);
        first = select(closer, crossing.enter, first);
        first_number = select(closer, numbers, first_number);

        Lane top = select(uncut, crossing.enter, select(hit, Lane(-INFINITY), Lane(INFINITY)));
        Lane bottom = select(hit, crossing.leave, Lane(-INFINITY));
        const Lane low_top = top + tolerance, high_bottom = bottom - tolerance;
        for (int k = 0; k < kept; ++k) {
            const Mask<Lane> meets = (low_top <= leave[k]) & (enter[k] <= high_bottom);
            top = select(meets, smaller(top, enter[k]), top);
            bottom = select(meets, larger(bottom, leave[k]), bottom);
            enter[k] = select(meets, Lane(INFINITY), enter[k]);
            leave[k] = select(meets, Lane(INFINITY), leave[k]);
        }
        // Passed along the places, the deeper one of each pair goes on; the deepest falls out.
        for (int k = 0; k < kept; ++k) {
            const Mask<Lane> above = top < enter[k];
            const Lane deeper = larger(top, enter[k]);
            enter[k] = smaller(top, enter[k]);
            const Lane its_bottom = select(above, leave[k], bottom);
            leave[k] = select(above, bottom, leave[k]);
            top = deeper;
            bottom = its_bottom;
        }
        lost = smaller(lost, top);
    }

    // Which lanes rounding, or a lost stretch, may have spoilt. Call when sorted.
    PORESCOPE_HOST_DEVICE Mask<Lane> unsure(int layers, Lane plane, Lane tolerance) const {
        const Lane deepest = smaller(leave[layers - 1], Lane(FLT_MAX));
        const Mask<Lane> cut = is_cut(enter[0], plane, tolerance);
        Mask<Lane> found = (lost <= deepest) | is_near_plane(enter[0], leave[0], plane, tolerance) |
                           without(second - first < tolerance, cut);
        for (int k = 0; k < layers && k + 1 < kept; ++k)
            found = found | (enter[k + 1] - leave[k] < tolerance);
        return found;
    }

    // Order the stretches from the plane down.
    PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void sort() {
        for (int end = kept - 1; end > 0; --end)
            for (int k = 0; k < end; ++k) {
                const Mask<Lane> swapped = enter[k + 1] < enter[k];
                const Lane upper = smaller(enter[k], enter[k + 1]);
                enter[k + 1] = larger(enter[k], enter[k + 1]);
                enter[k] = upper;
                const Lane bottom = select(swapped, leave[k + 1], leave[k]);
                leave[k + 1] = select(swapped, leave[k], leave[k + 1]);
                leave[k] = bottom;
            }
    }
};

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
