// Plane layers below z = 0: a bulk, a foil, a stack of films.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "transport.hpp"

namespace porescope {

struct PlaneRegion {
    float top_nm, bottom_nm;
    std::int32_t material;
    float attenuation_at_top, attenuation_per_nm;
    float solid_above_nm, solid_below_nm;  // without the region's own
};

// Region 0 lies above the sample, the last one below it.
struct PlaneLayers {
    const PlaneRegion* regions;
    std::int32_t last;

    PORESCOPE_HOST_DEVICE std::int32_t material(std::int32_t region) const {
        return regions[region].material;
    }
    PORESCOPE_HOST_DEVICE bool outside(std::int32_t region) const {
        return region == 0 || region == last;
    }
    PORESCOPE_HOST_DEVICE float to_border(Axes position, Axes direction,
                                          std::int32_t region) const {
        // One that flies along the layers would otherwise never come to a number.
        constexpr float slowest = 1e-6f;
        const PlaneRegion& here = regions[region];
        const bool up = direction.z < 0.0f;
        const float speed = up ? -direction.z : direction.z;
        const float height = up ? position.z - here.top_nm : here.bottom_nm - position.z;
        const float distance = height / (speed > slowest ? speed : slowest);
        return distance > 0.0f ? distance : 0.0f;
    }
    PORESCOPE_HOST_DEVICE std::int32_t beyond(Axes direction, std::int32_t region) const {
        return direction.z < 0.0f ? region - 1 : region + 1;
    }
    PORESCOPE_HOST_DEVICE float attenuation(Axes position, std::int32_t region) const {
        const PlaneRegion& here = regions[region];
        const float depth = position.z - here.top_nm;
        return here.attenuation_at_top + (depth > 0.0f ? depth : 0.0f) * here.attenuation_per_nm;
    }
    PORESCOPE_HOST_DEVICE float cover(Axes position, std::int32_t region) const {
        const PlaneRegion& here = regions[region];
        const float above = here.solid_above_nm + (position.z - here.top_nm);
        const float below = here.solid_below_nm + (here.bottom_nm - position.z);
        return above < below ? above : below;
    }
};

// The regions of layers given from the top, each with a material (vacuum too) and a thickness, of
// which the last may be infinite. A secondary that comes to a gap does not get over it.
inline std::vector<PlaneRegion> plane_regions(const std::vector<std::int32_t>& material,
                                              const std::vector<float>& thickness_nm,
                                              const MaterialsView& materials) {
    constexpr float far = std::numeric_limits<float>::infinity();
    std::vector<PlaneRegion> regions{{-far, 0, vacuum, 0, 0, 0, 0}};
    float top = 0, attenuation = 0, solid = 0;
    for (std::size_t layer = 0; layer < material.size(); ++layer) {
        const float thickness = thickness_nm[layer];
        const bool filled = material[layer] != vacuum;
        const float per_nm =
            filled ? materials.constants[material[layer] - 1].inverse_escape_nm : 0;
        if (!filled) attenuation = far;
        regions.push_back({top, top + thickness, material[layer], attenuation, per_nm, solid, 0});
        top += thickness;
        attenuation += thickness * per_nm;
        if (filled) solid += thickness;
    }
    regions.push_back({top, far, vacuum, far, 0, solid, 0});
    solid = 0;
    for (std::size_t region = regions.size() - 1; region-- > 1;) {
        regions[region].solid_below_nm = solid;
        if (regions[region].material != vacuum)
            solid += regions[region].bottom_nm - regions[region].top_nm;
    }
    return regions;
}

}  // namespace porescope
