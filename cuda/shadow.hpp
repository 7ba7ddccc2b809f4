// Which rays a primitive may meet.
#pragma once

#include "lanes.hpp"
#include "platform.hpp"
#include "primitives.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {

// Whether discs of this radius around (y, x) touch the shadow: a disc drawn along a line.
template <typename Lane>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Mask<Lane> touches_shadow(const Prepared<float>& primitive,
                                                                 Lane y, Lane x, float radius) {
    float along_y = 0, along_x = 0, low = 0, high = 0, inverse = 0;
    if (primitive.shape == Shape::tilted_cylinder || primitive.shape == Shape::lying_cylinder) {
        along_y = primitive.axes[0][1];
        along_x = primitive.axes[0][2];
        low = primitive.low[0];
        high = primitive.high[0];
        inverse = primitive.inverse_horizontal_squared;
    }
    constexpr float margin = 0.01f;
    const float reach = primitive.radius + radius + margin;
    const Lane from_y = y - Lane(primitive.origin[1]), from_x = x - Lane(primitive.origin[2]);
    const Lane along = (Lane(along_y) * from_y + Lane(along_x) * from_x) * Lane(inverse);
    const Lane nearest = smaller(larger(along, Lane(low)), Lane(high));
    const Lane off_y = from_y - nearest * Lane(along_y), off_x = from_x - nearest * Lane(along_x);
    return off_y * off_y + off_x * off_x <= Lane(reach * reach);
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
