// What electrons need to know of materials: tables over their residual range, so that what is left
// of an electron after a path is one look-up, and tables of elastic scattering by atoms.
#pragma once

#include <cstdint>

#include "elementary.hpp"
#include "platform.hpp"

namespace porescope {

// Nodes of the tables lie evenly within each doubling, so that the bits of a float say where it
// lies.
constexpr int nodes_per_doubling_log2 = 5;
constexpr int nodes_per_doubling = 1 << nodes_per_doubling_log2;
constexpr int range_doublings = 16, energy_doublings = 10;
constexpr int range_nodes = range_doublings * nodes_per_doubling + 1;
constexpr int energy_nodes = energy_doublings * nodes_per_doubling + 1;
constexpr float lowest_energy_ev = 32;
constexpr int quantile_count = 129;

// What an electron is at some residual range; `elastic_row` lies between two rows of the tables.
struct RangeNode {
    float energy_ev, mean_free_path_nm, elastic_row;
    float free_path_slope;  // of the mean free path over the range
};

struct MaterialConstants {
    float range_at_cut_off_nm;  // electrons stop there
    float inverse_escape_nm;    // of secondaries: 1 / lambda
    float secondaries_per_ev;   // made for each eV lost: 1 / eps
    float reach_ratio;  // of the range in the sample's least stopping solids to that in this
};

constexpr std::int32_t vacuum = 0;  // materials count from 1

struct MaterialsView {
    const RangeNode* at_range;           // [material][range_nodes], over multiples of the cut-off's
    const float* range_nm;               // [material][energy_nodes], over multiples of 32 eV
    const float* shares;                 // [material][row][element], of scattering, summed up
    const MaterialConstants* constants;  // [material]
    const float* screening;              // [element][row]
    const float* quantiles;              // [element][row][quantile_count]
    std::int32_t elements, rows;
    float secondary_reach_nm;  // as good as no secondary comes from deeper
};

struct TablePlace {
    std::int32_t node;
    float beyond;  // the node, from 0 to 1
};

PORESCOPE_HOST_DEVICE inline TablePlace table_place(float value, std::int32_t doublings) {
    constexpr int shift = 23 - nodes_per_doubling_log2;
    const float limited = value < 1.0f ? 1.0f : value;
    const std::uint32_t bits = bits_of(limited) - (127u << 23);
    const auto node = static_cast<std::int32_t>(bits >> shift);
    const std::int32_t last = doublings * nodes_per_doubling - 1;
    return {node < last ? node : last,
            static_cast<float>(bits & ((1u << shift) - 1)) * (1.0f / (1 << shift))};
}

PORESCOPE_HOST_DEVICE inline RangeNode at_range(const MaterialsView& materials,
                                                std::int32_t material, float range_nm) {
    const float cut_off = materials.constants[material - 1].range_at_cut_off_nm;
    const TablePlace place = table_place(range_nm / cut_off, range_doublings);
    const RangeNode* const node = materials.at_range + (material - 1) * range_nodes + place.node;
    const auto between = [&](float low, float high) { return low + place.beyond * (high - low); };
    return {between(node[0].energy_ev, node[1].energy_ev),
            between(node[0].mean_free_path_nm, node[1].mean_free_path_nm),
            between(node[0].elastic_row, node[1].elastic_row),
            between(node[0].free_path_slope, node[1].free_path_slope)};
}

// The path that takes up an optical depth, and back. The mean free path shrinks along it with the
// energy, by a fifth at low energies: it is taken at the middle.
PORESCOPE_HOST_DEVICE inline float path_of(const RangeNode& start, float optical_depth) {
    // Where it grows instead, rarely, a long path must not turn back.
    const float growth = 1.0f + 0.5f * optical_depth * start.free_path_slope;
    return optical_depth * start.mean_free_path_nm / (growth > 0.5f ? growth : 0.5f);
}
PORESCOPE_HOST_DEVICE inline float optical_depth_of(const RangeNode& start, float path_nm) {
    return path_nm / (start.mean_free_path_nm - 0.5f * path_nm * start.free_path_slope);
}

PORESCOPE_HOST_DEVICE inline float range_at(const MaterialsView& materials, std::int32_t material,
                                            float energy_ev) {
    const TablePlace place = table_place(energy_ev / lowest_energy_ev, energy_doublings);
    const float* const node = materials.range_nm + (material - 1) * energy_nodes + place.node;
    return node[0] + place.beyond * (node[1] - node[0]);
}

// (1 - cosine) / 2 of an elastic deflection. The row of energy is drawn between its two neighbours,
// then the element by its share, then the angle.
PORESCOPE_HOST_DEVICE inline float deflection(const MaterialsView& materials, std::int32_t material,
                                              float elastic_row, float row_number,
                                              float element_number, float angle_number) {
    auto row = static_cast<std::int32_t>(elastic_row);
    row += row_number < elastic_row - static_cast<float>(row);
    const float* const shares =
        materials.shares + ((material - 1) * materials.rows + row) * materials.elements;
    std::int32_t element = 0;
    for (std::int32_t k = 0; k + 1 < materials.elements; ++k)
        element += element_number >= shares[k];
    const std::int32_t table = element * materials.rows + row;
    const float place = angle_number * (quantile_count - 1);
    const auto node = static_cast<std::int32_t>(place);
    const float* const quantile = materials.quantiles + table * quantile_count + node;
    const float w = quantile[0] + (place - static_cast<float>(node)) * (quantile[1] - quantile[0]);
    const float a = materials.screening[table];
    return a * w / (a + (1.0f - w));
}

}  // namespace porescope
