import math
from importlib import import_module
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest

from porescope import PorescopeError, Stack
from porescope.errors import Cancelled
from porescope.geometry import leveled_wave
from porescope.measure import ByMonteCarlo, BySurrogate, physics_check

SPACING = (10.0, 2.5, 2.5)
GOLD = {0: "epoxy", 1: "gold"}


class Fading:
    """Images that fade with depth: each plane counts half as much as the one above.

    At 1 kV only the plane itself is seen, at 2 kV so many planes below it too.
    """

    def __init__(self, planes=4, noise=0.0):
        self.planes, self.noise, self.prepared = planes, noise, []

    def depth_nm(self, beam_kv, solid_share):
        return 2.5 * self._seen(beam_kv)

    def _seen(self, beam_kv):
        return 1 if beam_kv < 2 else self.planes

    def prepare(self, labels, voxel_nm):
        self.prepared.append((labels, tuple(voxel_nm)))
        return labels

    def images(self, ready, plane, beam_kv, index):
        seen = self._seen(beam_kv)
        weights = 0.5 ** np.arange(seen)
        image = np.tensordot(weights, ready[plane : plane + seen].astype(float), 1) / weights.sum()
        random = np.random.default_rng([index, round(beam_kv)])
        return tuple(
            (0.1 + 0.3 * image + self.noise * random.normal(size=image.shape)).astype(np.float32)
            for _ in range(2)
        )


def solid(slices=8, edge=48, seed=1):
    labels = leveled_wave(
        (4 * slices - 3, edge, edge),
        spacing_nm=2.5,
        wavelength_nm=60,
        solid_fraction=0.4,
        seed=seed,
    )
    return labels.astype(np.uint8)


def recorded(planes, imaging, beams_kv=(1.0, 2.0), noise=0.0, gains=(500, 300)):
    """Return the images of every fourth plane, all that is needed below the last being there."""
    random = np.random.default_rng(9)
    deep = np.concatenate([planes, planes[-2::-1]])
    stacks = []
    for beam_kv, gain in zip(beams_kv, gains, strict=False):
        images = [imaging.images(deep, z, beam_kv, z)[0] for z in range(0, len(planes), 4)]
        grey = 20 + gain * np.stack(images)
        stacks.append(
            Stack(
                (grey + noise * random.normal(size=grey.shape)).astype(np.float32), SPACING, beam_kv
            )
        )
    return stacks


def whole(planes):
    return Stack(planes, (2.5, 2.5, 2.5), is_labels=True)


def test_the_right_volume_has_no_misfit_and_the_gain_is_found():
    planes = solid()
    found = physics_check(recorded(planes, Fading()), whole(planes), Fading())
    np.testing.assert_allclose(found.gain, (500, 300), rtol=1e-4)
    np.testing.assert_allclose(found.offset, (20, 20), atol=0.05)
    assert found.contrast[0] == pytest.approx(0.3 * 500, rel=1e-4)
    assert found.score == pytest.approx(0, abs=1e-3)
    for residual, beam_kv in zip(found.residuals, (1.0, 2.0), strict=True):
        assert residual.data.dtype == np.float32
        assert residual.beam_kv == beam_kv
        np.testing.assert_allclose(residual.data, 0, atol=1e-3)


def test_the_misfit_is_the_share_that_shows_another_phase():
    planes = solid()
    (stack,) = recorded(planes, Fading(), (1.0,))
    wrong = np.zeros(planes.shape, bool)
    wrong[8, 20:24, 10:30] = wrong[0, 3:5, 7] = True
    found = physics_check(stack, whole(planes ^ wrong), Fading())
    shares = 100 * wrong[::4].mean(axis=(1, 2))
    np.testing.assert_allclose(found.misfit[0], shares, atol=0.01)
    np.testing.assert_allclose(found.slice_scores, shares, atol=0.01)
    expected = np.where(wrong, np.where(planes == 1, 1.0, -1.0), 0)[::4]
    np.testing.assert_allclose(found.residuals[0].data, expected, atol=0.01)


def test_a_wrong_slice_is_not_explained_away_by_gain():
    planes = solid()
    (stack,) = recorded(planes, Fading(), (1.0,))
    wrong = planes.copy()
    wrong[12] = 0
    found = physics_check(stack, whole(wrong), Fading())
    assert found.gain[0] == pytest.approx(500, rel=1e-3)
    assert found.misfit[0, 3] == pytest.approx(100 * planes[12].mean(), rel=0.01)
    assert np.delete(found.misfit[0], 3) == pytest.approx(0, abs=0.01)


def test_borders_that_are_all_too_wide_are_not_explained_away_by_gain():
    from scipy.ndimage import binary_dilation

    planes = solid()
    blurred = recorded(planes, Fading(), (1.0,), noise=5)[0]
    wide = binary_dilation(planes, np.ones((1, 3, 3))).astype(np.uint8)
    found = physics_check(blurred, whole(wide), Fading())
    assert found.gain[0] == pytest.approx(500, rel=0.02)
    assert found.misfit[0].mean() == pytest.approx(100 * (wide != planes)[::4].mean(), rel=0.05)


def test_noise_of_neither_side_counts():
    planes = solid(16, 64)
    stacks = recorded(planes, Fading(), noise=20)
    found = physics_check(stacks, whole(planes), Fading(noise=0.15))
    np.testing.assert_allclose(found.gain, (500, 300), rtol=0.015)
    # Noise alone has a variance of 1.8 and 5 % of the squared contrast, that simulated 25 %.
    assert abs(found.score) < 0.6


def test_noise_of_the_simulation_does_not_flatten_the_gain():
    planes = solid(16, 64)
    found = physics_check(recorded(planes, Fading()), whole(planes), Fading(noise=1.0))
    np.testing.assert_allclose(found.gain, (500, 300), rtol=0.06)


def test_what_lies_below_a_slice_is_seen_where_the_beam_reaches_it():
    planes = solid()
    stacks = recorded(planes, Fading())
    wrong = planes.copy()
    wrong[14:16] = 1 - wrong[14:16]  # between slices 3 and 4
    found = physics_check(stacks, whole(wrong), Fading())
    np.testing.assert_allclose(found.misfit[0], 0, atol=1e-3)
    bad = np.flatnonzero(found.misfit[1] > 0.1)
    assert bad.tolist() == [3]


def test_a_voltage_counts_the_less_the_deeper_it_looks():
    planes = solid()
    wrong = planes.copy()
    wrong[1::4] = 0
    found = physics_check(recorded(planes, Fading()), whole(wrong), Fading(), slices=range(7))
    assert found.misfit[1].mean() > 0.1
    assert found.score == pytest.approx(
        (found.misfit[0].mean() + found.misfit[1].mean() / 4) / 1.25
    )
    expected = (found.misfit[0] + found.misfit[1] / 4) / 1.25
    np.testing.assert_allclose(found.slice_scores, expected)


def test_slices_that_look_deeper_than_the_volume_have_no_misfit_but_a_residual():
    planes = solid()
    found = physics_check(recorded(planes, Fading(9)), whole(planes), Fading(9))
    known = ~np.isnan(found.misfit)
    assert known[0].all()
    assert known[1].tolist() == [True] * 6 + [False] * 2
    assert np.isfinite(found.residuals[1].data).all()
    # Below the last slice it goes on mirrored, as these images do.
    np.testing.assert_allclose(found.residuals[1].data, 0, atol=1e-3)
    assert np.isfinite(found.slice_scores).all()


def test_labels_of_slices_are_filled_to_cubes_and_labels_with_planes_are_taken_as_they_are():
    planes = solid()
    stacks = recorded(planes, Fading())
    imaging = Fading()
    of_slices = physics_check(stacks, planes[::4], imaging, interpolation="hold")
    held, voxel_nm = imaging.prepared[0]
    assert voxel_nm == (2.5, 2.5, 2.5)
    np.testing.assert_array_equal(held[:29], np.repeat(planes[::4], 4, axis=0)[:29])
    imaging = Fading()
    exact = physics_check(stacks, whole(planes), imaging)
    np.testing.assert_array_equal(imaging.prepared[0][0][:29], planes)
    assert exact.score < of_slices.score


def test_uneven_slices_are_imaged_where_they_lie():
    planes = solid()
    z = np.array([0, 3, 8, 12, 20, 28])
    deep = np.concatenate([planes, planes[-2::-1]])
    imaging = Fading()
    grey = np.stack([imaging.images(deep, each, 2.0, 0)[0] for each in z])
    stack = Stack(100 * grey, SPACING, 2.0, slice_z_nm=2.5 * z)
    found = physics_check(stack, whole(planes), imaging)
    assert found.score == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(found.residuals[0].slice_z_nm, 2.5 * z)
    assert physics_check(stack, planes[z], imaging, interpolation="distance").score < 10


def test_lazy_and_in_groups_is_the_same(monkeypatch):
    planes = solid()
    stacks = recorded(planes, Fading(), noise=5)
    imaging = Fading(noise=0.05)
    one = physics_check(stacks, planes[::4], imaging, interpolation="distance")
    module = import_module("porescope.measure.physics_check")  # the package names the function
    monkeypatch.setattr(module, "READY_VOXELS", 12 * 48 * 48)
    lazy = [stack.with_data(da.from_array(stack.data, chunks=(3, 20, 48))) for stack in stacks]
    two = physics_check(
        lazy, da.from_array(planes[::4], chunks=(2, 48, 48)), imaging, interpolation="distance"
    )
    np.testing.assert_array_equal(one.misfit, two.misfit)
    for whole_one, in_groups in zip(one.residuals, two.residuals, strict=True):
        assert isinstance(in_groups.data, da.Array)
        assert in_groups.data.numblocks[0] > 1
        np.testing.assert_array_equal(whole_one.data, in_groups.data.compute())


def test_some_slices_are_those_of_the_whole_stack():
    planes = solid()
    stacks = recorded(planes, Fading())
    found = physics_check(stacks, whole(planes), Fading(), slices=[1, 4, 6])
    assert found.slices == (1, 4, 6)
    assert [row["slice"] for row in found.rows()] == [1, 4, 6]
    assert [row["z_nm"] for row in found.rows()] == [10.0, 40.0, 60.0]
    assert set(found.rows()[0]) == {"slice", "z_nm", "misfit", "misfit_1kV", "misfit_2kV"}
    assert found.residuals[0].shape == (3, 48, 48)
    np.testing.assert_allclose(found.residuals[0].data, 0, atol=1e-3)


def test_several_phases():
    planes = solid()
    planes[:, :20] *= 2
    stacks = recorded(planes, Fading(), gains=(100, 90))
    found = physics_check(stacks, whole(planes), Fading())
    assert found.contrast[0] == pytest.approx(0.3 * 2 * 100, rel=1e-3)
    assert found.score == pytest.approx(0, abs=1e-3)


def refusals():
    planes = solid(4)
    stacks = recorded(planes, Fading())
    labels = planes[::4]
    far = Stack(labels, SPACING, is_labels=True, slice_z_nm=10.0 * np.arange(4) + 5)
    other = recorded(solid(5), Fading())[1]
    return {
        "load a stack": ([], labels, {}),
        "align them first": ([stacks[0], other], labels, {}),
        "have shape": (stacks, labels[:3], {}),
        "three axes": (stacks, labels[0], {}),
        "whole numbers": (stacks, labels.astype(float), {}),
        "tell its voltage": (Stack(stacks[0].data, SPACING), labels, {}),
        "not square": (Stack(stacks[0].data, (10, 2.5, 3), 1.0), labels, {}),
        "no slice at 0 nm": (stacks, far, {}),
        "differ in pixels": (stacks, Stack(labels, (10, 5, 5), is_labels=True), {}),
        "one phase only": (stacks, labels * 0, {}),
        "not brighter where": (stacks, 1 - labels, {}),
        "in rising order": (stacks, labels, {"slices": [2, 1]}),
        "from 0 to 3": (stacks, labels, {"slices": [4]}),
        "one below the other": (
            stacks[0].with_data(stacks[0].data, slice_z_nm=[0, 20, 10, 30]), labels, {}
        ),
    }  # fmt: skip


@pytest.mark.parametrize("message", refusals())
def test_refuses_with_a_sentence(message):
    stacks, labels, how = refusals()[message]
    with pytest.raises(PorescopeError, match=message):
        physics_check(stacks, labels, Fading(), interpolation="distance", **how)


def test_progress_and_cancel():
    planes = solid(4)
    stacks = recorded(planes, Fading())
    told = []
    physics_check(stacks, whole(planes), Fading(), progress=lambda *each: told.append(each))
    assert told[-1] == (8, 8)
    with pytest.raises(Cancelled):
        physics_check(stacks, whole(planes), Fading(), cancel=lambda: len(told) > 0)


def test_by_monte_carlo_the_truth_beats_wider_and_thinner_solid():
    from scipy.ndimage import binary_dilation, binary_erosion

    planes = solid(6, 40)
    recording = ByMonteCarlo(GOLD, electrons=100, seed=5)
    ready = recording.prepare(planes, (2.5,) * 3)
    stacks = [
        Stack(
            np.stack([20 + 400 * recording.images(ready, z, kv, z)[0] for z in range(0, 21, 4)]),
            SPACING,
            kv,
        )
        for kv in (1.0, 2.0)
    ]
    imaging = ByMonteCarlo(GOLD, electrons=6)
    cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]])
    scores = {
        name: physics_check(stacks, whole(each.astype(np.uint8)), imaging).score
        for name, each in {
            "truth": planes,
            "again": planes,
            "wide": binary_dilation(planes, cross),
            "thin": binary_erosion(planes, cross),
        }.items()
    }
    assert scores["truth"] == scores["again"]
    assert scores["truth"] < 2
    assert min(scores["wide"], scores["thin"]) > 2 * abs(scores["truth"]) + 1


def test_monte_carlo_knows_how_deep_it_looks():
    gold_in_epoxy, carbon = ByMonteCarlo(GOLD), ByMonteCarlo({0: "vacuum", 1: "carbon"})
    assert gold_in_epoxy.depth_nm(1.0, 0.1) == gold_in_epoxy.depth_nm(1.0, 0.9)
    assert gold_in_epoxy.depth_nm(4.0, 0.1) > 5 * gold_in_epoxy.depth_nm(1.0, 0.1)
    assert carbon.depth_nm(1.0, 0.1) == pytest.approx(5 * carbon.depth_nm(1.0, 0.5))


def test_images_of_one_question_are_independent_and_the_same_each_time():
    imaging = ByMonteCarlo(GOLD, electrons=8)
    ready = imaging.prepare(solid(4, 20), (2.5,) * 3)
    one, two = imaging.images(ready, 0, 1.0, 3)
    assert (one != two).any()
    np.testing.assert_array_equal(one, imaging.images(ready, 0, 1.0, 3)[0])
    assert (one != imaging.images(ready, 0, 1.0, 4)[0]).any()


def test_monte_carlo_refuses():
    with pytest.raises(PorescopeError, match="two electrons"):
        ByMonteCarlo(GOLD, electrons=1)
    with pytest.raises(PorescopeError, match="unobtainium"):
        ByMonteCarlo({0: "unobtainium", 1: "gold"})
    planes = solid(4)
    stacks = recorded(planes, Fading())
    with pytest.raises(PorescopeError, match="labels without a material"):
        physics_check(stacks, whole(2 * planes), ByMonteCarlo(GOLD))


class Shallow:
    """A neural simulator that sees how deep the first solid lies."""

    settings = SimpleNamespace(layers=3, materials="0=epoxy, 1=gold", signals=["bse"])

    def __init__(self):
        self.asked = []

    def render(self, heightfield, *, beam_kv, pixel_nm, unit_nm):
        self.asked.append((heightfield, beam_kv, pixel_nm, unit_nm))
        return {"bse": np.exp(-heightfield.entry[0] * unit_nm / 20).astype(np.float32)}


def test_by_surrogate_the_heightfield_is_that_of_the_slice_in_nm():
    planes = solid()
    surrogate = Shallow()
    imaging = BySurrogate(surrogate)
    ready = imaging.prepare(planes, (2.5,) * 3)
    one, two = imaging.images(ready, 4, 2.0, 1)
    assert one is two
    field, beam_kv, pixel_nm, unit_nm = surrogate.asked[0]
    assert (beam_kv, pixel_nm, unit_nm) == (2.0, 2.5, 1.0)
    assert field.entry.shape == (3, 48, 48)
    below = planes[4:]
    first = np.where(below.any(axis=0), 2.5 * below.argmax(axis=0), np.inf)
    np.testing.assert_allclose(field.entry[0], first)
    grey = [50 + 100 * imaging.images(ready, z, 2.0, 0)[0] for z in range(0, len(planes), 4)]
    stack = Stack(np.stack(grey), SPACING, 2.0)
    found = physics_check(stack, whole(planes), imaging, slices=[0, 1, 2])
    np.testing.assert_allclose(found.residuals[0].data, 0, atol=1e-2)
    assert found.gain[0] == pytest.approx(100, rel=1e-3)
    # From 68 nm of epoxy electrons of 2 keV come back; the volume is 72.5 nm deep.
    assert np.isnan(found.misfit[0]).tolist() == [False, True, True]
    none = physics_check(stack, whole(planes), imaging, slices=[1, 2])
    assert math.isnan(none.score)
    assert np.isnan(none.slice_scores).all()
    assert imaging.depth_nm(2.0, 0.4) == ByMonteCarlo(GOLD).depth_nm(2.0, 0.4)


def test_by_surrogate_refuses_what_it_does_not_know():
    with pytest.raises(PorescopeError, match="tells bse, not 'se'"):
        BySurrogate(Shallow(), "se")
    with pytest.raises(PorescopeError, match="one solid"):
        BySurrogate(Shallow()).prepare(2 * solid(4), (2.5,) * 3)
