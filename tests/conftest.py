import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

with suppress(ImportError):
    # A training imports it where torch comes with CUDA. Its LLVM ends the process if Mesa's own,
    # which draws windows, was there first.
    import triton  # noqa: F401

# Tests neither see nor change the settings of the user's own napari; read when it is imported.
os.environ["NAPARI_CONFIG"] = ""

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def real_data():
    """Folder of real stacks that lies beside the checkout where there is one."""
    if not SHARED.is_dir():
        pytest.skip("the folder of real data is not beside this checkout")
    return SHARED / "real"


class Texture:
    """A smooth random volume known at every point, so that it can be imaged at any offset."""

    def __init__(self, seed: int, wavelength_px: float = 12.0, waves: int = 60) -> None:
        random = np.random.default_rng(seed)
        directions = random.normal(size=(waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self._waves = 2 * np.pi / wavelength_px * directions
        self._phases = random.uniform(0, 2 * np.pi, waves)

    def slice(self, z: float, shape: tuple[int, int], drift=(0.0, 0.0)) -> np.ndarray:
        """Grey values with the content moved by ``drift`` (y, x) pixels."""
        y = np.arange(shape[0])[:, np.newaxis] - drift[0]
        x = np.arange(shape[1])[np.newaxis] - drift[1]
        return sum(
            np.cos(kz * z + ky * y + kx * x + phase)
            for (kz, ky, kx), phase in zip(self._waves, self._phases, strict=True)
        )


@pytest.fixture
def texture():
    return Texture(seed=3)


@pytest.fixture
def session():
    """What the sections of a dock share, closed at the end."""
    from porescope.viewer.work import Session

    session = Session()
    yield session
    session.close()
