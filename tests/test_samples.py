"""Kinds of samples, their options, and the way of samples and heightfields to files."""

import argparse
import re

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from porescope import Stack
from porescope.errors import Cancelled, PorescopeError
from porescope.geometry import Primitives, boolean_model, voxelize
from porescope.imaging import extract_heightfield
from porescope.io import (
    is_primitive_list,
    read_primitives,
    read_stack,
    write_primitives,
    write_stack,
)
from porescope.io.heightfields import write_heightfields
from porescope.options import add_options, given_values
from porescope.pipeline.heightfields import parse_planes, write_heightfields_of
from porescope.pipeline.sample_results import prepare_sample, show_primitives, write_sample
from porescope.pipeline.samples import draw_sample, find_sample_kind, labels_of, sample_kinds

SMALL = {
    "spheres": {"shape": (40, 44, 48), "radius": (4, 8)},
    "cylinders": {"shape": (40, 44, 48), "radius": (2, 4), "height": (10, 20)},
    "cubes": {"shape": (40, 44, 48), "edge": (5, 9)},
    "leveled-wave": {"shape": (40, 44, 48), "wavelength_nm": 60, "solid_fraction": 0.3},
    "hierarchical-leveled-wave": {"shape": (40, 44, 48), "wavelengths_nm": (100, 40)},
    "self-similar": {"shape": (40, 44, 48), "wavelength_nm": 80, "solid_fraction": 0.3},
    "random-pores": {"shape": (40, 44, 48), "radius_nm": 25, "radius_sd_nm": 5},
    "spheroids": {"shape": (40, 44, 48), "pitch_nm": 60},
    "perlin-layers": {"shape": (44, 48), "wavelength_nm": 100, "thickest_nm": (60, 80)},
}
PROMISED = {
    "leveled-wave": 0.3,
    "hierarchical-leveled-wave": 0.25,
    "self-similar": 0.3,
    "random-pores": 0.5,
    "spheroids": 0.7,
}


def voxels(kind, **changes):
    return np.asarray(labels_of(draw_sample(kind, SMALL[kind] | changes)).data)


def ball(z=8.0, y=9.0, x=10.0, radius=5.0, shape=(16, 18, 20)):
    return Primitives(spheres=[[z, y, x, radius]], shape=shape)


def test_every_kind_is_tried_here():
    assert set(SMALL) | {"paper", "list"} == set(sample_kinds())


@pytest.mark.parametrize("kind", SMALL)
def test_a_kind_draws_what_it_says(kind):
    sample = draw_sample(kind, SMALL[kind])
    assert isinstance(sample, Primitives) == find_sample_kind(kind).has_primitives
    labels = labels_of(sample, voxel_nm=5.0)
    assert labels.is_labels
    assert labels.spacing_nm == (5.0, 5.0, 5.0)
    solid = np.asarray(labels.data)
    assert solid.dtype == np.uint8
    assert solid.shape[1:] == (44, 48)
    if kind in PROMISED:
        assert np.mean(solid > 0) == pytest.approx(PROMISED[kind], abs=0.01)
    if kind == "perlin-layers":
        assert set(np.unique(solid)) == {0, 1, 2}


@pytest.mark.parametrize("kind", [kind for kind in SMALL if kind != "spheroids"])
def test_the_seed_decides(kind):
    assert np.array_equal(voxels(kind, seed=3), voxels(kind, seed=3))
    first, second = voxels(kind, seed=3), voxels(kind, seed=4)
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_boolean_models_are_those_of_geometry():
    drawn = draw_sample(
        "cylinders",
        {
            "shape": (50, 50, 50),
            "porosity": 0.6,
            "radius": 3,
            "height": (9, 12),
            "orientation": "von-mises-fisher",
            "kappa": 7,
            "seed": 5,
        },
    )
    expected = boolean_model(
        "cylinder",
        porosity=0.6,
        shape=(50, 50, 50),
        radius=3,
        height=(9, 12),
        orientation="von-mises-fisher",
        kappa=7,
        seed=5,
    )
    assert np.array_equal(drawn.cylinders, expected.cylinders)


def test_a_sample_of_the_paper():
    drawn = draw_sample("paper", {"name": "sphere-p0.7-r30-50-2", "seed": 1})
    assert drawn.shape == (1130, 850, 850)
    assert drawn.spheres[:, 3].min() >= 30
    assert drawn.spheres[:, 3].max() <= 50


def test_a_list_without_a_size_reaches_as_far_as_its_primitives(tmp_path):
    path = write_primitives(tmp_path / "ball.txt", Primitives(spheres=[[8, 9.5, 10, 5]]))
    assert draw_sample("list", {"path": path}).shape == (13, 15, 15)
    write_primitives(tmp_path / "off.txt", Primitives(spheres=[[-9, 9, 9, 5]]))
    with pytest.raises(PorescopeError, match="No primitive lies at positive"):
        draw_sample("list", {"path": tmp_path / "off.txt"})


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("spheres", {"porosity": 1.5}, r"Sample spheres: porosity is 1.5, but must be below 1\."),
        ("spheres", {"poros": 1}, "Sample spheres has no parameter 'poros'; it has shape"),
        ("spheres", {"radius": (5, 3)}, "radius must be .* interval"),
        ("spheres", {"radius": (1, 2, 3)}, r"radius is \(1, 2, 3\), but must be 2 values\."),
        ("spheres", {"shape": (5, 5)}, "shape needs 3 values: number of voxels along z, y, x."),
        ("perlin-layers", {"shape": (5,)}, "shape needs 2 values: number of voxels along y, x."),
        ("leveled-wave", {"wavelength_nm": 1e-5}, "finer than voxels"),
        ("leveled-wave", {"waves": 10**12}, "waves is 1000000000000, but must be at most 10000."),
        ("self-similar", {"wavelength_nm": 40, "ratio": 5}, "every 8 nm are finer than voxels"),
        ("spheres", {"radius": ("a",)}, r"value 1 of radius is 'a', but must be a number\."),
        ("spheres", {"shape": (0, 5, 5)}, r"value 1 of shape is 0, but must be at least 1\."),
        (
            "cubes",
            {"orientation": "up"},
            "orientation is 'up', but must be 'uniform', .* or 'aligned'",
        ),
        (
            "leveled-wave",
            {"voxel_nm": float("nan")},
            r"voxel_nm is nan, but must be a finite number\.",
        ),
        ("leveled-wave", {"seed": -1}, r"seed is -1, but must be at least 0\."),
        (
            "perlin-layers",
            {"thickest_nm": ()},
            r"thickest_nm is \(\), but must be 1 or more values\.",
        ),
        ("spheres", {"seed": "1.5"}, r"seed is '1.5', but must be a whole number\."),
        ("spheres", {"seed": "9" * 5000}, r"seed is '9{79}, but must be a smaller number\."),
        ("spheres", {"shape": 5}, "shape is 5, but must be several values: number of voxels"),
        ("paper", {"name": "sphere"}, "no sample 'sphere'; names look like"),
        ("list", {}, "Sample list needs path"),
        ("list", {"path": "nowhere.txt"}, "nowhere.txt"),
        ("stones", {}, "no sample 'stones'; choose from spheres"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(kind, values, says):
    with pytest.raises(PorescopeError, match=says) as error:
        draw_sample(kind, values)
    assert len(str(error.value)) < 250
    assert str(error.value).endswith(".")


def test_labels_are_solid_where_the_centre_of_a_voxel_lies_in_a_primitive():
    tables = {
        "spheres": [[8, 9, 10, 5]],
        "cylinders": [[20, 20, 20, 0, 0.6, 0.8, 4, 12]],
        "cuboids": [[10, 30, 12, 1, 0, 0, 0, 6, 8, 10]],
    }
    sample = Primitives(**tables, shape=(30, 40, 31))
    assert np.array_equal(np.asarray(labels_of(sample).data), voxelize(sample))
    coarse = np.asarray(labels_of(sample, voxel_nm=2.0, units_per_voxel=3).data)
    z, y, x = ((np.arange(n) + 0.5) * 3 for n in (10, 14, 11))
    z, y, x = z[:, None, None], y[:, None], x
    expected = (z - 8) ** 2 + (y - 9) ** 2 + (x - 10) ** 2 <= 25
    along = (y - 20) * 0.6 + (x - 20) * 0.8
    away = (z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 - along**2
    expected |= (np.abs(along) <= 6) & (away <= 16)
    expected |= (np.abs(z - 10) <= 3) & (np.abs(y - 30) <= 4) & (np.abs(x - 12) <= 5)
    assert np.array_equal(coarse, expected)


def test_too_many_voxels_are_shown_coarser():
    stack, shown = show_primitives(ball(shape=(60, 60, 60)), voxel_nm=4.0, most_voxels=20**3)
    assert stack.shape == (20, 20, 20)
    assert stack.spacing_nm == (12.0, 12.0, 12.0)
    assert shown.units_per_voxel == 3
    assert shown.primitives.shape == (60, 60, 60)


def options_of(kind, words):
    parser = argparse.ArgumentParser()
    model = find_sample_kind(kind).parameters
    add_options(parser, model)
    return model, find_sample_kind(kind).parse(given_values(parser.parse_args(words), model))


@given(
    shape=st.tuples(*[st.integers(1, 10**6)] * 3),
    porosity=st.floats(0, 1, exclude_min=True, exclude_max=True),
    low=st.floats(1e-6, 1e9),
    high=st.floats(1e-6, 1e9),
    seed=st.integers(0, 2**64 - 1),
    orientation=st.sampled_from(["uniform", "von-mises-fisher", "aligned"]),
)
def test_options_give_the_parameters(shape, porosity, low, high, seed, orientation):
    words = ["--shape", ",".join(map(str, shape)), "--porosity", repr(porosity)]
    words += ["--edge", f"{low!r}, {high!r}", "--seed", str(seed), "--orientation", orientation]
    model, parsed = options_of("cubes", words)
    assert parsed == model(
        shape=shape, porosity=porosity, edge=(low, high), seed=seed, orientation=orientation
    )


@given(text=st.text(max_size=20))
def test_any_text_as_an_option_is_read_or_refused_in_one_sentence(text):
    for option in ("--radius=", "--shape=", "--porosity=", "--seed="):
        said = ""
        try:
            options_of("spheres", [option + text])
        except PorescopeError as error:
            said = str(error)
        assert re.fullmatch(r"|Sample spheres: .*\.", said, re.DOTALL)


def test_options_that_are_not_given_have_the_defaults():
    model, parsed = options_of("hierarchical-leveled-wave", [])
    assert parsed == model()
    _, parsed = options_of("hierarchical-leveled-wave", ["--wavelengths-nm", "9"])
    assert parsed.wavelengths_nm == (9,)
    _, parsed = options_of("spheres", ["--radius", "7"])
    assert parsed.radius == (7, 7)


def write(kind, path, values=None, **keywords):
    kind = find_sample_kind(kind)
    return write_sample(kind, kind.parse(values or SMALL[kind.name]), path, **keywords)


@pytest.mark.parametrize("suffix", [".ome.zarr", ".ome.tif", ".tif"])
def test_labels_are_written_with_their_voxel_size(tmp_path, suffix):
    path = tmp_path / f"sample{suffix}"
    written = write("cylinders", path, SMALL["cylinders"] | {"voxel_nm": 7.5})
    stack = read_stack(path)
    sample = draw_sample("cylinders", SMALL["cylinders"])
    assert np.array_equal(stack.data, voxelize(sample))
    assert stack.is_labels
    assert stack.spacing_nm == (7.5, 7.5, 7.5)
    assert stack.history[-1]["parameters"]["radius"] == [2.0, 4.0]
    assert written.primitives == len(sample)
    assert written.shape == stack.shape
    assert written.solid_fraction == pytest.approx(np.mean(stack.data), abs=1e-12)
    assert list(tmp_path.iterdir()) == [path]


def test_primitives_are_written_as_a_list(tmp_path):
    written = write("spheres", tmp_path / "s.txt")
    sample = draw_sample("spheres", SMALL["spheres"])
    again = read_primitives(tmp_path / "s.txt")
    assert np.array_equal(again.spheres, sample.spheres)
    assert again.shape == sample.shape
    assert (written.primitives, written.shape) == (len(sample), None)
    with pytest.raises(PorescopeError, match="made of voxels"):
        write("spheroids", tmp_path / "v.txt")


def test_a_file_that_is_there_is_kept_unless_asked_otherwise(tmp_path):
    for name in ("s.txt", "s.ome.zarr", "s.tif"):
        path = tmp_path / name
        write("spheres", path)
        with pytest.raises(PorescopeError, match="--overwrite"):
            write("spheres", path)
        other = SMALL["spheres"] | {"seed": 1, "shape": (20, 20, 20)}
        write("spheres", path, other, overwrite=True)
        if path.suffix != ".txt":
            assert read_stack(path).shape == (20, 20, 20)
    source = tmp_path / "s.txt"
    before = source.read_bytes()
    with pytest.raises(PorescopeError, match="is the input"):
        write("list", source, {"path": source}, overwrite=True)
    assert source.read_bytes() == before
    folder = tmp_path / "mine.ome.zarr"
    folder.mkdir()
    (folder / "diary").touch()
    with pytest.raises(PorescopeError, match="folder of other things"):
        write("spheres", folder, overwrite=True)
    assert (folder / "diary").exists()


def test_a_failed_or_cancelled_write_leaves_all_as_it_was(tmp_path):
    write("spheres", tmp_path / "s.tif")
    before = (tmp_path / "s.tif").read_bytes()
    with pytest.raises(Cancelled):
        write("leveled-wave", tmp_path / "s.tif", overwrite=True, cancel=lambda: True)
    with pytest.raises(PorescopeError, match="written as"):
        write("spheres", tmp_path / "s.jpg")
    assert (tmp_path / "s.tif").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_surface_encloses_the_sample(tmp_path):
    path = write_primitives(tmp_path / "ball.txt", ball(20, 21, 22, 15.5, shape=(30, 44, 44)))
    kind = find_sample_kind("list")
    shown = prepare_sample(kind, kind.parse({"path": path}), tmp_path / "made", as_surface=True)
    vertices, faces = shown.surface
    # A vertex at v lies at v + 0.5 in the unit of the list; the box cuts the ball at z = 30.
    place = vertices + 0.5
    distance = np.linalg.norm(place - [20, 21, 22], axis=1)
    inside = place[:, 0] < 28
    assert np.abs(distance[inside] - 15.5).max() < 1.2
    assert place[:, 0].max() == pytest.approx(30, abs=0.5)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    assert set(counts) == {2}  # closed


@given(
    start=st.integers(-100, 1000),
    count=st.integers(1, 50),
    step=st.sampled_from([0.25, 0.5, 1, 2, 10]),
)
def test_a_range_of_planes(start, count, step):
    expected = [start + step * index for index in range(count)]
    assert list(parse_planes(f"{start}:{start + count * step}:{step}")) == expected


def test_planes_one_by_one():
    assert parse_planes("3") == (3.0,)
    assert parse_planes("3,1.5") == (3.0, 1.5)
    assert parse_planes("2:4") == (2.0, 3.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *((text, f"The planes are {text!r}; give") for text in ("", "nan", "a", "1:", "1:2:3:4")),
        ("0:9:0", "have a step of 0; it must be above 0"),
        ("9:0:-1", "have a step of -1; it must be above 0"),
        ("9:0:1", "name no plane: they stop at 0, .* deeper than the start at 9"),
        ("5:5", "name no plane"),
        ("0:1e9:1e-3", "more than the 100,000"),
        ("0:1:1e-320", "more than the 100,000"),
    ],
)
def test_planes_that_make_no_sense(text, says):
    with pytest.raises(PorescopeError, match=says):
        parse_planes(text)


PLANES = (0.0, 4.5, 8.0)


@pytest.fixture
def a_list(tmp_path):
    return write_primitives(tmp_path / "ball.txt", ball())


def same(path, fields):
    """Whether a file holds these heightfields."""
    if path.suffix == ".npz":
        found = np.load(path, allow_pickle=False)
        assert sorted(found.files) == ["entry", "exit", "normal", "plane_z"]
        assert found["plane_z"].tolist() == list(PLANES)
        for name in ("entry", "exit", "normal"):
            assert found[name].dtype == np.float32
            assert np.array_equal(found[name], [getattr(field, name) for field in fields])
        return
    with tifffile.TiffFile(path) as tif:
        assert tif.series[0].axes == "ZCYX"
        names = re.findall(r'<Channel [^>]*Name="([^"]*)"', tif.ome_metadata)
        positions = re.findall(r'PositionZ="([^"]*)"', tif.ome_metadata)
        data = tif.asarray()
    assert names == ["entry 1", "exit 1", "entry 2", "exit 2", "normal z", "normal y", "normal x"]
    assert [float(z) for z in positions[:: len(names)]] == list(PLANES)
    for planes, field in zip(data, fields, strict=True):
        assert np.array_equal(planes[:4:2], field.entry)
        assert np.array_equal(planes[1:4:2], field.exit)
        assert np.array_equal(planes[4:], field.normal)


@pytest.mark.parametrize("name", ["h.npz", "h.ome.tif"])
def test_heightfields_of_a_list_are_written(tmp_path, a_list, name):
    made = write_heightfields_of(a_list, PLANES, tmp_path / name)
    fields = [extract_heightfield(ball(), z) for z in PLANES]
    same(tmp_path / name, fields)
    assert np.isinf(fields[0].entry).any()
    assert made.shape == (2, 18, 20)
    assert made.planes == len(PLANES)
    shares = [np.mean(field.entry[0] == 0) for field in fields]
    assert made.solid_fraction == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("level", [None, 100.0])
def test_heightfields_of_a_volume_are_written(tmp_path, level):
    data = np.random.default_rng(0).integers(0, 200, (12, 14, 16)).astype(np.uint8)
    data[data < 150] *= level is not None
    stack = Stack(data, spacing_nm=(4, 2, 3), is_labels=level is None)
    write_stack(tmp_path / "v.ome.tif", stack)
    write_heightfields_of(tmp_path / "v.ome.tif", PLANES, tmp_path / "h.ome.tif", level=level)
    same(tmp_path / "h.ome.tif", [extract_heightfield(stack, z, level=level) for z in PLANES])
    with tifffile.TiffFile(tmp_path / "h.ome.tif") as tif:
        assert 'PhysicalSizeY="2.0"' in tif.ome_metadata
        assert 'PhysicalSizeX="3.0"' in tif.ome_metadata


def test_progress_of_heightfields_reaches_the_end_and_can_be_stopped(tmp_path):
    for name, total in (("h.npz", 3 * len(PLANES)), ("h.ome.tif", len(PLANES))):
        told = []

        def tell(done, of, told=told):
            told.append((done, of))

        write_heightfields(
            tmp_path / name, PLANES, lambda z: extract_heightfield(ball(), z), progress=tell
        )
        assert told == [(done, total) for done in range(total + 1)]
        with pytest.raises(Cancelled):
            write_heightfields(
                tmp_path / f"x{name}",
                PLANES,
                lambda z: extract_heightfield(ball(), z),
                cancel=lambda: True,
            )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.npz", "h.ome.tif"]


@pytest.mark.parametrize(
    ("text", "is_list"),
    [
        ("# FIBSEMSIMMODEL v02\n1\n0\n0\n0 1 2 3 4\n", True),
        ("\n# any\n1\n# more\n0\n0\n", True),
        ("", False),
        ("# only\n", False),
        ("dear diary\n", False),
        ("1 2 3\n4 5 6\n7 8 9\n", False),
        ("1\n2\n", False),
        ("1.5\n0\n0\n", False),
    ],
)
def test_lists_are_told_from_other_texts(tmp_path, text, is_list):
    (tmp_path / "a.txt").write_text(text)
    assert is_primitive_list(tmp_path / "a.txt") == is_list
    (tmp_path / "a.csv").write_text(text)
    assert not is_primitive_list(tmp_path / "a.csv")
    assert not is_primitive_list(tmp_path / "b.txt")


def test_real_lists_are_told(real_data):
    assert all(map(is_primitive_list, (real_data / "primitives").glob("*.txt")))
