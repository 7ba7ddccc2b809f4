// porescope._core: the native core for the CPU. Arrays go in and out without a copy, and the
// interpreter runs on meanwhile. Documentation and types: src/porescope/_core.pyi.
#include "bindings.hpp"

NB_MODULE(_core, module) {
    // Tables and samples are kept until the interpreter ends, which is no leak.
    nanobind::set_leak_warnings(false);
    porescope::bind_random(module);
    porescope::bind_distance(module);
    porescope::bind_primitives(module);
    porescope::bind_volume_heightfield(module);
    porescope::bind_device(module);
    porescope::bind_transport(module);
}
