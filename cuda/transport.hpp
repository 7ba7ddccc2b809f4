// An electron on its way through a sample: straight flights that cost energy, and collisions with
// atoms that turn it. Written once, for the processor and the GPU; random numbers hang on (seed;
// pixel, electron, collision) alone.
//
// A Geometry says where an electron is and what lies ahead:
//     std::int32_t material(region)             vacuum or a number from 1
//     bool outside(region)                      from where nothing leads back
//     float to_border(position, direction, region)   nm, at least 0, infinity if there is none
//     std::int32_t beyond(direction, region)    the region behind that border
//     float attenuation(position, region)       optical depth for secondaries up to the surface
//     float cover(position, region)             nm of solid, at least, on any way out
#pragma once

#include <cmath>
#include <cstdint>

#include "materials.hpp"
#include "philox.hpp"
#include "platform.hpp"

namespace porescope {

struct Axes {
    float z, y, x;
};

PORESCOPE_HOST_DEVICE inline Axes along(Axes from, float path, Axes direction) {
    return {from.z + path * direction.z, from.y + path * direction.y, from.x + path * direction.x};
}

struct Electron {
    Axes position_nm, direction;
    std::int32_t region;
    std::int32_t material;  // the last solid, whose residual range this is
    float range_nm;
    RangeNode now;  // what follows from the range
};

// What became of an electron. `energy_ev` is 0 if it was absorbed.
struct Outcome {
    float energy_ev;
    Axes direction;
    float deepest_nm;
    float secondaries;
};

// What chance says about one flight and the collision at its end.
struct Numbers {
    float optical_depth, birthplace, turn, angle, row, element;
};

PORESCOPE_HOST_DEVICE inline Numbers numbers_of(std::uint64_t seed, std::uint32_t pixel,
                                                std::uint32_t electron, std::uint32_t collision) {
    const PhiloxBlock random =
        philox4x32({{collision, electron, pixel, 0}},
                   {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}});
    return {negative_log(open_unit_float(random.word[0])),
            coarse_unit_float(random.word[1]),
            coarse_unit_float(random.word[1] >> 16),
            open_unit_float(random.word[2]),
            coarse_unit_float(random.word[3]),
            coarse_unit_float(random.word[3] >> 16)};
}

// The direction after a deflection. Its two normals are those of T. Duff et al., "Building an
// orthonormal basis, revisited", JCGT 6 (2017) 1: no direction is special, the beam's axis neither.
PORESCOPE_HOST_DEVICE inline Axes turned(Axes d, float half_versine, float turn) {
    const float cosine = 1.0f - 2.0f * half_versine;
    const float sine = 2.0f * sqrtf(half_versine * (1.0f - half_versine));
    const CirclePoint circle = circle_point(turn);
    const float along_first = sine * circle.cosine, along_second = sine * circle.sine;
    const float sign = d.z < 0.0f ? -1.0f : 1.0f;
    const float a = -1.0f / (sign + d.z), b = d.x * d.y * a;
    const Axes turned{
        cosine * d.z - along_first * sign * d.x - along_second * d.y,
        cosine * d.y + along_first * sign * b + along_second * (sign + d.y * d.y * a),
        cosine * d.x + along_first * (1.0f + sign * d.x * d.x * a) + along_second * b};
    // One Newton step toward length 1, so that rounding does not add up over a thousand collisions.
    const float correction =
        1.5f - 0.5f * (turned.z * turned.z + turned.y * turned.y + turned.x * turned.x);
    return {turned.z * correction, turned.y * correction, turned.x * correction};
}

// Into the region ahead. What an electron has left counts in its new material from there on.
template <typename Geometry>
PORESCOPE_HOST_DEVICE inline void cross(Electron& electron, const Geometry& geometry,
                                        const MaterialsView& materials) {
    electron.region = geometry.beyond(electron.direction, electron.region);
    const std::int32_t material = geometry.material(electron.region);
    if (material == vacuum || material == electron.material) return;
    electron.material = material;
    electron.range_nm = range_at(materials, material, electron.now.energy_ev);
    electron.now = at_range(materials, material, electron.range_nm);
}

// Fly until the optical depth, in mean free paths, is used up and an atom is met. False if the
// electron stopped or left before.
template <bool count_secondaries, typename Geometry>
PORESCOPE_HOST_DEVICE inline bool flown(Electron& electron, float optical_depth, float birthplace,
                                        const Geometry& geometry, const MaterialsView& materials,
                                        Outcome& outcome) {
    for (;;) {
        const float border =
            geometry.to_border(electron.position_nm, electron.direction, electron.region);
        if (geometry.material(electron.region) == vacuum) {
            electron.position_nm = along(electron.position_nm, border, electron.direction);
            cross(electron, geometry, materials);
        } else {
            const MaterialConstants& constants = materials.constants[electron.material - 1];
            const float residual = electron.range_nm - constants.range_at_cut_off_nm;
            const float free_path = path_of(electron.now, optical_depth);
            const float nearer = border < free_path ? border : free_path;
            const bool stops = residual <= nearer;
            const float path = stops ? residual : nearer;
            const RangeNode before = electron.now;
            electron.range_nm -= path;
            electron.now = at_range(materials, electron.material, electron.range_nm);
            if (count_secondaries) {
                // Energy is lost evenly along so short a path: its secondaries are born at one
                // random point of it.
                const Axes origin =
                    along(electron.position_nm, birthplace * path, electron.direction);
                outcome.secondaries += 0.5f * constants.secondaries_per_ev *
                                       (before.energy_ev - electron.now.energy_ev) *
                                       decay(geometry.attenuation(origin, electron.region));
            }
            electron.position_nm = along(electron.position_nm, path, electron.direction);
            outcome.deepest_nm = electron.position_nm.z > outcome.deepest_nm
                                     ? electron.position_nm.z
                                     : outcome.deepest_nm;
            if (stops) return false;
            if (free_path <= border) return true;
            optical_depth -= optical_depth_of(before, path);
            optical_depth = optical_depth > 0.0f ? optical_depth : 0.0f;
            cross(electron, geometry, materials);
        }
        if (geometry.outside(electron.region)) {
            outcome.energy_ev = electron.now.energy_ev;
            outcome.direction = electron.direction;
            return false;
        }
    }
}

// The history of an electron that has just entered a solid.
template <bool count_secondaries, typename Geometry>
PORESCOPE_HOST_DEVICE inline Outcome history(Electron electron, const Geometry& geometry,
                                             const MaterialsView& materials, std::uint64_t seed,
                                             std::uint32_t pixel, std::uint32_t number) {
    Outcome outcome{};
    for (std::uint32_t collision = 0;; ++collision) {
        const Numbers numbers = numbers_of(seed, pixel, number, collision);
        if (!flown<count_secondaries>(electron, numbers.optical_depth, numbers.birthplace, geometry,
                                      materials, outcome))
            return outcome;
        const float half_versine =
            deflection(materials, electron.material, electron.now.elastic_row, numbers.row,
                       numbers.element, numbers.angle);
        electron.direction = turned(electron.direction, half_versine, numbers.turn);
        // Exact: however it goes on, its energy is spent before it is out.
        const MaterialConstants& constants = materials.constants[electron.material - 1];
        const float reach =
            (electron.range_nm - constants.range_at_cut_off_nm) * constants.reach_ratio +
            (count_secondaries ? materials.secondary_reach_nm : 0.0f);
        if (geometry.cover(electron.position_nm, electron.region) > reach) return outcome;
    }
}

}  // namespace porescope
