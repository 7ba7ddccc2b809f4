// The Monte-Carlo microscope on a GPU.
//
// A thread follows one electron at a time, by the very functions that lanes of a processor take,
// and flies the secondaries that it sets free at once. It takes the next electron as soon as one is
// at its end; a warp goes step by step together. Signals are whole numbers, so that the image has
// the bits of the processor's, whichever thread took which electron.
#include <cstdint>

#include "bodies.hpp"
#include "gpu_tasks.hpp"
#include "microscope.hpp"
#include "voxels.hpp"
#include "warp.hpp"

// Given by value, as bytes: a host that lays them out in another way would be misread.
static_assert(sizeof(porescope::GpuPlane<porescope::Voxels>) == 528 &&
                  sizeof(porescope::GpuPlane<porescope::Bodies>) == 576 &&
                  sizeof(porescope::GpuCollisions) == 416,
              "A host's structs have these sizes.");

namespace porescope {
inline namespace PORESCOPE_INSTRUCTION_SET {
namespace {

constexpr int threads_a_block = 128;
constexpr std::uint64_t electrons_a_turn = 4;  // that a thread takes from the common count

template <bool count_secondaries, typename Geometry>
__device__ void image(const GpuPlane<Geometry>& plane) {
    const Beam& beam = plane.beam;
    const Geometry& geometry = plane.geometry;
    const PhiloxKey key = philox_key(plane.seed);
    const auto columns = static_cast<std::uint32_t>(beam.pixels_wide);
    const std::uint64_t pixels = std::uint64_t{plane.rows} * columns;
    const std::uint64_t electrons = pixels * beam.electrons;
    const std::uint32_t first_pixel = plane.first_row * columns;

    const auto add = [&](int signal, bool told, std::uint32_t pixel, float value) {
        if (told)
            atomicAdd(plane.sums + signal * pixels + (pixel - first_pixel),
                      static_cast<unsigned long long>(in_parts(value)));
    };
    const auto emit = [&](bool, const Escape<float>& escape, float secondaries,
                          const Electrons<float, Geometry>& electron) {
        Rays<float, Geometry> ray =
            leaving_wall<float>({escape.surface, escape.normal, secondaries, electron.range_nm,
                                 electron.number, electron.pixel},
                                geometry, key);
        Ends<float> ends{};
        while (!ends.over) ends = fly(ray, geometry);
        score(ray, true, ends.left, add);
    };

    Electrons<float, Geometry> electron{};
    bool alive = false, more = true;
    std::uint64_t number = 0, end = 0;
    while (__any_sync(whole_warp, more)) {
        if (more && !alive) {
            if (number == end) {
                number = atomicAdd(plane.next, electrons_a_turn);
                end = number + electrons_a_turn < electrons ? number + electrons_a_turn : electrons;
            }
            more = alive = number < electrons;
            if (alive) {
                const auto pixel = static_cast<std::uint32_t>(number / beam.electrons);
                electron =
                    arriving<float>(beam, geometry, plane.materials, key, first_pixel + pixel,
                                    static_cast<std::uint32_t>(number % beam.electrons),
                                    static_cast<float>(plane.first_row + pixel / columns),
                                    static_cast<float>(pixel % columns));
                ++number;
            }
        }
        if (!alive) continue;
        const Ends<float> ends =
            step<count_secondaries, float>(electron, true, geometry, plane.materials, key, emit);
        if (!ends.over) continue;
        score(electron, true, ends.left, beam, plane.materials, add);
        alive = false;
    }
}

}  // namespace
}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope

#define PORESCOPE_IMAGE_KERNEL(name, count_secondaries, Geometry)                      \
    extern "C" __global__ void __launch_bounds__(porescope::threads_a_block)           \
        name(const __grid_constant__ porescope::GpuPlane<porescope::Geometry> plane) { \
        porescope::image<count_secondaries>(plane);                                    \
    }
PORESCOPE_IMAGE_KERNEL(voxels, false, Voxels)
PORESCOPE_IMAGE_KERNEL(voxels_with_secondaries, true, Voxels)
PORESCOPE_IMAGE_KERNEL(bodies, false, Bodies)
PORESCOPE_IMAGE_KERNEL(bodies_with_secondaries, true, Bodies)

// A thread takes one electron.
extern "C" __global__ void __launch_bounds__(porescope::threads_a_block)
    first_collisions(const __grid_constant__ porescope::GpuCollisions task) {
    const std::uint32_t number = blockIdx.x * porescope::threads_a_block + threadIdx.x;
    if (number >= task.count) return;
    const auto collision =
        porescope::first_collision<float>(task.materials, task.material, task.row, task.direction,
                                          porescope::philox_key(task.seed), number);
    task.path_nm[number] = collision.path_nm;
    task.turned_to[3 * std::size_t{number}] = collision.direction.z;
    task.turned_to[3 * std::size_t{number} + 1] = collision.direction.y;
    task.turned_to[3 * std::size_t{number} + 2] = collision.direction.x;
}
