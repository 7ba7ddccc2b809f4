// Spheres, cylinders and cuboids, and where a ray along z enters and leaves them.
//
// Each formula stands once, over the lane type. With floats it works on coordinates relative to a
// nearby corner, says which lanes rounding may have spoilt, and those are done again with doubles.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "lanes.hpp"
#include "platform.hpp"

namespace porescope {

// Lengths in the unit of the sample, axes of length 1, in the order z, y, x.
struct Sphere {
    double centre[3], radius;
};
struct Cylinder {
    double centre[3], axis[3], radius, half_height;  // axis[0] >= 0
};
struct Cuboid {
    double centre[3], axes[3][3], half_edge[3];  // axes[k][0] >= 0
};

// The primitives of a sample, numbered spheres first, then cylinders, then cuboids.
struct PrimitivesView {
    const Sphere* spheres;
    const Cylinder* cylinders;
    const Cuboid* cuboids;
    const std::int32_t* given_numbers;  // as the user numbers them; null if they are in that order
    std::int32_t sphere_count, cylinder_count, cuboid_count;
};

inline namespace PORESCOPE_INSTRUCTION_SET {

enum class Shape { sphere, upright_cylinder, lying_cylinder, tilted_cylinder, cuboid };

// One primitive seen from a corner (z, y, x), ready for rays near it; a shape sets what it needs.
// In cylinders `origin` is the point of the axis nearest to the rays, low and high are the ends
// seen from there, and the first axis counts.
template <typename Real>
struct Prepared {
    Shape shape;
    std::int32_t number;
    bool doubtful_wall, doubtful_side[3];
    Real doubtful_discriminant;
    Real origin[3], radius, radius_squared;
    Real horizontal_squared, inverse_horizontal_squared;
    Real axes[3][3], inverse_axis_z[3], low[3], high[3];
};

// Where lanes enter and leave a primitive. `hit` is true where that is a stretch of some length,
// `doubtful` where floats cannot tell or are off by more than depth_error.
template <typename Lane>
struct Crossing {
    Lane enter, leave;
    Mask<Lane> hit, doubtful;
};

template <typename Lane>
struct Vector {
    Lane z, y, x;
};

// Rays closer than this to an edge or an end are done again in doubles.
constexpr double side_error = 5e-4;

PORESCOPE_HOST_DEVICE inline double limited(double value, double low, double high) {
    return larger(low, smaller(high, value));
}

// What rounding to float may do to a depth, for rays no further than `near` from the corner; found
// by trial against doubles. Of large primitives more rays are done in doubles instead.
PORESCOPE_HOST_DEVICE inline double depth_error(double near) {
    return smaller(1e-4 + 2e-6 * near, 4e-4);
}

// Slopes below which a side, and the square below which a discriminant, gives a larger error.
PORESCOPE_HOST_DEVICE inline double doubtful_slope(double near) {
    return 1.5e-7 * near / depth_error(near);
}
PORESCOPE_HOST_DEVICE inline float doubtful_discriminant(float radius, float near) {
    const float chord = 1.5e-7f * radius * near / static_cast<float>(2 * depth_error(near));
    return chord * chord;
}

// Where depths count from, and the corner of a square of rays with its side.
struct Corner {
    double z, y, x, span;
};

// From where to count depths below a plane, so that floats hold them well however deep it lies.
PORESCOPE_HOST_DEVICE inline double depth_origin(double plane) {
    return floor(plane / 1024) * 1024;
}

template <typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void prepare(Prepared<Real>& prepared, const Sphere& sphere,
                                                    const Corner& corner) {
    prepared.shape = Shape::sphere;
    prepared.origin[0] = static_cast<Real>(sphere.centre[0] - corner.z);
    prepared.origin[1] = static_cast<Real>(sphere.centre[1] - corner.y);
    prepared.origin[2] = static_cast<Real>(sphere.centre[2] - corner.x);
    prepared.radius = static_cast<Real>(sphere.radius);
    prepared.radius_squared = static_cast<Real>(sphere.radius * sphere.radius);
    prepared.doubtful_discriminant = static_cast<Real>(doubtful_discriminant(
        static_cast<float>(sphere.radius), static_cast<float>(sphere.radius + corner.span)));
}

template <typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void prepare(Prepared<Real>& prepared,
                                                    const Cylinder& cylinder,
                                                    const Corner& corner) {
    const double* const axis = cylinder.axis;
    const double horizontal = axis[1] * axis[1] + axis[2] * axis[2];
    const double inverse_horizontal = horizontal == 0 ? 0 : 1 / horizontal;
    const double middle_y = corner.y + corner.span / 2 - cylinder.centre[1];
    const double middle_x = corner.x + corner.span / 2 - cylinder.centre[2];
    const double half = cylinder.half_height;
    const double along =
        limited((middle_y * axis[1] + middle_x * axis[2]) * inverse_horizontal, -half, half);
    prepared.shape = horizontal == 0 ? Shape::upright_cylinder
                     : axis[0] == 0  ? Shape::lying_cylinder
                                     : Shape::tilted_cylinder;
    prepared.origin[0] = static_cast<Real>(cylinder.centre[0] + along * axis[0] - corner.z);
    prepared.origin[1] = static_cast<Real>(cylinder.centre[1] + along * axis[1] - corner.y);
    prepared.origin[2] = static_cast<Real>(cylinder.centre[2] + along * axis[2] - corner.x);
    for (int k = 0; k < 3; ++k) prepared.axes[0][k] = static_cast<Real>(axis[k]);
    prepared.inverse_axis_z[0] = static_cast<Real>(axis[0] == 0 ? 0 : 1 / axis[0]);
    prepared.low[0] = static_cast<Real>(-half - along);
    prepared.high[0] = static_cast<Real>(half - along);
    prepared.radius = static_cast<Real>(cylinder.radius);
    prepared.radius_squared = static_cast<Real>(cylinder.radius * cylinder.radius);
    prepared.horizontal_squared = static_cast<Real>(horizontal);
    prepared.inverse_horizontal_squared = static_cast<Real>(inverse_horizontal);
    const double near = cylinder.radius + corner.span;
    prepared.doubtful_discriminant = static_cast<Real>(
        doubtful_discriminant(static_cast<float>(cylinder.radius), static_cast<float>(near)));
    prepared.doubtful_side[0] = axis[0] < doubtful_slope(near);
    prepared.doubtful_wall = horizontal < doubtful_slope(near) * doubtful_slope(near);
}

template <typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void prepare(Prepared<Real>& prepared, const Cuboid& cuboid,
                                                    const Corner& corner) {
    prepared.shape = Shape::cuboid;
    prepared.origin[0] = static_cast<Real>(cuboid.centre[0] - corner.z);
    const double* const half = cuboid.half_edge;
    // Floats hold no point of it exactly enough.
    const bool is_huge = 1.2e-7 * larger(larger(half[0], half[1]), half[2]) > 3e-4;
    for (int k = 0; k < 3; ++k) {
        const double* const axis = cuboid.axes[k];
        const double along =
            axis[1] * (corner.y - cuboid.centre[1]) + axis[2] * (corner.x - cuboid.centre[2]);
        for (int j = 0; j < 3; ++j) prepared.axes[k][j] = static_cast<Real>(axis[j]);
        prepared.inverse_axis_z[k] = static_cast<Real>(axis[0] == 0 ? 0 : 1 / axis[0]);
        prepared.low[k] = static_cast<Real>(-half[k] - along);
        prepared.high[k] = static_cast<Real>(half[k] - along);
        prepared.doubtful_side[k] = is_huge || axis[0] < doubtful_slope(corner.span);
    }
}

template <typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE void prepare(Prepared<Real>& prepared,
                                                    const PrimitivesView& primitives,
                                                    std::int32_t number, const Corner& corner) {
    prepared.number = number;
    const std::int32_t cylinder = number - primitives.sphere_count;
    const std::int32_t cuboid = cylinder - primitives.cylinder_count;
    if (cylinder < 0)
        prepare(prepared, primitives.spheres[number], corner);
    else if (cuboid < 0)
        prepare(prepared, primitives.cylinders[cylinder], corner);
    else
        prepare(prepared, primitives.cuboids[cuboid], corner);
}

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross_sphere(const Prepared<Real>& sphere,
                                                                   Lane y, Lane x) {
    const Lane from_y = y - Lane(sphere.origin[1]), from_x = x - Lane(sphere.origin[2]);
    const Lane discriminant = Lane(sphere.radius_squared) - from_y * from_y - from_x * from_x;
    const Lane half_chord = root(larger(discriminant, Lane(Real(0))));
    const Lane origin_z(sphere.origin[0]), doubtful(sphere.doubtful_discriminant);
    return {origin_z - half_chord, origin_z + half_chord, Lane(Real(0)) < discriminant,
            magnitude(discriminant) < doubtful};
}

// Where rays cross the wall, endless along the axis, and the ends of a cylinder that is not
// upright; depths from its origin.
template <typename Lane>
struct CylinderSides {
    Lane along, discriminant, wall_enter, wall_leave, end_enter, end_leave;
};

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE CylinderSides<Lane> cylinder_sides(
    const Prepared<Real>& cylinder, Lane from_y, Lane from_x) {
    CylinderSides<Lane> sides;
    const Lane axis_y(cylinder.axes[0][1]), axis_x(cylinder.axes[0][2]);
    sides.along = axis_y * from_y + axis_x * from_x;
    const Lane across = axis_y * from_x - axis_x * from_y;
    // Not as B^2 - A C, which cancels where the axis is nearly upright.
    sides.discriminant =
        Lane(cylinder.horizontal_squared * cylinder.radius_squared) - across * across;
    const Lane half_chord = root(larger(sides.discriminant, Lane(Real(0))));
    const Lane lean = Lane(cylinder.axes[0][0]) * sides.along;
    const Lane inverse(cylinder.inverse_horizontal_squared);
    sides.wall_enter = (lean - half_chord) * inverse;
    sides.wall_leave = (lean + half_chord) * inverse;
    // Of a lying cylinder these are 0 and not looked at: its rays run along the ends.
    const Lane slope(cylinder.inverse_axis_z[0]);
    sides.end_enter = (Lane(cylinder.low[0]) - sides.along) * slope;
    sides.end_leave = (Lane(cylinder.high[0]) - sides.along) * slope;
    return sides;
}

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross_upright_cylinder(
    const Prepared<Real>& cylinder, Lane y, Lane x) {
    const Lane from_y = y - Lane(cylinder.origin[1]), from_x = x - Lane(cylinder.origin[2]);
    const Lane outside = from_y * from_y + from_x * from_x - Lane(cylinder.radius_squared);
    const Lane origin_z(cylinder.origin[0]);
    return {origin_z + Lane(cylinder.low[0]), origin_z + Lane(cylinder.high[0]),
            outside <= Lane(Real(0)), magnitude(outside) < Lane(cylinder.doubtful_discriminant)};
}

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross_lying_cylinder(
    const Prepared<Real>& cylinder, Lane y, Lane x) {
    const CylinderSides<Lane> sides =
        cylinder_sides(cylinder, y - Lane(cylinder.origin[1]), x - Lane(cylinder.origin[2]));
    const Lane low(cylinder.low[0]), high(cylinder.high[0]), origin_z(cylinder.origin[0]);
    const Lane tolerance = Lane(Real(side_error));
    Crossing<Lane> crossing;
    crossing.enter = origin_z + sides.wall_enter;
    crossing.leave = origin_z + sides.wall_leave;
    crossing.hit =
        (Lane(Real(0)) < sides.discriminant) & (low <= sides.along) & (sides.along <= high);
    crossing.doubtful = (magnitude(sides.discriminant) < Lane(cylinder.doubtful_discriminant)) |
                        (magnitude(sides.along - low) < tolerance) |
                        (magnitude(sides.along - high) < tolerance);
    return crossing;
}

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross_tilted_cylinder(
    const Prepared<Real>& cylinder, Lane y, Lane x) {
    const CylinderSides<Lane> sides =
        cylinder_sides(cylinder, y - Lane(cylinder.origin[1]), x - Lane(cylinder.origin[2]));
    const Lane enter = larger(sides.wall_enter, sides.end_enter);
    const Lane leave = smaller(sides.wall_leave, sides.end_leave);
    Crossing<Lane> crossing;
    crossing.enter = Lane(cylinder.origin[0]) + enter;
    crossing.leave = Lane(cylinder.origin[0]) + leave;
    const Mask<Lane> in_wall = Lane(Real(0)) < sides.discriminant;
    crossing.hit = in_wall & (crossing.enter < crossing.leave);
    crossing.doubtful = (magnitude(sides.discriminant) < Lane(cylinder.doubtful_discriminant)) |
                        (in_wall & (magnitude(leave - enter) < Lane(Real(side_error))));
    if (cylinder.doubtful_side[0])
        crossing.doubtful =
            crossing.doubtful | (enter == sides.end_enter) | (leave == sides.end_leave);
    if (cylinder.doubtful_wall)
        crossing.doubtful =
            crossing.doubtful | (enter == sides.wall_enter) | (leave == sides.wall_leave);
    return crossing;
}

// How far rays are, along one axis of a cuboid, from its two sides there.
template <typename Lane>
struct CuboidSides {
    Lane to_low, to_high;
};

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE CuboidSides<Lane> cuboid_sides(const Prepared<Real>& cuboid,
                                                                      int axis, Lane y, Lane x) {
    const Lane along = Lane(cuboid.axes[axis][1]) * y + Lane(cuboid.axes[axis][2]) * x;
    return {Lane(cuboid.low[axis]) - along, Lane(cuboid.high[axis]) - along};
}

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross_cuboid(const Prepared<Real>& cuboid,
                                                                   Lane y, Lane x) {
    const Lane nothing = Lane(Real(0)), tolerance = Lane(Real(side_error));
    Lane enter = Lane(Real(-INFINITY)), leave = Lane(Real(INFINITY));
    Mask<Lane> within = enter < leave;
    Mask<Lane> doubtful = leave < enter;
    for (int axis = 0; axis < 3; ++axis) {
        const CuboidSides<Lane> sides = cuboid_sides(cuboid, axis, y, x);
        if (cuboid.axes[axis][0] == 0) {
            within = within & (sides.to_low <= nothing) & (nothing <= sides.to_high);
            doubtful = doubtful | (magnitude(sides.to_low) < tolerance) |
                       (magnitude(sides.to_high) < tolerance);
            continue;
        }
        const Lane slope(cuboid.inverse_axis_z[axis]);
        const Lane side_enter = sides.to_low * slope, side_leave = sides.to_high * slope;
        enter = larger(enter, side_enter);
        leave = smaller(leave, side_leave);
        if (cuboid.doubtful_side[axis])
            doubtful = doubtful | (enter == side_enter) | (leave == side_leave);
    }
    Crossing<Lane> crossing;
    crossing.enter = Lane(cuboid.origin[0]) + enter;
    crossing.leave = Lane(cuboid.origin[0]) + leave;
    crossing.hit = within & (crossing.enter < crossing.leave);
    crossing.doubtful = doubtful | (magnitude(leave - enter) < tolerance);
    return crossing;
}

// Where rays at (y, x), seen from the corner, cross a primitive of this shape.
template <Shape shape, typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross(const Prepared<Real>& prepared, Lane y,
                                                            Lane x) {
    if constexpr (shape == Shape::sphere)
        return cross_sphere(prepared, y, x);
    else if constexpr (shape == Shape::upright_cylinder)
        return cross_upright_cylinder(prepared, y, x);
    else if constexpr (shape == Shape::lying_cylinder)
        return cross_lying_cylinder(prepared, y, x);
    else if constexpr (shape == Shape::tilted_cylinder)
        return cross_tilted_cylinder(prepared, y, x);
    else
        return cross_cuboid(prepared, y, x);
}

template <typename Lane, typename Real>
PORESCOPE_INLINE PORESCOPE_HOST_DEVICE Crossing<Lane> cross(const Prepared<Real>& prepared, Lane y,
                                                            Lane x) {
    switch (prepared.shape) {
        case Shape::sphere:
            return cross<Shape::sphere>(prepared, y, x);
        case Shape::upright_cylinder:
            return cross<Shape::upright_cylinder>(prepared, y, x);
        case Shape::lying_cylinder:
            return cross<Shape::lying_cylinder>(prepared, y, x);
        case Shape::tilted_cylinder:
            return cross<Shape::tilted_cylinder>(prepared, y, x);
        default:
            return cross<Shape::cuboid>(prepared, y, x);
    }
}

template <typename Lane, typename Real>
PORESCOPE_HOST_DEVICE inline Vector<Lane> cylinder_normal(const Prepared<Real>& cylinder, Lane z,
                                                          Lane y, Lane x) {
    const Lane nothing = Lane(Real(0)), inverse_radius(Real(1) / cylinder.radius);
    if (cylinder.shape == Shape::upright_cylinder) return {Lane(Real(1)), nothing, nothing};
    const Lane axis_z(cylinder.axes[0][0]), axis_y(cylinder.axes[0][1]),
        axis_x(cylinder.axes[0][2]);
    const Lane from_z = z - Lane(cylinder.origin[0]);
    const Lane from_y = y - Lane(cylinder.origin[1]), from_x = x - Lane(cylinder.origin[2]);
    const CylinderSides<Lane> sides = cylinder_sides(cylinder, from_y, from_x);
    const Lane along = axis_z * from_z + sides.along;
    const Vector<Lane> of_wall{larger((along * axis_z - from_z) * inverse_radius, nothing),
                               (from_y - along * axis_y) * inverse_radius,
                               (from_x - along * axis_x) * inverse_radius};
    if (cylinder.shape == Shape::lying_cylinder) return of_wall;
    const Mask<Lane> on_end = sides.wall_enter < sides.end_enter;
    return {select(on_end, axis_z, of_wall.z), select(on_end, nothing - axis_y, of_wall.y),
            select(on_end, nothing - axis_x, of_wall.x)};
}

template <typename Lane, typename Real>
PORESCOPE_HOST_DEVICE inline Vector<Lane> cuboid_normal(const Prepared<Real>& cuboid, Lane y,
                                                        Lane x) {
    const Lane nothing = Lane(Real(0));
    Vector<Lane> normal{nothing, nothing, nothing};
    Lane last = Lane(Real(-INFINITY));
    for (int axis = 0; axis < 3; ++axis) {
        if (cuboid.axes[axis][0] == 0) continue;
        const Lane enter =
            cuboid_sides(cuboid, axis, y, x).to_low * Lane(cuboid.inverse_axis_z[axis]);
        const Mask<Lane> later = last < enter;
        last = select(later, enter, last);
        normal.z = select(later, Lane(cuboid.axes[axis][0]), normal.z);
        normal.y = select(later, nothing - Lane(cuboid.axes[axis][1]), normal.y);
        normal.x = select(later, nothing - Lane(cuboid.axes[axis][2]), normal.x);
    }
    return normal;
}

// The outward normal where rays enter at depth z, its z counted toward the beam.
template <typename Lane, typename Real>
PORESCOPE_HOST_DEVICE inline Vector<Lane> entry_normal(const Prepared<Real>& prepared, Lane z,
                                                       Lane y, Lane x) {
    if (prepared.shape == Shape::cuboid) return cuboid_normal(prepared, y, x);
    if (prepared.shape != Shape::sphere) return cylinder_normal(prepared, z, y, x);
    const Lane inverse_radius(Real(1) / prepared.radius);
    return {larger((Lane(prepared.origin[0]) - z) * inverse_radius, Lane(Real(0))),
            (y - Lane(prepared.origin[1])) * inverse_radius,
            (x - Lane(prepared.origin[2])) * inverse_radius};
}

}  // namespace PORESCOPE_INSTRUCTION_SET
}  // namespace porescope
