"""The commands ``porescope sample`` and ``porescope heightfield``."""

from dataclasses import replace

import numpy as np
import pytest

from porescope import Stack
from porescope.cli import main
from porescope.geometry import Primitives, paper_sample_names, voxelize
from porescope.imaging import extract_heightfield
from porescope.io import read_primitives, read_stack, write_primitives, write_stack
from porescope.pipeline.samples import sample_kinds


def run(*words):
    return main([*map(str, words)])


def last_line(text):
    return text.strip().splitlines()[-1]


def test_a_sample_and_its_heightfields(tmp_path, capfd):
    size = ("--shape", "20,24,28", "--radius", "4,6", "--porosity", "0.6", "--seed", "2")
    assert run("sample", "spheres", *size, "--out", tmp_path / "s.txt") == 0
    sample = read_primitives(tmp_path / "s.txt")
    told = capfd.readouterr().out
    assert f"primitives      {len(sample)}\n" in told
    assert "seed            2\n" in told

    out = tmp_path / "s.ome.zarr"
    assert run("sample", "spheres", *size, "--voxel-nm", "2.5", "--out", out) == 0
    labels = read_stack(out)
    assert np.array_equal(labels.data, voxelize(sample))
    assert labels.spacing_nm == (2.5, 2.5, 2.5)
    told = capfd.readouterr().out
    assert "voxels          20 x 24 x 28 (z, y, x)\n" in told
    assert f"solid fraction  {np.mean(labels.data):.4f}\n" in told

    planes = ("--plane", "0:20:5", "--layers", "3")
    assert run("heightfield", tmp_path / "s.txt", *planes, "--out", tmp_path / "h.npz") == 0
    found = np.load(tmp_path / "h.npz", allow_pickle=False)
    assert found["plane_z"].tolist() == [0, 5, 10, 15]
    expected = [extract_heightfield(sample, z, layers=3) for z in found["plane_z"]]
    assert np.array_equal(found["exit"], [field.exit for field in expected])
    told = capfd.readouterr().out
    assert len(told.strip().splitlines()) == 1
    assert "4 planes of 24 x 28 pixels, 3 layers" in told
    share = np.mean([field.entry[0] == 0 for field in expected])
    assert f"{100 * share:.1f} % solid at the plane" in told


def test_help_comes_from_the_models(capsys):
    def help_of(*words):
        with pytest.raises(SystemExit) as ended:
            run(*words, "--help")
        assert ended.value.code == 0
        return " ".join(capsys.readouterr().out.split())

    kinds = help_of("sample")
    for name, kind in sample_kinds().items():
        assert name in kinds
        text = help_of("sample", name)
        assert kind.summary in text
        for field in kind.parameters.model_fields:
            assert f"--{field.replace('_', '-')} " in text
    assert "(above 0, below 1, default: 0.7)" in help_of("sample", "cylinders")
    assert "{uniform,von-mises-fisher,aligned}" in help_of("sample", "cylinders")
    unbroken = help_of("sample", "paper").replace("- ", "-")
    assert all(name in unbroken for name in paper_sample_names())


def test_info_tells_what_lists_and_heightfields_hold(tmp_path, ball, capsys):
    volume = tmp_path / "v.ome.zarr"
    write_stack(volume, Stack(np.ones((4, 5, 6), np.uint8), spacing_nm=(5, 5, 5)))
    size = ("--shape", "18,20", "--layers", "3")
    assert run("heightfield", ball, "--plane", "3,5", *size, "--out", tmp_path / "h.npz") == 0
    assert run("heightfield", volume, "--plane", "3", "--out", tmp_path / "h.ome.tif") == 0
    sized = Primitives(spheres=[[8, 9, 10, 5]], cuboids=[[9, 9, 9, 1, 0, 0, 0, 2, 2, 2]])
    write_primitives(tmp_path / "sized.txt", replace(sized, shape=(16, 18, 20.5)))
    capsys.readouterr()
    names = ("ball.txt", "sized.txt", "h.npz", "h.ome.tif", "v.ome.zarr")
    assert run("info", *(tmp_path / name for name in names)) == 0
    told = [each.splitlines() for each in capsys.readouterr().out.split(f"{tmp_path}/")[1:]]
    assert [each[0] for each in told] == list(names)
    texts = ["\n".join(each) for each in told]
    assert "spheres    1\n" in texts[0]
    assert "box        not told" in texts[0]
    assert "cubes      1\n" in texts[1]
    assert "box        16 x 18 x 20.5 (z, y, x)" in texts[1]
    assert "2 of 18 x 20 pixels (y, x)\n  layers        3" in texts[2]
    assert "1 of 5 x 6 pixels (y, x)\n  layers        2" in texts[3]
    assert "4 of 5 x 6 pixels (y, x), uint8" in texts[4]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty (0 bytes); copy it again."),
        (bytes(range(256)) * 4, "is no text; this is no list of primitives."),
        (b"1\n0\n", "ends before it says how many cubes"),
    ],
)
def test_info_refuses_what_is_no_list(tmp_path, capsys, content, says):
    (tmp_path / "a.txt").write_bytes(content)
    assert run("info", tmp_path / "a.txt") == 2
    assert says in capsys.readouterr().err


def test_info_refuses_damaged_heightfields(tmp_path, capsys):
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04")
    assert run("info", tmp_path / "a.npz") == 2
    assert "a.npz cannot be read" in capsys.readouterr().err
    np.savez(tmp_path / "b.npz", entry=np.ones(3))
    assert run("info", tmp_path / "b.npz") == 2
    assert "of no kind that can be read" in capsys.readouterr().err


@pytest.fixture
def ball(tmp_path):
    return write_primitives(tmp_path / "ball.txt", Primitives(spheres=[[8, 9, 10, 5]]))


def test_a_list_that_tells_no_size_takes_one(tmp_path, ball, capfd):
    out = tmp_path / "h.npz"
    assert run("heightfield", ball, "--plane", "3", "--out", out) == 2
    assert "give the shape" in capfd.readouterr().err
    assert run("heightfield", ball, "--plane", "3", "--shape", "18,20", "--out", out) == 0
    assert np.load(out)["entry"].shape == (1, 2, 18, 20)


def test_a_volume_that_tells_no_voxel_size_takes_one(tmp_path, capfd):
    np.save(tmp_path / "v.npy", np.eye(6, dtype=np.uint8)[:, np.newaxis].repeat(4, axis=1))
    words = ("heightfield", tmp_path / "v.npy", "--plane", "2", "--out", tmp_path / "h.npz")
    assert run(*words) == 2
    assert "--spacing-nm" in last_line(capfd.readouterr().err)
    assert run(*words, "--spacing-nm", "5,2,2") == 0
    assert np.load(tmp_path / "h.npz")["entry"][0, 0, 0, 4] == 10


def test_a_grey_volume_needs_a_level(tmp_path, capfd):
    grey = np.random.default_rng(0).normal(100, 20, (6, 8, 7)).astype(np.uint8)
    write_stack(tmp_path / "grey.tif", Stack(grey, spacing_nm=(5, 5, 5)))
    words = ("heightfield", tmp_path / "grey.tif", "--plane", "2.5", "--out", tmp_path / "h.npz")
    assert run(*words) == 2
    assert "--level" in last_line(capfd.readouterr().err)
    assert not (tmp_path / "h.npz").exists()
    assert run(*words, "--level", "100") == 0
    assert np.array_equal(np.load(tmp_path / "h.npz")["entry"][0, 0] == 0, grey[2] >= 100)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sample", "spheres", "--porosity", "2", "--out", "s.txt"), "porosity is '2'"),
        (("sample", "spheres", "--out", "s.jpg"), "s.jpg"),
        (("sample", "spheroids", "--out", "s.txt"), "made of voxels"),
        (("sample", "paper", "--name", "x", "--out", "s.txt"), "no sample 'x'"),
        (("sample", "list", "--path", "no.txt", "--out", "s.tif"), "no.txt"),
        (("sample", "list", "--path", "ball.txt", "--out", "ball.txt", "--overwrite"), "input"),
        (("sample", "spheres", "--out", "ball.txt"), "ball.txt exists already"),
        (("sample", "spheres", "--out", "ball.txt/s.ome.tif"), "Cannot write"),
        (("heightfield", "sized.txt", "--plane", "5", "--out", "ball.txt/h.npz"), "Cannot write"),
        (("heightfield", "ball.txt", "--plane", "nan", "--out", "h.npz"), "planes are 'nan'"),
        (("heightfield", "ball.txt", "--plane", "3", "--out", "h.png"), "h.png"),
        (("heightfield", "ball.txt", "--plane", "3", "--shape", "a", "--out", "h.npz"), "--shape"),
        (("heightfield", "cut.txt", "--plane", "3", "--out", "h.npz"), "holds only 0"),
        (("heightfield", "huge.txt", "--plane", "3", "--out", "h.npz"), "huge.txt"),
        (("heightfield", "empty.txt", "--plane", "3", "--out", "h.npz"), "empty.txt"),
        (("heightfield", "sized.txt", "--plane", "99", "--out", "h.npz"), "lies outside"),
        (("heightfield", "sized.txt", "--plane", "0:99", "--out", "h.npz"), "lies outside"),
        (("heightfield", "sized.txt", "--plane", "3", "--layers", "9", "--out", "h.npz"), "layers"),
        (("heightfield", "nowhere.tif", "--plane", "3", "--out", "h.npz"), "nowhere.tif"),
        (("heightfield", "ball.txt", "--plane", "3", "--out", "ball.txt"), "npz"),
    ],
)
def test_what_makes_no_sense_ends_in_one_sentence(tmp_path, monkeypatch, capfd, ball, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cut.txt").write_text("5\n0\n0\n")
    (tmp_path / "huge.txt").write_text("1000000000\n0\n0\n0 1 2 3 4\n")
    (tmp_path / "empty.txt").write_text("")
    write_primitives(
        tmp_path / "sized.txt", Primitives(spheres=[[8, 9, 10, 5]], shape=(16, 18, 20))
    )
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert run(*words) == 2
    captured = capfd.readouterr()
    error = last_line(captured.err)
    assert error.startswith("porescope: ")
    assert error.endswith(".")
    assert says in error
    assert "Traceback" not in captured.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
