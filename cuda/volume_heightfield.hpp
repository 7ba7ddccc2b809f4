// Extended heightfield of a voxel volume: in the column below each pixel of a plane, where the
// solid begins and ends for the first few times, and the surface normal where it begins first.
// Depths are exact for labels (voxel faces) and for a field of values at voxel centres, linear in
// between and constant beyond the outer ones, that is solid where it reaches a level.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#ifdef _MSC_VER
#include <intrin.h>
#endif

#include "parallel.hpp"
#include "platform.hpp"

namespace porescope {

template <typename Value>
struct VoxelView {
    const Value* data;
    std::ptrdiff_t shape[3];
    std::ptrdiff_t stride[3];  // in voxels, so that views need no copy

    PORESCOPE_HOST_DEVICE const Value* row(std::ptrdiff_t z, std::ptrdiff_t y) const {
        return data + z * stride[0] + y * stride[1];
    }
    PORESCOPE_HOST_DEVICE Value at(std::ptrdiff_t z, std::ptrdiff_t y, std::ptrdiff_t x) const {
        return row(z, y)[x * stride[2]];
    }
};

// Where the rays begin, and what the depths are counted in.
struct Plane {
    double z;  // in voxels
    double spacing[3];
};

struct VolumeHeightfield {
    float* entry;   // (layers, pixels)
    float* exit;    // (layers, pixels)
    float* normal;  // (3, pixels)
    std::size_t pixels;
    unsigned layers;
};

// The outward normal where the solid lies up this gradient, z counted toward the beam. Where the
// gradient is none, or along z away from the solid, the surface counts as facing the beam.
PORESCOPE_HOST_DEVICE inline void store_normal(const VolumeHeightfield& heightfield,
                                               std::size_t pixel, double gradient_z,
                                               double gradient_y, double gradient_x) {
    if (!(gradient_z > 0)) gradient_z = 0;
    double most = gradient_z;
    if (fabs(gradient_y) > most) most = fabs(gradient_y);
    if (fabs(gradient_x) > most) most = fabs(gradient_x);
    const double z = gradient_z / most, y = gradient_y / most, x = gradient_x / most;
    const double length = sqrt(z * z + y * y + x * x);
    const bool known = length >= 1;  // false for NaN
    float* const normal = heightfield.normal + pixel;
    normal[0] = known ? static_cast<float>(z / length) : 1.0f;
    normal[heightfield.pixels] = known ? static_cast<float>(-y / length) : 0.0f;
    normal[2 * heightfield.pixels] = known ? static_cast<float>(-x / length) : 0.0f;
}

// Gradient of the occupancy under a Gaussian: weighted sums over a small box of voxels around the
// middle of the voxel face through which the ray enters. Sigma is 1.5 times the largest spacing,
// the same length along all axes: across coarse slices a narrower one sees the flat of a stair
// instead of its slope. Weights are whole numbers and small, so that a sum along z fits a byte, a
// sum along z and y 16 bits, and several of them lie side by side in a word and are added at once.
// A slope may be negative: half of the range is added to it.
struct NormalKernel {
    static constexpr int reach = 7;  // of the box at most, in voxels

    int radius[3];  // z from the face, y and x from the ray
    std::uint8_t smooth[3][reach + 1], slope[3][reach + 1];  // the same on either side
    double unit[3];                                          // of the sums of whole numbers
    std::int32_t no_slope_z;

    explicit NormalKernel(const double (&spacing)[3]) : smooth{}, slope{} {
        const double sigma = 1.5 * std::max({spacing[0], spacing[1], spacing[2]});
        double smooth_sum[3], slope_sum[3];
        for (int axis = 0; axis < 3; ++axis) {
            const double step = spacing[axis] / sigma, shift = axis == 0 ? 0.5 : 0.0;
            radius[axis] = static_cast<int>(std::min<double>(reach, std::ceil(2 / step)));
            const int taps = axis == 0 ? radius[0] : radius[axis] + 1;
            double at[reach + 1], gauss[reach + 1], gauss_sum = 0, ramp_sum = 0;
            for (int tap = 0; tap < taps; ++tap) {
                at[tap] = (tap + shift) * step;
                gauss[tap] = std::exp(-0.5 * at[tap] * at[tap]);
                gauss_sum += at[tap] > 0 ? 2 * gauss[tap] : gauss[tap];
                ramp_sum += at[tap] * gauss[tap];
            }
            constexpr double whole = 255 - reach, half = whole / 2;  // room to round
            smooth_sum[axis] = slope_sum[axis] = 0;
            for (int tap = 0; tap < taps; ++tap) {
                const double even = std::round(gauss[tap] / gauss_sum * whole);
                const double odd = std::round(at[tap] * gauss[tap] / ramp_sum * half);
                smooth[axis][tap] = static_cast<std::uint8_t>(even);
                slope[axis][tap] = static_cast<std::uint8_t>(odd);
                smooth_sum[axis] += at[tap] > 0 ? 2 * even : even;
                slope_sum[axis] += 2 * at[tap] * odd;
            }
        }
        no_slope_z = static_cast<std::int32_t>(0x80 * smooth_sum[1]);
        // A ramp along any axis has its slope.
        for (int axis = 0; axis < 3; ++axis)
            unit[axis] = smooth_sum[axis] /
                         (slope_sum[axis] * smooth_sum[0] * smooth_sum[1] * smooth_sum[2]);
    }
};

template <typename Value>
struct LabelColumns {
    VoxelView<Value> voxels;
    NormalKernel kernel;

    PORESCOPE_HOST_DEVICE bool is_solid(Value label) const { return label != 0; }

    // The voxel that holds the plane.
    PORESCOPE_HOST_DEVICE std::ptrdiff_t first_voxel(double plane_z) const {
        return static_cast<std::ptrdiff_t>(plane_z);
    }

    // Where solid turns to pore or back between voxel z - 1 and voxel z.
    PORESCOPE_HOST_DEVICE double border(std::ptrdiff_t z, std::ptrdiff_t, std::ptrdiff_t) const {
        return static_cast<double>(z);
    }

    PORESCOPE_HOST_DEVICE void normal_at(double border, std::ptrdiff_t y, std::ptrdiff_t x,
                                         const VolumeHeightfield& heightfield,
                                         std::size_t pixel) const {
        const std::ptrdiff_t z = static_cast<std::ptrdiff_t>(border + 0.5);
        std::int32_t sum[3] = {};
        for (int dx = -kernel.radius[2]; dx <= kernel.radius[2]; dx += 8) {
            if (voxels.stride[2] == 1 && x + dx >= 0 && x + dx + 8 <= voxels.shape[2])
                add_word<true>(z, y, x, dx, sum);
            else
                add_word<false>(z, y, x, dx, sum);
        }
        store_normal(heightfield, pixel, kernel.unit[0] * sum[0], kernel.unit[1] * sum[1],
                     kernel.unit[2] * sum[2]);
    }

  private:
    // Sums of eight bytes times a weight, which may be negative as long as the sums are not.
    struct SixteenBits {
        std::uint64_t even, odd;

        PORESCOPE_HOST_DEVICE void add(std::uint64_t bytes, std::int64_t signed_weight) {
            constexpr std::uint64_t low = 0x00ff00ff00ff00ff;
            const std::uint64_t weight = static_cast<std::uint64_t>(signed_weight);
            even += (bytes & low) * weight;
            odd += (bytes >> 8 & low) * weight;
        }
        PORESCOPE_HOST_DEVICE std::int32_t lane(int number) const {
            const std::uint64_t word = number % 2 == 0 ? even : odd;
            return static_cast<std::int32_t>(word >> number / 2 * 16 & 0xffff);
        }
    };

    PORESCOPE_HOST_DEVICE std::ptrdiff_t inner(std::ptrdiff_t index, int axis) const {
        const std::ptrdiff_t last = voxels.shape[axis] - 1;
        return index < 0 ? 0 : index > last ? last : index;
    }

    // Eight voxels of a row, a byte each, the first one lowest: 1 for solid. If they are not all
    // inside, neighbours in memory, the row goes on as it ends.
    template <bool inside>
    PORESCOPE_HOST_DEVICE std::uint64_t eight(const Value* row, std::ptrdiff_t x) const {
        std::uint64_t bytes;
#if defined(__GNUC__) && !defined(__CUDACC__)
        if constexpr (inside) {  // compilers do not see that this is one comparison of vectors
            typedef Value Labels __attribute__((vector_size(8 * sizeof(Value))));
            typedef std::int8_t Bytes __attribute__((vector_size(8)));
            Labels labels;
            std::memcpy(&labels, row + x, sizeof labels);
            const Bytes solid = __builtin_convertvector(labels != 0, Bytes) & 1;
            std::memcpy(&bytes, &solid, 8);
            return bytes;
        }
#endif
        bytes = 0;
        for (int lane = 0; lane < 8; ++lane) {
            const Value label = inside ? row[x + lane] : row[inner(x + lane, 2) * voxels.stride[2]];
            bytes |= std::uint64_t{is_solid(label)} << 8 * lane;
        }
        return bytes;
    }

    // The part of the box that begins dx voxels from its middle and is eight voxels wide.
    template <bool inside>
    PORESCOPE_HOST_DEVICE void add_word(std::ptrdiff_t z, std::ptrdiff_t y, std::ptrdiff_t x,
                                        int dx, std::int32_t (&sum)[3]) const {
        const int radius_z = kernel.radius[0], radius_y = kernel.radius[1];
        std::ptrdiff_t above[NormalKernel::reach], below[NormalKernel::reach];
        for (int dz = 0; dz < radius_z; ++dz) {
            above[dz] = inner(z - 1 - dz, 0) * voxels.stride[0];
            below[dz] = inner(z + dz, 0) * voxels.stride[0];
        }
        SixteenBits smooth{0, 0}, slope_z{0, 0}, slope_y{0x8000800080008000, 0x8000800080008000};
        for (int dy = -radius_y; dy <= radius_y; ++dy) {
            const Value* const row = voxels.data + inner(y + dy, 1) * voxels.stride[1];
            std::uint64_t level = 0, slope = 0x8080808080808080;
            for (int dz = 0; dz < radius_z; ++dz) {
                const std::uint64_t one = eight<inside>(row + above[dz], x + dx);
                const std::uint64_t other = eight<inside>(row + below[dz], x + dx);
                level += (other + one) * kernel.smooth[0][dz];
                slope += (other - one) * kernel.slope[0][dz];
            }
            const std::int64_t sign = dy < 0 ? -1 : 1;
            smooth.add(level, kernel.smooth[1][sign * dy]);
            slope_y.add(level, sign * kernel.slope[1][sign * dy]);
            slope_z.add(slope, kernel.smooth[1][sign * dy]);
        }
        for (int lane = 0; lane < 8 && dx + lane <= kernel.radius[2]; ++lane) {
            const int sign = dx + lane < 0 ? -1 : 1, tap = sign * (dx + lane);
            sum[0] += kernel.smooth[2][tap] * (slope_z.lane(lane) - kernel.no_slope_z);
            sum[1] += kernel.smooth[2][tap] * (slope_y.lane(lane) - 0x8000);
            sum[2] += sign * kernel.slope[2][tap] * smooth.lane(lane);
        }
    }
};

template <typename Value>
struct FieldColumns {
    VoxelView<Value> voxels;
    std::conditional_t<std::is_same_v<Value, double>, double, float> level;
    double spacing[3];

    // NaN is pore.
    PORESCOPE_HOST_DEVICE bool is_solid(Value value) const { return value >= level; }

    // The last voxel whose centre is not below the plane, if there is one.
    PORESCOPE_HOST_DEVICE std::ptrdiff_t first_voxel(double plane_z) const {
        return plane_z < 0.5 ? 0 : static_cast<std::ptrdiff_t>(plane_z - 0.5);
    }

    // Beside a value that is not finite, the face between the voxels.
    PORESCOPE_HOST_DEVICE double border(std::ptrdiff_t z, std::ptrdiff_t y,
                                        std::ptrdiff_t x) const {
        if (z == voxels.shape[0]) return static_cast<double>(z);
        const double above = static_cast<double>(voxels.at(z - 1, y, x));
        const double below = static_cast<double>(voxels.at(z, y, x));
        const double difference = below - above;
        const bool finite = fabs(difference) < INFINITY;
        return static_cast<double>(z) - 0.5 + (finite ? (level - above) / difference : 0.5);
    }

    PORESCOPE_HOST_DEVICE void normal_at(double border, std::ptrdiff_t y, std::ptrdiff_t x,
                                         const VolumeHeightfield& heightfield,
                                         std::size_t pixel) const {
        const std::ptrdiff_t above = first_voxel(border);
        const std::ptrdiff_t below = above + 1 < voxels.shape[0] ? above + 1 : above;
        const double part = border - 0.5 - static_cast<double>(above);
        double gradient[3];
        for (int axis = 0; axis < 3; ++axis)
            gradient[axis] =
                (1 - part) * derivative(above, y, x, axis) + part * derivative(below, y, x, axis);
        store_normal(heightfield, pixel, gradient[0], gradient[1], gradient[2]);
    }

  private:
    // Central difference; one-sided in the outermost voxels.
    PORESCOPE_HOST_DEVICE double derivative(std::ptrdiff_t z, std::ptrdiff_t y, std::ptrdiff_t x,
                                            int axis) const {
        std::ptrdiff_t before[3] = {z, y, x}, after[3] = {z, y, x};
        if (before[axis] > 0) --before[axis];
        if (after[axis] < voxels.shape[axis] - 1) ++after[axis];
        const std::ptrdiff_t steps = after[axis] - before[axis];
        if (steps == 0) return 0;
        const double difference = static_cast<double>(voxels.at(after[0], after[1], after[2])) -
                                  static_cast<double>(voxels.at(before[0], before[1], before[2]));
        return difference / (static_cast<double>(steps) * spacing[axis]);
    }
};

// Store a crossing between pore and solid, the one after `crossings` others, and return how many
// there are now. An interval of no length, such as one that ends at the plane, is taken back.
PORESCOPE_HOST_DEVICE inline unsigned store_crossing(const VolumeHeightfield& heightfield,
                                                     std::size_t pixel, unsigned crossings,
                                                     const Plane& plane, double border) {
    const double below = (border - plane.z) * plane.spacing[0];
    const float depth = below > 0 ? static_cast<float>(below) : 0.0f;
    const std::size_t place = crossings / 2 * heightfield.pixels + pixel;
    if (crossings % 2 == 0) {
        heightfield.entry[place] = depth;
    } else if (depth > heightfield.entry[place]) {
        heightfield.exit[place] = depth;
    } else {
        heightfield.entry[place] = INFINITY;
        return crossings - 1;
    }
    return crossings + 1;
}

PORESCOPE_HOST_DEVICE inline void clear_pixel(const VolumeHeightfield& heightfield,
                                              std::size_t pixel) {
    for (unsigned layer = 0; layer < heightfield.layers; ++layer) {
        const std::size_t place = layer * heightfield.pixels + pixel;
        heightfield.entry[place] = INFINITY;
        heightfield.exit[place] = INFINITY;
    }
}

// Once the crossings are stored: the normal at the first entry, if there is one.
template <typename Columns>
PORESCOPE_HOST_DEVICE void finish_pixel(const Columns& columns, const Plane& plane,
                                        const VolumeHeightfield& heightfield, std::ptrdiff_t y,
                                        std::ptrdiff_t x, std::size_t pixel) {
    const float entry = heightfield.entry[pixel];
    if (entry > 0 && entry < INFINITY) {
        columns.normal_at(plane.z + entry / plane.spacing[0], y, x, heightfield, pixel);
    } else {
        heightfield.normal[pixel] = entry == 0 ? 1.0f : 0.0f;
        heightfield.normal[heightfield.pixels + pixel] = 0.0f;
        heightfield.normal[2 * heightfield.pixels + pixel] = 0.0f;
    }
}

// One pixel alone, as a GPU's thread does it. The parity of the crossings tells solid from pore.
template <typename Columns>
PORESCOPE_HOST_DEVICE void extract_pixel(const Columns& columns, const Plane& plane,
                                         const VolumeHeightfield& heightfield, std::ptrdiff_t y,
                                         std::ptrdiff_t x) {
    const auto& voxels = columns.voxels;
    const std::size_t pixel = static_cast<std::size_t>(y * voxels.shape[2] + x);
    const unsigned most = 2 * heightfield.layers;
    clear_pixel(heightfield, pixel);
    unsigned crossings = 0;
    const std::ptrdiff_t first = columns.first_voxel(plane.z);
    for (std::ptrdiff_t z = first; z < voxels.shape[0] && crossings < most; ++z)
        if (columns.is_solid(voxels.at(z, y, x)) != (crossings % 2 == 1))
            crossings = store_crossing(heightfield, pixel, crossings, plane,
                                       z == first ? plane.z : columns.border(z, y, x));
    if (crossings % 2 == 1)
        store_crossing(heightfield, pixel, crossings, plane, columns.border(voxels.shape[0], y, x));
    finish_pixel(columns, plane, heightfield, y, x, pixel);
}

inline int lowest_bit(std::uint64_t bits) {
#ifdef _MSC_VER
    unsigned long number;
    _BitScanForward64(&number, bits);
    return static_cast<int>(number);
#else
    return __builtin_ctzll(bits);
#endif
}

inline void prefetch(const void* place) {
#ifdef _MSC_VER
    static_cast<void>(place);
#else
    __builtin_prefetch(place);
#endif
}

// Up to 64 neighbours in a row of pixels on their way down, a byte each so that they are compared
// in vectors; only those that cross a border are taken one by one.
struct Segment {
    static constexpr std::ptrdiff_t length = 64;

    std::uint8_t solid[length];  // 0 or 1
    std::uint8_t open[length];   // 1 as long as a crossing can still count
    std::uint8_t crossings[length];
    std::ptrdiff_t y, x, width, open_count;
};

// The columns that cross a border into these voxels, a bit each.
template <typename Columns, typename Value>
std::uint64_t crossing_columns(const Columns& columns, const Segment& part, const Value* voxels,
                               std::ptrdiff_t stride) {
    std::uint8_t crosses[Segment::length] = {};
    const auto compare = [&](std::ptrdiff_t lane, Value value) {
        crosses[lane] = (columns.is_solid(value) ^ part.solid[lane]) & part.open[lane];
    };
    if (stride == 1 && part.width == Segment::length)
        for (std::ptrdiff_t lane = 0; lane < Segment::length; ++lane) compare(lane, voxels[lane]);
    else
        for (std::ptrdiff_t lane = 0; lane < part.width; ++lane)
            compare(lane, voxels[lane * stride]);
    std::uint64_t words[Segment::length / 8], any = 0, bits = 0;
    std::memcpy(words, crosses, Segment::length);
    for (const std::uint64_t word : words) any |= word;
    if (any == 0) return 0;
    for (int number = 0; number < Segment::length / 8; ++number)  // the lowest bits of the bytes
        bits |= words[number] * 0x0102040810204080 >> 56 << 8 * number;
    return bits;
}

// Some rows of pixels at once, slice by slice as they lie in memory, without the segments whose
// columns are all closed.
template <typename Columns>
void extract_rows(const Columns& columns, const Plane& plane, const VolumeHeightfield& heightfield,
                  std::ptrdiff_t y_begin, std::ptrdiff_t y_end) {
    const auto& voxels = columns.voxels;
    const auto pixel_at = [&](std::ptrdiff_t y, std::ptrdiff_t x) {
        return static_cast<std::size_t>(y * voxels.shape[2] + x);
    };
    std::vector<Segment> segments;
    for (std::ptrdiff_t y = y_begin; y < y_end; ++y)
        for (std::ptrdiff_t x = 0; x < voxels.shape[2]; x += Segment::length) {
            const std::ptrdiff_t width = std::min(Segment::length, voxels.shape[2] - x);
            segments.push_back({{}, {}, {}, y, x, width, width});
            std::fill_n(segments.back().open, width, std::uint8_t{1});
        }
    for (std::size_t pixel = pixel_at(y_begin, 0); pixel < pixel_at(y_end, 0); ++pixel)
        clear_pixel(heightfield, pixel);

    const std::ptrdiff_t first = columns.first_voxel(plane.z);
    const auto cross = [&](Segment& part, std::ptrdiff_t lane, std::ptrdiff_t z) {
        const std::ptrdiff_t x = part.x + lane;
        part.solid[lane] ^= 1;
        part.crossings[lane] = static_cast<std::uint8_t>(
            store_crossing(heightfield, pixel_at(part.y, x), part.crossings[lane], plane,
                           z == first ? plane.z : columns.border(z, part.y, x)));
        part.open[lane] = part.crossings[lane] < 2 * heightfield.layers;
        part.open_count -= 1 - part.open[lane];
    };
    for (std::ptrdiff_t z = first; z < voxels.shape[0]; ++z) {
        bool closed = false;
        for (Segment& part : segments) {
            const auto* const row = voxels.row(z, part.y) + part.x * voxels.stride[2];
            if (z + 2 < voxels.shape[0]) prefetch(row + 2 * voxels.stride[0]);
            for (std::uint64_t bits = crossing_columns(columns, part, row, voxels.stride[2]);
                 bits != 0; bits &= bits - 1)
                cross(part, lowest_bit(bits), z);
            closed |= part.open_count == 0;
        }
        if (closed)
            segments.erase(std::remove_if(segments.begin(), segments.end(),
                                          [](const Segment& part) { return part.open_count == 0; }),
                           segments.end());
        if (segments.empty()) break;
    }
    for (Segment& part : segments)
        for (std::ptrdiff_t lane = 0; lane < part.width; ++lane)
            if (part.solid[lane]) cross(part, lane, voxels.shape[0]);
    for (std::ptrdiff_t y = y_begin; y < y_end; ++y)
        for (std::ptrdiff_t x = 0; x < voxels.shape[2]; ++x)
            finish_pixel(columns, plane, heightfield, y, x, pixel_at(y, x));
}

template <typename Columns>
void extract_volume_heightfield(const Columns& columns, const Plane& plane,
                                const VolumeHeightfield& heightfield, std::size_t threads) {
    constexpr std::ptrdiff_t rows = 8;
    const std::ptrdiff_t height = columns.voxels.shape[1];
    const std::size_t pieces = static_cast<std::size_t>((height + rows - 1) / rows);
    share_out(pieces, threads, [&](const auto& next) {
        for (std::size_t piece; (piece = next()) < pieces;) {
            const std::ptrdiff_t begin = static_cast<std::ptrdiff_t>(piece) * rows;
            extract_rows(columns, plane, heightfield, begin, std::min(begin + rows, height));
        }
    });
}

}  // namespace porescope
