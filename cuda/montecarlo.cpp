// Electrons in layers, in voxels and in bodies, on lanes. Compiled once for each instruction set.
#include "montecarlo.hpp"

#include <array>
#include <vector>

#include "swarm.hpp"

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {
namespace {

constexpr int width = LaneTraits<Lanes>::width;

// What lanes of a mask hold, one after another.
std::array<float, width> packed(Mask<Lanes> mask, Lanes values) {
    std::array<std::uint32_t, width> words;
    store_packed(words.data(), mask, word_of(values));
    std::array<float, width> to;
    for (int k = 0; k < width; ++k) to[k] = float_of(words[k]);
    return to;
}
std::array<std::uint32_t, width> packed_words(Mask<Lanes> mask, Word<Lanes> values) {
    std::array<std::uint32_t, width> to;
    store_packed(to.data(), mask, values);
    return to;
}
template <typename Value>
Word<Lanes> words_from(const std::array<Value, width>& values) {
    std::array<std::uint32_t, width> words;
    for (int k = 0; k < width; ++k) words[k] = word_of(values[k]);
    Word<Lanes> to(0);
    refill(to, Lanes(0.0f) == Lanes(0.0f), words.data());
    return to;
}

template <bool count_secondaries>
void follow_into_layers(const LayerTask& task) {
    using Swarm = Electrons<Lanes, PlaneLayers>;
    const MaterialsView& materials = *task.materials;
    const PhiloxKey key = philox_key(task.seed);
    Queue<Lanes, Swarm, width> waiting;
    std::uint32_t next = 0;
    const auto supply = [&] {
        std::array<std::uint32_t, width> number{};
        std::uint32_t lanes = 0;
        for (int lane = 0; lane < width && next < task.count; ++lane) {
            number[lane] = task.first + next++;
            lanes |= 1u << lane;
        }
        Swarm electrons{};
        const Lanes least(least_cosine);
        electrons.direction = {Lanes(task.direction[0]), Lanes(task.direction[1]) + least,
                               Lanes(task.direction[2]) + least};
        electrons.place.region = Index<Lanes>(1);
        set_out(electrons, Lanes(task.row), *task.layers, materials);
        electrons.number = words_from(number);
        const auto numbers =
            numbers_of<Lanes>(key, electrons.pixel, electrons.number, Word<Lanes>(0), start_stream);
        electrons.optical_depth = negative_log(open_unit_float<Lanes>(numbers.word[0]));
        waiting.append(electrons, mask_of(lanes));
    };
    const auto move = [&](Swarm& electrons, Mask<Lanes> alive) {
        return step<count_secondaries, Lanes>(electrons, alive, *task.layers, materials, key,
                                              [](auto&&...) {});
    };
    const auto ended = [&](const Swarm& electrons, Mask<Lanes> over, const Ends<Lanes>& ends) {
        const Mask<Lanes> left = ends.left.above | ends.left.below;
        const auto number = packed_words(over, electrons.number);
        const auto energy =
            packed(over, select(left, energy_at(materials, electrons.state.row), Lanes(0.0f)));
        const auto z = packed(over, select(left, electrons.direction.z, Lanes(0.0f)));
        const auto y = packed(over, select(left, electrons.direction.y, Lanes(0.0f)));
        const auto x = packed(over, select(left, electrons.direction.x, Lanes(0.0f)));
        const auto deepest = packed(over, electrons.deepest);
        const auto secondaries = packed(over, electrons.secondaries);
        for (int k = 0; k < __builtin_popcount(bits(over)); ++k) {
            const std::size_t at = number[k] - task.first;
            task.energy_ev[at] = energy[k];
            task.direction_out[3 * at] = z[k];
            task.direction_out[3 * at + 1] = y[k];
            task.direction_out[3 * at + 2] = x[k];
            task.deepest_nm[at] = deepest[k];
            task.secondaries_out[at] = secondaries[k];
        }
    };
    follow<Lanes>(waiting, supply, move, ended);
}

template <bool count_secondaries, typename Geometry>
void follow_from_pixels(const PixelTask<Geometry>& task) {
    using Swarm = Electrons<Lanes, Geometry>;
    using Ray = Rays<Lanes, Geometry>;
    const MaterialsView& materials = *task.materials;
    const Geometry& geometry = *task.geometry;
    const Beam& beam = *task.beam;
    const PhiloxKey key = philox_key(task.seed);
    const Mask<Lanes> all = Lanes(0.0f) == Lanes(0.0f);
    const auto wide = static_cast<std::uint32_t>(beam.pixels_wide);
    const auto add = [&](int signal, Mask<Lanes> lanes, Word<Lanes> pixels, Lanes values) {
        if (!any(lanes)) return;
        const auto pixel = packed_words(lanes, pixels);
        const auto value = packed(lanes, values);
        std::int64_t* const sums = task.sums + signal * task.summed;
        for (int k = 0; k < __builtin_popcount(bits(lanes)); ++k)
            sums[pixel[k] - task.first_row_summed * wide] += in_parts(value[k]);
    };

    Queue<Lanes, Emission<Lanes>, 16 * width> emitted;
    Queue<Lanes, Ray, width> leaving;
    const auto follow_secondaries = [&] {
        follow<Lanes>(
            leaving,
            [&] {
                Emission<Lanes> emission{};
                const Mask<Lanes> there = emitted.take(emission, all);
                leaving.append(leaving_wall(emission, geometry, key), there);
            },
            [&](Ray& rays, Mask<Lanes>) { return fly(rays, geometry); },
            [&](const Ray& rays, Mask<Lanes> over, const Ends<Lanes>& ends) {
                score(rays, over, ends.left, add);
            });
    };
    const auto emit = [&](Mask<Lanes> followed, const Escape<Lanes>& escape, Lanes secondaries,
                          const Swarm& electrons) {
        emitted.append({escape.surface, escape.normal, secondaries, electrons.range_nm,
                        electrons.number, electrons.pixel},
                       followed);
        if (emitted.full()) follow_secondaries();
    };

    Queue<Lanes, Swarm, width> waiting;
    std::uint32_t pixel = 0, electron = 0;
    const auto supply = [&] {
        std::array<std::uint32_t, width> pixel_number{}, number{};
        std::array<float, width> y{}, x{};
        std::uint32_t lanes = 0;
        for (int lane = 0; lane < width && pixel < task.rows * task.columns; ++lane) {
            const std::uint32_t row = task.first_row + pixel / task.columns;
            const std::uint32_t column = task.first_column + pixel % task.columns;
            pixel_number[lane] = row * wide + column;
            number[lane] = electron;
            y[lane] = static_cast<float>(row);
            x[lane] = static_cast<float>(column);
            lanes |= 1u << lane;
            if (++electron == beam.electrons) electron = 0, ++pixel;
        }
        waiting.append(
            arriving<Lanes>(beam, geometry, materials, key, words_from(pixel_number),
                            words_from(number), float_of(words_from(y)), float_of(words_from(x))),
            mask_of(lanes));
    };
    const auto move = [&](Swarm& electrons, Mask<Lanes> alive) {
        return step<count_secondaries, Lanes>(electrons, alive, geometry, materials, key, emit);
    };
    const auto ended = [&](const Swarm& electrons, Mask<Lanes> over, const Ends<Lanes>& ends) {
        score(electrons, over, ends.left, beam, materials, add);
    };
    follow<Lanes>(waiting, supply, move, ended);
    follow_secondaries();
}

void layers(const LayerTask& task) {
    task.secondaries ? follow_into_layers<true>(task) : follow_into_layers<false>(task);
}
template <typename Geometry>
void pixels(const PixelTask<Geometry>& task) {
    task.secondaries ? follow_from_pixels<true>(task) : follow_from_pixels<false>(task);
}

}  // namespace
}  // namespace PORESCOPE_INSTRUCTION_SET

#define PORESCOPE_JOIN(set, name) set##_##name
#define PORESCOPE_NAMED(set, name) PORESCOPE_JOIN(set, name)
MonteCarlo PORESCOPE_NAMED(PORESCOPE_INSTRUCTION_SET, monte_carlo)() {
    return {layers, pixels<Voxels>, pixels<Bodies>};
}

}  // namespace porescope
