// Spheres, cylinders and cuboids that overlap in any way, cut at a plane. They lie on a grid of
// voxels, here called cells, that are solid, filler or mixed. In a mixed cell a ray is held against
// the bodies that reach into it, exactly; in others electrons cross many cells at once.
#pragma once

#include <cstdint>

#include "voxels.hpp"

namespace porescope {

constexpr std::int32_t mixed = 255;  // material of cells of solid and filler

// A centre, three lengths and up to two axes: of a sphere its radius; of a cylinder its radius,
// half its height and its axis; of a cuboid the halves of its edges and the first two of its axes.
// In nm.
constexpr std::int32_t numbers_of_body = 12;
constexpr float far_nm = 1e30f;

inline namespace PORESCOPE_INSTRUCTION_SET {

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane dot(Axes<Lane> a, Axes<Lane> b) {
    return a.z * b.z + a.y * b.y + a.x * b.x;
}
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> cross_product(Axes<Lane> a, Axes<Lane> b) {
    return {a.y * b.x - a.x * b.y, a.x * b.z - a.z * b.x, a.z * b.y - a.y * b.z};
}
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> scaled(Axes<Lane> a, Lane by) {
    return {a.z * by, a.y * by, a.x * by};
}
// What of a vector is not along an axis.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> across(Axes<Lane> a, Axes<Lane> axis, Lane along_axis) {
    const Lane back = Lane(0.0f) - along_axis;
    return along(a, axis, back, back, back);
}

// Part of a ray, in nm from where it starts; none if it ends before it begins.
template <typename Lane>
struct Stretch {
    Lane enter, leave;
};
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Stretch<Lane> stretch_if(Mask<Lane> mask, Lane enter, Lane leave) {
    return {select(mask, enter, Lane(far_nm)), select(mask, leave, Lane(-far_nm))};
}
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Stretch<Lane> common(Stretch<Lane> a, Stretch<Lane> b) {
    return {larger(a.enter, b.enter), smaller(a.leave, b.leave)};
}

// Rays start at `from`, seen from a body's centre.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Stretch<Lane> through_sphere(Axes<Lane> from, Axes<Lane> direction,
                                                          Lane radius) {
    const Lane nothing(0.0f), middle = nothing - dot(from, direction);
    const Axes<Lane> nearest = along(from, direction, middle, middle, middle);
    const Lane square = radius * radius - dot(nearest, nearest);
    const Lane half = root(larger(square, nothing));
    return stretch_if<Lane>(nothing < square, middle - half, middle + half);
}

// Between two planes, at either side of the centre.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Stretch<Lane> through_slab(Axes<Lane> from, Axes<Lane> direction,
                                                        Axes<Lane> axis, Lane half) {
    const Lane least(1e-12f), slope = dot(direction, axis), at = dot(from, axis);
    const Lane per_slope = Lane(1.0f) / select(magnitude(slope) < least, least, slope);
    const Lane middle = (Lane(0.0f) - at) * per_slope, reach = magnitude(half * per_slope);
    return {middle - reach, middle + reach};
}

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Stretch<Lane> through_cylinder(Axes<Lane> from, Axes<Lane> direction,
                                                            Axes<Lane> axis, Lane radius,
                                                            Lane half_height) {
    const Lane nothing(0.0f), least(1e-10f);
    const Axes<Lane> from_axis = across(from, axis, dot(from, axis));
    const Axes<Lane> turn = across(direction, axis, dot(direction, axis));
    const Lane steepness = dot(turn, turn);
    // Not as B^2 - A C, which cancels where ray and axis are nearly parallel.
    const Lane arm = dot(axis, cross_product(from, direction));
    const Lane square = steepness * radius * radius - arm * arm;
    const Lane per_steepness = Lane(1.0f) / larger(steepness, least);
    const Lane middle = (nothing - dot(from_axis, turn)) * per_steepness;
    const Lane half = root(larger(square, nothing)) * per_steepness;
    const Mask<Lane> parallel = steepness < least;
    const Mask<Lane> inside = dot(from_axis, from_axis) < radius * radius;
    const Mask<Lane> hit = (parallel & inside) | without(nothing < square, parallel);
    return common(stretch_if<Lane>(hit, select(parallel, Lane(-far_nm), middle - half),
                                   select(parallel, Lane(far_nm), middle + half)),
                  through_slab(from, direction, axis, half_height));
}

// The face of a body that a point inside is nearest to, of those farther than `beyond`.
template <typename Lane>
struct NearestFace {
    Lane least;  // of all faces; negative outside the body
    Lane depth;
    Axes<Lane> outward;

    PORESCOPE_HOST_DEVICE void take(Lane face_depth, Axes<Lane> face_outward, Lane beyond) {
        least = smaller(least, face_depth);
        const Mask<Lane> nearer = (beyond < face_depth) & (face_depth < depth);
        depth = select(nearer, face_depth, depth);
        outward = select<Lane>(nearer, face_outward, outward);
    }
    PORESCOPE_HOST_DEVICE void take_sides(Axes<Lane> from, Axes<Lane> axis, Lane half,
                                          Lane beyond) {
        const Lane at = dot(from, axis);
        take(half - at, axis, beyond);
        take(half + at, scaled(axis, Lane(-1.0f)), beyond);
    }
    // The round wall, seen from the middle of it.
    PORESCOPE_HOST_DEVICE void take_round(Axes<Lane> from, Lane radius, Lane beyond) {
        const Lane away = root(dot(from, from));
        take(radius - away, scaled(from, Lane(1.0f) / larger(away, Lane(1e-6f))), beyond);
    }
};

}  // namespace PORESCOPE_INSTRUCTION_SET

// Voxels are its cells; those of solid, and filler between them, have a material in their word.
struct Bodies : Voxels {
    const std::int32_t* first_member;  // of each cell, and the end of all
    const std::int32_t* members;       // bodies that reach into a cell
    const float* numbers;
    std::int32_t spheres, round;  // bodies before are spheres, or else cylinders
    std::int32_t solid, filler;
    float tolerance_nm;  // rounding is less
    bool has_walls;      // of pores

    template <typename Lane>
    struct Place : Voxels::Place<Lane> {
        Index<Lane> material;
        template <typename Visit>
        PORESCOPE_HOST_DEVICE void each_field(const Visit& visit) {
            Voxels::Place<Lane>::each_field(visit);
            visit(material);
        }
    };
    template <typename Lane>
    struct Ahead : Voxels::Ahead<Lane> {
        Mask<Lane> at_wall;  // whether the border is one of a body, not of cells
    };

    template <typename Lane>
    PORESCOPE_HOST_DEVICE static Mask<Lane> is_mixed(const Voxels::Place<Lane>& place) {
        return (place.word & Index<Lane>(0xFF)) == Index<Lane>(mixed);
    }
    // Filler in mixed cells, until a look puts it right.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Place<Lane> place_of(Index<Lane> z, Index<Lane> y, Index<Lane> x) const {
        const Voxels::Place<Lane> cell = Voxels::place_of<Lane>(z, y, x);
        return {cell,
                select(is_mixed<Lane>(cell), Index<Lane>(filler), Voxels::material<Lane>(cell))};
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Index<Lane> material(const Place<Lane>& place) const {
        return place.material;
    }

    template <typename Lane, typename Visit>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE void each_member(Index<Lane> cell, Mask<Lane> lanes,
                                                            const Visit& visit) const {
        Index<Lane> at = looked_up(first_member, cell);
        const Index<Lane> end = looked_up(first_member + 1, cell);
        for (lanes = lanes & (at < end); any(lanes); lanes = lanes & (at < end)) {
            visit(looked_up(members, select(lanes, at, Index<Lane>(0))), lanes);
            at = at + Index<Lane>(1);
        }
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane number(Index<Lane> body, std::int32_t which) const {
        return looked_up(numbers + which, body * Index<Lane>(numbers_of_body));
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Axes<Lane> vector(Index<Lane> body, std::int32_t which) const {
        return {number<Lane>(body, which), number<Lane>(body, which + 1),
                number<Lane>(body, which + 2)};
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Axes<Lane> in_nm(Axes<Lane> position) const {
        return {position.z * Lane(spacing_nm.z), position.y * Lane(spacing_nm.y),
                position.x * Lane(spacing_nm.x)};
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Axes<Lane> from_centre(Index<Lane> body, Axes<Lane> at_nm) const {
        const Axes<Lane> centre = vector<Lane>(body, 0);
        return {at_nm.z - centre.z, at_nm.y - centre.y, at_nm.x - centre.x};
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Stretch<Lane> through(Index<Lane> body, Mask<Lane> lanes,
                                                                 Axes<Lane> at_nm,
                                                                 Axes<Lane> direction) const {
        const Axes<Lane> from = from_centre<Lane>(body, at_nm);
        const Mask<Lane> spherical = lanes & (body < Index<Lane>(spheres));
        const Mask<Lane> rounded = without(lanes & (body < Index<Lane>(round)), spherical);
        const Mask<Lane> angular = without(without(lanes, spherical), rounded);
        Stretch<Lane> stretch{Lane(far_nm), Lane(-far_nm)};
        const auto take = [&](Mask<Lane> mask, Stretch<Lane> found) {
            stretch = {select(mask, found.enter, stretch.enter),
                       select(mask, found.leave, stretch.leave)};
        };
        if (any(spherical)) take(spherical, through_sphere(from, direction, number<Lane>(body, 3)));
        if (any(rounded))
            take(rounded, through_cylinder(from, direction, vector<Lane>(body, 6),
                                           number<Lane>(body, 3), number<Lane>(body, 4)));
        if (any(angular)) {
            const Axes<Lane> half = vector<Lane>(body, 3), first = vector<Lane>(body, 6),
                             second = vector<Lane>(body, 9);
            take(angular,
                 common(common(through_slab(from, direction, first, half.z),
                               through_slab(from, direction, second, half.y)),
                        through_slab(from, direction, cross_product(first, second), half.x)));
        }
        return stretch;
    }

    // Whether rays are in a body, and how far they stay in the union of all, or outside it. They
    // are judged a little ahead of where they start, so that one at a wall is beyond it; bodies
    // that are so close together touch.
    template <typename Lane>
    struct Sight {
        Mask<Lane> inside;
        Lane border_nm;
    };
    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Sight<Lane> sight(Axes<Lane> position,
                                                             Axes<Lane> direction, Index<Lane> cell,
                                                             Mask<Lane> lanes,
                                                             Lane limit_nm) const {
        const Lane tolerance(tolerance_nm);
        const Axes<Lane> at_nm = in_nm<Lane>(position);
        Mask<Lane> inside = without(lanes, lanes);
        Lane reach = tolerance, next(far_nm);
        for (Mask<Lane> growing = lanes; any(growing);) {
            next = select(growing, Lane(far_nm), next);
            each_member<Lane>(cell, growing, [&](Index<Lane> body, Mask<Lane> seen) {
                const Stretch<Lane> stretch = through<Lane>(body, seen, at_nm, direction);
                const Mask<Lane> ahead =
                    seen & (reach < stretch.leave) & (stretch.enter < stretch.leave);
                const Mask<Lane> joins = ahead & (stretch.enter <= reach + tolerance);
                inside = inside | joins;
                reach = select(joins, stretch.leave, reach);
                next = select(without(ahead, joins), smaller(next, stretch.enter), next);
            });
            // One that came too early in the list may join now.
            growing = growing & inside & (next <= reach + tolerance) & (reach < limit_nm);
        }
        return {inside, select(inside, reach, next)};
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Ahead<Lane> look(Axes<Lane> position,
                                                            Axes<Lane> direction,
                                                            const Place<Lane>& place) const {
        Ahead<Lane> ahead{Voxels::look<Lane>(position, direction, place), {}};
        const Mask<Lane> in_mixed = is_mixed<Lane>(place);
        ahead.at_wall = without(in_mixed, in_mixed);
        if (!any(in_mixed)) return ahead;
        const Sight<Lane> seen =
            sight<Lane>(position, direction, index_of<Lane>(place), in_mixed, ahead.border_nm);
        const Mask<Lane> in_solid = place.material == Index<Lane>(solid);
        // What is not as thought stands right before a wall.
        const Mask<Lane> mistaken =
            without(seen.inside, in_solid) | without(in_mixed & in_solid, seen.inside);
        const Lane border = select(mistaken, Lane(0.0f), seen.border_nm);
        ahead.at_wall = in_mixed & (border < ahead.border_nm);
        ahead.border_nm = select(ahead.at_wall, border, ahead.border_nm);
        ahead.first = {without(ahead.first.z, ahead.at_wall), without(ahead.first.y, ahead.at_wall),
                       without(ahead.first.x, ahead.at_wall)};
        return ahead;
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Left<Lane> advance(
        Axes<Lane>& position, Axes<Lane>& direction, Place<Lane>& place, const Ahead<Lane>& ahead,
        Lane path_nm, Mask<Lane> at_border) const {
        const Left<Lane> left =
            Voxels::advance<Lane>(position, direction, place, ahead, path_nm, at_border);
        const Mask<Lane> through_wall = at_border & ahead.at_wall;
        const Mask<Lane> was_solid = place.material == Index<Lane>(solid);
        const Index<Lane> beyond = select(was_solid, Index<Lane>(filler), Index<Lane>(solid));
        place.material = select(is_mixed<Lane>(place), select(through_wall, beyond, place.material),
                                Voxels::material<Lane>(place));
        return left;
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane off_wall_nm() const {
        return Lane(2 * tolerance_nm);
    }
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane wall_grace_nm() const {
        return Lane(-1.0f);
    }

    template <typename Lane>
    PORESCOPE_HOST_DEVICE NearestFace<Lane> nearest_face(Index<Lane> body, Mask<Lane> lanes,
                                                         Axes<Lane> at_nm, Lane beyond) const {
        const Axes<Lane> from = from_centre<Lane>(body, at_nm);
        const Mask<Lane> spherical = lanes & (body < Index<Lane>(spheres));
        const Mask<Lane> rounded = without(lanes & (body < Index<Lane>(round)), spherical);
        const Mask<Lane> angular = without(without(lanes, spherical), rounded);
        NearestFace<Lane> nearest{Lane(far_nm), Lane(far_nm), from};
        const auto take = [&](Mask<Lane> mask, const auto& visit) {
            if (!any(mask)) return;
            NearestFace<Lane> found{Lane(far_nm), Lane(far_nm), from};
            visit(found);
            nearest = {select(mask, found.least, nearest.least),
                       select(mask, found.depth, nearest.depth),
                       select<Lane>(mask, found.outward, nearest.outward)};
        };
        take(spherical, [&](NearestFace<Lane>& found) {
            found.take_round(from, number<Lane>(body, 3), beyond);
        });
        take(rounded, [&](NearestFace<Lane>& found) {
            const Axes<Lane> axis = vector<Lane>(body, 6);
            found.take_sides(from, axis, number<Lane>(body, 4), beyond);
            found.take_round(across(from, axis, dot(from, axis)), number<Lane>(body, 3), beyond);
        });
        take(angular, [&](NearestFace<Lane>& found) {
            const Axes<Lane> half = vector<Lane>(body, 3), first = vector<Lane>(body, 6),
                             second = vector<Lane>(body, 9);
            found.take_sides(from, first, half.z, beyond);
            found.take_sides(from, second, half.y, beyond);
            found.take_sides(from, cross_product(first, second), half.x, beyond);
        });
        return nearest;
    }

    // How far solid goes on beyond a face of one of the bodies, up to a limit; as good as endless
    // beyond the sides of the sample.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE Lane solid_beyond(Axes<Lane> position, Axes<Lane> outward,
                                            Mask<Lane> lanes, Lane limit_nm) const {
        const Lane nothing(0.0f), least(least_cosine);
        const auto outside = [&](Lane at, float low, std::int32_t count) {
            return (at < Lane(low)) | (Lane(static_cast<float>(count)) <= at);
        };
        Mask<Lane> going =
            without(lanes, outside(position.z, plane, depth) | outside(position.y, 0, height) |
                               outside(position.x, 0, width));
        Lane reach = select(going, nothing, Lane(far_nm));
        const auto cell = [&](Lane at, std::int32_t count) {
            return smaller(larger(whole_part(at), Index<Lane>(0)), Index<Lane>(count - 1));
        };
        Place<Lane> place = place_of<Lane>(cell(position.z, depth), cell(position.y, height),
                                           cell(position.x, width));
        Axes<Lane> direction{outward.z + least, outward.y + least, outward.x + least};
        const Mask<Lane> all = nothing == nothing;
        for (; any(going); going = going & (reach < limit_nm)) {
            Ahead<Lane> ahead{Voxels::look<Lane>(position, direction, place), {}};
            const Mask<Lane> in_mixed = going & is_mixed<Lane>(place);
            Mask<Lane> inside = going & (Voxels::material<Lane>(place) == Index<Lane>(solid));
            Lane border = ahead.border_nm;
            if (any(in_mixed)) {
                const Sight<Lane> seen = sight<Lane>(position, direction, index_of<Lane>(place),
                                                     in_mixed, ahead.border_nm);
                inside = inside | seen.inside;
                border = select(seen.inside, smaller(border, seen.border_nm), border);
            }
            going = going & inside;
            if (!any(going)) break;
            reach = select(going, reach + border, reach);
            const Mask<Lane> at_wall = border < ahead.border_nm;
            going = without(going, at_wall);
            ahead.at_wall = without(at_wall, at_wall);
            const Left<Lane> left =
                advance<Lane>(position, direction, place, ahead, ahead.border_nm, all);
            const Mask<Lane> out = going & (left.above | left.below);
            reach = select(out, Lane(far_nm), reach);
        }
        return reach;
    }

    // A secondary leaves where the way out along the normal of a face of any body around it is
    // shortest. The first face to try is that of the body it is deepest in: it can be no nearer.
    template <typename Lane>
    PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Escape<Lane> escape(
        Axes<Lane> origin, const Ahead<Lane>& ahead, const Place<Lane>& place,
        const MaterialsView& materials, Index<Lane> material, Mask<Lane> many) const {
        const Lane nothing(0.0f), far(far_nm);
        const Lane per_nm = looked_up_of_16(materials.per_escape_depth, material);
        const Lane below_plane = (origin.z - Lane(plane)) * Lane(spacing_nm.z);
        Escape<Lane> escape{};
        escape.depth = larger(below_plane, nothing) * per_nm;
        escape.into_pore = nothing < nothing;
        if (!has_walls) return escape;
        const Lane reach(materials.secondary_reach_nm), limit = smaller(below_plane, reach);
        const Mask<Lane> asked =
            (many | (below_plane < reach)) & (place.material == Index<Lane>(solid));
        const Index<Lane> cell = index_of<Lane>(voxel_at<Lane>(origin, place, ahead.free));
        const Axes<Lane> at_nm = in_nm<Lane>(origin);
        Lane depth(-far_nm);
        Axes<Lane> outward{nothing, nothing, nothing};
        each_member<Lane>(cell, asked, [&](Index<Lane> body, Mask<Lane> seen) {
            const NearestFace<Lane> face = nearest_face<Lane>(body, seen, at_nm, Lane(-far_nm));
            const Mask<Lane> deeper = seen & (depth < face.least);
            depth = select(deeper, face.least, depth);
            outward = select<Lane>(deeper, face.outward, outward);
        });
        Lane shortest = limit;
        constexpr int most_faces = 8;
        Mask<Lane> trying = asked & (nothing < depth) & (depth < shortest);
        for (int face = 0; face < most_faces && any(trying); ++face) {
            const Lane beyond = solid_beyond<Lane>(moved(origin, outward, depth), outward, trying,
                                                   shortest - depth);
            const Mask<Lane> found = trying & (depth + beyond < shortest);
            shortest = select(found, depth + beyond, shortest);
            escape.normal = select<Lane>(found, outward, escape.normal);
            escape.into_pore = escape.into_pore | found;
            trying = trying & (nothing < beyond);
            if (!any(trying)) break;
            const Lane tried = depth;
            depth = far;
            each_member<Lane>(cell, trying, [&](Index<Lane> body, Mask<Lane> seen) {
                const NearestFace<Lane> next = nearest_face<Lane>(body, seen, at_nm, tried);
                const Mask<Lane> nearer = seen & (nothing < next.least) & (next.depth < depth);
                depth = select(nearer, next.depth, depth);
                outward = select<Lane>(nearer, next.outward, outward);
            });
            trying = trying & (depth < shortest);
        }
        escape.depth = select(escape.into_pore, shortest * per_nm, escape.depth);
        escape.surface = moved(origin, escape.normal, shortest);
        return escape;
    }
};

}  // namespace porescope
