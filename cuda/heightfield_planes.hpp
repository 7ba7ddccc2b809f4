// Heightfields of whole planes. Host only.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "binning.hpp"

namespace porescope {

// What this processor can use, fastest first.
std::vector<std::string> instruction_sets();

struct Sweep;

// Extracts planes through a sample. While they come one below the other, as from a slider, what the
// last one saw and had prepared is used again; the memory for that is kept for the next such
// planes.
class HeightfieldPlanes {
  public:
    explicit HeightfieldPlanes(Bins bins);
    ~HeightfieldPlanes();

    const Bins& bins() const { return bins_; }

    // Fills the channels: entries and exits of each layer, normal z, y, x, each of all pixels.
    // An empty name takes the fastest instruction set.
    void extract(double plane_z, int layers, const std::vector<float*>& channels,
                 std::size_t threads, const std::string& instruction_set);

  private:
    Bins bins_;
    std::mutex mutex_;  // of the sweep; whoever comes second goes without
    std::unique_ptr<Sweep> sweep_;
};

}  // namespace porescope
