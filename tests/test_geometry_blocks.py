"""What holds for every sample on a voxel grid."""

import pickle

import cloudpickle
import numpy as np
import pytest

from porescope.errors import Cancelled, PorescopeError
from porescope.geometry import (
    hierarchical_leveled_wave,
    label_layers,
    leveled_wave,
    perlin_layers,
    random_pores,
    self_similar,
    spheroids,
)
from porescope.geometry.blocks import spread, upper_quantile
from porescope.geometry.perlin import LayerSample
from porescope.io import read_stack, write_stack
from porescope.stack import Stack

SHAPE = (40, 30, 50)
SPACING_NM = (4.0, 5.0, 6.0)
STRUCTURE = leveled_wave(SHAPE, spacing_nm=SPACING_NM, wavelength_nm=80, solid_fraction=0.5)
THICKNESS_NM = perlin_layers((30, 50), spacing_nm=5, wavelength_nm=90, thickest_nm=(50, 150))


def draw_wave(**options):
    return leveled_wave(
        SHAPE, spacing_nm=SPACING_NM, wavelength_nm=60, solid_fraction=0.4, **options
    )


def draw_hierarchy(**options):
    return hierarchical_leveled_wave(
        SHAPE, spacing_nm=SPACING_NM, wavelengths_nm=(90, 25), solid_fractions=(0.5, 0.6), **options
    )


def draw_pores(**options):
    return random_pores(
        SHAPE, spacing_nm=SPACING_NM, radius_nm=25, radius_sd_nm=5, solid_fraction=0.4, **options
    )


def draw_spheroids(**options):
    return spheroids(SHAPE, spacing_nm=SPACING_NM, pitch_nm=50, solid_fraction=0.8, **options)


def draw_self_similar(**options):
    return self_similar(STRUCTURE, spacing_nm=SPACING_NM, ratio=3, solid_fraction=0.3, **options)


def draw_layers(**options):
    return label_layers(THICKNESS_NM, slice_nm=5, slices=40, **options)


SAMPLES = [draw_wave, draw_hierarchy, draw_pores, draw_spheroids, draw_self_similar, draw_layers]
SEEDED = [draw_wave, draw_hierarchy, draw_pores, draw_self_similar]
BOOLEAN = {draw_wave: 0.4, draw_hierarchy: 0.3, draw_pores: 0.4, draw_self_similar: 0.3}
every = pytest.mark.parametrize("draw", SAMPLES)


@every
def test_a_sample_does_not_depend_on_its_slabs(draw, monkeypatch):
    whole = draw()
    assert whole.shape == SHAPE
    monkeypatch.setattr("porescope.geometry.blocks.SLAB_BYTES", 7 * 30 * 50)
    np.testing.assert_array_equal(draw(), whole)
    lazy = draw(lazy=True)
    assert lazy.chunks == ((7,) * 5 + (5,), (30,), (50,))
    assert lazy.dtype == whole.dtype
    np.testing.assert_array_equal(lazy.compute(), whole)
    np.testing.assert_array_equal(lazy[12:20, 3, ::2].compute(), whole[12:20, 3, ::2])


@every
def test_a_lazy_sample_can_go_to_another_process(draw):
    lazy = draw(lazy=True)
    np.testing.assert_array_equal(pickle.loads(cloudpickle.dumps(lazy)).compute(), draw())


@pytest.mark.parametrize(("draw", "solid_fraction"), BOOLEAN.items())
def test_solid_fraction_is_met_to_a_voxel(draw, solid_fraction):
    assert draw().mean() == pytest.approx(solid_fraction, abs=2 / np.prod(SHAPE))


@pytest.mark.parametrize(("draw", "solid_fraction"), BOOLEAN.items())
def test_solid_fraction_is_met_where_the_level_is_taken_from_a_part(
    draw, solid_fraction, monkeypatch
):
    monkeypatch.setattr("porescope.geometry.blocks.LEVEL_VOXELS", 3000)
    assert draw().mean() == pytest.approx(solid_fraction, abs=0.03)


@pytest.mark.parametrize("draw", SEEDED)
def test_same_seed_same_sample_other_seed_another(draw):
    np.testing.assert_array_equal(draw(seed=7), draw(seed=7))
    assert (draw(seed=7) != draw(seed=8)).mean() > 0.2


@every
def test_progress_reaches_the_end_and_never_turns_back(draw, monkeypatch):
    monkeypatch.setattr("porescope.geometry.blocks.SLAB_BYTES", 4 * 30 * 50)
    seen = []
    draw(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(11)]


@every
def test_cancel_while_slabs_are_drawn(draw, monkeypatch):
    monkeypatch.setattr("porescope.geometry.blocks.SLAB_BYTES", 4 * 30 * 50)
    stopped = []
    with pytest.raises(Cancelled):
        draw(
            progress=lambda done, total: stopped.append(True) if done == 3 else None,
            cancel=lambda: bool(stopped),
        )


@pytest.mark.parametrize("draw", [*SEEDED[:3], draw_spheroids])
def test_cancel_while_the_level_is_sought(draw):
    with pytest.raises(Cancelled):
        draw(lazy=True, cancel=lambda: True)


def test_a_lazy_sample_is_written_slab_by_slab(tmp_path):
    path = tmp_path / "sample.ome.zarr"
    write_stack(path, Stack(draw_wave(lazy=True), spacing_nm=SPACING_NM))
    np.testing.assert_array_equal(np.asarray(read_stack(path).data), draw_wave())


def test_a_sample_beyond_memory_ends_in_a_sentence(monkeypatch):
    def refuse(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(PorescopeError, match="lazy=True"):
        LayerSample(THICKNESS_NM, 2**20, 5.0).to_array()


@pytest.mark.parametrize("shape", [(1, 1, 1), (256, 256, 256), (850, 850, 1130), (1, 9000, 9000)])
def test_spread_covers_the_volume_evenly(shape):
    parts = [np.arange(size)[part] for size, part in zip(shape, spread(shape), strict=True)]
    assert 1 <= np.prod([len(part) for part in parts]) <= 2**24
    for size, part in zip(shape, parts, strict=True):
        step = part[1] - part[0] if len(part) > 1 else 1
        assert part[0] <= step / 2
        assert size - 1 - part[-1] < step
        assert abs(part.mean() - (size - 1) / 2) <= step / 2


@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.5, 0.999])
def test_upper_quantile_is_exceeded_by_the_fraction(fraction):
    values = np.random.default_rng(0).normal(size=(10, 10, 100))
    assert (values >= upper_quantile(values, fraction)).mean() == pytest.approx(fraction, abs=1e-9)
