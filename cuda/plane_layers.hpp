// Plane layers below z = 0: a bulk, a foil, a stack of films. Lengths in nm.
#pragma once

#include <cstdint>

#include "transport.hpp"

namespace porescope {

struct PlaneRegion {
    float top_nm, bottom_nm;
    float material;
    float attenuation_at_top, attenuation_per_nm;  // of secondaries on their way to z = 0
    float solid_above_nm, solid_below_nm;          // without the region's own
};
constexpr std::int32_t numbers_of_region = sizeof(PlaneRegion) / sizeof(float);

// Region 0 lies above the sample, the last one below it.
struct PlaneLayers {
    const PlaneRegion* regions;
    std::int32_t last;

    template <typename Lane>
    struct Place {
        Index<Lane> region;
        template <typename Visit>
        PORESCOPE_HOST_DEVICE void each_field(const Visit& visit) {
            visit(region);
        }
    };
    template <typename Lane>
    struct Ahead {
        Lane border_nm, top_nm, bottom_nm;
        Index<Lane> place;
        Mask<Lane> up;
    };

    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane number(Index<Lane> region, std::int32_t which) const {
        return looked_up(&regions->top_nm + which, region * Index<Lane>(numbers_of_region));
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Index<Lane> material(Place<Lane> place) const {
        return whole_part(number<Lane>(place.region, 2));
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Ahead<Lane> look(Axes<Lane> position, Axes<Lane> direction,
                                           Place<Lane> place) const {
        const Lane top = number<Lane>(place.region, 0), bottom = number<Lane>(place.region, 1);
        const Mask<Lane> up = direction.z < Lane(0.0f);
        const Lane border = (select(up, top, bottom) - position.z) / direction.z;
        return {larger(border, Lane(0.0f)), top, bottom, place.region, up};
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane cover(Axes<Lane> position, const Ahead<Lane>& ahead) const {
        return smaller(number<Lane>(ahead.place, 5) + (position.z - ahead.top_nm),
                       number<Lane>(ahead.place, 6) + (ahead.bottom_nm - position.z));
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Axes<Lane> moved(Axes<Lane> position, Axes<Lane> direction,
                                           Lane path) const {
        return along(position, direction, path, path, path);
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Escape<Lane> escape(Axes<Lane> origin, const Ahead<Lane>& ahead,
                                              Place<Lane>, const MaterialsView&, Index<Lane>,
                                              Mask<Lane>) const {
        const Lane depth = larger(origin.z - ahead.top_nm, Lane(0.0f));
        Escape<Lane> escape{};
        escape.depth = number<Lane>(ahead.place, 3) + depth * number<Lane>(ahead.place, 4);
        escape.into_pore = depth < Lane(0.0f);
        return escape;
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Left<Lane> advance(Axes<Lane>& position, Axes<Lane>& direction,
                                             Place<Lane>& place, const Ahead<Lane>& ahead,
                                             Lane path, Mask<Lane> at_border) const {
        position = moved(position, direction, path);
        const Index<Lane> one(1), here = ahead.place;
        const Index<Lane> next = select(at_border, select(ahead.up, here - one, here + one), here);
        const Mask<Lane> above = next == Index<Lane>(0), below = next == Index<Lane>(last);
        place.region = select(above | below, here, next);
        return {above, below};
    }
};

}  // namespace porescope
