// Heightfields of voxel volumes for Python.
#include "bindings.hpp"

namespace porescope {

void bind_volume_heightfield(nanobind::module_&) {}

}  // namespace porescope
