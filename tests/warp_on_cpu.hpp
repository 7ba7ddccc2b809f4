// Runs kernels whose warps work by themselves on a processor: 32 coroutines in step. Stops where
// threads of a warp do not meet in the same call.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __grid_constant__
#define __noinline__
#define __launch_bounds__(...)

struct Place {
    unsigned x;
};
inline Place threadIdx, blockIdx;

class Warp {
  public:
    static constexpr int size = 32;
    enum Call { finished, ballot, any, shuffle, wait };

    static Warp& instance() {
        static Warp warp;
        return warp;
    }

    void run(std::function<void()> kernel, unsigned first_thread) {
        kernel_ = std::move(kernel);
        for (int lane = 0; lane < size; ++lane) {
            Thread& thread = threads_[lane];
            thread.stack.resize(1 << 20);
            thread.round = 0;
            getcontext(&thread.context);
            thread.context.uc_stack.ss_sp = thread.stack.data();
            thread.context.uc_stack.ss_size = thread.stack.size();
            thread.context.uc_link = &scheduler_;
            makecontext(&thread.context, begin, 0);
        }
        for (bool done = false; !done;) {
            for (lane_ = 0; lane_ < size; ++lane_) {
                threadIdx.x = first_thread + static_cast<unsigned>(lane_);
                swapcontext(&scheduler_, &threads_[lane_].context);
            }
            for (const Thread& thread : threads_)
                if (thread.call != threads_[0].call) throw std::runtime_error("a warp diverged");
            done = threads_[0].call == finished;
        }
    }

    // What every thread gave in the same call. Two rounds are kept: a thread may give the next
    // before all have read the last.
    template <typename Value>
    Value meet(Call call, Value value, int of_lane) {
        Thread& thread = threads_[lane_];
        std::uint64_t* const given = given_[thread.round++ % 2];
        std::memcpy(given + lane_, &value, sizeof value);
        thread.call = call;
        swapcontext(&thread.context, &scheduler_);
        std::memcpy(&value, given + of_lane, sizeof value);
        return value;
    }
    std::uint32_t votes(Call call, bool vote) {
        const std::uint64_t* const given = given_[threads_[lane_].round % 2];
        meet<std::uint64_t>(call, vote, 0);
        std::uint32_t bits = 0;
        for (int lane = 0; lane < size; ++lane) bits |= std::uint32_t(given[lane]) << lane;
        return bits;
    }
    int lane() const { return lane_; }

  private:
    struct Thread {
        ucontext_t context;
        std::vector<char> stack;
        unsigned round;
        Call call;
    };
    static void begin() {
        Warp& warp = instance();
        warp.kernel_();
        warp.threads_[warp.lane_].call = finished;
    }

    std::function<void()> kernel_;
    ucontext_t scheduler_;
    Thread threads_[size];
    std::uint64_t given_[2][size];
    int lane_ = 0;
};

inline std::uint32_t __ballot_sync(std::uint32_t, bool vote) {
    return Warp::instance().votes(Warp::ballot, vote);
}
inline bool __any_sync(std::uint32_t, bool vote) {
    return Warp::instance().votes(Warp::any, vote) != 0;
}
template <typename Value>
Value __shfl_sync(std::uint32_t, Value value, int lane) {
    return Warp::instance().meet(Warp::shuffle, value, lane);
}
template <typename Value>
Value __shfl_xor_sync(std::uint32_t, Value value, int mask) {
    return Warp::instance().meet(Warp::shuffle, value, Warp::instance().lane() ^ mask);
}
inline void __syncwarp() { Warp::instance().meet(Warp::wait, 0, 0); }
// Threads take turns anyway.
inline unsigned long long atomicAdd(unsigned long long* to, unsigned long long value) {
    const unsigned long long before = *to;
    *to += value;
    return before;
}
inline int __popc(std::uint32_t bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
