import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from porescope import Stack
from porescope.errors import PorescopeError
from porescope.imaging.slices import gamma_shape_and_scale, gamma_slice_z_nm


@given(st.floats(0.1, 1e3), st.floats(0.01, 1))
def test_distribution_has_the_mean_and_deviation(mean_nm, relative):
    shape, scale_nm = gamma_shape_and_scale(mean_nm, relative * mean_nm)
    fitted = stats.gamma(shape, scale=scale_nm)
    assert fitted.mean() == pytest.approx(mean_nm)
    assert fitted.std() == pytest.approx(relative * mean_nm)


def test_thicknesses_follow_it():
    thickness_nm = np.diff(gamma_slice_z_nm(20_001, seed=4))
    assert stats.kstest(thickness_nm, stats.gamma(10.6042, scale=0.958110).cdf).pvalue > 1e-3
    assert thickness_nm.mean() == pytest.approx(10.16, abs=4 * 3.12 / np.sqrt(20_000))
    assert thickness_nm.std() == pytest.approx(3.12, rel=0.03)
    # Each slice is drawn for itself.
    assert abs(np.corrcoef(thickness_nm[1:], thickness_nm[:-1])[0, 1]) < 0.03


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**64 - 1))
def test_longer_stacks_begin_as_shorter_ones(count, more, seed):
    z_nm = gamma_slice_z_nm(count, seed=seed)
    assert z_nm.shape == (count,)
    assert z_nm[0] == 0
    assert (np.diff(z_nm) > 0).all()
    np.testing.assert_array_equal(gamma_slice_z_nm(count + more, seed=seed)[:count], z_nm)


def test_seeds_differ():
    assert (gamma_slice_z_nm(9, seed=1)[1:] != gamma_slice_z_nm(9, seed=2)[1:]).all()


def test_even_slices():
    np.testing.assert_array_equal(gamma_slice_z_nm(4, 12.5, 0.0), [0, 12.5, 25, 37.5])


def test_slices_on_the_planes_of_voxels():
    free, stepped = (gamma_slice_z_nm(20_001, step_nm=step, seed=4) for step in (None, 2.5))
    steps = np.diff(stepped) / 2.5
    np.testing.assert_array_equal(steps, np.rint(steps))
    assert steps.min() >= 1
    # Bins are centred, so that they keep the mean and add a uniform distribution's variance.
    assert np.abs(2.5 * steps - np.diff(free)).max() <= 2.5
    assert np.diff(stepped).mean() == pytest.approx(10.16, abs=0.1)
    assert np.diff(stepped).std() == pytest.approx(np.hypot(3.12, 2.5 / np.sqrt(12)), rel=0.03)
    # Where a bin is far wider than the slices, each is one bin.
    np.testing.assert_array_equal(gamma_slice_z_nm(4, step_nm=100.0), [0, 100, 200, 300])


def test_a_stack_takes_them():
    z_nm = gamma_slice_z_nm(5, seed=1)
    stack = Stack(np.zeros((5, 2, 2)), spacing_nm=(10.16, 3.0, 3.0), slice_z_nm=z_nm)
    assert not stack.evenly_sliced


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((0,), "number of slices must be a whole number above 0"),
        ((5, 0.0), "mean slice thickness in nm must be above 0"),
        ((5, np.nan, 0.0), "mean slice thickness in nm must be above 0"),
        ((5, 10.0, -1.0), "deviation of the slice thickness in nm must be above 0"),
        ((5, 10.0, 10.5), "cannot deviate by 10.5 nm"),
    ],
)
def test_refusals(arguments, says):
    with pytest.raises(PorescopeError, match=says):
        gamma_slice_z_nm(*arguments)
    with pytest.raises(PorescopeError, match="step"):
        gamma_slice_z_nm(5, step_nm=0.0)
    with pytest.raises(PorescopeError, match="seed"):
        gamma_slice_z_nm(5, seed=-1)
