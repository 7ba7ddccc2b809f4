"""Trained networks that segment: what they see, how voltages are put together, what is refused."""

import importlib
import json
import warnings
from itertools import combinations, product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from porescope import PorescopeError, Stack
from porescope.errors import PorescopeWarning

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from porescope.learn import precision  # noqa: E402
from porescope.learn.weights import Card, save_weights  # noqa: E402
from porescope.segment import probability, segment  # noqa: E402
from porescope.segment.levels import levels_of  # noqa: E402
from porescope.segment.model import NAME, Segmentation, Settings, load_segmentation  # noqa: E402
from porescope.segment.networks import VolumeNetwork  # noqa: E402
from porescope.segment.parameters import JOINT, SegmentationTraining  # noqa: E402
from porescope.segment.training import _tensors, fit_logistic, fit_votes  # noqa: E402
from porescope.segment.windows import Seen  # noqa: E402

SPACING_NM = (10.0, 2.5, 2.5)
BEAMS_KV = (1.0, 2.0, 4.0)
SHAPE = (5, 37, 45)
VOLUME = ("unet3d", "residual-unet3d", "vnet")
ARCHITECTURES = ("unet-adjacent", "unet", *VOLUME, *JOINT)
METHODS = dict.fromkeys(("unet-adjacent",), "late-fusion") | dict.fromkeys(VOLUME, "unet3d")


def image(beam_kv=1.0, shape=SHAPE, seed=0, **fields):
    random = np.random.default_rng([seed, int(10 * beam_kv)])
    smooth = gaussian_filter(random.normal(size=shape), (0, 2, 2))
    grey = np.clip(110 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    return Stack(grey, SPACING_NM, beam_kv, **fields)


def images(*beams_kv, **fields):
    return [image(beam_kv, **fields) for beam_kv in beams_kv or BEAMS_KV]


def card_of(told, scores=None):
    return Card(
        network=NAME, summary="A test.", settings=told, data="None.", split="None.",
        training={"seed": 0}, scores=scores or {}, versions={},
    )  # fmt: skip


@pytest.fixture
def weights(tmp_path):
    """Return a function that writes random weights, which answer differently everywhere."""

    def write(architecture="unet-adjacent", beam_kv=BEAMS_KV, slices=3, seed=0, **scores):
        told = Settings(
            architecture=architecture, beam_kv=beam_kv, slices=slices, channels=4, pixel_nm=2.5
        )
        random = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Segmentation(told)
        with torch.no_grad():
            for name, values in model.named_parameters():
                if values.ndim > 1 and "modulate" not in name:
                    values.copy_(torch.randn(values.shape, generator=random))
                    values /= (values[0].numel() / 3) ** 0.5
                elif "combine" in name:
                    values.copy_(torch.rand(values.shape, generator=random))
            for votes in model.votes.values():
                votes.copy_(torch.rand(votes.shape, generator=random))
                votes /= votes.sum()
        path = tmp_path / f"{architecture}-{seed}.safetensors"
        save_weights(path, _tensors(model), card_of(told.model_dump(mode="json"), scores))
        return path

    return write


def quietly(*arguments, **named):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PorescopeWarning)
        return probability(*arguments, **named)


def fractions(stacks, path, method="late-fusion"):
    return quietly(stacks, method, weights=path)


@pytest.mark.parametrize("architecture", ["unet-adjacent", "early-fusion", "unet3d"])
def test_the_result_does_not_depend_on_the_tile(weights, monkeypatch, architecture):
    path = weights(architecture, beam_kv=(1.0, 2.0))
    stacks = images(1.0, 2.0, shape=(2 if architecture != "unet3d" else 9, 24, 200))
    method = architecture if architecture in JOINT else "late-fusion"
    module = importlib.import_module("porescope.segment.probability")
    found = []
    for tile_px in (1024, 48):
        monkeypatch.setattr(module, "TILE_PX", tile_px)
        monkeypatch.setattr(module, "VOLUME_TILE_PX", tile_px)
        found.append(fractions(stacks, path, method))
    assert len(np.unique(found[0])) > 20
    np.testing.assert_array_equal(found[1], found[0])


@pytest.mark.parametrize("architecture", ["unet-adjacent", "unet", "unet3d", *JOINT])
def test_what_is_further_away_than_the_halo_does_not_reach_a_pixel(architecture):
    told = Settings(architecture=architecture, beam_kv=(1, 2), slices=3, channels=4, pixel_nm=2.5)
    torch.manual_seed(0)
    network = told.build().eval()
    voltages = 2 if told.joint else 1
    size = 2 * network.halo_px + 48 - (2 * network.halo_px) % 16
    known = torch.full((1, network.depth - 1), 10.0), torch.ones(1, network.depth)
    seen = torch.rand(1, voltages, network.depth, size, size, requires_grad=True)
    logits = network(seen, *known)
    assert logits.shape == (1, network.planes, size, size)
    for place in (size // 2, size // 2 + 7):
        (slope,) = torch.autograd.grad(logits[..., place, place].sum(), seen, retain_graph=True)
        away = (torch.arange(size) - place).abs() > network.halo_px
        assert (slope[..., away, :] == 0).all()
        assert (slope[..., away] == 0).all()
        near = slope[..., place - 5 : place + 6, place - 5 : place + 6]
        assert (near != 0).flatten(3).any(-1).all()  # at each voltage and slice


def test_the_halo_of_the_v_net_is_as_wide_as_it_looks():
    from monai.networks.nets.vnet import VNet

    flat = VNet(spatial_dims=2, out_channels=1).eval()  # looks as far in the plane as in 3D
    seen = torch.rand(1, 1, 480, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(flat(seen)[0, 0, 240, 8], seen)
    reached = (torch.nonzero(slope)[:, 2] - 240).abs().max()
    with torch.device("meta"):
        halo_px = VolumeNetwork("vnet").halo_px
    assert 100 < reached <= halo_px


def test_slices_within_reach_matter_and_no_others(weights):
    path = weights(slices=5, beam_kv=(1.0,))
    stack = image(shape=(12, 37, 45))
    other = stack.data.copy()
    other[6] = other[6, :, ::-1]  # keeps the levels
    before, after = (fractions(s, path) for s in (stack, stack.with_data(other)))
    changed = (before != after).any(axis=(1, 2))
    assert changed.tolist() == [4 <= index <= 8 for index in range(12)]


def test_gain_and_offset_do_not_matter(weights, monkeypatch):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device="cpu": False)
    path = weights(beam_kv=(1.0,))
    stack = image()
    before = fractions(stack, path)
    for gain, offset in ((4.0, 0.0), (1.7, 13.0), (1e-3, -5.0)):
        after = fractions(stack.with_data(gain * stack.data.astype(float) + offset), path)
        assert np.abs(after.astype(int) - before).max() <= 1
    assert len(np.unique(before)) > 20


@pytest.mark.parametrize("architecture", ["unet-adjacent", "unet3d"])
def test_lazy_and_floats_are_the_same_as_whole_numbers(weights, architecture):
    import dask.array as da

    path = weights(architecture, beam_kv=(1.0,))
    stack = image(shape=(9, 37, 45))
    lazy = stack.with_data(da.from_array(stack.data, chunks=(2, 11, 45)))
    floats = stack.with_data(stack.data.astype(np.float32))
    whole = fractions(stack, path)
    np.testing.assert_array_equal(fractions(lazy, path), whole)
    np.testing.assert_array_equal(fractions(floats, path), whole)
    labels = segment(lazy, weights=path)
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels.compute(), segment(stack, weights=path))
    np.testing.assert_array_equal(labels.compute(), whole >= 128)


@pytest.mark.parametrize("method", ["late-fusion", "vote", *JOINT])
def test_the_order_of_the_stacks_does_not_matter(weights, method):
    path = weights(method if method in JOINT else "unet-adjacent")
    stacks = images()
    np.testing.assert_array_equal(
        fractions(stacks[::-1], path, method), fractions(stacks, path, method)
    )
    swapped = [stacks[0], stacks[1].with_data(stacks[2].data), stacks[2].with_data(stacks[1].data)]
    assert (fractions(swapped, path, method) != fractions(stacks, path, method)).any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_images_of_any_size(weights, architecture):
    beams_kv = BEAMS_KV[:2] if architecture in JOINT else (1.0,)
    path = weights(architecture, beam_kv=beams_kv, slices=9)
    method = METHODS.get(architecture, architecture)
    for shape in ((3, 37, 45), (1, 8, 9))[: 1 if architecture == "vnet" else 2]:
        found = fractions(images(*beams_kv, shape=shape), path, method)
        assert (found.dtype, found.shape) == (np.uint8, shape)
        assert len(np.unique(found)) > 1


def test_distances_of_slices_are_seen(weights):
    path = weights(beam_kv=(1.0,))
    even = image()
    z_nm = np.array([0, 10, 30, 40, 50.0])
    before, after = (fractions(s, path) for s in (even, even.with_data(even.data, slice_z_nm=z_nm)))
    changed = (before != after).any(axis=(1, 2))
    assert changed.tolist() == [False, True, True, False, False]


def test_slices_beyond_the_ends_are_zero_whatever_is_beside():
    stack = image(slice_z_nm=[0, 12, 20, 31, 45])
    seen = Seen.of([stack])
    first, last = seen.window(-2, 4), seen.window(3, 4)
    assert first["present"].tolist() == [0, 0, 1, 1]
    assert last["present"].tolist() == [1, 1, 0, 0]
    assert first["gaps_nm"].tolist() == [10, 10, 12]
    assert last["gaps_nm"].tolist() == [14, 10, 10]
    for window, gone in ((first, slice(0, 2)), (last, slice(2, 4))):
        assert (window["images"][:, gone] == 0).all()
        assert (window["images"] != 0).flatten(2).any(-1).sum() == 2
    inside = seen.window(1, 2, slice(3, 9), slice(5, 45))
    expected = seen.levels[0].apply(stack.data[1:3, 3:9, 5:45].astype(np.float32))
    np.testing.assert_array_equal(inside["images"][0], expected)


def test_slices_at_one_place_or_swapped_are_no_nonsense(weights):
    path = weights(beam_kv=(1.0,))
    close = fractions(image(slice_z_nm=[0, 10, 11, 12, 27]), path)
    odd = fractions(image(slice_z_nm=[0, 10, 10, 5, 20]), path)
    np.testing.assert_array_equal(odd, close)


def logits_alone(model, stacks):
    """Each network on its whole stack, padded by its last rows and columns, seen in four ways."""
    ways = {  # and what undoes each
        "as it is": (lambda image: image, lambda image: image),
        "upside down": (lambda image: image[..., ::-1, :], lambda image: image[..., ::-1, :]),
        "turned": (
            lambda image: image.swapaxes(-1, -2)[..., ::-1, :],
            lambda image: image[..., ::-1, :].swapaxes(-1, -2),
        ),
        "across": (lambda image: image.swapaxes(-1, -2), lambda image: image.swapaxes(-1, -2)),
    }
    found = []
    for network, stack in zip(model.networks, stacks, strict=True):
        levels = levels_of(stack)
        grey = (stack.data.astype(np.float32) - levels.dark) / (levels.bright - levels.dark)
        rows, columns = (-size % network.multiple for size in stack.shape[1:])
        grey = np.pad(grey, ((0, 0), (0, rows), (0, columns)), mode="edge")
        grey = np.pad(grey, ((1, 1), (0, 0), (0, 0))).astype(np.float32)
        planes = []
        for index in range(stack.shape[0]):
            present = [float(index > 0), 1.0, float(index < stack.shape[0] - 1)]
            answers = []
            for turn, undo in ways.values():
                seen = np.ascontiguousarray(turn(grey[None, None, index : index + 3]))
                with torch.inference_mode():
                    logits = network(
                        torch.from_numpy(seen), torch.full((1, 2), 10.0), torch.tensor([present])
                    )
                answers.append(undo(logits[0, 0].numpy()))
            planes.append(np.mean(answers, axis=0)[: stack.shape[1], : stack.shape[2]])
        found.append(np.array(planes))
    return np.array(found)


def test_any_of_the_voltages_are_put_together_as_the_file_says(weights, monkeypatch):
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device="cpu": False)
    path, stacks = weights(), images()
    model, _ = load_segmentation(path)
    alone = logits_alone(model, stacks)
    for size in (1, 2, 3):
        for subset in combinations(range(3), size):
            logits, key = alone[list(subset)], "-".join(map(str, subset))
            fused, share = logits[0], (logits[0] > 0).astype(float)
            if size > 1:
                layer = model.ensembles[key].combine
                factors = layer.weight.detach().numpy().ravel()
                fused = np.tensordot(factors, logits, 1) + layer.bias.item()
                share = np.tensordot(model.votes[key].detach().numpy(), logits > 0, 1)
            given = [stacks[index] for index in subset]
            for method, expected in (("late-fusion", expit(fused)), ("vote", share)):
                found = fractions(given, path, method)
                assert np.abs(found - np.ceil(256 * expected - 1).clip(0, 255)).max() <= 1
                sure = np.abs(expected - 0.5) > 1e-3
                labels = (found >= 128)[sure]
                np.testing.assert_array_equal(labels, (expected > 0.5)[sure])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 3), st.integers(0, 2**32 - 1))
def test_weights_of_votes_misplace_fewest(count, seed):
    random = np.random.default_rng(seed)
    truth = random.random(200) < 0.5
    evidence = (2 * truth - 1)[:, None] * random.normal(0.3, 1, (200, count))
    evidence = evidence.astype(np.float32)

    def misplaced(tenths):
        won = ((evidence > 0) * tenths).sum(axis=1) > 5
        return (won != truth).sum()

    every = [t for t in product(range(1, 11), repeat=count) if sum(t) == 10]
    found = 10 * fit_votes(evidence, truth)
    assert found.sum() == pytest.approx(10)
    assert misplaced(np.round(found)) == min(map(misplaced, every))
    best = [t for t in every if misplaced(t) == misplaced(np.round(found))]
    assert np.var(found) == pytest.approx(min(map(np.var, best)), abs=1e-5)


def test_the_layer_of_late_fusion_is_the_best_in_cross_entropy():
    evidence = np.repeat([[0.0], [1.0]], [50, 80], axis=0).astype(np.float32)
    truth = np.arange(130) % 5 == 0  # 10 of 50, 16 of 80
    truth[50:110] |= np.arange(60) % 2 == 0
    shares = truth[:50].mean(), truth[50:].mean()
    odds = [np.log(share / (1 - share)) for share in shares]
    weights, bias = fit_logistic(evidence, truth)  # closed form
    assert bias == pytest.approx(odds[0], abs=1e-3)
    assert weights.tolist() == pytest.approx([odds[1] - odds[0]], abs=1e-3)
    random = np.random.default_rng(0)
    truth = random.random(4000) < 0.4
    evidence = (2 * truth - 1)[:, None] * [1, 0.3] + random.normal(size=(4000, 2))
    weights, bias = fit_logistic(evidence.astype(np.float32), truth)
    error = expit(evidence @ weights + bias) - truth
    assert abs(error.mean()) < 1e-4  # no step makes it better
    assert np.abs(error @ evidence / 4000).max() < 1e-4


def says(error):
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("beams_kv", "architecture", "why"),
    [
        ((1.0, 3.0), "unet-adjacent", "know 1, 2, 4 kV, not 3 kV"),
        ((None,), "unet-adjacent", "tells no beam voltage, and the networks know 1, 2, 4 kV"),
        ((1.0, 2.0, 2.0), "unet-adjacent", "Two stacks have 2 kV"),
        ((1.0, 4.0), "early-fusion", "takes all of 1, 2, 4 kV together"),
    ],
)
def test_voltages_that_do_not_fit_are_refused(weights, beams_kv, architecture, why):
    path = weights(architecture)
    stacks = [image(beam_kv or 1.0) for beam_kv in beams_kv]
    if None in beams_kv:
        stacks = [Stack(stacks[0].data, SPACING_NM)]
    method = architecture if architecture in JOINT else "late-fusion"
    with pytest.raises(PorescopeError) as error:
        probability(stacks, method, weights=path)
    assert why in says(error)


def test_voltages_a_little_off_are_taken(weights):
    path, stacks = weights(beam_kv=(1.0,)), image()
    off = Stack(stacks.data, SPACING_NM, 1.05)
    np.testing.assert_array_equal(fractions(off, path), fractions(stacks, path))


def test_methods_and_weights_that_do_not_fit_are_refused(weights):
    joint, late, volume = (weights(each) for each in ("early-fusion", "unet-adjacent", "unet3d"))
    for method, path, why in [
        ("late-fusion", joint, "are of early-fusion; choose the method early-fusion"),
        ("intermediate-fusion", joint, "choose the method early-fusion"),
        ("early-fusion", late, "are of unet-adjacent; choose the method unet-adjacent"),
        ("unet", late, "choose the method unet-adjacent"),
        ("unet-adjacent", volume, "choose the method unet3d"),
        ("otsu", late, "No network segments by 'otsu'"),
        ("late-fusion", "nonsense", "No weights 'nonsense' for segmentation ship"),
        ("late-fusion", "nonsense", "choose from: carbon-vacuum, gold-epoxy. Or train"),
        ("unet", "nonsense", "No weights 'nonsense' for unet ship with Porescope. Train"),
        ("unet3d", "gold-epoxy", "for unet3d ship with Porescope, but for unet-adjacent, early-f"),
        ("intermediate-fusion", "gold-epoxy", "segmentation --architecture intermediate-fusion"),
        ("late-fusion", late.with_name("gone.safetensors"), "Cannot read"),
    ]:
        with pytest.raises(PorescopeError) as error:
            probability(images(), method, weights=path)
        assert why in says(error)


GOOD = {"architecture": "unet", "beam_kv": [1.0], "slices": 3, "channels": 4, "pixel_nm": 2.5}


@pytest.mark.parametrize(
    "hostile",
    [
        {"channels": 10**9},
        {"channels": 5},
        {"channels": "many"},
        {"slices": 4},
        {"slices": 10**6 + 1},
        {"beam_kv": []},
        {"beam_kv": [1.0] * 10**4},
        {"beam_kv": [0.0]},
        {"beam_kv": [-1.0]},
        {"beam_kv": ["nan"]},
        {"pixel_nm": 0},
        {"pixel_nm": "inf"},
        {"architecture": "__import__"},
        {"more": 1},
    ],
)
def test_cards_of_what_cannot_be_built_are_refused(tmp_path, hostile):
    path = tmp_path / "x.safetensors"
    tensors = _tensors(Segmentation(Settings(**GOOD)))
    save_weights(path, tensors, card_of(GOOD | hostile))
    with pytest.raises(PorescopeError) as error:
        load_segmentation(path)
    assert "cannot build" in says(error)


def test_foreign_files_of_weights_are_refused(tmp_path):
    tensors = _tensors(Segmentation(Settings(**GOOD)))
    key = next(iter(tensors))
    wrong = {**tensors, key: np.zeros((3, *tensors[key].shape), np.float32)}
    other = card_of(GOOD).model_copy(update={"network": "gap-network/1"})
    for name, tensor, card, why in [
        ("shape", wrong, card_of(GOOD), f"{key!r} differs"),
        ("less", {key: tensors[key]}, card_of(GOOD), "does not fit the network"),
        ("other", tensors, other, "weights of 'gap-network/1'"),
    ]:
        path = tmp_path / f"{name}.safetensors"
        save_weights(path, tensor, card)
        with pytest.raises(PorescopeError) as error:
            load_segmentation(path)
        assert why in says(error)
    text = tmp_path / "text.safetensors"
    text.write_text(json.dumps(GOOD))
    with pytest.raises(PorescopeError) as error:
        load_segmentation(text)
    assert "no file of weights" in says(error)


def test_weights_that_were_replaced_are_read_again(weights, tmp_path):
    import os

    first, second = weights(beam_kv=(1.0,)), weights(beam_kv=(1.0,), seed=1)
    before, expected = fractions(image(), first), fractions(image(), second)
    os.replace(second, first)
    np.testing.assert_array_equal(fractions(image(), first), expected)
    assert (before != expected).any()


def test_what_is_not_as_it_was_learned_is_told(weights):
    score = "misplaced % of validation at "
    path = weights(**{score + "1, 2 kV": 0.512, score + "1, 2, 4 kV": 0.25})
    with pytest.warns(PorescopeWarning) as told:
        probability(images(2.0, 1.0), weights=path)
    (words,) = (str(warning.message) for warning in told)
    assert "know 1, 2, 4 kV, and 1, 2 kV are there" in words
    assert "0.51 % of the voxels were misplaced" in words
    assert "0.25 % with all" in words
    coarse = [Stack(stack.data, (10, 5, 5), stack.beam_kv) for stack in images()]
    with pytest.warns(PorescopeWarning, match=r"pixels of 2.5 nm, and these have 5 nm"):
        probability(coarse, weights=path)
    oblong = [Stack(stack.data, (10, 2.5, 5), stack.beam_kv) for stack in images()]
    with pytest.warns(PorescopeWarning, match=r"and these have 2.5 x 5 nm \(y, x\)"):
        probability(oblong, weights=path)
    equal = weights(seed=1, **{score + "1, 2 kV": 0.2512, score + "1, 2, 4 kV": 0.25})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probability(images(), weights=path)
        probability(images(2.0, 1.0), weights=equal)


def test_the_lowest_voltage_alone_is_looked_at_where_the_method_says_so(weights):
    path = weights()
    np.testing.assert_array_equal(
        quietly(images(), "unet-adjacent", weights=path), fractions(image(1.0), path)
    )


def test_prediction_can_be_followed_and_cancelled(weights):
    from porescope.errors import Cancelled

    path, done = weights(beam_kv=(1.0,)), []
    quietly(image(), weights=path, progress=lambda *both: done.append(both))
    assert done[-1] == (5, 5)
    with pytest.raises(Cancelled):
        quietly(image(), weights=path, cancel=lambda: True)


def test_levels_are_those_of_the_whole_stack():
    random = np.random.default_rng(0)
    pores = gaussian_filter(random.normal(size=(40, 64, 64)), (0, 4, 4)) > 0
    clean = np.where(pores, 60.0, 180.0)
    dark = clean.copy()
    dark[7] = 60  # a slice without solid does not become one with
    levels = levels_of(Stack(clean, SPACING_NM))
    assert levels.dark == pytest.approx(60, abs=3)
    assert levels.bright == pytest.approx(180, abs=3)
    assert levels_of(Stack(dark, SPACING_NM)).bright == pytest.approx(levels.bright, abs=1)
    for deviation in (10, 40):
        noisy = levels_of(Stack(clean + deviation * random.normal(size=clean.shape), SPACING_NM))
        assert noisy.dark == pytest.approx(levels.dark, abs=0.35 * deviation)
        assert noisy.bright == pytest.approx(levels.bright, abs=0.35 * deviation)
    assert levels.apply(np.float32([levels.dark, levels.bright])).tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize(
    ("value", "why"), [(7.0, "same brightness"), (0.1, "same brightness"), (np.nan, "not numbers")]
)
def test_stacks_without_levels_are_refused(value, why):
    with pytest.raises(PorescopeError) as error:
        levels_of(Stack(np.full((3, 20, 30), value), SPACING_NM))
    assert why in says(error)


def test_an_even_number_of_slices_has_no_middle():
    with pytest.raises(PorescopeError, match="take an odd number"):
        SegmentationTraining(slices=4)
