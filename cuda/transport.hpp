// Electrons on their way through a sample, one in each lane: straight flights that cost energy, and
// collisions with atoms that turn them. Written once, for the processor and the GPU; random numbers
// hang on (seed; pixel, electron, collision) alone.
//
// A Geometry says where electrons are and what lies ahead:
//     Place<Lane>                               where, beside the position
//     look(position, direction, place)          an Ahead: .material here, vacuum or a number from
//     1,
//                                               .border_nm to the next border, and what it likes
//     moved(position, direction, path)          a position
//     advance(position, direction, place, ahead, path, at_border)   moves them; says which left
//     cover(position, ahead)                    nm of solid, at least, on any way out
//     escape(origin, ahead, place, materials, material, many)   an Escape of secondaries born
//                                               there; where not `many`, only those at the plane
//                                               are asked for
#pragma once

#include <cstdint>

#include "materials.hpp"
#include "philox.hpp"

namespace porescope {

template <typename Value>
struct Axes {
    Value z, y, x;
};

inline namespace PORESCOPE_INSTRUCTION_SET {

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> select(Mask<Lane> mask, Axes<Lane> yes, Axes<Lane> no) {
    return {select(mask, yes.z, no.z), select(mask, yes.y, no.y), select(mask, yes.x, no.x)};
}

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> along(Axes<Lane> from, Axes<Lane> direction, Lane z, Lane y,
                                              Lane x) {
    return {from.z + direction.z * z, from.y + direction.y * y, from.x + direction.x * x};
}

template <typename Lane, typename Geometry>
struct Electrons {
    Axes<Lane> position, direction;  // in the geometry's units; a unit vector
    typename Geometry::template Place<Lane> place;
    Index<Lane> material;  // the last solid, whose residual range this is
    Lane range_nm;
    State<Lane> state;
    Lane optical_depth;  // up to the next collision, in mean free paths
    Lane secondaries;    // that came out, on average
    Lane deepest;
    Word<Lane> collision, number, pixel;

    template <typename Visit>
    PORESCOPE_HOST_DEVICE void each_field(const Visit& visit) {
        visit(position.z), visit(position.y), visit(position.x);
        visit(direction.z), visit(direction.y), visit(direction.x);
        place.each_field(visit);
        visit(material), visit(range_nm);
        visit(state.row), visit(state.mean_free_path_nm), visit(state.free_path_slope);
        visit(optical_depth), visit(secondaries), visit(deepest);
        visit(collision), visit(number), visit(pixel);
    }
};

// Put electrons of an energy into the material of their place; if that is vacuum, as if they came
// from material 1.
template <typename Lane, typename Geometry>
PORESCOPE_HOST_DEVICE inline void set_out(Electrons<Lane, Geometry>& electrons, Lane row,
                                          const Geometry& geometry,
                                          const MaterialsView& materials) {
    electrons.material = larger(geometry.material(electrons.place), Index<Lane>(1));
    const RangeAndState<Lane> now = at_row(materials, electrons.material, row);
    electrons.range_nm = now.range_nm;
    electrons.state = now.state;
    // As the first flight's end is told too, so that what is lost in between is the flight's alone.
    electrons.state.row = row_at(materials, electrons.material, electrons.range_nm);
}

template <typename Lane>
struct Left {
    Mask<Lane> above, below;  // the sample
};

// Whose histories are over, and which of them left.
template <typename Lane>
struct Ends {
    Mask<Lane> over;
    Left<Lane> left;
};

// How secondaries get out: through how many escape depths, and from where. From the plane that the
// beam meets they are free; from the wall of a pore, which faces along `normal`, perhaps not.
template <typename Lane>
struct Escape {
    Lane depth;
    Mask<Lane> into_pore;
    Axes<Lane> surface, normal;
};

constexpr float most_escape_depths = 5;  // from deeper comes less than one in a hundred
constexpr float least_secondaries = 1;   // that are followed together out of a pore

// What the blocks of random numbers of an electron are for.
enum Stream : std::uint32_t { collisions_stream, start_stream, secondaries_stream };

template <typename Lane>
PORESCOPE_HOST_DEVICE inline PhiloxWords<Word<Lane>> numbers_of(PhiloxKey key, Word<Lane> pixel,
                                                                Word<Lane> electron,
                                                                Word<Lane> collision,
                                                                Stream stream) {
    return philox4x32(PhiloxWords<Word<Lane>>{{collision, electron, pixel, Word<Lane>(stream)}},
                      key);
}

// The two unit vectors normal to a third, without one that is special, a beam's axis neither.
// T. Duff et al., "Building an orthonormal basis, revisited", JCGT 6 (2017) 1.
template <typename Lane>
struct Normals {
    Axes<Lane> first, second;
};
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Normals<Lane> normals_of(Axes<Lane> d) {
    const Lane one(1.0f), nothing(0.0f);
    const Lane sign = select(d.z < nothing, Lane(-1.0f), one);
    const Lane a = Lane(-1.0f) / (sign + d.z), b = d.x * d.y * a;
    return {{nothing - sign * d.x, sign * b, one + sign * d.x * d.x * a},
            {nothing - d.y, sign + d.y * d.y * a, b}};
}

// No direction is 0 along an axis: lengths are divided by it.
constexpr float least_cosine = 1e-12f;

// At an angle to a direction, with a part of a full turn around it.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> turned(Axes<Lane> direction, Lane cosine, Lane sine,
                                               Lane turn) {
    const CirclePoint<Lane> circle = circle_point(turn);
    const Normals<Lane> normals = normals_of(direction);
    const Lane first = sine * circle.cosine, second = sine * circle.sine;
    const auto mixed = [&](Lane main, Lane one, Lane other) {
        return cosine * main + first * one + second * other;
    };
    const Axes<Lane> to{mixed(direction.z, normals.first.z, normals.second.z),
                        mixed(direction.y, normals.first.y, normals.second.y),
                        mixed(direction.x, normals.first.x, normals.second.x)};
    // One Newton step toward length 1, so that rounding does not add up over a thousand collisions.
    const Lane correction = Lane(1.5f) - Lane(0.5f) * (to.z * to.z + to.y * to.y + to.x * to.x);
    const Lane least(least_cosine);
    return {to.z * correction + least, to.y * correction + least, to.x * correction + least};
}

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Axes<Lane> deflected(Axes<Lane> direction, Lane half_versine,
                                                  Lane turn) {
    const Lane one(1.0f);
    return turned(direction, one - (half_versine + half_versine),
                  Lane(2.0f) * root(half_versine * (one - half_versine)), turn);
}

// One flight, to a collision, a border or a stop. `emit(followed, escape, secondaries,
// electrons)` takes those that set out into pores.
template <bool count_secondaries, typename Lane, typename Geometry, typename Emit>
PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Ends<Lane> step(Electrons<Lane, Geometry>& electrons,
                                                       Mask<Lane> alive, const Geometry& geometry,
                                                       const MaterialsView& materials,
                                                       PhiloxKey key, const Emit& emit) {
    const Lane nothing(0.0f);
    const auto ahead = geometry.look(electrons.position, electrons.direction, electrons.place);
    const Mask<Lane> empty = geometry.material(electrons.place) == Index<Lane>(vacuum);
    const Index<Lane> material = electrons.material;
    const Lane residual =
        electrons.range_nm - looked_up_of_16(materials.range_at_cut_off_nm, material);
    // Exact: however it goes on, its energy is spent before it is out.
    const Lane reach = residual * looked_up_of_16(materials.reach_ratio, material) +
                       Lane(count_secondaries ? materials.secondary_reach_nm : 0.0f);
    const Mask<Lane> spent = without(reach < geometry.cover(electrons.position, ahead), empty);

    const Lane free_path = path_of(electrons.state, electrons.optical_depth);
    const Lane inside = smaller(free_path, residual);
    const Mask<Lane> at_border = empty | (ahead.border_nm < inside);
    const Lane path = select(at_border, ahead.border_nm, inside);
    const Lane path_in_solid = select(empty, nothing, path);
    const State<Lane> before = electrons.state;
    electrons.range_nm = electrons.range_nm - path_in_solid;
    electrons.state.row = row_at(materials, material, electrons.range_nm);
    const Mask<Lane> collided = without(free_path < residual, at_border);
    const auto numbers = numbers_of<Lane>(key, electrons.pixel, electrons.number,
                                          electrons.collision, collisions_stream);

    if (count_secondaries) {
        // Energy is lost evenly along so short a path: its secondaries are born at one random point
        // of it.
        const Lane birth = coarse_unit_float<Lane>(numbers.word[1]) * path;
        // Few are followed out of pores, each for all that it stands for.
        const Lane chance =
            coarse_unit_float<Lane>(numbers.word[3] >> 16) * Lane(least_secondaries);
        const Lane per_ev = Lane(0.5f) * looked_up_of_16(materials.secondaries_per_ev, material);
        const Mask<Lane> many =
            chance < per_ev * lost_and_decayed(materials, before.row, electrons.state.row, nothing);
        const auto escape =
            geometry.escape(geometry.moved(electrons.position, electrons.direction, birth), ahead,
                            electrons.place, materials, material, many);
        const Mask<Lane> near = without(alive & (escape.depth < Lane(most_escape_depths)), empty);
        if (any(near)) {
            const Lane made =
                per_ev * lost_and_decayed(materials, before.row, electrons.state.row, escape.depth);
            const Mask<Lane> from_walls = near & escape.into_pore;
            electrons.secondaries =
                electrons.secondaries + select(without(near, from_walls), made, nothing);
            const Mask<Lane> followed = from_walls & (chance < made);
            if (any(followed))
                emit(followed, escape, larger(made, Lane(least_secondaries)), electrons);
        }
    }

    const Left<Lane> left = geometry.advance(electrons.position, electrons.direction,
                                             electrons.place, ahead, path, at_border);
    const Index<Lane> next = geometry.material(electrons.place);
    electrons.material = select(next == Index<Lane>(vacuum), material, next);
    const RangeAndState<Lane> now = at_row(materials, electrons.material, electrons.state.row);
    electrons.range_nm = select(electrons.material == material, electrons.range_nm, now.range_nm);
    electrons.state = now.state;
    electrons.deepest = larger(electrons.deepest, electrons.position.z);
    electrons.optical_depth =
        larger(electrons.optical_depth - optical_depth_of(before, path_in_solid), nothing);
    if (any(collided)) {
        const Lane half_versine = deflection(materials, material, electrons.state.row,
                                             coarse_unit_float<Lane>(numbers.word[3]),
                                             open_unit_float<Lane>(numbers.word[2]));
        electrons.direction =
            select<Lane>(collided,
                         deflected(electrons.direction, half_versine,
                                   coarse_unit_float<Lane>(numbers.word[1] >> 16)),
                         electrons.direction);
        electrons.optical_depth =
            select(collided, negative_log(open_unit_float<Lane>(numbers.word[0])),
                   electrons.optical_depth);
        electrons.collision =
            select(collided, electrons.collision + Word<Lane>(1), electrons.collision);
    }
    const Mask<Lane> stopped = without(residual <= free_path, at_border);
    const Mask<Lane> over = left.above | left.below | spent | stopped;
    return {over, left};
}

// The first collision of electrons that set out in a solid.
template <typename Lane>
struct Collision {
    Lane path_nm;
    Axes<Lane> direction;  // after it
};
template <typename Lane>
PORESCOPE_HOST_DEVICE Collision<Lane> first_collision(const MaterialsView& materials,
                                                      Index<Lane> material, Lane row,
                                                      Axes<Lane> direction, PhiloxKey key,
                                                      Word<Lane> number) {
    const Word<Lane> first(0);
    const State<Lane> state = at_row(materials, material, row).state;
    const auto start = numbers_of<Lane>(key, first, number, first, start_stream);
    const auto numbers = numbers_of<Lane>(key, first, number, first, collisions_stream);
    const Lane half_versine =
        deflection(materials, material, row, coarse_unit_float<Lane>(numbers.word[3]),
                   open_unit_float<Lane>(numbers.word[2]));
    return {path_of(state, negative_log(open_unit_float<Lane>(start.word[0]))),
            deflected(direction, half_versine, coarse_unit_float<Lane>(numbers.word[1] >> 16))};
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
