#include "binning.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "extents.hpp"
#include "parallel.hpp"

namespace porescope {
namespace {

constexpr double endless = std::numeric_limits<double>::infinity();

// Whatever float rounding does to a ray, it stays within the spans.
constexpr double margin = 2e-3;

// Each bound below holds for every point of the primitive above the tile, and is tight enough to
// sort by.

Range depths_in_tile(const Sphere& sphere, Range y, Range x) {
    const double off_y = std::max({0.0, y.low - sphere.centre[1], sphere.centre[1] - y.high});
    const double off_x = std::max({0.0, x.low - sphere.centre[2], sphere.centre[2] - x.high});
    const double left = sphere.radius * sphere.radius - off_y * off_y - off_x * off_x;
    if (left < 0) return {endless, -endless};
    return around(sphere.centre[0], std::sqrt(left));
}

Range depths_in_tile(const Cylinder& cylinder, Range y, Range x) {
    // A point of the cylinder is no further from its place on the axis than the disc reaches.
    const Range tile[2] = {y, x};
    Range along = around(0, cylinder.half_height);
    for (int k = 1; k < 3; ++k) {
        const double slope = cylinder.axis[k];
        const double disc = cylinder.radius * std::sqrt(std::max(0.0, 1 - slope * slope));
        const Range reach = tile[k - 1].grown(disc);
        const double low = reach.low - cylinder.centre[k], high = reach.high - cylinder.centre[k];
        if (slope == 0) {
            if (low > 0 || high < 0) return {endless, -endless};
        } else {
            along = along.within(
                {std::min(low / slope, high / slope), std::max(low / slope, high / slope)});
        }
    }
    if (along.empty()) return {endless, -endless};
    const double disc =
        cylinder.radius * std::sqrt(std::max(0.0, 1 - cylinder.axis[0] * cylinder.axis[0]));
    return Range{cylinder.centre[0] + along.low * cylinder.axis[0],
                 cylinder.centre[0] + along.high * cylinder.axis[0]}
        .grown(disc);
}

Range depths_in_tile(const Cuboid& cuboid, Range y, Range x) {
    const double middle_y = (y.low + y.high) / 2 - cuboid.centre[1];
    const double middle_x = (x.low + x.high) / 2 - cuboid.centre[2];
    Range depths{-endless, endless};
    for (int k = 0; k < 3; ++k) {
        const double* const axis = cuboid.axes[k];
        const double along = axis[1] * middle_y + axis[2] * middle_x;
        const double spread = std::abs(axis[1]) * (y.high - y.low) / 2 +
                              std::abs(axis[2]) * (x.high - x.low) / 2 + cuboid.half_edge[k];
        if (axis[0] == 0) {
            if (std::abs(along) > spread) return {endless, -endless};
        } else {
            depths = depths.within({(-spread - along) / axis[0], (spread - along) / axis[0]});
        }
    }
    return {cuboid.centre[0] + depths.low, cuboid.centre[0] + depths.high};
}

// What a primitive looks like along the beam: a disc drawn along a line, somewhat too large.
struct Shadow {
    double from_y, from_x, along_y, along_x, radius;
};

Shadow shadow(const Sphere& sphere) {
    return {sphere.centre[1], sphere.centre[2], 0, 0, sphere.radius};
}

Shadow shadow(const Cylinder& cylinder) {
    const double half_y = cylinder.half_height * cylinder.axis[1];
    const double half_x = cylinder.half_height * cylinder.axis[2];
    return {cylinder.centre[1] - half_y, cylinder.centre[2] - half_x, 2 * half_y, 2 * half_x,
            cylinder.radius};
}

Shadow shadow(const Cuboid& cuboid) {
    const Extents ends = extents(cuboid);
    return {cuboid.centre[1], cuboid.centre[2], 0, 0,
            std::hypot(ends[1].high - ends[1].low, ends[2].high - ends[2].low) / 2};
}

// Which cells of the tile with this corner a shadow may fall on.
std::uint16_t cells_under(const Shadow& shadow, double corner_y, double corner_x) {
    const double squared = shadow.along_y * shadow.along_y + shadow.along_x * shadow.along_x;
    const double inverse = squared > 0 ? 1 / squared : 0;
    const double reach = shadow.radius + std::sqrt(0.5) * cell_size + margin;
    unsigned cells = 0;
    for (int cell = 0; cell < cell_count; ++cell) {
        const double y = corner_y + (cell / cells_across + 0.5) * cell_size - shadow.from_y;
        const double x = corner_x + (cell % cells_across + 0.5) * cell_size - shadow.from_x;
        const double nearest =
            std::min(std::max((shadow.along_y * y + shadow.along_x * x) * inverse, 0.0), 1.0);
        const double off_y = y - nearest * shadow.along_y, off_x = x - nearest * shadow.along_x;
        cells |= static_cast<unsigned>(off_y * off_y + off_x * off_x <= reach * reach) << cell;
    }
    return static_cast<std::uint16_t>(cells);
}

float rounded_down(double value) {
    return std::nextafter(static_cast<float>(value), -std::numeric_limits<float>::infinity());
}
float rounded_up(double value) {
    return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

struct Found {
    std::int32_t tile;
    Span span;
};

template <typename Primitive>
void find_tiles(const Primitive& primitive, std::int32_t number, std::int32_t tiles_down,
                std::int32_t tiles_across, std::vector<Found>& found) {
    const Extents bounds = extents(primitive);
    const Shadow below = shadow(primitive);
    const auto tile_of = [](double place, std::int32_t count) {
        return static_cast<std::int32_t>(
            std::clamp(std::floor(place / tile_size), -1.0, static_cast<double>(count)));
    };
    const std::int32_t top = std::max(0, tile_of(bounds[1].low - margin, tiles_down));
    const std::int32_t bottom =
        std::min(tiles_down - 1, tile_of(bounds[1].high + margin, tiles_down));
    const std::int32_t left = std::max(0, tile_of(bounds[2].low - margin, tiles_across));
    const std::int32_t right =
        std::min(tiles_across - 1, tile_of(bounds[2].high + margin, tiles_across));
    for (std::int32_t down = top; down <= bottom; ++down)
        for (std::int32_t across = left; across <= right; ++across) {
            const double y = down * tile_size, x = across * tile_size;
            const Range depths = depths_in_tile(primitive, Range{y, y + tile_size}.grown(margin),
                                                Range{x, x + tile_size}.grown(margin))
                                     .within(bounds[0]);
            if (depths.empty()) continue;
            const std::uint16_t cells = cells_under(below, y, x);
            if (cells == 0) continue;
            const double slack =
                margin + 1e-6 * std::max(std::abs(depths.low), std::abs(depths.high));
            found.push_back({down * tiles_across + across,
                             {rounded_down(depths.low - slack), rounded_up(depths.high + slack),
                              number, cells}});
        }
}

// Whether floats hold a depth exactly, wherever depths are counted from.
bool is_on_grid(double depth) {
    return std::abs(depth) < 32768 && depth * 256 == std::floor(depth * 256);
}

// Whether rays parallel to z cross a primitive at depths that floats hold exactly.
bool has_exact_depths(const Sphere&) { return false; }
bool has_exact_depths(const Cylinder& cylinder) {
    return cylinder.axis[0] == 1 && is_on_grid(cylinder.centre[0]) &&
           is_on_grid(cylinder.half_height);
}
bool has_exact_depths(const Cuboid& cuboid) {
    bool exact = is_on_grid(cuboid.centre[0]);
    for (int k = 0; k < 3; ++k)
        exact = exact && (cuboid.axes[k][0] == 0 ||
                          (cuboid.axes[k][0] == 1 && is_on_grid(cuboid.half_edge[k])));
    return exact;
}

double widest(const Sphere& sphere) { return sphere.radius; }
double widest(const Cylinder& cylinder) { return cylinder.radius; }
double widest(const Cuboid&) { return 0; }

// The largest difference that float rounding can make between two depths.
class FloatError {
  public:
    template <typename Primitive>
    void include(const std::vector<Primitive>& primitives) {
        for (const Primitive& primitive : primitives) {
            if (has_exact_depths(primitive)) continue;
            of_formulas_ = std::max(of_formulas_, depth_error(widest(primitive) + tile_size));
            const Range depths = extents(primitive)[0];
            depths_ = {std::min(depths_.low, depths.low), std::max(depths_.high, depths.high)};
        }
    }
    float value() const {
        if (depths_.empty()) return 0;
        const double most = std::min(std::max(std::abs(depths_.low), std::abs(depths_.high)),
                                     depths_.high - depths_.low + 1024);
        return static_cast<float>(2 * of_formulas_ + 2.5e-7 * most);
    }

  private:
    double of_formulas_ = 0;
    Range depths_{endless, -endless};
};

// Puts primitives in the order in which tiles meet them, so that what a tile needs lies together,
// and notes their numbers as given.
template <typename Primitive>
void arrange(std::vector<Primitive>& primitives, std::vector<std::int32_t>& given) {
    struct Place {
        std::int64_t tile;
        double z;
        std::int32_t number;
    };
    const auto tile_of = [](double place) {
        return static_cast<std::int64_t>(std::clamp(std::floor(place / tile_size), -1e6, 1e9));
    };
    std::vector<Place> places(primitives.size());
    for (std::size_t k = 0; k < places.size(); ++k) {
        const double* const centre = primitives[k].centre;
        places[k] = {tile_of(centre[1]) * 2'000'000'000 + tile_of(centre[2]), centre[0],
                     static_cast<std::int32_t>(k)};
    }
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
        return std::tie(a.tile, a.z, a.number) < std::tie(b.tile, b.z, b.number);
    });
    const auto first = static_cast<std::int32_t>(given.size());
    std::vector<Primitive> arranged;
    arranged.reserve(primitives.size());
    for (const Place& place : places) {
        arranged.push_back(primitives[place.number]);
        given.push_back(first + place.number);
    }
    primitives = std::move(arranged);
}

}  // namespace

Bins::Bins(std::vector<Sphere> spheres, std::vector<Cylinder> cylinders,
           std::vector<Cuboid> cuboids, std::size_t rows, std::size_t columns, std::size_t threads)
    : spheres_(std::move(spheres)),
      cylinders_(std::move(cylinders)),
      cuboids_(std::move(cuboids)),
      rows_(static_cast<std::int32_t>(rows)),
      columns_(static_cast<std::int32_t>(columns)),
      tiles_down_((rows_ + tile_size - 1) / tile_size),
      tiles_across_((columns_ + tile_size - 1) / tile_size) {
    arrange(spheres_, given_numbers_);
    arrange(cylinders_, given_numbers_);
    arrange(cuboids_, given_numbers_);
    FloatError error;
    error.include(spheres_);
    error.include(cylinders_);
    error.include(cuboids_);
    tolerance_ = error.value();
    const std::size_t tiles = static_cast<std::size_t>(tiles_down_) * tiles_across_;
    const std::size_t count = spheres_.size() + cylinders_.size() + cuboids_.size();

    constexpr std::size_t piece_length = 2048;
    const std::size_t pieces = (count + piece_length - 1) / piece_length;
    std::vector<std::vector<Found>> found(pieces);
    share_out(pieces, threads, [&](const auto& next) {
        for (std::size_t piece; (piece = next()) < pieces;) {
            const std::size_t end = std::min(count, (piece + 1) * piece_length);
            for (std::size_t k = piece * piece_length; k < end; ++k) {
                const auto number = static_cast<std::int32_t>(k);
                const auto find = [&](const auto& primitive) {
                    find_tiles(primitive, number, tiles_down_, tiles_across_, found[piece]);
                };
                const std::size_t after_spheres = k - spheres_.size();
                if (k < spheres_.size())
                    find(spheres_[k]);
                else if (after_spheres < cylinders_.size())
                    find(cylinders_[after_spheres]);
                else
                    find(cuboids_[after_spheres - cylinders_.size()]);
            }
        }
    });

    std::vector<std::uint64_t> tile_begin(tiles + 1, 0);
    Range depths{endless, -endless};
    for (const auto& piece : found)
        for (const Found& one : piece) {
            ++tile_begin[one.tile + 1];
            depths.low = std::min<double>(depths.low, one.span.begin);
            depths.high = std::max<double>(depths.high, one.span.end);
        }
    for (std::size_t tile = 0; tile < tiles; ++tile) tile_begin[tile + 1] += tile_begin[tile];
    spans_.resize(tile_begin[tiles]);
    std::vector<std::uint64_t> place(tile_begin.begin(), tile_begin.end() - 1);
    for (auto& piece : found) {
        for (const Found& one : piece) spans_[place[one.tile]++] = one.span;
        std::vector<Found>().swap(piece);
    }

    if (!depths.empty()) {
        constexpr double usual_depth = 32, most_slabs = 256;
        slabs_ = static_cast<std::int32_t>(
            std::clamp((depths.high - depths.low) / usual_depth, 1.0, most_slabs));
        first_slab_ = depths.low;
        slab_depth_ = std::max((depths.high - depths.low) / slabs_, 1e-30);
    }
    const auto start_of = [&](std::int32_t slab) { return first_slab_ + slab * slab_depth_; };
    const auto slab_of = [&](float depth) {
        return std::clamp(static_cast<std::int32_t>((depth - first_slab_) / slab_depth_), 0,
                          slabs_ - 1);
    };
    // A span runs in the slabs that start after it began and before it ends.
    const auto for_running = [&](const Span& span, const auto& act) {
        for (std::int32_t slab = slab_of(span.begin); slab < slabs_; ++slab) {
            if (start_of(slab) >= span.end) break;
            if (start_of(slab) > span.begin) act(slab);
        }
    };
    slab_begin_.resize(tiles * (slabs_ + 1));
    running_begin_.assign(tiles * slabs_ + 1, 0);
    share_out(tiles, threads, [&](const auto& next) {
        for (std::size_t tile; (tile = next()) < tiles;) {
            Span* const begin = spans_.data() + tile_begin[tile];
            Span* const end = spans_.data() + tile_begin[tile + 1];
            std::sort(begin, end, [](const Span& a, const Span& b) {
                return a.begin < b.begin || (a.begin == b.begin && a.number < b.number);
            });
            for (std::int32_t slab = 0; slab <= slabs_; ++slab) {
                const Span* const first =
                    slab == 0        ? begin
                    : slab == slabs_ ? end
                                     : std::partition_point(begin, end, [&](const Span& span) {
                                           return span.begin < start_of(slab);
                                       });
                slab_begin_[tile * (slabs_ + 1) + slab] =
                    static_cast<std::uint64_t>(first - spans_.data());
            }
            for (const Span* span = begin; span < end; ++span)
                for_running(*span,
                            [&](std::int32_t slab) { ++running_begin_[tile * slabs_ + slab + 1]; });
        }
    });
    for (std::size_t k = 1; k < running_begin_.size(); ++k)
        running_begin_[k] += running_begin_[k - 1];
    running_.resize(running_begin_.back());
    share_out(tiles, threads, [&](const auto& next) {
        std::vector<std::uint64_t> ends(slabs_);
        for (std::size_t tile; (tile = next()) < tiles;) {
            std::copy_n(running_begin_.begin() + tile * slabs_, slabs_, ends.begin());
            for (std::uint64_t k = tile_begin[tile]; k < tile_begin[tile + 1]; ++k)
                for_running(spans_[k],
                            [&](std::int32_t slab) { running_[ends[slab]++] = spans_[k]; });
        }
    });
    for (std::size_t tile = 0; tile < tiles; ++tile)
        for (std::int32_t slab = 0; slab < slabs_; ++slab) {
            const std::size_t running =
                running_begin_[tile * slabs_ + slab + 1] - running_begin_[tile * slabs_ + slab];
            const std::size_t beginning =
                slab_begin_[tile * (slabs_ + 1) + slabs_] - slab_begin_[tile * (slabs_ + 1) + slab];
            longest_list_ = std::max(longest_list_, running + beginning);
        }
}

BinsView Bins::view() const {
    return {
        {spheres_.data(), cylinders_.data(), cuboids_.data(), given_numbers_.data(),
         static_cast<std::int32_t>(spheres_.size()), static_cast<std::int32_t>(cylinders_.size()),
         static_cast<std::int32_t>(cuboids_.size())},
        rows_,
        columns_,
        tiles_down_,
        tiles_across_,
        slabs_,
        first_slab_,
        slab_depth_,
        tolerance_,
        spans_.data(),
        slab_begin_.data(),
        running_.data(),
        running_begin_.data()};
}

}  // namespace porescope
