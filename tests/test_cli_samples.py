"""The commands ``porescope sample`` and ``porescope heightfield``."""

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
