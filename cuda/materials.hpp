// What electrons need to know of materials: tables over their residual range, so that what is left
// of an electron after a path is one look-up, and tables of elastic scattering.
//
// Energies count in rows of the elastic tables, which lie evenly in the energy's logarithm.
#pragma once

#include <cstdint>

#include "elementary.hpp"

namespace porescope {

// Nodes over the range lie evenly within each doubling, so that the bits of a float say where it
// lies.
constexpr int nodes_per_doubling_log2 = 5;
constexpr int nodes_per_doubling = 1 << nodes_per_doubling_log2;
constexpr int range_doublings = 16;
constexpr int range_nodes = range_doublings * nodes_per_doubling + 1;
constexpr int nodes_per_row = 16;
constexpr int quantile_count = 129;
constexpr int most_materials = 16;  // vacuum, number 0, among them
constexpr std::int32_t vacuum = 0;

struct MaterialsView {
    // Of each material, vacuum too.
    float range_at_cut_off_nm[most_materials];  // electrons stop there
    float per_range_at_cut_off[most_materials];
    float per_escape_depth[most_materials];    // of secondaries, 1 / nm
    float secondaries_per_ev[most_materials];  // made for each eV lost
    float reach_ratio[most_materials];  // of the range in the sample's least stopping solids to
                                        // that in this
    const float* row_at_range;          // [material][range_nodes], over multiples of the cut-off's
    const float* at_row;     // [material][rows * nodes_per_row + 1][2]: range and mean free path,
                             // in nm
    const float* screening;  // [material][rows]
    const float* quantiles;  // [material][rows][quantile_count]
    std::int32_t rows;
    float top_ev, log_step;    // of the energies of rows: where one more would be
    float secondary_reach_nm;  // as good as no secondary comes from deeper
};

inline namespace PORESCOPE_INSTRUCTION_SET {

// What an electron is at some energy.
template <typename Lane>
struct State {
    Lane row;
    Lane mean_free_path_nm;
    Lane free_path_slope;  // over the range
};

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane between(LanePair<Lane> nodes, Lane part) {
    return nodes.first + part * (nodes.second - nodes.first);
}

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane row_at(const MaterialsView& materials, Index<Lane> material,
                                         Lane range_nm) {
    constexpr int shift = 23 - nodes_per_doubling_log2;
    const Lane per_cut_off = looked_up_of_16(materials.per_range_at_cut_off, material);
    // From 1 to just below the last node.
    const Lane multiple = smaller(larger(range_nm * per_cut_off, Lane(1.0f)), Lane(0x1.fffffep15f));
    const Word<Lane> bits = bits_of(multiple) - Word<Lane>(127 << 23);
    const Lane part =
        as_float(as_index(bits & Word<Lane>((1 << shift) - 1))) * Lane(1.0f / (1 << shift));
    return between(looked_up_pair(materials.row_at_range,
                                  material * Index<Lane>(range_nodes) + as_index(bits >> shift)),
                   part);
}

template <typename Lane>
struct RangeAndState {
    Lane range_nm;
    State<Lane> state;
};

template <typename Lane>
PORESCOPE_HOST_DEVICE inline RangeAndState<Lane> at_row(const MaterialsView& materials,
                                                        Index<Lane> material, Lane row) {
    const std::int32_t last = materials.rows * nodes_per_row;
    const Lane place = row * Lane(nodes_per_row);
    const Index<Lane> beyond = smaller(whole_part(place), Index<Lane>(last - 1));
    const Lane part = place - as_float(beyond);
    const Index<Lane> node = material * Index<Lane>(last + 1) + beyond;
    const auto here = looked_up_pair(materials.at_row, node + node);
    const auto next = looked_up_pair(materials.at_row + 2, node + node);
    const Lane longer = next.first - here.first, rise = next.second - here.second;
    return {here.first + part * longer, {row, here.second + part * rise, rise / longer}};
}

// The path that takes up an optical depth, and back. The mean free path shrinks along it with the
// energy, by a fifth at low energies: it is taken at the middle.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane path_of(const State<Lane>& start, Lane optical_depth) {
    // Where it grows instead, rarely, a long path must not turn back.
    const Lane growth = Lane(1.0f) + Lane(0.5f) * optical_depth * start.free_path_slope;
    return optical_depth * start.mean_free_path_nm / larger(growth, Lane(0.5f));
}
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane optical_depth_of(const State<Lane>& start, Lane path_nm) {
    return path_nm / (start.mean_free_path_nm - Lane(0.5f) * path_nm * start.free_path_slope);
}

template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane energy_at(const MaterialsView& materials, Lane row) {
    // Down from above the last row: decay() knows no growth.
    const Lane top(static_cast<float>(materials.rows));
    return decay(larger(top - row, Lane(0.0f)) * Lane(materials.log_step)) * Lane(materials.top_ev);
}

// The energy lost between two rows, as far as a decay by some depths leaves it.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane lost_and_decayed(const MaterialsView& materials, Lane before,
                                                   Lane after, Lane depths) {
    const Lane half(0.5f), top(static_cast<float>(materials.rows));
    const Lane step = (before - after) * Lane(materials.log_step);
    const Lane middle = larger(top - half * (before + after), Lane(0.0f));
    // exp(step / 2) - exp(-step / 2) around the middle.
    return Lane(materials.top_ev) * decay(middle * Lane(materials.log_step) + depths) * step *
           (Lane(1.0f) + step * step * Lane(1 / 24.0f));
}

// (1 - cosine) / 2 of an elastic deflection. The row is drawn between the energy's two neighbours,
// then the angle.
template <typename Lane>
PORESCOPE_HOST_DEVICE inline Lane deflection(const MaterialsView& materials, Index<Lane> material,
                                             Lane row, Lane row_number, Lane angle_number) {
    const Index<Lane> below = whole_part(row);
    const Index<Lane> drawn =
        smaller(select(row_number < row - as_float(below), below + Index<Lane>(1), below),
                Index<Lane>(materials.rows - 1));
    const Index<Lane> table = material * Index<Lane>(materials.rows) + drawn;
    const Lane place = angle_number * Lane(quantile_count - 1.0f);
    const Index<Lane> node = whole_part(place);
    const Lane w =
        between(looked_up_pair(materials.quantiles, table * Index<Lane>(quantile_count) + node),
                place - as_float(node));
    const Lane a = looked_up(materials.screening, table);
    return a * w / (a + (Lane(1.0f) - w));
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
