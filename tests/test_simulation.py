"""Simulated stacks: where their images lie, how bright they are, and what is refused."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import shift

from porescope import PorescopeError, Stack
from porescope.errors import Cancelled
from porescope.geometry import Primitives, voxelize
from porescope.imaging import backscatter_coefficient, material_names
from porescope.imaging.noise import electrons_per_pixel
from porescope.imaging.slices import gamma_slice_z_nm
from porescope.imaging.transport import residual_range_nm
from porescope.pipeline.simulation import (
    SimulationParameters,
    below,
    microscope,
    parse_materials,
    simulate_stack,
)

QUICK = {"electrons": 20, "slices": 2, "beam_kv": (1.0,)}


def gold_in_epoxy(shape=(40, 24, 20), voxel_nm=2.5):
    """Blocks of gold, each of several voxels, at random."""
    coarse = np.random.default_rng(4).random([-(-n // 4) for n in shape]) < 0.4
    labels = np.kron(coarse, np.ones((4, 4, 4), bool))[tuple(map(slice, shape))]
    return Stack(labels.astype(np.uint8), (voxel_nm,) * 3, is_labels=True)


def uniform(label=1, shape=(30, 16, 16)):
    return Stack(np.full(shape, label, np.uint8), (2.5, 2.5, 2.5), is_labels=True)


def signal_of(simulated, beam=0):
    """Return a stack of images as electrons for each of the beam."""
    how = simulated.exposures[beam]
    return (simulated.images[beam].data - how.grey_of_no_signal) / how.grey_per_signal


def test_a_stack_a_voltage_with_slices_where_they_were_drawn():
    found = simulate_stack(
        gold_in_epoxy(), {"beam_kv": (4, 1), "electrons": 5, "slices": 4, "first_nm": 7, "seed": 3}
    )
    assert [image.beam_kv for image in found.images] == [1, 4]
    expected = 7 + gamma_slice_z_nm(4, 10.16, 3.12, seed=3)
    for image in found.images:
        assert image.shape == (4, 24, 20)
        assert image.data.dtype == np.uint8
        assert image.spacing_nm == (10.16, 2.5, 2.5)
        np.testing.assert_array_equal(image.slice_z_nm, expected)
        assert image.detector == "all-BSE"
    assert not np.array_equal(found.images[0].data, found.images[1].data)


@pytest.mark.parametrize("deviation_nm", [0, 3.12])
def test_slices_of_whole_voxels_lie_between_voxels(deviation_nm):
    how = {"electrons": 1, "beam_kv": (1,), "slices": 4, "first_nm": 6.5, "seed": 3}
    found = simulate_stack(
        gold_in_epoxy(), {**how, "deviation_nm": deviation_nm, "whole_voxels": True}
    )
    for stack in (*found.images, found.truth_slices):
        voxels = stack.slice_z_nm / 2.5
        np.testing.assert_array_equal(voxels, np.rint(voxels))
        assert voxels[0] == 3
        assert stack.spacing_nm[0] == pytest.approx(np.diff(stack.slice_z_nm).mean())


def test_images_show_the_truth_where_the_drift_put_it():
    """At low voltage and without a probe a threshold tells gold from epoxy."""
    sample = gold_in_epoxy((60, 32, 36))
    even = {"slices": 3, "mean_nm": 10, "deviation_nm": 0}  # each on top of blocks of gold
    how = {"electrons": 300, "beam_kv": (0.7, 1.0), "probe_nm": 0, "drift_px": 2.0}
    found = simulate_stack(sample, {**how, **even})
    assert len({tuple(pair) for a in found.alignments for pair in a.offsets_px.tolist()}) > 2
    np.testing.assert_array_equal(found.alignments[1].offsets_px[0], 0)  # nearest to 2 kV
    for beam, alignment in enumerate(found.alignments):
        for index, (y, x) in enumerate(alignment.offsets_px):
            # Content at (r, c) belongs at (r + y, c + x).
            there = shift(signal_of(found, beam)[index], (y, x), order=1, cval=np.nan)
            seen = np.isfinite(there)
            truth = found.truth_slices.data[index]
            assert ((there > 0.25) != truth)[seen].mean() < 0.06
            wrong = found.truth_slices.data[(index + 1) % 3]
            assert ((there > 0.25) != wrong)[seen].mean() > 0.1


def test_drift_is_no_whole_number_of_voxels():
    found = simulate_stack(gold_in_epoxy((60, 32, 36)), {**QUICK, "drift_px": 1.0})
    moved = found.alignments[0].offsets_px[1:]
    assert np.abs(moved - np.rint(moved)).max() > 0.2


@pytest.mark.parametrize(("walls", "drift_px"), [("mirror", 0.0), ("mirror", 1.5), ("periodic", 2)])
@pytest.mark.parametrize("pixel_nm", [None, 3.0])
def test_truth_is_the_sample_at_the_pixels(walls, drift_px, pixel_nm):
    sample = gold_in_epoxy((40, 30, 26))
    how = {**QUICK, "electrons": 1, "slices": 5, "walls": walls, "drift_px": drift_px}
    found = simulate_stack(sample, {**how, "pixel_nm": pixel_nm, "first_nm": 4})
    pixel = pixel_nm or 2.5
    offsets = found.alignments[0].offsets_px
    start = np.ceil(-offsets.min(axis=0) * pixel / 2.5 - 1e-9) * (walls == "mirror")
    last_nm = start * 2.5 + offsets.max(axis=0) * pixel if walls == "mirror" else np.zeros(2)
    room_nm = np.array([30, 26]) * 2.5 - last_nm
    assert found.images[0].shape[1:] == tuple(int(n / pixel + 1e-3) for n in room_nm)
    rows, columns = found.images[0].shape[1:]
    for index, z_nm in enumerate(found.images[0].slice_z_nm):
        for r, c in ((0, 0), (rows - 1, columns - 1), (rows // 2, columns // 3)):
            y = int(start[0] + (r + 0.5) * pixel // 2.5) % 30
            x = int(start[1] + (c + 0.5) * pixel // 2.5) % 26
            expected = sample.data[int(z_nm // 2.5), y, x]
            assert found.truth_slices.data[index, r, c] == expected
    planes = (found.truth_slices.slice_z_nm // 2.5).astype(int)
    assert found.truth.slice_z_nm[0] == planes[0] * 2.5
    np.testing.assert_array_equal(found.truth.data[planes - planes[0]], found.truth_slices.data)


@pytest.mark.parametrize("pixel_nm", [5.0, 7.5])
def test_truth_of_wide_pixels_is_what_fills_most_of_them(pixel_nm):
    sample = gold_in_epoxy((40, 30, 30))
    found = simulate_stack(sample, {**QUICK, "electrons": 1, "slices": 2, "pixel_nm": pixel_nm})
    side = round(pixel_nm / 2.5)
    pixels = 30 // side
    boxes = sample.data.reshape(40, pixels, side, pixels, side)
    share = boxes.mean(axis=(2, 4))[(found.truth_slices.slice_z_nm // 2.5).astype(int)]
    truth = np.asarray(found.truth_slices.data)
    np.testing.assert_array_equal(truth[share > 0.5], 1)
    np.testing.assert_array_equal(truth[share < 0.5], 0)


def test_truth_of_wide_pixels_lies_where_the_sample_does():
    """Edges in the middle of pixels go half to either side."""
    half = np.zeros((40, 32, 32), np.uint8)
    half[:, :, 9:23] = 1
    found = simulate_stack(
        Stack(half, (2.5,) * 3, is_labels=True),
        {**QUICK, "electrons": 1, "slices": 2, "pixel_nm": 5.0},
    )
    columns = np.asarray(found.truth_slices.data).mean(axis=(0, 1))
    np.testing.assert_allclose(columns[[3, 4, 5, 10, 11, 12]], [0, 0.5, 1, 1, 0.5, 0])


def test_grey_is_the_signal_with_one_gain_for_all_slices():
    how = {"electrons": 400, "beam_kv": (1, 4), "slices": 2, "dtype": "uint16", "probe_nm": 0}
    for label, material in ((0, "epoxy"), (1, "gold")):
        found = simulate_stack(uniform(label, (60, 24, 24)), how)
        for beam, beam_kv in enumerate((1, 4)):
            eta = backscatter_coefficient(material, beam_kv)
            sigma = np.sqrt(eta * (1 - eta) / (400 * 2 * 24**2))
            # What four kilovolts reach lies deeper than this piece of epoxy.
            if not found.transmitted[:, beam].any():
                assert signal_of(found, beam).mean() == pytest.approx(eta, abs=4 * sigma + 0.001)
    other = simulate_stack(uniform(0, (60, 24, 24)), {**how, "seed": 5})
    gains = [how.grey_per_signal for how in found.exposures]
    assert [how.grey_per_signal for how in other.exposures] == gains
    assert gains[0] != gains[1]


@pytest.mark.parametrize(
    ("asked", "electrons"),
    [
        ({}, 400),
        ({"current_pa": 10.0, "dwell_us": 1.602176634}, 100),
        ({"snr": 5.0}, None),
    ],
)
def test_noise_is_that_of_the_dose_or_ratio_asked_for(asked, electrons):
    how = {"electrons": 400, "beam_kv": (2,), "slices": 1, "dtype": "uint16", "probe_nm": 0}
    signal = signal_of(simulate_stack(uniform(1, (30, 64, 64)), {**how, **asked}))
    mean, deviation = signal.mean(), signal.std()
    if electrons is None:
        assert mean / deviation == pytest.approx(5, rel=0.06)
    else:
        assert deviation == pytest.approx(np.sqrt(mean * (1 - mean) / electrons), rel=0.06)


def test_noise_of_the_detector_and_of_counts_comes_on_top():
    how = {"electrons": 400, "beam_kv": (2,), "slices": 1, "dtype": "uint16", "probe_nm": 0}
    sample = uniform(1, (30, 64, 64))
    plain = simulate_stack(sample, how)
    noisy = simulate_stack(sample, {**how, "poisson_levels": 256, "detector_noise": 0.03})
    how = plain.exposures[0]
    white = (65535 - how.grey_of_no_signal) / how.grey_per_signal
    added = signal_of(noisy).var() - signal_of(plain).var()
    expected = signal_of(plain).mean() * white / 256 + (0.03 * white) ** 2
    assert added == pytest.approx(expected, rel=0.1)


def test_curtains_are_the_same_at_all_voltages():
    how = {"electrons": 400, "beam_kv": (1, 2), "slices": 1, "curtains": 0.2, "dtype": "uint16"}
    found = simulate_stack(uniform(1, (30, 64, 64)), how)
    one, two = (signal_of(found, beam)[0].mean(axis=0) for beam in range(2))
    assert np.corrcoef(one, two)[0, 1] > 0.9
    assert one.std() / one.mean() > 0.05


def test_edges_are_blurred_and_even_areas_are_not():
    labels = np.zeros((30, 32, 32), np.uint8)
    labels[:, :, 16:] = 1
    sample = Stack(labels, (2.5, 2.5, 2.5), is_labels=True)
    how = {"electrons": 400, "beam_kv": (1,), "slices": 1, "probe_nm": 0, "dtype": "uint16"}
    sharp, blurred = (
        signal_of(simulate_stack(sample, {**how, "edge_blur_px": blur}))[0] for blur in (0, 1.5)
    )
    steps = [np.abs(np.diff(image.mean(axis=0))).max() for image in (sharp, blurred)]
    assert steps[1] < 0.6 * steps[0]
    assert blurred[:, 24:].std() > 0.8 * sharp[:, 24:].std()


def test_images_hang_on_seed_slice_and_voltage_alone(monkeypatch):
    sample = gold_in_epoxy()
    how = {**QUICK, "detector_noise": 0.02, "curtains": 0.1}
    few = simulate_stack(sample, how)
    more = simulate_stack(sample, {**how, "slices": 4, "beam_kv": (1, 2)})
    np.testing.assert_array_equal(more.images[0].data[:2], few.images[0].data)
    other = simulate_stack(sample, {**how, "seed": 1})
    assert not np.array_equal(other.images[0].data, few.images[0].data)
    assert not np.array_equal(*few.images[0].data)


def test_no_two_images_share_their_noise():
    how = {"electrons": 50, "beam_kv": (1, 1.001), "slices": 2, "detector_noise": 0.05}
    found = simulate_stack(uniform(1, (30, 32, 32)), how)
    images = np.concatenate([image.data for image in found.images]).reshape(4, -1)
    assert np.abs(np.corrcoef(images) - np.eye(4)).max() < 0.15


def test_large_volumes_are_imaged_slab_by_slab(monkeypatch):
    """With no more in memory than electrons come back from, nothing else changes."""
    import dask.array as da

    sample = gold_in_epoxy((60, 24, 20))
    how = {"electrons": 200, "beam_kv": (0.5, 1), "slices": 4, "mean_nm": 30}
    whole = simulate_stack(sample, how)
    loaded = []

    def block(array):
        loaded.append(len(array))
        return array

    lazy = da.from_array(sample.data, chunks=(1, -1, -1)).map_blocks(block, dtype=np.uint8)
    monkeypatch.setattr(below, "READY_VOXELS", 24 * 20)
    slabs = simulate_stack(sample.with_data(lazy), how)
    reach_nm = residual_range_nm(parse_materials("0=epoxy")[0], np.array([500.0, 1000.0])) / 2
    assert sum(loaded) <= 4 * (reach_nm / 2.5 + 2).sum() < 4 * 2 * 60
    for beam in range(2):
        gap = signal_of(slabs, beam).mean() - signal_of(whole, beam).mean()
        assert abs(gap) < 4 * np.sqrt(0.2 / (200 * 4 * 24 * 20))
    np.testing.assert_array_equal(np.asarray(slabs.truth.data), whole.truth.data)


def test_as_many_slices_as_leave_what_electrons_come_back_from():
    reach_nm = residual_range_nm(parse_materials("0=epoxy")[0], np.array([2000.0]))[0] / 2
    sample = uniform(0, (80, 6, 6))
    how = {"electrons": 1, "beam_kv": (1, 2), "deviation_nm": 0, "mean_nm": 5.0}
    found = simulate_stack(sample, how)
    assert found.images[0].shape[0] == int((200 - reach_nm) / 5) + 1
    assert not found.notes
    assert not found.transmitted.any()


def test_a_sample_that_ends_too_close_is_told():
    how = {"electrons": 50, "beam_kv": (1, 4), "slices": 3, "deviation_nm": 0}
    notes = simulate_stack(uniform(0, (20, 8, 8)), how).notes
    assert len(notes) == 1
    assert "ends too close below slices 0-2 at 4 kV" in notes[0]
    porous = simulate_stack(gold_in_epoxy((12, 8, 8)), {**how, "materials": "0=vacuum,1=carbon"})
    assert all("ends too close" in note for note in porous.notes)
    assert porous.notes


@pytest.mark.parametrize(
    ("name", "much", "little", "helps"),
    [
        ("curtains", 0.5, 0.05, "take less curtains"),
        ("detector_noise", 0.3, 0.03, "take less detector noise"),
        ("poisson_levels", 4, 400, "take more Poisson levels"),
    ],
)
def test_of_white_pixels_it_is_told_what_helps(name, much, little, helps):
    how = {**QUICK, "electrons": 100}
    (note,) = simulate_stack(uniform(), {**how, name: much}).notes
    assert note.endswith(f"as white as can be; {helps}.")
    assert not simulate_stack(uniform(), {**how, name: little}).notes


def test_black_pixels_are_told():
    how = {**QUICK, "detector_noise": 1}
    white, black = simulate_stack(uniform(), how).notes
    assert "as white as can be" in white
    assert re.search(r"At 1 kV [2-5]\d\.\d % .* as black as can be; take less detector", black)


def test_why_there_is_one_slice_alone_is_told():
    how = {**QUICK, "beam_kv": (0.5, 1), "slices": None, "deviation_nm": 0}
    gold = {"materials": "0=epoxy, 1=gold"}
    porous = {"materials": "0=vacuum, 1=gold"}

    def notes(depth, **more):
        return simulate_stack(uniform(0, (depth, 8, 8)), {**how, **more}).notes

    (note,) = notes(12, **gold)
    assert "only one slice: at 1 kV electrons come back from" in note
    assert not notes(30, **gold)
    assert not any("only one" in note for note in notes(12, **gold, slices=1))
    assert "only one slice: with vacuum" in notes(5, **porous)[0]


def test_edges_that_secondaries_make_white_take_another_detector():
    how = {**QUICK, "electrons": 100, "materials": "0=vacuum, 1=gold"}
    notes = simulate_stack(gold_in_epoxy(), {**how, "detector": "SE"}).notes
    assert any("white" in note and "a detector of back-scattered" in note for note in notes)
    assert not any("white" in note for note in simulate_stack(gold_in_epoxy(), how).notes)


def test_secondaries_come_out_of_the_detector_that_sees_them():
    how = {**QUICK, "electrons": 100, "materials": "0=vacuum, 1=gold", "detector": "SE"}
    found = simulate_stack(uniform(1), how)
    assert signal_of(found).mean() > 0.8  # of gold at 1 kV; back-scattered are .4


def test_an_image_that_is_kept_is_not_made_again(tmp_path, monkeypatch):
    sample = gold_in_epoxy()
    how = {**QUICK, "slices": 3, "drift_px": 1.0}
    expected = simulate_stack(sample, how)

    def stop(done, total):
        if done == 2:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        simulate_stack(sample, how, keep=tmp_path, progress=stop)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    damaged = sorted(tmp_path.glob("*.npz"))[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    made = []
    real = microscope.simulate_monte_carlo
    monkeypatch.setattr(
        microscope, "simulate_monte_carlo", lambda *a, **k: made.append(1) or real(*a, **k)
    )
    found = simulate_stack(sample, how, keep=tmp_path)
    assert len(made) == 2
    np.testing.assert_array_equal(found.images[0].data, expected.images[0].data)
    np.testing.assert_array_equal(found.transmitted, expected.transmitted)


def test_cancelling_is_heard():
    asked = iter([False, False, True])
    with pytest.raises(Cancelled):
        simulate_stack(gold_in_epoxy(), QUICK, cancel=lambda: next(asked, True))


@given(st.dictionaries(st.integers(0, 300), st.sampled_from(material_names()), min_size=1))
@settings(max_examples=30)
def test_materials_are_read_as_written(named):
    text = ", ".join(f"{label} = {name}" for label, name in named.items())
    assert {label: made.name for label, made in parse_materials(text).items()} == named


def test_a_material_can_be_a_formula_with_its_density():
    made = parse_materials("0=vacuum,7=SiO2:2.2")[7]
    assert made.density == 2.2
    assert dict(made.fractions)["Si"] == pytest.approx(0.4674, abs=1e-3)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"beam_kv": (0.05,)}, "outside the scattering tables"),
        ({"beam_kv": (2, 50)}, "outside the scattering tables"),
        ({"beam_kv": (2, 2)}, "named twice"),
        ({"beam_kv": ()}, "beam_kv"),
        ({"materials": "0=epoxy,1=unobtainium"}, "no material 'unobtainium'.* as SiO2:2.2"),
        ({"materials": "0=epoxy,1=SiO2:0"}, "density must be above 0"),
        ({"materials": "0=epoxy,1=SiO2:heavy"}, "must be a number in g/cm3"),
        ({"materials": "0=epoxy,1=Xx:3"}, "no scattering tables for Xx"),
        ({"materials": "gold"}, "Cannot read the materials 'gold'"),
        ({"materials": "0=gold,0=epoxy"}, "twice"),
        ({"materials": "0=epoxy"}, "without a material: 1"),
        ({"materials": "0=vacuum,1=vacuum"}, "vacuum"),
        ({"materials": "0=epoxy,1=copper", "detector": "SE"}, "secondary electrons copper"),
        ({"electrons": 0}, "electrons is 0"),
        ({"first_nm": 200}, "first slice at 200 nm lies outside the sample, which is 100 nm deep"),
        ({"first_nm": 1000, "slices": None}, "first slice at 1000 nm lies outside the sample"),
        ({"slices": 100}, "outside the sample"),
        ({"slices": None, "beam_kv": (10,)}, "at 10 kV .* use a lower voltage"),
        ({"slices": None, "beam_kv": (0.5, 1, 8, 10)}, "at 10 kV .* leave out 8 and 10 kV"),
        ({"slices": None, "first_nm": 30, "materials": "0=vacuum,1=gold"}, "with vacuum in it"),
        ({"deviation_nm": 11}, "deviate"),
        ({"detector": "nose"}, "detector is 'nose'"),
        ({"detector": "EsB", "beam_kv": (0.4,)}, "EsB sees no electron"),
        ({"current_pa": 50}, "beam current in pA and a dwell time"),
        ({"snr": 1e9}, "ratio of 1e.09 takes more than 10,000,000 electrons .* a lower ratio"),
        ({"snr": 1e300}, "more than 10,000,000"),
        ({"current_pa": 1e300, "dwell_us": 1e300}, "more than 10,000,000"),
        ({"current_pa": 1e-300, "dwell_us": 1e-300}, "less than one electron for each pixel"),
        ({"snr": 1e-9}, "snr is 1e-09, but must be at least 0.1"),
        ({"curtains": 1e9}, "curtains is .* at most 1"),
        ({"detector_noise": 2}, "detector_noise is .* at most 1"),
        ({"poisson_levels": 1e-9}, "poisson_levels is .* at least 1"),
        ({"poisson_levels": 1e300}, "poisson_levels is .* at most"),
        ({"current_pa": 50, "dwell_us": 30}, f"{round(electrons_per_pixel(50, 30)):,} electrons"),
        ({"snr": 50}, "ratio of 50 takes"),
        ({"snr": 2, "current_pa": 50, "dwell_us": 1}, "not both"),
        ({"drift_px": 100, "slices": 3}, "no room .* drifts so far"),
        ({"pixel_nm": 1000}, "no room for an image of pixels of 1000 nm; .* smaller pixels"),
        ({"pixel_nm": 1e-4}, "too large; take larger pixels"),
        ({"pixel_nm": 1e-320}, "too large; take larger pixels"),
        (
            {"pixel_nm": 0.01, "mean_nm": 1e-4, "deviation_nm": 0, "slices": 99_999},
            "GiB do not fit into memory",
        ),
        ({"tilt_deg": 90}, "tilt_deg"),
        ({"edge_blur_px": 101}, "edge_blur_px is 101, but must be at most 100"),
        ({"colour": 1}, "no parameter 'colour'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(how, says):
    with pytest.raises(PorescopeError, match=says.replace("(", r"\(")) as refused:
        simulate_stack(gold_in_epoxy(), {**QUICK, **how})
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_samples_that_are_none_are_refused():
    grey = Stack(np.random.default_rng(0).random((20, 8, 8)), (2.5, 2.5, 2.5))
    with pytest.raises(PorescopeError, match="labels"):
        simulate_stack(grey, QUICK)
    uneven = Stack(np.zeros((3, 8, 8), np.uint8), (5, 5, 5), slice_z_nm=[0, 5, 20])
    with pytest.raises(PorescopeError, match="unevenly"):
        simulate_stack(uneven, QUICK)


def test_defaults_are_those_of_the_thesis():
    parameters = SimulationParameters()
    assert parameters.beam_kv == (1, 2, 4)
    assert (parameters.mean_nm, parameters.deviation_nm) == (10.16, 3.12)
    assert [made.name for made in parse_materials(parameters.materials).values()] == [
        "epoxy",
        "gold",
    ]


def test_primitives_are_imaged_as_they_are():
    """A ball, drifting, shows where and as large as its voxels say."""
    ball = Primitives(spheres=[[12, 14, 13, 9]], shape=(30, 28, 26))
    how = {"electrons": 200, "beam_kv": (1.0,), "slices": 3, "drift_px": 2.0, "probe_nm": 0}
    how |= {"materials": "0=epoxy, 1=gold", "pixel_nm": 2.0, "deviation_nm": 0, "mean_nm": 8.0}
    how |= {"seed": 3, "first_nm": 24}  # from its middle on, gold narrows with depth
    found = simulate_stack(ball, how)
    assert found.alignments[0].offsets_px.any()
    assert found.truth.spacing_nm == (2, 2, 2)
    np.testing.assert_array_equal(found.truth.data[4], voxelize(ball)[16][_seen(found)])
    for index, offset_px in enumerate(found.alignments[0].offsets_px):
        bright = shift(signal_of(found)[index], offset_px, order=1, mode="nearest") > 0.25
        assert (bright != np.asarray(found.truth_slices.data[index])).mean() < 0.05
    with pytest.raises(PorescopeError, match="give the pixel size"):
        simulate_stack(ball, QUICK)


def _seen(simulated):
    """Return the rows and columns of the sample in the truth, of an image one pixel a voxel."""
    first = np.ceil(-simulated.alignments[0].offsets_px.min(axis=0)).astype(int)
    return tuple(slice(a, a + n) for a, n in zip(first, simulated.truth.shape[1:], strict=True))
