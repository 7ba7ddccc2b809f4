"""Lists of primitives in the ITWM text format: every trap of it, and hostile files."""

import logging
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from porescope.errors import PorescopeError
from porescope.geometry import Primitives
from porescope.io import cylinder_convention, read_primitives, write_primitives
from test_primitives import random_primitives

EULER = "1 10 20 30 0.5 1.2 -2.5 4 9"
DIRECTION = "1 10 20 30 0.6 0 0.8 4 9"
AXIS_OF_EULER = Rotation.from_euler("ZXZ", [0.5, 1.2, -2.5]).as_matrix()[::-1, 2]


def listing(spheres=(), cylinders=(), cubes=(), header="# FIBSEMSIMMODEL v02\n", end="# EOF"):
    rows = [*spheres, *cylinders, *cubes]
    counts = [str(len(kind)) for kind in (spheres, cylinders, cubes)]
    text = "\n".join([*counts, "# ROWS", *("\t".join(row.split()) for row in rows)])
    return f"{header}{text}\n{end}"


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="list.txt"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_text


def refusal(path, match, **kwargs):
    with pytest.raises(PorescopeError, match=match) as caught:
        read_primitives(path, **kwargs)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert message[-1] in ".)"
    assert len(message) < 400 + len(str(path))


class TestFormat:
    def test_file_order_x_y_z_becomes_z_y_x(self, write):
        header = "# image size = [ 850  840 1030]\n"
        path = write(
            listing(["0 1 2 3 4"], [EULER], ["0 5 6 7 0 0 0 8"], header), "a_ITWM-Euler.txt"
        )
        primitives = read_primitives(path)
        assert primitives.spheres.tolist() == [[3, 2, 1, 4]]
        assert primitives.cylinders[0, [0, 1, 2, 6, 7]].tolist() == [30, 20, 10, 4, 9]
        assert primitives.cuboids.tolist() == [[7, 6, 5, 1, 0, 0, 0, 8, 8, 8]]
        assert primitives.shape == (1030, 840, 850)

    def test_sphere_files_lack_the_first_line_and_the_image_size_may_be_missing(self, write):
        path = write(listing(["0 1 2 3 4"], header="# version 1.2\n#\n"))
        assert read_primitives(path).shape is None

    def test_comments_and_empty_lines_anywhere(self, write):
        text = "\n#a\n2\n# b = \xe4\n0\n#\n0\n# c\n1 1 1 1 1\n\n# d\n  # e\n2 2 2 2 2\n# f\n\n"
        others = (text.replace("\n", "\r\n"), "\ufeff" + text, text.encode("latin-1"))
        for variant in (text, *others):
            assert len(read_primitives(write(variant))) == 2

    @pytest.mark.parametrize("first", [0, 1, 500])
    def test_ids_may_start_anywhere(self, write, first):
        rows = [f"{first + k} {k} 0 0 1" for k in range(3)]
        assert read_primitives(write(listing(rows))).spheres[:, 2].tolist() == [0, 1, 2]

    def test_the_last_line_may_lack_its_end(self, write):
        for end in ("# EOF", "# EOF\n", ""):
            assert len(read_primitives(write(listing(["0 1 2 3 4"], end=end)))) == 1

    def test_cubes_have_full_edges_and_euler_angles(self, write):
        angles = [0.4, 1.1, -0.7]
        path = write(listing(cubes=["0 0 0 0 0.4 1.1 -0.7 6"]))
        row = read_primitives(path).cuboids[0]
        turn = Rotation.from_quat(row[[4, 5, 6, 3]]) * Rotation.from_euler("ZXZ", angles).inv()
        assert turn.magnitude() < 1e-7
        assert row[7:].tolist() == [6, 6, 6]

    def test_more_rows_than_one_batch(self, write, monkeypatch):
        monkeypatch.setattr("porescope.io.primitive_lists.BATCH", 7)
        rows = [f"{k} {k} 0 0 1" for k in range(100)]
        path = write(listing(rows))
        assert read_primitives(path).spheres[:, 2].tolist() == list(range(100))
        rows[50] = "50 0 0 0 -1"
        refusal(write(listing(rows)), "line 56, a sphere: the radius is -1")

    def test_inverted_models_are_refused(self, write):
        refusal(write(listing(["0 1 2 3 4"], header="# inverted = True\n")), "inverted model")
        refusal(write(listing(["0 1 2 3 4"], header="# Inverted =yes\n")), "inverted model")
        assert read_primitives(write(listing(["0 1 2 3 4"], header="# inverted = False\n")))


class TestConvention:
    @pytest.mark.parametrize("asked", ["euler", "direction"])
    def test_what_is_asked_counts(self, write, asked):
        path = write(listing(cylinders=[DIRECTION]), "a_ITWM-Euler.txt")
        axis = read_primitives(path, cylinder_axes=asked).cylinders[0, 3:6]
        angles = Rotation.from_euler("ZXZ", [0.6, 0, 0.8]).as_matrix()[::-1, 2]
        expected = [0.8, 0, 0.6] if asked == "direction" else angles
        np.testing.assert_allclose(axis, expected, atol=1e-12)

    @pytest.mark.parametrize("name", ["a_ITWM-Euler.txt", "A_itwm-euler.TXT"])
    def test_name_with_euler(self, write, name):
        path = write(listing(cylinders=[EULER]), name)
        assert cylinder_convention(path) == "euler"
        axis = read_primitives(path).cylinders[0, 3:6]
        np.testing.assert_allclose(axis, AXIS_OF_EULER, atol=1e-12)

    def test_name_without_euler(self, write):
        path = write(listing(cylinders=[DIRECTION]), "a_ITWM.txt")
        assert cylinder_convention(path) == "direction"
        np.testing.assert_allclose(read_primitives(path).cylinders[0, 3:6], [0.8, 0, 0.6])
        refusal(write(listing(cylinders=[EULER]), "b_ITWM.txt"), "line 6, .*axis has length 2.8")

    def test_values_of_length_1_are_directions(self, write):
        assert cylinder_convention(write(listing(cylinders=[DIRECTION] * 3))) == "direction"

    def test_many_values_in_range_are_angles(self, write):
        random = np.random.default_rng(0)
        angles = random.uniform([-np.pi, 0, -np.pi], np.pi, (12, 3))
        rows = [f"0 1 2 3 {a} {b} {c} 4 9" for a, b, c in angles]
        assert cylinder_convention(write(listing(cylinders=rows))) == "euler"
        few = write(listing(cylinders=rows[:9]))
        refusal(few, "does not tell .* cylinder_axes='euler' or .* line '# cylinder axes = euler'")
        refusal(write(listing(cylinders=[*rows, DIRECTION])), "does not tell")
        negative = "0 1 2 3 0.5 -0.9 0.5 4 9"
        refusal(write(listing(cylinders=[*rows, negative])), "does not tell")

    def test_an_unnormalised_axis_is_not_taken_for_angles(self, write):
        refusal(write(listing(cylinders=["0 1 2 3 0 0 2 4 9"])), "does not tell")

    def test_without_any_there_is_none(self, write):
        assert cylinder_convention(write(listing(["0 1 2 3 4"]), "a_ITWM-Euler.txt")) is None

    def test_cubes_with_directions_are_refused(self, write):
        cube = "0 1 2 3 0 0 1 6"
        path = write(listing(cubes=[cube]), "a_ITWM.txt")
        refusal(path, "leave open how a cube is turned")
        assert len(read_primitives(path, cylinder_axes="euler")) == 1
        refusal(write(listing(cylinders=[DIRECTION], cubes=[cube])), "leave open how a cube")

    def test_the_reader_says_what_it_took(self, write, caplog):
        caplog.set_level(logging.INFO, logger="porescope")
        read_primitives(write(listing(cylinders=[EULER]), "a_ITWM-Euler.txt"))
        assert "a_ITWM-Euler.txt: columns a b c taken as euler, from the name." in caplog.text

    def test_other_words_are_refused(self, write):
        with pytest.raises(PorescopeError, match="'auto', 'euler' or 'direction', not 'both'"):
            read_primitives(write(listing(["0 1 2 3 4"])), cylinder_axes="both")


class TestDamage:
    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("", "is empty"),
            ("# only\n# comments\n", "ends before it says how many spheres"),
            ("3\n0\n", "ends before it says how many cubes"),
            ("1\n0\n0\n", "announces 1 spheres but holds only 0"),
            ("3\n0\n0\n0 1 2 3 4\n1 1 2 3 4\n# EOF", "announces 3 spheres but holds only 2"),
            ("1\n0\n0\n0 1 2 3 4\n1 1 2 3 4\n", "line 5: there are more rows than the 1"),
            ("1000000000\n0\n0\n0 1 2 3 4\n", "announces 1,000,000,000 spheres but holds only 1"),
            ("0\n999999999999\n0\n", "announces 999,999,999,999 cylinders but holds only 0"),
            ("1\n1\n0\n0 1 2 3 4\n0 1 2 3 4\n", "line 5 should hold .* of a cylinder"),
            ("0\n0\n0\n", "lists no primitive at all"),
            ("-1\n0\n0\n", "line 1 should hold the number of spheres, not '-1'"),
            ("# a\n1\nfew\n0\n", "line 3 should hold the number of cylinders, not 'few'"),
            ("1 0 0\n0 1 2 3 4\n", "line 1 should hold the number of spheres"),
            ("1.0\n0\n0\n0 1 2 3 4\n", "line 1 should hold the number of spheres"),
            ("9" * 4000 + "\n0\n0\n", "line 1 should hold the number of spheres"),
            ("2\n0\n0\n0 1 2 3 4\n0 1 2 3\n", "line 5 should hold .*id x y z r of a sphere"),
            ("1\n0\n0\n0 1 2 3 4 5\n", "line 4 should hold .*id x y z r of a sphere"),
            ("1\n0\n0\n0 1 2 x 4\n", "line 4 should hold .*, not '0 1 2 x 4'"),
            ("1\n0\n0\n# a\n0 1 2 nan 4\n", "line 5 should hold the finite numbers"),
            ("1\n0\n0\n0 1 2 3 1e999\n", "line 4 should hold the finite numbers"),
            ("2\n0\n0\n0 1 2 3 4\n1 1 2 3 -4\n", "line 5, a sphere: the radius is -4"),
            ("0\n1\n0\n# EULER\n0 1 2 3 4 5 6 0 9\n", "line 5, a cylinder: the radius is 0"),
            ("0\n1\n0\n0 1 2 3 4 5 6 7 -9\n", "line 4, a cylinder: the height is -9"),
            ("0\n0\n1\n0 1 2 3 4 5 6 -7\n", "line 4, a cube: the edge z is -7"),
            ("1\n0\n0\n0 1 2 3 4" + " " * 5000, "line 4 is longer than 4,096 characters"),
            ("#" * 5000, "line 1 is longer than 4,096 characters"),
            ("1\n0\n0\n0 1 2 3 \xb2\n".encode("latin-1"), "line 4 should hold"),
            (b"1\n0\n0\n0 1 2 \0 4\n", "line 4 should hold"),
            (bytes(range(256)) * 3, "line 1 is no text"),
            (b"PK\3\4" + bytes(100), "line 1 is no text"),
            ("# image size = [850 850]\n1\n0\n0\n0 1 2 3 4\n", "image size as '.850 850.'"),
            ("# image size = [850 850 -1]\n1\n0\n0\n0 1 2 3 4\n", "image size as"),
            ("# image size = a b c\n1\n0\n0\n0 1 2 3 4\n", "image size as 'a b c'"),
        ],
    )  # fmt: skip
    def test_is_one_sentence_with_the_line(self, write, text, match):
        refusal(write(text, "a_ITWM-Euler.txt"), match)

    def test_missing_file_and_folder(self, tmp_path):
        refusal(tmp_path / "gone.txt", "There is no")
        refusal(tmp_path, "cannot be read")

    def test_nothing_is_allocated_on_the_word_of_a_count(self, write):
        path = write("1000000000\n0\n0\n0 1 2 3 4\n")
        read_primitives(write(listing(["0 1 2 3 4"]), "warm.txt"))
        tracemalloc.start()
        refusal(path, "announces")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_any_damage_is_read_or_refused(self, data, write):
        text = bytearray(listing(["0 1 2 3 4"], [EULER], ["0 5 6 7 0 0 0 8"]).encode())
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(text) - 1))
            junk = data.draw(st.sampled_from([b"", b"-", b"\n", b"1", b"e", b"#", b"\xff", b"\t"]))
            text[place : place + data.draw(st.integers(0, 3))] = junk
        path = write(bytes(text), "a_ITWM-Euler.txt")
        try:
            read_primitives(path)
        except PorescopeError as error:
            message = str(error)
        else:
            message = path.name
        assert path.name in message


class TestRoundTrip:
    def cubes_of(self, primitives):
        cubes = primitives.cuboids.copy()
        cubes[:, 7:] = cubes[:, 7:8]
        return Primitives(primitives.spheres, primitives.cylinders, cubes, shape=(30, 20, 10.5))

    def test_all_numbers_exactly_and_orientations_to_rounding(self, tmp_path):
        primitives = self.cubes_of(random_primitives(200, 100))
        path = write_primitives(tmp_path / "sample.txt", primitives)
        again = read_primitives(path)
        assert cylinder_convention(path) == "euler"
        assert again.shape == (30, 20, 10.5)
        assert np.array_equal(again.spheres, primitives.spheres)
        exact = [0, 1, 2, 6, 7]
        assert np.array_equal(again.cylinders[:, exact], primitives.cylinders[:, exact])
        np.testing.assert_allclose(again.cylinders, primitives.cylinders, atol=1e-15)
        assert np.array_equal(again.cuboids[:, 7:], primitives.cuboids[:, 7:])
        np.testing.assert_allclose(again.cuboids, primitives.cuboids, atol=1e-15)

    def test_directions_exactly(self, tmp_path):
        cylinders = random_primitives(200, 100).cylinders
        path = write_primitives(tmp_path / "a_ITWM.txt", Primitives(cylinders=cylinders))
        assert cylinder_convention(path) == "direction"
        assert np.array_equal(read_primitives(path).cylinders, cylinders)

    def test_a_file_written_here_tells_its_convention_under_any_name(self, tmp_path):
        upright = Primitives(cylinders=[[0, 0, 0, 1, 0, 0, 2, 3]])
        for name, other in (("a.txt", "b_ITWM.txt"), ("a_ITWM.txt", "b_ITWM-Euler.txt")):
            renamed = write_primitives(tmp_path / name, upright).rename(tmp_path / other)
            assert np.array_equal(read_primitives(renamed).cylinders, upright.cylinders)

    def test_the_layout_is_that_of_other_programs(self, tmp_path):
        primitives = Primitives([[3, 2, 1, 4]], [[3, 2, 1, 0, 0, 1, 4, 5]], shape=(6, 7, 8))
        path = write_primitives(tmp_path / "a_ITWM-Euler.txt", primitives)
        lines = path.read_bytes().decode("ascii").split("\n")
        assert lines[0] == "# FIBSEMSIMMODEL v02"
        assert "# image size = [8 7 6]" in lines
        assert [line for line in lines if line and line[0] != "#"] == [
            *("1", "1", "0"),
            "0\t1.0\t2.0\t3.0\t4.0",
            f"0\t1.0\t2.0\t3.0\t{np.pi / 2}\t{np.pi / 2}\t0.0\t4.0\t5.0",
        ]

    @pytest.mark.parametrize(
        ("name", "rows", "match"),
        [
            ("a.csv", {"spheres": [[0, 0, 0, 1]]}, "written as .txt, not a.csv"),
            (".a.txt", {"spheres": [[0, 0, 0, 1]]}, "written as .txt"),
            ("a.txt", {"cuboids": [[0, 0, 0, 1, 0, 0, 0, 2, 2, 3]]}, "Row 0 .* unequal edges"),
            ("a_ITWM.txt", {"cuboids": [[0, 0, 0, 1, 0, 0, 0, 2, 2, 2]]}, "how a cube is turned"),
        ],
    )
    def test_what_the_format_cannot_hold_is_refused(self, tmp_path, name, rows, match):
        with pytest.raises(PorescopeError, match=match):
            write_primitives(tmp_path / name, Primitives(**rows))
        assert not list(tmp_path.iterdir())

    def test_nothing_is_overwritten(self, write):
        path = write("mine")
        with pytest.raises(PorescopeError, match="exists already"):
            write_primitives(path, Primitives([[0, 0, 0, 1]]))
        assert path.read_text() == "mine"


class TestRealFiles:
    @pytest.mark.parametrize(
        ("name", "kind", "count", "radii", "heights"),
        [
            ("Cylinder_Vv0p3_r30-50_h300-500", "cylinders", 486, (30, 50), (300, 500)),
            ("Cylinder_Vv0p7_r10-20_h100-150", "cylinders", 15699, (10, 20), (100, 150)),
            ("Sphere_Vv0p3_r10-15", "spheres", 34737, (10, 15), None),
            ("Sphere_Vv0p7_r30-50", "spheres", 4230, (30, 50), None),
        ],
    )
    def test_hold_what_their_names_say(self, real_data, name, kind, count, radii, heights):
        (path,) = (real_data / "primitives").glob(f"{name}_*")
        primitives = read_primitives(path)
        assert len(primitives) == len(getattr(primitives, kind)) == count
        assert primitives.shape == (1030, 850, 850)
        assert cylinder_convention(path) == (None if kind == "spheres" else "euler")
        rows = getattr(primitives, kind)
        radius = rows[:, 6] if heights else rows[:, 3]
        assert radii[0] <= radius.min() < radius.max() <= radii[1]
        # Centres lie beyond the box by up to what the largest particle reaches.
        reach = np.hypot(radii[1], heights[1] / 2) if heights else radii[1]
        beyond = np.maximum(-rows[:, :3], rows[:, :3] - primitives.shape).max()
        assert 0.9 * reach < beyond <= reach
        if heights:
            assert heights[0] <= rows[:, 7].min() < rows[:, 7].max() <= heights[1]
            axes = rows[:, 3:6]
            np.testing.assert_allclose(axes.T @ axes / count, np.eye(3) / 3, atol=1 / count**0.5)

    def test_come_back_from_a_file_written_here(self, real_data, tmp_path):
        (path,) = (real_data / "primitives").glob("Cylinder_Vv0p3*")
        primitives = read_primitives(path)
        again = read_primitives(write_primitives(tmp_path / "again.txt", primitives))
        np.testing.assert_allclose(again.cylinders, primitives.cylinders, rtol=0, atol=1e-15)
