// A sample of labelled voxels, cut at a plane. Electrons cross a box of voxels of one material at
// once: each voxel knows how far, in voxels along any axis, its material goes on. Positions count
// in voxels; side walls mirror, or lead in again on the other side.
#pragma once

#include <cstdint>

#include "transport.hpp"

namespace porescope {

constexpr std::int32_t most_free_voxels = 255;

struct Voxels {
    const std::uint16_t* words;     // material, and 256 times how far it goes on
    const std::uint32_t* surfaces;  // see surface_of(); null if there are no pores to come out of
    std::int32_t depth, height, width;
    Axes<float> spacing_nm, per_spacing;
    float least_spacing_nm;
    float plane;  // that the beam meets
    bool periodic, porous;

    template <typename Lane>
    struct Place {
        Index<Lane> z, y, x;
        Index<Lane> word;  // of this voxel
        template <typename Visit>
        PORESCOPE_HOST_DEVICE void each_field(const Visit& visit) {
            visit(z), visit(y), visit(x), visit(word);
        }
    };
    template <typename Lane>
    struct Ahead {
        Index<Lane> free;
        Lane border_nm;
        Axes<Lane> bound;           // where the box ends, in the direction of flight
        Axes<Mask<Lane>> backward;  // the direction of flight
        Axes<Mask<Lane>> first;     // the axis along which it ends
    };

    template <typename Lane>
    PORESCOPE_HOST_DEVICE Index<Lane> index_of(Place<Lane> place) const {
        return (place.z * Index<Lane>(height) + place.y) * Index<Lane>(width) + place.x;
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE Place<Lane> place_of(Index<Lane> z, Index<Lane> y, Index<Lane> x) const {
        Place<Lane> place{z, y, x, Index<Lane>(0)};
        place.word = looked_up(words, index_of<Lane>(place));
        return place;
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE Index<Lane> material(Place<Lane> place) const {
        return place.word & Index<Lane>(0xFF);
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Ahead<Lane> look(Axes<Lane> position,
                                                            Axes<Lane> direction,
                                                            Place<Lane> place) const {
        Ahead<Lane> ahead;
        ahead.free = as_index(as_word(place.word) >> 8);
        const Lane nothing(0.0f);
        ahead.backward = {direction.z < nothing, direction.y < nothing, direction.x < nothing};
        const Index<Lane> beyond = ahead.free + Index<Lane>(1);
        const auto bound = [&](Mask<Lane> backward, Index<Lane> at) {
            return as_float(select(backward, at - ahead.free, at + beyond));
        };
        ahead.bound = {larger(bound(ahead.backward.z, place.z), Lane(plane)),
                       bound(ahead.backward.y, place.y), bound(ahead.backward.x, place.x)};
        // One division for all three, as none of them is 0.
        const Lane zy = direction.z * direction.y;
        const Lane per_all = Lane(1.0f) / (zy * direction.x);
        const auto length = [&](Lane bound, Lane position, Lane per_direction, float spacing_nm) {
            return larger((bound - position) * Lane(spacing_nm) * per_direction, nothing);
        };
        const Lane z =
            length(ahead.bound.z, position.z, per_all * (direction.y * direction.x), spacing_nm.z);
        const Lane y =
            length(ahead.bound.y, position.y, per_all * (direction.z * direction.x), spacing_nm.y);
        const Lane x = length(ahead.bound.x, position.x, per_all * zy, spacing_nm.x);
        ahead.border_nm = smaller(z, smaller(y, x));
        ahead.first.z = z == ahead.border_nm;
        ahead.first.y = without(y == ahead.border_nm, ahead.first.z);
        ahead.first.x = without(without(x == ahead.border_nm, ahead.first.z), ahead.first.y);
        return ahead;
    }

    // Where there are pores they may be the way out, so that a border of any kind ends the cover.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane cover(Axes<Lane> position, const Ahead<Lane>& ahead) const {
        const Lane below_plane = (position.z - Lane(plane)) * Lane(spacing_nm.z);
        return porous ? smaller(below_plane, as_float(ahead.free) * Lane(least_spacing_nm))
                      : below_plane;
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE Axes<Lane> moved(Axes<Lane> position, Axes<Lane> direction,
                                           Lane path_nm) const {
        return along(position, direction, path_nm * Lane(per_spacing.z),
                     path_nm * Lane(per_spacing.y), path_nm * Lane(per_spacing.x));
    }

    // The voxel that holds a position, but no farther from another than a number of voxels.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Place<Lane> voxel_at(Axes<Lane> position, Place<Lane> near,
                                               Index<Lane> within) const {
        const auto at = [&](Lane position, Index<Lane> near) {
            return smaller(larger(whole_part(position), near - within), near + within);
        };
        return {at(position.z, near.z), at(position.y, near.y), at(position.x, near.x), near.word};
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Left<Lane> advance(
        Axes<Lane>& position, Axes<Lane>& direction, Place<Lane>& place, const Ahead<Lane>& ahead,
        Lane path_nm, Mask<Lane> at_border) const {
        position = moved(position, direction, path_nm);
        const Place<Lane> here = voxel_at<Lane>(position, place, ahead.free);
        const Index<Lane> step = ahead.free + Index<Lane>(1);
        const auto next = [&](Mask<Lane> crossed, Mask<Lane> backward, Index<Lane> at,
                              Index<Lane> here) {
            return select(crossed, select(backward, at - step, at + step), here);
        };
        const Mask<Lane> crossed_z = at_border & ahead.first.z;
        const Mask<Lane> crossed_y = at_border & ahead.first.y;
        const Mask<Lane> crossed_x = at_border & ahead.first.x;
        position = {select(crossed_z, ahead.bound.z, position.z),
                    select(crossed_y, ahead.bound.y, position.y),
                    select(crossed_x, ahead.bound.x, position.x)};
        const Mask<Lane> above = crossed_z & ahead.backward.z & (ahead.bound.z == Lane(plane));
        const Index<Lane> z = next(crossed_z, ahead.backward.z, place.z, here.z);
        const Mask<Lane> below = without(Index<Lane>(depth - 1) < z, above);
        place.z = select(above | below, place.z, z);
        place.y = next(crossed_y, ahead.backward.y, place.y, here.y);
        place.x = next(crossed_x, ahead.backward.x, place.x, here.x);
        meet_wall(position.y, direction.y, place.y, height);
        meet_wall(position.x, direction.x, place.x, width);
        place.word = looked_up(words, index_of<Lane>(place));
        return {above, below};
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE void meet_wall(Lane& position, Lane& direction, Index<Lane>& at,
                                         std::int32_t count) const {
        const Index<Lane> first(0), last(count - 1);
        const Mask<Lane> out_low = at < first, out_high = last < at;
        if (!any(out_low | out_high)) return;
        if (periodic) {
            at = select(out_low, last, select(out_high, first, at));
            position = select(out_low, Lane(static_cast<float>(count)),
                              select(out_high, Lane(0.0f), position));
        } else {
            at = smaller(larger(at, first), last);
            direction = select(out_low | out_high, Lane(0.0f) - direction, direction);
        }
    }

    // Rays of secondaries start a little before the wall, which is smooth while voxels are not, and
    // may run through voxels of it.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane off_wall_nm() const {
        return Lane(0.75f * least_spacing_nm);
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane wall_grace_nm() const {
        return Lane(1.5f * least_spacing_nm);
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Escape<Lane> escape(
        Axes<Lane> origin, const Ahead<Lane>& ahead, Place<Lane> place,
        const MaterialsView& materials, Index<Lane> material, Mask<Lane>) const {
        const Lane nothing(0.0f);
        const Lane per_nm = looked_up_of_16(materials.per_escape_depth, material);
        const Lane below_plane = (origin.z - Lane(plane)) * Lane(spacing_nm.z);
        Escape<Lane> escape{};
        escape.depth = larger(below_plane, nothing) * per_nm;
        escape.into_pore = nothing < nothing;
        if (surfaces == nullptr) return escape;
        const Place<Lane> voxel = voxel_at<Lane>(origin, place, ahead.free);
        const Word<Lane> word = looked_up(surfaces, index_of<Lane>(voxel));
        const Axes<Lane> inward = direction_of<Lane>(word);
        const Lane half(0.5f);
        const Lane depth = surface_depth_nm<Lane>(word) +
                           inward.z * (origin.z - as_float(voxel.z) - half) * Lane(spacing_nm.z) +
                           inward.y * (origin.y - as_float(voxel.y) - half) * Lane(spacing_nm.y) +
                           inward.x * (origin.x - as_float(voxel.x) - half) * Lane(spacing_nm.x);
        escape.into_pore = depth < below_plane;
        escape.depth = select(escape.into_pore, larger(depth, nothing) * per_nm, escape.depth);
        escape.normal = {nothing - inward.z, nothing - inward.y, nothing - inward.x};
        escape.surface = moved(origin, escape.normal, depth);
        return escape;
    }

    // A surface word holds, for a voxel's centre, the depth below the nearest wall of a pore, in
    // 1/64 nm and up to 511 nm either way, and the direction away from it, as a point of an
    // octahedron.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE static Lane surface_depth_nm(Word<Lane> word) {
        return (as_float(as_index(word & Word<Lane>(0xFFFF))) - Lane(32768.0f)) * Lane(1 / 64.0f);
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE static Axes<Lane> direction_of(Word<Lane> word) {
        const auto coordinate = [&](int shift) {
            const Word<Lane> byte = (word >> shift) & Word<Lane>(0xFF);
            return as_float(as_index(byte)) * Lane(2 / 255.0f) - Lane(1.0f);
        };
        const Lane one(1.0f), nothing(0.0f);
        const Lane y = coordinate(16), x = coordinate(24);
        const Lane z = one - magnitude(y) - magnitude(x);
        const Lane fold = larger(nothing - z, nothing);
        const auto folded = [&](Lane value) {
            return select(value < nothing, value + fold, value - fold);
        };
        const Axes<Lane> to{z, folded(y), folded(x)};
        const Lane length = root(to.z * to.z + to.y * to.y + to.x * to.x);
        return {to.z / length, to.y / length, to.x / length};
    }
};

}  // namespace porescope
