"""The Monte-Carlo microscope on voxels, against layers, closed forms and itself told otherwise."""

import numpy as np
import pytest
from scipy.special import ndtr

from porescope import Stack, _core
from porescope.errors import Cancelled, PorescopeError
from porescope.imaging import (
    Detector,
    Material,
    backscatter_coefficient,
    compound,
    electron_sample,
    simulate_monte_carlo,
)
from porescope.imaging.detectors import as_detector
from porescope.imaging.transport import trace_layers

GOLD_IN_EPOXY = {0: "epoxy", 1: "gold"}
NO_WINDOWS = np.zeros((0, 10), np.float32)


def random_labels(shape, labels=2, grain=3, seed=0):
    """Return blobs of a few voxels, so that borders lie everywhere and at all distances."""
    coarse = np.random.default_rng(seed).integers(0, labels, [-(-n // grain) for n in shape])
    grown = coarse.repeat(grain, 0).repeat(grain, 1).repeat(grain, 2)
    return grown[: shape[0], : shape[1], : shape[2]].astype(np.uint8)


def means(images):
    """Return the mean of each image and its standard error, from the spread of pixels."""
    return {
        name: (image.mean(), image.std() / np.sqrt(image.size)) for name, image in images.items()
    }


def assert_alike(first, second, names=("bse", "se", "transmitted"), deviations=4.0):
    for name in names:
        (a, error_a), (b, error_b) = first[name], second[name]
        assert abs(a - b) <= deviations * np.hypot(error_a, error_b) + 1e-6, name


LAYERS = [
    ([("gold", 60.0)], 2.0),
    ([("epoxy", 20.0), ("gold", 100.0)], 2.0),
    ([("carbon", 10.0), ("vacuum", 20.0), ("silicon", 30.0)], 3.0),
]


@pytest.mark.parametrize("tilt_deg", [0.0, 38.0])
@pytest.mark.parametrize(("layers", "beam_kv"), LAYERS)
def test_voxels_in_layers_are_layers(layers, beam_kv, tilt_deg):
    voxel_nm = 2.5
    names = list(dict.fromkeys(name for name, _ in layers))
    labels = np.concatenate(
        [np.full((round(t / voxel_nm), 24, 24), names.index(n), np.uint8) for n, t in layers]
    )
    images = simulate_monte_carlo(
        labels,
        0,
        voxel_nm=voxel_nm,
        materials=dict(enumerate(names)),
        beam_kv=beam_kv,
        electrons=300,
        tilt_deg=tilt_deg,
        periodic=True,
    )
    told = means(images)
    histories = trace_layers(layers, beam_kv, electrons=200_000, tilt_deg=tilt_deg, seed=5)
    count = np.sqrt(len(histories.energy_ev))
    back, through = histories.backscattered, histories.transmitted
    expected = {
        "bse": (back.mean(), back.std() / count),
        "transmitted": (through.mean(), through.std() / count),
        "se": (histories.secondaries.mean(), histories.secondaries.std() / count),
    }
    # Secondaries born below a gap have a wall to come out of here, while layers stop them.
    gap = any(name == "vacuum" for name, _ in layers)
    assert_alike(told, expected, ("bse", "transmitted") if gap else ("bse", "se", "transmitted"))


def told_as_single_voxels(labels, names, **options):
    """Let neighbours count as other materials, though they are not: no electron skips a voxel."""
    parity = np.indices(labels.shape).sum(axis=0) % 2
    doubled = {2 * k + p: name for k, name in enumerate(names) for p in (0, 1)}
    materials = {}
    for label, name in doubled.items():
        known = electron_sample(np.array([[[0]]]), 1.0, {0: name}).materials[0]
        materials[label] = Material(
            f"{name} {label}", known.fractions, known.density, known.lambda_nm, known.eps_ev
        )
    return simulate_monte_carlo(
        (2 * labels + parity).astype(np.uint8), 0, materials=materials, **options
    )


@pytest.mark.parametrize("tilt_deg", [0.0, 25.0, 52.0])
def test_plain_walk_and_free_distances_agree(tilt_deg):
    labels = random_labels((40, 32, 32), grain=4)
    options = {"voxel_nm": 2.0, "beam_kv": 2.0, "electrons": 150, "tilt_deg": tilt_deg}
    skipping = simulate_monte_carlo(labels, 0, materials=GOLD_IN_EPOXY, **options)
    walking = told_as_single_voxels(labels, ["epoxy", "gold"], seed=7, **options)
    assert_alike(means(skipping), means(walking))


def test_finer_voxels_of_the_same_sample_tell_the_same():
    labels = random_labels((16, 16, 16), grain=2)
    fine = labels.repeat(3, 0).repeat(3, 1).repeat(3, 2)
    options = {"materials": GOLD_IN_EPOXY, "beam_kv": 3.0, "pixel_nm": 6.0}
    coarse_images = simulate_monte_carlo(labels, 0, voxel_nm=6.0, electrons=800, **options)
    fine_images = simulate_monte_carlo(fine, 0, voxel_nm=2.0, electrons=800, seed=3, **options)
    assert_alike(means(coarse_images), means(fine_images))


def test_flat_voxels_are_told_in_nm():
    labels = random_labels((12, 16, 16), grain=2)
    thin = labels.repeat(4, 0)
    options = {"materials": GOLD_IN_EPOXY, "beam_kv": 2.0, "electrons": 600}
    flat = simulate_monte_carlo(labels, 0, voxel_nm=(8.0, 4.0, 4.0), **options)
    cubic = simulate_monte_carlo(thin, 0, voxel_nm=(2.0, 4.0, 4.0), seed=4, **options)
    assert_alike(means(flat), means(cubic))


@pytest.mark.parametrize("periodic", [False, True])
def test_sides_lead_nowhere_else(periodic):
    # Where the sample is the same everywhere, walls change nothing, however near they are.
    narrow = np.ones((60, 2, 2), np.uint8)
    images = simulate_monte_carlo(
        narrow, 0, voxel_nm=2.0, materials={1: "gold"}, beam_kv=2, electrons=40_000,
        periodic=periodic, tilt_deg=30,
    )  # fmt: skip
    eta = backscatter_coefficient("gold", 2.0, electrons=200_000, tilt_deg=30)
    assert images["bse"].mean() == pytest.approx(eta, abs=0.006)


def test_axes_are_alike():
    labels = random_labels((40, 30, 30), grain=3, seed=2)
    options = {"voxel_nm": 2.0, "materials": {0: "vacuum", 1: "gold"}, "beam_kv": 2.0}
    straight = simulate_monte_carlo(labels, 0, electrons=300, **options)
    swapped = simulate_monte_carlo(labels.transpose(0, 2, 1), 0, electrons=300, seed=9, **options)
    turned = simulate_monte_carlo(labels[:, ::-1, ::-1], 0, electrons=300, seed=8, **options)
    for other, back in ((swapped, swapped["bse"].T), (turned, turned["bse"][::-1, ::-1])):
        assert_alike(means(straight), means(other))
        assert np.corrcoef(straight["bse"].ravel(), back.ravel())[0, 1] > 0.9


def test_vacuum_lets_all_through():
    images = simulate_monte_carlo(
        np.zeros((20, 8, 8), np.uint8), 3, voxel_nm=5.0, beam_kv=1.0, electrons=50, tilt_deg=40
    )
    assert (images["transmitted"] == 1).all()
    assert (images["bse"] == 0).all()
    assert (images["se"] == 0).all()


def test_what_lies_above_the_plane_is_gone():
    labels = np.ones((80, 6, 6), np.uint8)
    options = {"voxel_nm": 2.0, "materials": {0: "vacuum", 1: "gold"}, "beam_kv": 2.0}
    below = simulate_monte_carlo(labels[20:], 0, electrons=400, **options)
    labels[:20] = 0
    whole = simulate_monte_carlo(labels, 20, electrons=400, **options)
    for name in ("bse", "transmitted"):
        np.testing.assert_array_equal(below[name], whole[name])


@pytest.mark.parametrize("materials", [GOLD_IN_EPOXY, {0: "vacuum", 1: "gold"}])
def test_same_bits_on_all_processors_threads_and_portions(materials):
    sample = electron_sample(random_labels((40, 21, 19), seed=1), 2.5, materials)
    windows = np.array([as_detector(name).window(2.0, 20.0) for name in ("all-BSE", "TLD-BSE")])

    def image(instruction_set, threads, rows):
        parts = [
            _core.image_plane(
                sample.core_materials, sample.geometry, 4.5, 2000.0,
                (np.cos(np.radians(20)), np.sin(np.radians(20)), 0.0), 37, 2.5, (21, 19),
                (0.0, 0.0), 1.5, windows.astype(np.float32), True, False, 11, first,
                min(rows, 21 - first), threads, instruction_set,
            )
            for first in range(0, 21, rows)
        ]  # fmt: skip
        return np.concatenate(parts, axis=1)

    expected = image("plain", 1, 21)
    assert expected[1].any()
    for instruction_set in _core.instruction_sets():
        np.testing.assert_array_equal(image(instruction_set, 2, 4), expected)


def test_another_seed_is_another_image():
    labels = random_labels((30, 8, 8))
    options = {"voxel_nm": 3.0, "materials": GOLD_IN_EPOXY, "beam_kv": 2.0, "electrons": 20}
    first = simulate_monte_carlo(labels, 0, seed=1, **options)["bse"]
    np.testing.assert_array_equal(first, simulate_monte_carlo(labels, 0, seed=1, **options)["bse"])
    assert (first != simulate_monte_carlo(labels, 0, seed=2, **options)["bse"]).any()


def test_windows_that_share_out_all_angles_share_out_all_electrons():
    parts = [
        Detector("inner", polar_deg=(0, 30)),
        Detector("outer", polar_deg=(30, 180)),
        Detector("slow", energy_fraction=(0, 0.7)),
        Detector("fast", energy_fraction=(0.7, 1)),
        Detector("left", azimuth_deg=(-90, 90)),
        Detector("right", azimuth_deg=(90, 90)),
    ]
    images = simulate_monte_carlo(
        np.ones((40, 12, 12), np.uint8), 0, voxel_nm=2.0, materials={1: "gold"}, beam_kv=2.0,
        electrons=200, tilt_deg=20, detectors=parts,
    )  # fmt: skip
    for one, other in (("inner", "outer"), ("slow", "fast"), ("left", "right")):
        np.testing.assert_allclose(images[one] + images[other], images["bse"], atol=0.011)
        assert (images[one] + images[other]).mean() == pytest.approx(images["bse"].mean(), abs=1e-4)
        assert images[one].mean() > 0.02 < images[other].mean()


def test_a_probe_blurs_an_edge_by_its_width():
    labels = np.ones((30, 8, 64), np.uint8)
    labels[:, :, 32:] = 2
    fwhm_nm = 14.0
    images = simulate_monte_carlo(
        labels, 0, voxel_nm=1.0, materials={1: "carbon", 2: "gold"}, beam_kv=0.5, electrons=3000,
        probe_nm=fwhm_nm, secondaries=False,
    )  # fmt: skip
    profile = images["bse"].mean(axis=0)
    low, high = profile[:6].mean(), profile[-6:].mean()
    at = np.arange(64) + 0.5 - 32
    expected = low + (high - low) * ndtr(at / (fwhm_nm / 2.3548))
    # Electrons of 500 eV cross the edge by a few nm.
    np.testing.assert_allclose(profile, expected, atol=0.035)
    sharp = simulate_monte_carlo(
        labels, 0, voxel_nm=1.0, materials={1: "carbon", 2: "gold"}, beam_kv=0.5, electrons=300
    )["bse"].mean(axis=0)
    assert np.abs(sharp - expected).max() > 0.06


def test_deeper_gold_shines_less_and_further_at_4_kv():
    rising = {}
    for beam_kv in (1.0, 4.0):
        signal = []
        for depth in (0, 4, 8, 16, 32):
            labels = np.zeros((60, 8, 8), np.uint8)
            labels[depth:] = 1
            images = simulate_monte_carlo(
                labels, 0, voxel_nm=2.5, materials=GOLD_IN_EPOXY, beam_kv=beam_kv, electrons=600,
                secondaries=False,
            )  # fmt: skip
            signal.append(images["bse"].mean())
        rising[beam_kv] = np.array(signal)
    assert (np.diff(rising[4.0]) < 0).all()
    assert (np.diff(rising[1.0])[:2] < 0).all()
    epoxy = backscatter_coefficient("epoxy", 1.0)
    assert rising[1.0][3:] == pytest.approx(epoxy, abs=0.012)
    assert rising[4.0][3] > 2 * backscatter_coefficient("epoxy", 4.0)


class TestSecondaries:
    @pytest.mark.parametrize("inclined_deg", [0, 10, 30, 45, 70])
    def test_an_inclined_wall_gives_as_much_as_an_inclined_face(self, inclined_deg):
        """A plate that hangs in vacuum, so far from all else that nothing meets it again."""
        angle = np.radians(inclined_deg)
        z, y = np.arange(150)[:, np.newaxis] + 0.5 - 70, np.arange(3000) + 0.5 - 1500
        depth = z * np.cos(angle) + y * np.sin(angle)
        along = y * np.cos(angle) - z * np.sin(angle)
        plate = (depth > 0.013) & (depth < 30) & (np.abs(along) < 60)
        sample = electron_sample(plate[..., np.newaxis], 2.0, {0: "vacuum", 1: "carbon"})
        rows = _core.image_plane(
            sample.core_materials, sample.geometry, 0.0, 1000.0, (1.0, 0.0, 0.0), 8000, 2.0,
            (3000, 1), (0.0, 0.0), 0.0, NO_WINDOWS, True, False, 0, 1488, 24,
        ).mean(axis=(1, 2)) / 8000  # fmt: skip
        back, secondaries, transmitted = rows
        face = trace_layers([("carbon", np.inf)], 1.0, electrons=200_000, tilt_deg=inclined_deg)
        assert back + transmitted == pytest.approx(face.backscattered.mean(), rel=0.025)
        # Lambert's law sends this share up, and the rest out of the sample's other side.
        up = (1 + np.cos(angle)) / 2
        assert secondaries == pytest.approx(up * face.secondaries.mean(), rel=0.055)

    def test_a_hole_keeps_what_it_makes(self):
        """From the floor of a shaft only the part of a cosine that meets its mouth gets out."""
        labels = np.ones((80, 40, 40), np.uint8)
        labels[:40, 10:30, 10:30] = 0
        images = simulate_monte_carlo(
            labels, 0, voxel_nm=2.0, materials={0: "vacuum", 1: "gold"}, beam_kv=1.0, electrons=2000
        )
        floor = images["se"][16:24, 16:24].mean()
        face = images["se"][:5, :5].mean()
        # A square mouth of 2 a a side at a distance h, seen from below its middle: Lambert's share.
        a, h = 10.0, 40.0
        share = 4 * a / np.hypot(a, h) * np.arctan(a / np.hypot(a, h)) / np.pi
        # Electrons that fly on to the walls, which are nearer to the mouth, add some.
        assert share * face < floor < 4 * share * face + 0.05


def test_electrons_are_conserved():
    labels = random_labels((24, 16, 16), seed=4)
    images = simulate_monte_carlo(
        labels, 0, voxel_nm=2.0, materials={0: "vacuum", 1: "carbon"}, beam_kv=20.0, electrons=200
    )
    out = images["bse"] + images["transmitted"]
    assert (out <= 1 + 1e-6).all()
    # At 20 kV 48 nm of carbon with pores stop next to none.
    assert out.mean() == pytest.approx(1, abs=0.002)


def sentence(sample=None, plane_z=0, **options):
    options = {"voxel_nm": 2.0, "beam_kv": 2.0, "electrons": 2, **options}
    labels = np.ones((4, 4, 4), np.uint8) if sample is None else sample
    with pytest.raises(PorescopeError) as caught:
        simulate_monte_carlo(labels, plane_z, **options)
    return str(caught.value)


def test_bad_input_is_told_in_a_sentence():
    assert "0.1 to 30 kV" in sentence(beam_kv=50)
    assert "0.1 to 30 kV" in sentence(beam_kv=float("nan"))
    assert "There is no material 'adamantium'" in sentence(materials={1: "adamantium"})
    assert "whole number" in sentence(electrons=0)
    assert "whole number" in sentence(electrons=2.5)
    assert "outside the sample" in sentence(plane_z=4)
    assert "outside the sample" in sentence(plane_z=-0.1)
    assert "outside the sample" in sentence(plane_z=float("nan"))
    with pytest.raises(PorescopeError, match="density must be above 0"):
        compound("water", "H2O", 0.0)
    assert "labels without a material: 7" in sentence(np.full((2, 2, 2), 7, np.uint8))
    assert "All of the sample is vacuum" in sentence(materials={1: "vacuum"})
    assert "0 nm" in sentence(probe_nm=-1)
    assert "pixel size" in sentence(pixel_nm=0)
    assert "room for 4 x 4 pixels" in sentence(shape=(5, 4))
    assert "degrees" in sentence(tilt_deg=90)
    assert "seed" in sentence(seed=-1)
    assert "needs the size of its voxels" in sentence(voxel_nm=None)
    assert "labels" in sentence(np.ones((4, 4, 4), np.float32))
    assert "labels" in sentence(np.ones((4, 4), np.uint8))
    assert "must be a number, not 'two'" in sentence(beam_kv="two")
    assert "must be a number, not True" in sentence(beam_kv=True)
    assert "must be a number" in sentence(tilt_deg=None)
    assert "whole number" in sentence(electrons=True)
    assert "outside the sample" in sentence(plane_z="top")
    assert "0 nm" in sentence(probe_nm="thin")
    assert "seed" in sentence(seed=1.5)
    assert "room for" in sentence(shape=(1.5, 3))
    assert "larger than the sample" in sentence(pixel_nm=500)
    assert "too large" in sentence(pixel_nm=1e-4)
    assert "too large to follow electrons in" in sentence(voxel_nm=5e6)
    assert "begin in the sample" in sentence(first_nm=(0, 9))
    assert "Name materials by their labels" in sentence(materials="0=epoxy")
    assert "All of the sample is vacuum" in sentence(materials={})


def test_a_stack_of_labels_tells_its_voxels():
    labels = random_labels((12, 8, 8))
    how = {"materials": GOLD_IN_EPOXY, "beam_kv": 2.0, "electrons": 10, "detectors": "TLD-BSE"}
    told = simulate_monte_carlo(Stack(labels, (4.0, 3.0, 3.0), is_labels=True), 1, **how)
    expected = simulate_monte_carlo(labels, 1, voxel_nm=(4.0, 3.0, 3.0), **how)
    np.testing.assert_array_equal(told["TLD-BSE"], expected["TLD-BSE"])


def test_a_scan_begins_where_it_is_told_to():
    labels = random_labels((12, 16, 16))
    how = {"voxel_nm": 2.0, "materials": GOLD_IN_EPOXY, "beam_kv": 0.5, "electrons": 1500}
    whole = simulate_monte_carlo(labels, 0, **how)["bse"]
    part = simulate_monte_carlo(labels, 0, first_nm=(6.0, 10.0), **how)["bse"]
    assert part.shape == (13, 11)
    assert np.corrcoef(part.ravel(), whole[3:, 5:].ravel())[0, 1] > 0.95
    between = simulate_monte_carlo(labels, 0, first_nm=(1.0, 0.0), pixel_nm=2.0, **how)["bse"]
    assert between.shape == (15, 16)


def test_cancelling_stops_between_portions():
    heard = []

    def cancel():
        return len(heard) >= 2

    with pytest.raises(Cancelled):
        simulate_monte_carlo(
            np.ones((4, 64, 64), np.uint8), 0, voxel_nm=2.0, beam_kv=1.0, electrons=2000,
            progress=lambda done, total: heard.append((done, total)), cancel=cancel,
        )  # fmt: skip
    assert heard[-1][0] < heard[-1][1]
