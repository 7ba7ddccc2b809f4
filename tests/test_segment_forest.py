import json
import pickle

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from porescope import PorescopeError, Stack
from porescope.errors import Cancelled, PorescopeWarning
from porescope.measure import scores
from porescope.segment import features as features_module
from porescope.segment import forest as forest_module
from porescope.segment.features import Features
from porescope.segment.forest import Forest, train_forest

SPACING = (10, 5, 5)


def phantom(noise=20.0, seed=0):
    """Solid, pore, and pore with shine-through as bright as solid at 4 kV but not at 1 kV."""
    random = np.random.default_rng(seed)
    truth = np.zeros((6, 48, 40), np.uint8)
    truth[:, 8:40, 8:18] = 1
    stacks = []
    for beam_kv, shine in ((1.0, 90), (4.0, 180)):
        grey = np.where(truth, 180.0, 60.0)
        grey[:, 8:40, 26:36] = shine
        grey += noise * random.normal(size=grey.shape)
        stacks.append(Stack(grey.clip(0, 255).astype(np.uint8), SPACING, beam_kv))
    return stacks, truth


def strokes(truth):
    scribbles = np.zeros(truth.shape, np.uint8)
    scribbles[1, 20:24] = scribbles[4, 4:12] = 1
    scribbles[truth == 1] *= 2
    return scribbles


def trained(**how):
    stacks, truth = phantom()
    return train_forest(stacks, strokes(truth), trees=12, **how)


def wave(spacing_nm, slice_z_nm, wavelengths_nm):
    """Return a stack of cosines along z, y and x, and its wave numbers."""
    k = [2 * np.pi / length for length in wavelengths_nm]
    y, x = spacing_nm[1] * np.arange(60), spacing_nm[2] * np.arange(90)
    phase = np.add.outer(np.add.outer(k[0] * np.asarray(slice_z_nm), k[1] * y), k[2] * x)
    return Stack(np.cos(phase).astype(np.float32), spacing_nm, 1.0, slice_z_nm=slice_z_nm), k, phase


@pytest.mark.parametrize(
    ("spacing_nm", "slice_z_nm"),
    [
        ((5.0, 5.0, 5.0), 5.0 * np.arange(41)),
        ((10.0, 2.5, 5.0), 10.0 * np.arange(21)),
        (
            (5.0, 5.0, 2.5),
            np.cumsum(np.random.default_rng(0).uniform(2, 8, 41)),
        ),
    ],
)
def test_features_of_a_wave_are_those_of_its_formula_at_any_spacing(spacing_nm, slice_z_nm):
    scale = 20.0
    stack, k, phase = wave(spacing_nm, slice_z_nm, (200.0, 300.0, 150.0))
    middle = len(slice_z_nm) // 2
    features = Features.of([stack], [scale])
    assert features.along_z == (True,)
    found = dict(
        zip(
            [name.partition(": ")[2] for name in features.names],
            features.of_rows([stack], middle, slice(0, 60))[:, 30, 45],
            strict=True,
        )
    )
    k2 = float(np.dot(k, k))
    damped = np.exp(-k2 * scale**2 / 2)
    at = phase[middle, 30, 45]
    expected = {
        "brightness": damped * np.cos(at),
        "gradient": scale * np.sqrt(k2) * damped * abs(np.sin(at)),
        "Laplacian": -(scale**2) * k2 * damped * np.cos(at),
    }
    # A plane wave bends along one direction alone.
    bent = expected["Laplacian"]
    expected |= {
        "curvature 1": max(bent, 0),
        "curvature 2": 0,
        "curvature 3": min(bent, 0),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=0.05), name


def test_many_thin_slices_count_no_more_than_a_thick_one():
    z_nm = np.concatenate([np.arange(-60, 0, 2.0), np.arange(0, 61, 10.0)])
    ramp = np.broadcast_to(z_nm[:, None, None], (len(z_nm), 5, 6)).astype(np.float32)
    stack = Stack(ramp, SPACING, 1.0, slice_z_nm=z_nm)
    brightness, gradient, *_ = Features.of([stack], [20.0]).of_rows([stack], 30, slice(0, 5))
    np.testing.assert_allclose(brightness, 0, atol=2)
    np.testing.assert_allclose(gradient, 20, rtol=0.05)


def test_scales_finer_than_slices_look_within_the_slice_alone():
    stacks, _ = phantom()
    features = Features.of(stacks, [5.0, 20.0])
    assert features.along_z == (False, True)
    other = [
        stack.with_data(np.where(np.arange(6)[:, None, None] == 2, stack.data, 7))
        for stack in stacks
    ]
    one, two = (features.of_rows(each, 2, slice(0, 48)) for each in (stacks, other))
    same = (one == two).all(axis=(1, 2))
    np.testing.assert_array_equal(same, ["5 nm" in name for name in features.names])


def test_the_first_and_last_slice_go_on():
    stacks, _ = phantom(noise=0)
    features = Features.of(stacks)
    slices = [features.of_rows(stacks, index, slice(0, 48)) for index in range(6)]
    for seen in slices[1:]:
        np.testing.assert_allclose(seen, slices[0], atol=0.05)


def test_a_single_slice_has_features():
    stack = phantom()[0][0]
    found = Features.of([stack.with_data(stack.data[:1], slice_z_nm=[0.0])])
    assert found.along_z == (False,) * 4


def test_features_in_pieces_are_those_of_the_whole():
    stacks, _ = phantom()
    features = Features.of(stacks)
    whole = features.of_rows(stacks, 3, slice(0, 48))
    parts = [features.of_rows(stacks, 3, slice(y, min(y + 7, 48))) for y in range(0, 48, 7)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@given(arrays(np.float32, (6, 5, 1), elements=st.floats(-100, 100, width=32)))
def test_eigenvalues_are_those_of_lapack(six):
    zz, yy, xx, zy, zx, yx = six
    matrices = np.moveaxis(np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]]), (0, 1), (-2, -1))
    found = np.stack(features_module._eigenvalues_3d(*six), axis=-1)
    expected = np.linalg.eigvalsh(matrices.astype(np.float64))[..., ::-1]
    np.testing.assert_allclose(found, expected, atol=0.15)
    flat = np.stack(features_module._eigenvalues_2d(yy, xx, yx), axis=-1)
    expected = np.linalg.eigvalsh(matrices[..., 1:, 1:].astype(np.float64))[..., ::-1]
    np.testing.assert_allclose(flat, expected, atol=0.01)


def test_a_few_strokes_tell_phases_that_no_threshold_tells():
    stacks, truth = phantom()
    forest = trained()
    assert forest.classes == (0, 1)
    assert scores(forest.segment(stacks), truth)["MP"] < 3
    assert scores((stacks[1].data > 120).astype(np.uint8), truth)["MP"] > 10


def test_scribbles_may_leave_out_classes():
    stacks, truth = phantom()
    scribbles = strokes(truth)
    scribbles *= 2
    labels = train_forest(stacks, scribbles, trees=12).segment(stacks)
    assert set(np.unique(labels)) == {1, 3}


def test_probabilities_sum_to_one_and_are_the_same_however_cut(monkeypatch):
    stacks, _ = phantom()
    forest = trained()
    whole = forest.probabilities(stacks)
    assert whole.shape == (2, 6, 48, 40)
    assert whole.dtype == np.float32
    computed = whole.compute()
    np.testing.assert_allclose(computed.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(computed.argmax(axis=0), forest.segment(stacks))
    monkeypatch.setattr(forest_module, "PIXELS_AT_ONCE", 280)
    monkeypatch.setattr(forest_module, "SLICES_OF_A_CHUNK", 5)
    cut = forest.probabilities(stacks)
    assert cut.numblocks == (1, 2, 7, 1)
    np.testing.assert_array_equal(cut.compute(), computed)
    np.testing.assert_array_equal(
        forest.probabilities(stacks, slices=range(2, 6, 3)).compute(), computed[:, 2:6:3]
    )


def test_lazy_stacks_are_segmented_lazily_and_the_same():
    stacks, truth = phantom()
    lazy = [stack.with_data(da.from_array(stack.data, chunks=(4, 11, 40))) for stack in stacks]
    forest = train_forest(lazy, da.from_array(strokes(truth)), trees=12)
    labels = forest.segment(lazy)
    assert isinstance(labels, da.Array)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels.compute(), trained().segment(stacks))


def test_the_same_seed_grows_the_same_trees():
    stacks, _ = phantom()
    one, same, other = (trained(seed=seed).probabilities(stacks).compute() for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_many_marked_voxels_are_thinned_but_no_class_is_lost(monkeypatch):
    monkeypatch.setattr(forest_module, "MOST_VOXELS", 200)
    monkeypatch.setattr(forest_module, "LEAST_VOXELS", 50)
    stacks, truth = phantom()
    scribbles = truth + 1
    scribbles[0, 0, :3] = 3
    forest = train_forest(stacks, scribbles, trees=5)
    counts = np.bincount(forest.labels)
    assert counts[2] == 3
    assert 200 <= counts.sum() <= 300


def test_importances_name_the_features():
    found = trained().importances()
    assert sum(found.values()) == pytest.approx(1)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert next(iter(found)).startswith("1 kV")  # where shine-through is no solid
    assert "4 kV, 20 nm: curvature 3" in found


def test_a_saved_forest_grows_again_to_the_same_bits(tmp_path):
    stacks, _ = phantom()
    forest = trained(seed=5)
    forest.save(tmp_path / "a.forest")
    loaded = Forest.load(tmp_path / "a.forest")
    assert loaded.features == forest.features
    one, two = (each.probabilities(stacks).compute() for each in (forest, loaded))
    np.testing.assert_array_equal(one, two)
    with pytest.raises(PorescopeError, match="exists already"):
        forest.save(tmp_path / "a.forest")


def test_a_forest_of_another_version_is_told(tmp_path, monkeypatch):
    import sklearn

    trained().save(tmp_path / "a.forest")
    monkeypatch.setattr(sklearn, "__version__", "0.1")
    with pytest.warns(PorescopeWarning, match=r"this is 0\.1"):
        Forest.load(tmp_path / "a.forest")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def hostile():
    from safetensors.numpy import save

    samples = np.zeros((4, 5), np.float32)
    labels = np.array([0, 0, 1, 1], np.uint8)
    told = {
        "features": {"beam_kv": [1.0], "scales_nm": [5.0], "along_z": [False]},
        "trees": 5, "seed": 0, "scikit-learn": "1",
    }  # fmt: skip

    def file(tensors=None, version="1", **changes):
        tensors = {"samples": samples, "labels": labels} if tensors is None else tensors
        return save(tensors, {"porescope_forest": version, "forest": json.dumps(told | changes)})

    return {
        "pickle": pickle.dumps(Bomb()),
        "empty": b"",
        "other format": file(version="2"),
        "no samples": file({"labels": labels}),
        "doubles": file({"samples": samples.astype(np.float64), "labels": labels}),
        "NaN": file({"samples": samples * np.nan, "labels": labels}),
        "other count": file({"samples": samples, "labels": labels[:3]}),
        "one class": file({"samples": samples, "labels": labels * 0}),
        "too many trees": file(trees=10**9),
        "no list": file(features=5),
        "scales": file(features={"beam_kv": [1.0], "scales_nm": [-5.0], "along_z": [False]}),
        "text": file(seed="x"),
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_files_are_refused(name, tmp_path):
    path = tmp_path / "a.forest"
    path.write_bytes(hostile()[name])
    with pytest.raises(PorescopeError, match="no forest that this version"):
        Forest.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PorescopeError, match="Cannot read"):
        Forest.load(tmp_path / "a.forest")


def refusals():
    stacks, truth = phantom()
    marks = strokes(truth)
    nan = stacks[0].data.astype(np.float32)
    nan[1, 22, 3] = np.nan
    stacks_with_nan = [stacks[0].with_data(nan), stacks[1]]
    z_nm = [0, 2, 1, 3, 4, 5]
    mixed = [stack.with_data(stack.data, slice_z_nm=z_nm) for stack in stacks]
    return {
        "nothing is marked": (stacks, marks * 0, {}),
        "only 1": (stacks, marks.clip(0, 1), {}),
        "draw them on": (stacks, marks[:4], {}),
        "whole numbers, 0": (stacks, marks.astype(float), {}),
        "from 0 to 32": (stacks, marks * 100, {}),
        "negative": (stacks, -marks.astype(np.int16), {}),
        "Slice 1 holds values that are not numbers": (stacks_with_nan, marks, {}),
        "load a stack": ([], marks, {}),
        "align them first": ([stacks[0], stacks[1].crop(slice(0, 40), slice(0, 40))], marks, {}),
        "number of trees": (stacks, marks, {"trees": 0}),
        "seed must be": (stacks, marks, {"seed": -1}),
        "scales must lie": (stacks, marks, {"scales_nm": [1.0]}),
        "lengths in nm": (stacks, marks, {"scales_nm": []}),
        "slices step": (mixed, marks, {}),
    }


@pytest.mark.parametrize("message", refusals())
def test_training_refuses_with_a_sentence(message):
    stacks, scribbles, how = refusals()[message]
    with pytest.raises(PorescopeError, match="from 0 to 32" if message == "negative" else message):
        train_forest(stacks, scribbles, **how)


def test_a_forest_refuses_other_voltages_and_slices():
    stacks, _ = phantom()
    forest = trained()
    with pytest.raises(PorescopeError, match=r"1 kV, 4 kV in this order, but .* 4 kV, 1 kV"):
        forest.segment(stacks[::-1])
    with pytest.raises(PorescopeError, match="asks for others"):
        forest.probabilities(stacks, slices=range(4, 8))


def test_progress_and_cancel():
    stacks, truth = phantom()
    told = []
    forest = train_forest(
        stacks, strokes(truth), trees=12, progress=lambda *each: told.append(each)
    )
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    forest.segment(stacks, progress=lambda *each: told.append(each))
    assert told[-1] == (6, 6)
    with pytest.raises(Cancelled):
        forest.segment(stacks, cancel=lambda: True)
    with pytest.raises(Cancelled):
        train_forest(stacks, strokes(truth), cancel=lambda: True)
