// Sorts the primitives of a sample into bins, once for all planes. Host only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bins.hpp"

namespace porescope {

class Bins {
  public:
    Bins(std::vector<Sphere> spheres, std::vector<Cylinder> cylinders, std::vector<Cuboid> cuboids,
         std::size_t rows, std::size_t columns, std::size_t threads);

    BinsView view() const;
    std::size_t rows() const { return static_cast<std::size_t>(rows_); }
    std::size_t columns() const { return static_cast<std::size_t>(columns_); }
    std::size_t tile_count() const {
        return static_cast<std::size_t>(tiles_down_) * static_cast<std::size_t>(tiles_across_);
    }
    std::size_t span_count() const { return spans_.size(); }
    std::size_t longest_list() const { return longest_list_; }  // of spans one tile may walk

  private:
    std::vector<Sphere> spheres_;
    std::vector<Cylinder> cylinders_;
    std::vector<Cuboid> cuboids_;
    std::vector<std::int32_t> given_numbers_;
    std::int32_t rows_, columns_, tiles_down_, tiles_across_, slabs_ = 1;
    double first_slab_ = 0, slab_depth_ = 1;
    float tolerance_ = 0;
    std::vector<Span> spans_, running_;
    std::vector<std::uint64_t> slab_begin_, running_begin_;
    std::size_t longest_list_ = 0;
};

}  // namespace porescope
