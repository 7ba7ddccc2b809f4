// A beam that comes down on a plane pixel by pixel, and detectors that see what comes back.
#pragma once

#include <cstdint>

#include "transport.hpp"
#include "voxels.hpp"

namespace porescope {

// Which back-scattered electrons a detector sees, and what each adds to its signal.
struct DetectorWindow {
    float lowest_ev, highest_ev;
    float lowest_cosine, highest_cosine;  // with the way back along the beam
    float azimuth_z, azimuth_y, azimuth_x, least_azimuth_cosine;  // around it; -1 takes any
    float weight, weight_per_ev;
};

struct Beam {
    float direction_z, direction_y, direction_x;
    float row;       // of the energy
    float probe_nm;  // standard deviation
    std::int32_t pixels_high, pixels_wide;
    float pixel_nm;
    float first_y_nm, first_x_nm;  // where the first pixel begins
    std::uint32_t electrons;       // a pixel
    const DetectorWindow* windows;
    std::int32_t window_count;
};

// Signals of a pixel, summed as whole numbers of this part of an electron, so that their order does
// not matter.
constexpr float parts_of_electron = 0x1p24f;
enum Signal { backscattered_signal, secondary_signal, transmitted_signal, first_window_signal };

inline namespace PORESCOPE_INSTRUCTION_SET {

// Secondaries at the wall of a pore.
template <typename Lane>
struct Emission {
    Axes<Lane> surface, normal;
    Lane secondaries;
    Lane range_nm;  // of the electron, another one on each flight
    Word<Lane> number, pixel;

    template <typename Visit>
    PORESCOPE_HOST_DEVICE void each_field(const Visit& visit) {
        visit(surface.z), visit(surface.y), visit(surface.x);
        visit(normal.z), visit(normal.y), visit(normal.x);
        visit(secondaries), visit(range_nm), visit(number), visit(pixel);
    }
};

// On their way out of it.
template <typename Lane, typename Geometry>
struct Rays {
    Axes<Lane> position, direction;
    typename Geometry::template Place<Lane> place;
    Lane secondaries, travelled_nm;
    Word<Lane> pixel;

    template <typename Visit>
    PORESCOPE_HOST_DEVICE void each_field(const Visit& visit) {
        visit(position.z), visit(position.y), visit(position.x);
        visit(direction.z), visit(direction.y), visit(direction.x);
        place.each_field(visit);
        visit(secondaries), visit(travelled_nm), visit(pixel);
    }
};

// Electrons that come down on pixels.
template <typename Lane, typename Geometry>
PORESCOPE_HOST_DEVICE Electrons<Lane, Geometry> arriving(const Beam& beam, const Geometry& geometry,
                                                         const MaterialsView& materials,
                                                         PhiloxKey key, Word<Lane> pixel,
                                                         Word<Lane> number, Lane pixel_y,
                                                         Lane pixel_x) {
    const auto numbers = numbers_of<Lane>(key, pixel, number, Word<Lane>(0), start_stream);
    const Lane two(2.0f), nothing(0.0f), half(0.5f);
    const Lane away =
        Lane(beam.probe_nm) * root(two * negative_log(open_unit_float<Lane>(numbers.word[1])));
    const CirclePoint<Lane> around = circle_point(open_unit_float<Lane>(numbers.word[2]));
    const auto within = [&](Lane nm, float per_spacing, std::int32_t count) {
        const Lane end(static_cast<float>(count));
        const Lane at = nm * Lane(per_spacing);
        const Lane low = geometry.periodic ? at + end : nothing - at;
        const Lane high = geometry.periodic ? at - end : two * end - at;
        return smaller(larger(select(at < nothing, low, select(end < at, high, at)), nothing), end);
    };
    Electrons<Lane, Geometry> electrons{};
    const Lane y_nm = Lane(beam.first_y_nm) + (pixel_y + half) * Lane(beam.pixel_nm);
    const Lane x_nm = Lane(beam.first_x_nm) + (pixel_x + half) * Lane(beam.pixel_nm);
    electrons.position = {
        Lane(geometry.plane),
        within(y_nm + away * around.cosine, geometry.per_spacing.y, geometry.height),
        within(x_nm + away * around.sine, geometry.per_spacing.x, geometry.width)};
    electrons.direction = {Lane(beam.direction_z), Lane(beam.direction_y), Lane(beam.direction_x)};
    const auto cell = [](Lane at, std::int32_t count) {
        return smaller(whole_part(at), Index<Lane>(count - 1));
    };
    electrons.place = geometry.template place_of<Lane>(cell(electrons.position.z, geometry.depth),
                                                       cell(electrons.position.y, geometry.height),
                                                       cell(electrons.position.x, geometry.width));
    set_out(electrons, Lane(beam.row), geometry, materials);
    electrons.optical_depth = negative_log(open_unit_float<Lane>(numbers.word[0]));
    electrons.number = number;
    electrons.pixel = pixel;
    return electrons;
}

// Secondaries leave a wall by Lambert's law.
template <typename Lane, typename Geometry>
PORESCOPE_HOST_DEVICE Rays<Lane, Geometry> leaving_wall(const Emission<Lane>& emission,
                                                        const Geometry& geometry, PhiloxKey key) {
    const auto numbers = numbers_of<Lane>(key, emission.pixel, emission.number,
                                          bits_of(emission.range_nm), secondaries_stream);
    const Lane square = open_unit_float<Lane>(numbers.word[1]);
    Rays<Lane, Geometry> rays{};
    rays.direction = turned(emission.normal, root(square), root(Lane(1.0f) - square),
                            open_unit_float<Lane>(numbers.word[2]));
    rays.position =
        geometry.moved(emission.surface, emission.normal, geometry.template off_wall_nm<Lane>());
    const Index<Lane> nothing(0);
    const auto cell = [&](Lane at, std::int32_t count) {
        return smaller(larger(whole_part(at), nothing), Index<Lane>(count - 1));
    };
    rays.place = geometry.template place_of<Lane>(
        larger(cell(rays.position.z, geometry.depth), whole_part(Lane(geometry.plane))),
        cell(rays.position.y, geometry.height), cell(rays.position.x, geometry.width));
    rays.secondaries = emission.secondaries;
    rays.pixel = emission.pixel;
    return rays;
}

// One flight through a pore, to the plane or into a wall.
template <typename Lane, typename Geometry>
PORESCOPE_HOST_DEVICE PORESCOPE_INLINE Ends<Lane> fly(Rays<Lane, Geometry>& rays,
                                                      const Geometry& geometry) {
    const auto ahead = geometry.look(rays.position, rays.direction, rays.place);
    const Lane grace = geometry.template wall_grace_nm<Lane>();
    constexpr float longest_nm = 1e6f;  // along a channel between walls that lead in again
    const Mask<Lane> lost =
        (without(grace < rays.travelled_nm, geometry.material(rays.place) == Index<Lane>(vacuum))) |
        (Lane(longest_nm) < rays.travelled_nm);
    const Mask<Lane> all = Lane(0.0f) == Lane(0.0f);
    const Left<Lane> left =
        geometry.advance(rays.position, rays.direction, rays.place, ahead, ahead.border_nm, all);
    rays.travelled_nm = rays.travelled_nm + ahead.border_nm;
    const Mask<Lane> over = lost | left.above | left.below;
    return {over, {without(left.above, lost), left.below}};
}

// What a detector makes of electrons that come back.
template <typename Lane>
PORESCOPE_HOST_DEVICE Lane window_signal(const DetectorWindow& window, const Beam& beam,
                                         Lane energy_ev, Axes<Lane> direction) {
    const Lane nothing(0.0f);
    const auto part_along = [&](float z, float y, float x) {
        return direction.z * Lane(z) + direction.y * Lane(y) + direction.x * Lane(x);
    };
    const Lane cosine = nothing - part_along(beam.direction_z, beam.direction_y, beam.direction_x);
    Mask<Lane> seen =
        (Lane(window.lowest_ev) <= energy_ev) & (energy_ev <= Lane(window.highest_ev)) &
        (Lane(window.lowest_cosine) <= cosine) & (cosine <= Lane(window.highest_cosine));
    if (window.least_azimuth_cosine > -1) {
        const Lane sine = root(larger(Lane(1.0f) - cosine * cosine, nothing));
        seen = seen & (Lane(window.least_azimuth_cosine) * sine <=
                       part_along(window.azimuth_z, window.azimuth_y, window.azimuth_x));
    }
    return select(seen, Lane(window.weight) + Lane(window.weight_per_ev) * energy_ev, nothing);
}

// What histories that are over tell of their pixels: `add(signal, lanes, pixel, electrons)`.
template <typename Lane, typename Geometry, typename Add>
PORESCOPE_HOST_DEVICE inline void score(const Electrons<Lane, Geometry>& electrons, Mask<Lane> over,
                                        const Left<Lane>& left, const Beam& beam,
                                        const MaterialsView& materials, const Add& add) {
    const Lane one(1.0f);
    const Mask<Lane> above = over & left.above;
    add(backscattered_signal, above, electrons.pixel, one);
    if (beam.window_count > 0 && any(above)) {
        const Lane energy_ev = energy_at(materials, electrons.state.row);
        for (int window = 0; window < beam.window_count; ++window)
            add(first_window_signal + window, above, electrons.pixel,
                window_signal(beam.windows[window], beam, energy_ev, electrons.direction));
    }
    add(transmitted_signal, over & left.below, electrons.pixel, one);
    add(secondary_signal, over & (Lane(0.0f) < electrons.secondaries), electrons.pixel,
        electrons.secondaries);
}
template <typename Lane, typename Geometry, typename Add>
PORESCOPE_HOST_DEVICE inline void score(const Rays<Lane, Geometry>& rays, Mask<Lane> over,
                                        const Left<Lane>& left, const Add& add) {
    add(secondary_signal, over & left.above, rays.pixel, rays.secondaries);
}

PORESCOPE_HOST_DEVICE inline std::int64_t in_parts(float signal) {
    return static_cast<std::int64_t>(signal * parts_of_electron);
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
