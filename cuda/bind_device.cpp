// What a GPU needs of sorted primitives: the arrays, and the view of where they lie there.
#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "bindings.hpp"
#include "heightfield_planes.hpp"

namespace nb = nanobind;

namespace porescope {
namespace {

// Calls act(pointer, count) for each array of the view, always in this order.
template <typename Act>
void for_arrays(BinsView& view, const Act& act) {
    PrimitivesView& primitives = view.primitives;
    const std::size_t tiles = std::size_t(view.tiles_down) * std::size_t(view.tiles_across);
    const std::size_t slab_begins = tiles * (std::size_t(view.slabs) + 1);
    const std::size_t running_begins = tiles * std::size_t(view.slabs) + 1;
    const std::size_t numbers = std::size_t(primitives.sphere_count) +
                                std::size_t(primitives.cylinder_count) +
                                std::size_t(primitives.cuboid_count);
    const std::size_t spans = view.slab_begin[slab_begins - 1];
    const std::size_t running = view.running_begin[running_begins - 1];
    act(primitives.spheres, std::size_t(primitives.sphere_count));
    act(primitives.cylinders, std::size_t(primitives.cylinder_count));
    act(primitives.cuboids, std::size_t(primitives.cuboid_count));
    act(primitives.given_numbers, numbers);
    act(view.spans, spans);
    act(view.slab_begin, slab_begins);
    act(view.running, running);
    act(view.running_begin, running_begins);
}

constexpr std::size_t array_count = 8;

std::vector<Bytes> device_arrays(const HeightfieldPlanes& planes) {
    BinsView view = planes.bins().view();
    std::vector<Bytes> arrays;
    for_arrays(view, [&](auto pointer, std::size_t count) {
        arrays.push_back(as_bytes(pointer, count, nb::find(planes)));
    });
    return arrays;
}

nb::bytes device_view(const HeightfieldPlanes& planes,
                      const std::array<std::uint64_t, array_count>& addresses) {
    static_assert(std::is_trivially_copyable_v<BinsView>);
    BinsView view = planes.bins().view();
    std::size_t place = 0;
    for_arrays(view, [&](auto& pointer, std::size_t) { point_to(pointer, addresses[place++]); });
    return nb::bytes(&view, sizeof view);
}

}  // namespace

void bind_device(nb::module_& module) {
    using namespace nb::literals;
    module.def("device_arrays", &device_arrays, "bins"_a);
    module.def("device_view", &device_view, "bins"_a, "addresses"_a);
}

}  // namespace porescope
