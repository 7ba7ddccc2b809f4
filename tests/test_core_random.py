import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from porescope import _core

# Known-answer vectors published with the Random123 library for philox4x32, 10 rounds.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip
UNSIGNED = st.integers(0, 2**64 - 1)
DRAWS = [_core.uniform, _core.normal]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_known_answers(counter, key, answer):
    assert _core.philox4x32(words(counter), words(key)) == words(answer)


@given(seed=UNSIGNED, stream=UNSIGNED, index=st.integers(0, 2**64 - 2))
def test_uniform_is_its_philox_word(seed, stream, index):
    low = 2**32 - 1
    pair = index // 2
    block = _core.philox4x32([pair & low, pair >> 32, stream & low, stream >> 32],
                             [seed & low, seed >> 32])  # fmt: skip
    high_word, low_word = block[2 * (index % 2) : 2 * (index % 2) + 2]
    expected = (((high_word << 32 | low_word) >> 12) + 0.5) / 2**52
    assert _core.uniform(seed, stream, index, 1)[0] == expected


@given(seed=UNSIGNED, offset=st.integers(0, 10**6), count=st.integers(0, 50))
@pytest.mark.parametrize("draw", DRAWS)
def test_a_number_depends_on_its_index_only(draw, seed, offset, count):
    one_by_one = [draw(seed, 3, offset + k, 1)[0] for k in range(count)]
    np.testing.assert_array_equal(draw(seed, 3, offset, count), one_by_one)


@pytest.mark.parametrize("draw", DRAWS)
def test_threads_change_nothing(draw):
    one = draw(1, 2, 3, 100_001, threads=1)
    for threads in (0, 2, 7):
        np.testing.assert_array_equal(draw(1, 2, 3, 100_001, threads=threads), one)


@pytest.mark.parametrize("draw", DRAWS)
def test_seeds_and_streams_are_unrelated(draw):
    first = draw(1, 0, 0, 100_000)
    for other in (draw(2, 0, 0, 100_000), draw(1, 1, 0, 100_000)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[::2], first[1::2])[0, 1]) < 0.03


@pytest.mark.parametrize(
    ("draw", "distribution"), [(_core.uniform, "uniform"), (_core.normal, "norm")]
)
def test_distribution(draw, distribution):
    assert stats.kstest(draw(7, 0, 0, 200_000), distribution).pvalue > 0.01


def test_uniform_excludes_both_ends():
    values = _core.uniform(0, 0, 0, 1_000_000)
    assert values.min() > 0
    assert values.max() < 1


@pytest.mark.parametrize("bad", [(-1, 0, 0, 1), (0, 0, -1, 1), (0, 0, 0, -1), (2**64, 0, 0, 1)])
def test_numbers_beyond_64_bits_are_refused(bad):
    with pytest.raises(TypeError):
        _core.uniform(*bad)


@pytest.mark.parametrize("bad", [(0, 0, 2**64 - 1, 2), (0, 0, 0, 2**62)])
def test_more_numbers_than_there_are_is_refused(bad):
    with pytest.raises(ValueError, match="random numbers"):
        _core.uniform(*bad)


def test_normal_pairs_come_from_uniform_pairs():
    first, second = _core.uniform(5, 6, 0, 1000).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log(first))
    expected = np.stack([radius * np.cos(2 * np.pi * second), radius * np.sin(2 * np.pi * second)])
    np.testing.assert_allclose(
        _core.normal(5, 6, 0, 1000).reshape(-1, 2).T, expected, rtol=1e-12, atol=1e-15
    )
