// The GPU's kernels as they stand, run by warp_on_cpu.hpp.
#include "warp_on_cpu.hpp"

#include "kernels.cu"

using Kernel = void (*)(porescope::BinsView, double, float*, float*, float*);

extern "C" bool launch(int layers, unsigned blocks, unsigned threads, const void* bins,
                       double plane, float* entry, float* exit, float* normal) {
    const Kernel kernels[] = {heightfield_1, heightfield_2, heightfield_3, heightfield_4,
                              heightfield_5, heightfield_6, heightfield_7, heightfield_8};
    porescope::BinsView view;
    std::memcpy(&view, bins, sizeof view);
    try {
        for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
            for (unsigned first = 0; first < threads; first += Warp::size)
                Warp::instance().run([&] { kernels[layers - 1](view, plane, entry, exit, normal); },
                                     first);
    } catch (const std::runtime_error&) {
        return false;
    }
    return true;
}
