// The union of what rays cross, as disjoint stretches of solid: the first few of each column.
#pragma once

#include <cmath>
#include <cstdint>

#include "lanes.hpp"
#include "platform.hpp"
#include "primitives.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

// Keeps the `kept` uppermost stretches of each lane. What finds no place is noted in `lost`, what
// rounding may have decided in `doubtful`; a lane whose answer reaches that deep is done again.
template <typename Lane, int kept>
struct Column {
    Lane enter[kept], leave[kept];  // in no order; empty places are infinite
    Lane first;                     // the uppermost entry below the plane
    Index<Lane> first_number;       // of the primitive entered there
    Lane lost, doubtful;

    PORESCOPE_HOST_DEVICE Column() : first(INFINITY), first_number(0) {
        for (int k = 0; k < kept; ++k) enter[k] = leave[k] = Lane(INFINITY);
        lost = doubtful = Lane(INFINITY);
    }

    PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void add(const Crossing<Lane>& crossing,
                                                    std::int32_t number,
                                                    const std::int32_t* given_numbers, Lane plane,
                                                    Lane tolerance) {
        const Mask<Lane> hit = crossing.hit & (plane < crossing.leave);
        const Mask<Lane> uncut = hit & (plane < crossing.enter);
        Mask<Lane> close = crossing.hit & ((magnitude(crossing.leave - plane) < tolerance) |
                                           (magnitude(crossing.enter - plane) < tolerance));
        close = close | (uncut & (magnitude(crossing.enter - first) < tolerance));
        const Index<Lane> numbers(number);
        Mask<Lane> closer = uncut & (crossing.enter < first);
        const Mask<Lane> tie = uncut & (crossing.enter == first);
        if (any(tie))
            closer = closer | (tie & (looked_up(given_numbers, numbers) <
                                      looked_up(given_numbers, first_number)));
        first = select(closer, crossing.enter, first);
        first_number = select(closer, numbers, first_number);

        Lane top = select(hit, larger(crossing.enter, plane), Lane(INFINITY));
        Lane bottom = select(hit, crossing.leave, Lane(-INFINITY));
        const Lane high_top = top - tolerance, low_top = top + tolerance;
        const Lane high_bottom = bottom - tolerance, low_bottom = bottom + tolerance;
        // No branches: a wrongly guessed one costs more than all of this.
        for (int k = 0; k < kept; ++k) {
            const Mask<Lane> meets = (high_top <= leave[k]) & (enter[k] <= low_bottom);
            const Mask<Lane> surely = (low_top <= leave[k]) & (enter[k] <= high_bottom);
            close = close | without(meets, surely);
            top = select(meets, smaller(top, enter[k]), top);
            bottom = select(meets, larger(bottom, leave[k]), bottom);
            enter[k] = select(meets, Lane(INFINITY), enter[k]);
            leave[k] = select(meets, Lane(INFINITY), leave[k]);
        }
        doubtful = select(close, smaller(doubtful, larger(crossing.enter, plane)), doubtful);
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
