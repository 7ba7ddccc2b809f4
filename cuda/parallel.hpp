// Loops over threads on the host. Which thread does which piece is left to chance, so a piece must
// depend on its number alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <thread>
#include <vector>

namespace porescope {

// Call work(next) on each thread; next() hands out 0 .. count - 1, each once, then count.
// An exception in a thread reaches the caller. threads = 0 takes all cores.
template <typename Work>
void share_out(std::size_t count, std::size_t threads, const Work& work) {
    if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
    threads = std::min(threads, count);
    std::atomic<std::size_t> taken{0};
    const auto next = [&] { return std::min(taken.fetch_add(1), count); };
    std::vector<std::future<void>> others;
    for (std::size_t thread = 1; thread < threads; ++thread)
        others.push_back(std::async(std::launch::async, [&] { work(next); }));
    if (threads > 0) work(next);
    for (auto& other : others) other.get();
}

}  // namespace porescope
