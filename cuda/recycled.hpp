// Memory of images that is used again. Fresh memory costs more than filling it, as the system
// clears it page by page; planes looked at one after another get the memory of those let go. Host
// only.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace porescope {

class Recycler {
  public:
    static Recycler& instance() {
        static Recycler* const recycler = new Recycler;  // never gone before the last array
        return *recycler;
    }

    float* take(std::size_t count) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            for (std::size_t k = 0; k < idle_.size(); ++k)
                if (idle_[k].count == count) {
                    float* const values = idle_[k].values.release();
                    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(k));
                    return values;
                }
        }
        return new float[count];
    }

    void give(float* values, std::size_t count) {
        std::unique_ptr<float[]> owned(values);
        constexpr std::size_t most_arrays = 6, most_values = std::size_t{1} << 26;
        if (count > most_values) return;
        const std::lock_guard<std::mutex> lock(mutex_);
        if (idle_.size() == most_arrays) idle_.erase(idle_.begin());
        idle_.push_back({std::move(owned), count});
    }

  private:
    struct Idle {
        std::unique_ptr<float[]> values;
        std::size_t count;
    };
    std::mutex mutex_;
    std::vector<Idle> idle_;
};

struct GiveBack {
    std::size_t count;
    void operator()(float* values) const { Recycler::instance().give(values, count); }
};
using RecycledFloats = std::unique_ptr<float[], GiveBack>;

inline RecycledFloats recycled_floats(std::size_t count) {
    return RecycledFloats(Recycler::instance().take(count), GiveBack{count});
}

}  // namespace porescope
