"""What the neural simulator is shown of a heightfield."""

import numpy as np
import pytest

from porescope.geometry import Primitives, boolean_model
from porescope.imaging import HeightField, extract_heightfield
from porescope.imaging.surrogate.layouts import LAYOUTS, shown_channels

torch = pytest.importorskip("torch")

from porescope.imaging.surrogate.layouts import (  # noqa: E402
    all_channels,
    flipped_rows,
    mirrored,
    transposed,
)

SHAPE = (40, 24, 32)


def spheres(seed=3):
    """Return spheres that meet no side of the box."""
    random = np.random.default_rng(seed)
    radius = random.uniform(2, 4, 30)
    centre = (
        random.uniform(0, 1, (30, 3)) * (np.array(SHAPE) - 2 * radius[:, None]) + radius[:, None]
    )
    return np.column_stack([centre, radius])


def channels_of(rows, shape=SHAPE, plane_z=6.0):
    field = extract_heightfield(Primitives(spheres=rows, shape=shape), plane_z, device="cpu")
    return all_channels(field, 2, 10.0)


def test_depths_are_shown_finite_smooth_and_monotone():
    depths = np.array([0.0, 1.0, 10.0, 30.0, 1e9, np.inf], np.float32)
    entry = np.stack([depths, depths])[:, np.newaxis]
    field = HeightField(entry, entry, np.zeros((3, 1, 6), np.float32))
    shown = all_channels(field, 2, 10.0)[3:, 0].numpy()
    np.testing.assert_allclose(shown, [[1, 10 / 11, 0.5, 0.25, 1e-8, 0]] * 4, rtol=1e-6)
    nm = HeightField(3 * entry, 3 * entry, field.normal)
    np.testing.assert_allclose(all_channels(nm, 2, 30.0)[3:, 0].numpy(), shown, rtol=1e-6)


def test_layouts_are_those_of_the_paper():
    normal, first_entry, depths = [0, 1, 2], [3], [3, 4, 5, 6]
    assert {name: shown_channels(name, 2) for name in LAYOUTS} == {
        "normal+ehf": normal + depths,
        "ehf+normal": depths + normal,
        "heightfield+normal": first_entry + normal,
        "heightfield": first_entry,
        "ehf": depths,
        "normal": normal,
    }
    assert shown_channels("ehf", 4) == list(range(3, 11))


def test_channels_alternate_between_entries_and_exits():
    sample = boolean_model("sphere", porosity=0.6, shape=SHAPE, radius=(3, 5), seed=1)
    field = extract_heightfield(sample, 4.0, layers=3, device="cpu")
    shown = all_channels(field, 2, 7.0).numpy()
    with np.errstate(invalid="ignore"):
        for channel, depths in ((3, field.entry[0]), (4, field.exit[0]), (6, field.exit[1])):
            np.testing.assert_allclose(shown[channel], 1 / (1 + depths / 7), rtol=1e-6)
    np.testing.assert_array_equal(shown[:3], field.normal)


def test_a_flipped_sample_has_flipped_channels():
    rows = spheres()
    flipped = rows * [1, -1, 1, 1] + [0, SHAPE[1], 0, 0]
    torch.testing.assert_close(
        flipped_rows(channels_of(rows)), channels_of(flipped), atol=1e-5, rtol=0
    )


def test_a_transposed_sample_has_transposed_channels():
    rows = spheres()
    swapped = channels_of(rows[:, [0, 2, 1, 3]], (SHAPE[0], SHAPE[2], SHAPE[1]))
    torch.testing.assert_close(transposed(channels_of(rows)), swapped, atol=1e-5, rtol=0)


def test_beyond_its_sides_a_sample_is_mirrored():
    rows = spheres()
    depth, y, x = SHAPE
    around = np.concatenate(
        [
            rows * [1, sign_y, sign_x, 1] + [0, shift_y, shift_x, 0]
            for sign_y, shift_y in ((-1, 2 * y), (1, 2 * y), (-1, 4 * y))
            for sign_x, shift_x in ((-1, 2 * x), (1, 2 * x), (-1, 4 * x))
        ]
    )
    large = channels_of(around, (depth, 5 * y, 5 * x))
    area = range(-y, 2 * y), range(-x + 3, 2 * x - 5)
    seen = mirrored(channels_of(rows), *area)
    expected = large[:, y : 4 * y, x + 3 : 4 * x - 5]
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


def test_inside_nothing_is_mirrored():
    whole = channels_of(spheres())
    assert torch.equal(mirrored(whole, range(4, 20), range(0, 32)), whole[:, 4:20])
