// Exact anisotropic Euclidean distance from each voxel to the nearest voxel with another label.
// Squared distances are minimised axis by axis over lower envelopes of parabolas:
//   A. Meijster, J. B. T. M. Roerdink, W. H. Hesselink (2000), doi:10.1007/0-306-47025-X_36;
//   P. F. Felzenszwalb, D. P. Huttenlocher, Theory Comput. 8 (2012) 415,
//   doi:10.4086/toc.2012.v008a019.
// Many labels at once: along a line, voxels beyond the end of a run of one label are never nearer
// than the end itself, so each run is solved alone, with a parabola of height 0 just outside it.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "parallel.hpp"

namespace porescope {

template <typename Label>
struct LabelVolume {
    const Label* data;
    std::array<std::size_t, 3> shape;
    std::array<std::ptrdiff_t, 3> stride;  // in voxels, so that views need no copy
};

// Lower envelope of parabolas height + (position - site)^2 over the positions of one line.
class LowerEnvelope {
  public:
    explicit LowerEnvelope(std::size_t length)
        : site_(length + 2), height_(length + 2), from_(length + 2) {}

    void clear() { size_ = 0; }

    // Sites come in increasing order; an infinite height is nowhere lowest.
    void add(double site, double height) {
        if (std::isinf(height)) return;
        double from = -std::numeric_limits<double>::infinity();
        while (size_ > 0) {
            const std::size_t last = size_ - 1;
            from = 0.5 * ((site + site_[last]) + (height - height_[last]) / (site - site_[last]));
            if (from > from_[last]) break;
            --size_;
            from = -std::numeric_limits<double>::infinity();
        }
        site_[size_] = site;
        height_[size_] = height;
        from_[size_] = from;
        ++size_;
    }

    // Replace values[begin .. end) by the envelope, or infinity where there is none.
    void evaluate(double* values, std::size_t begin, std::size_t end) const {
        std::size_t current = 0;
        for (std::size_t position = begin; position < end; ++position) {
            if (size_ == 0) {
                values[position] = std::numeric_limits<double>::infinity();
                continue;
            }
            const double here = static_cast<double>(position);
            while (current + 1 < size_ && from_[current + 1] <= here) ++current;
            const double step = here - site_[current];
            values[position] = height_[current] + step * step;
        }
    }

  private:
    std::vector<double> site_, height_, from_;
    std::size_t size_ = 0;
};

// One line: squared distances over the axes so far, in units of this axis' squared spacing, become
// those that reach along this axis too.
template <typename Label>
void reach_along_line(const Label* labels, double* squared, std::size_t length,
                      LowerEnvelope& envelope) {
    for (std::size_t begin = 0, end; begin < length; begin = end) {
        end = begin + 1;
        while (end < length && labels[end] == labels[begin]) ++end;
        envelope.clear();
        if (begin > 0) envelope.add(static_cast<double>(begin) - 1.0, 0.0);
        for (std::size_t position = begin; position < end; ++position)
            envelope.add(static_cast<double>(position), squared[position]);
        if (end < length) envelope.add(static_cast<double>(end), 0.0);
        envelope.evaluate(squared, begin, end);
    }
}

// All lines of one axis of the contiguous volume `squared` (nm^2). Lines are taken in bundles of
// neighbours, so that strided reads use whole cache lines.
template <typename Label>
void reach_along_axis(const LabelVolume<Label>& labels, float* squared, int axis, double spacing_nm,
                      std::size_t threads) {
    constexpr std::size_t bundle = 16;
    const auto& shape = labels.shape;
    const std::size_t length = shape[axis];
    const int outer = axis == 0 ? 1 : 0, inner = axis == 2 ? 1 : 2;
    const std::array<std::size_t, 3> stride{shape[1] * shape[2], shape[2], 1};
    const std::size_t bundles_in_row = (shape[inner] + bundle - 1) / bundle;
    const double unit = spacing_nm * spacing_nm;

    share_out(shape[outer] * bundles_in_row, threads, [&](const auto& next) {
        LowerEnvelope envelope(length);
        std::vector<Label> line_labels(bundle * length);
        std::vector<double> line_squared(bundle * length);
        for (std::size_t piece = next(); piece < shape[outer] * bundles_in_row; piece = next()) {
            const std::size_t row = piece / bundles_in_row;
            const std::size_t first = piece % bundles_in_row * bundle;
            const std::size_t lines = std::min(bundle, shape[inner] - first);
            float* const corner = squared + row * stride[outer] + first * stride[inner];
            const Label* const label_corner =
                labels.data + static_cast<std::ptrdiff_t>(row) * labels.stride[outer] +
                static_cast<std::ptrdiff_t>(first) * labels.stride[inner];
            for (std::size_t position = 0; position < length; ++position)
                for (std::size_t line = 0; line < lines; ++line) {
                    line_labels[line * length + position] =
                        label_corner[static_cast<std::ptrdiff_t>(position) * labels.stride[axis] +
                                     static_cast<std::ptrdiff_t>(line) * labels.stride[inner]];
                    line_squared[line * length + position] =
                        corner[position * stride[axis] + line * stride[inner]] / unit;
                }
            for (std::size_t line = 0; line < lines; ++line)
                reach_along_line(&line_labels[line * length], &line_squared[line * length], length,
                                 envelope);
            for (std::size_t position = 0; position < length; ++position)
                for (std::size_t line = 0; line < lines; ++line)
                    corner[position * stride[axis] + line * stride[inner]] =
                        static_cast<float>(line_squared[line * length + position] * unit);
        }
    });
}

// Distances in nm between voxel centres, into a contiguous volume; infinity where the whole volume
// has one label. The faces of the volume are no border.
template <typename Label>
void distance_to_other_label(const LabelVolume<Label>& labels,
                             const std::array<double, 3>& spacing_nm, float* distance_nm,
                             std::size_t threads) {
    const std::size_t count = labels.shape[0] * labels.shape[1] * labels.shape[2];
    std::fill(distance_nm, distance_nm + count, std::numeric_limits<float>::infinity());
    for (const int axis : {2, 1, 0})
        reach_along_axis(labels, distance_nm, axis, spacing_nm[axis], threads);
    const std::size_t slice = labels.shape[1] * labels.shape[2];
    share_out(labels.shape[0], threads, [&](const auto& next) {
        for (std::size_t z = next(); z < labels.shape[0]; z = next())
            std::transform(distance_nm + z * slice, distance_nm + (z + 1) * slice,
                           distance_nm + z * slice, [](float value) { return std::sqrt(value); });
    });
}

}  // namespace porescope
