// The GPU's kernels as they stand, run by warp_on_cpu.hpp.
#include <string>

#include "warp_on_cpu.hpp"

#include "heightfield.cu"
#include "montecarlo.cu"

// The first argument comes as bytes. False if threads of a warp did not meet.
template <typename Argument, typename... Others>
bool run(void (*kernel)(Argument, Others...), unsigned blocks, unsigned threads, const void* bytes,
         Others... others) {
    Argument argument;
    std::memcpy(&argument, bytes, sizeof argument);
    try {
        for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
            for (unsigned first = 0; first < threads; first += Warp::size)
                Warp::instance().run([&] { kernel(argument, others...); }, first);
    } catch (const std::runtime_error&) {
        return false;
    }
    return true;
}

extern "C" bool launch_heightfield(int layers, unsigned blocks, unsigned threads, const void* bins,
                                   double plane, float* entry, float* exit, float* normal) {
    decltype(&heightfield_1)
        const kernels[] = {heightfield_1, heightfield_2, heightfield_3, heightfield_4,
                           heightfield_5, heightfield_6, heightfield_7, heightfield_8};
    return run(kernels[layers - 1], blocks, threads, bins, plane, entry, exit, normal);
}

extern "C" bool launch_electrons(const char* name, unsigned blocks, unsigned threads,
                                 const void* task) {
    const std::string kernel = name;
    if (kernel == "voxels") return run(voxels, blocks, threads, task);
    if (kernel == "voxels_with_secondaries")
        return run(voxels_with_secondaries, blocks, threads, task);
    if (kernel == "bodies") return run(bodies, blocks, threads, task);
    if (kernel == "bodies_with_secondaries")
        return run(bodies_with_secondaries, blocks, threads, task);
    return run(first_collisions, blocks, threads, task);
}
