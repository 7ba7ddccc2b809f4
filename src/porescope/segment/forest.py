"""A random forest that learns from scribbles.

A few strokes on some slices name the phases; the forest learns how the surroundings of these
voxels look at all voltages and tells all other voxels' phases. It is small and quick, so a user can
look at the answer, add a stroke where it is wrong, and look again.

In scribbles 0 is what nobody marked, so that pore can be marked too: 1 is pore and becomes label 0,
2 becomes label 1, and so on.

References
----------
L. Breiman, Mach. Learn. 45 (2001) 5, doi:10.1023/A:1010933404324.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from porescope.errors import PorescopeError, PorescopeWarning
from porescope.files import write_beside
from porescope.learn.safe_files import opened
from porescope.segment.features import Features
from porescope.stack import ROWS, SLICES, Stack
from porescope.tracking import Cancel, Progress, never_cancel, no_progress, track

MARK, FORMAT = "porescope_forest", "1"
MOST_CLASSES = 32
MOST_TREES = 1000
MOST_VOXELS = 20_000
"""So many marked voxels are learned from, drawn at random, a class by how much of it is marked."""
LEAST_VOXELS = 1_000
"""So many of each class, where as many are marked."""
PIXELS_AT_ONCE = 1 << 16
"""So many are worked on at once by a thread, which takes some 50 MiB for three voltages."""
SLICES_OF_A_CHUNK = 4
TREES_AT_ONCE = 10


@dataclass(frozen=True, eq=False)
class Forest:
    """A forest: what it learns from, and how. Learning gives the same trees every time.

    Parameters
    ----------
    features : Features
    samples : array of shape (voxels, features), float32
        Features of the marked voxels.
    labels : array of shape (voxels,), uint8
        What these are: their scribbles less 1.
    trees : int
    seed : int
    """

    features: Features
    samples: NDArray[np.float32]
    labels: NDArray[np.uint8]
    trees: int = 60
    seed: int = 0

    @property
    def classes(self) -> tuple[int, ...]:
        """Labels that it tells apart."""
        return tuple(np.unique(self.labels).tolist())

    @cached_property
    def _trees(self) -> Any:
        return self._grown(no_progress, never_cancel)

    def _grown(self, progress: Progress, cancel: Cancel) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        model = RandomForestClassifier(0, random_state=self.seed, warm_start=True)
        for before in track(range(0, self.trees, TREES_AT_ONCE), progress, cancel):
            model.n_estimators = min(before + TREES_AT_ONCE, self.trees)
            with warnings.catch_warnings():  # it takes classes for regression where there are many
                warnings.simplefilter("ignore", UserWarning)
                model.fit(self.samples, self.labels)
        return model

    def importances(self) -> dict[str, float]:
        """Return how much each feature helps, by its name, the most helpful first; they sum to 1.

        Features that tell the same share what they help.
        """
        found = zip(self.features.names, self._trees.feature_importances_.tolist(), strict=True)
        return dict(sorted(found, key=lambda each: -each[1]))

    def probabilities(self, stacks: Stack | Sequence[Stack], *, slices: range | None = None) -> Any:
        """Return how probable each class is at each voxel.

        Parameters
        ----------
        stacks : Stack or sequence of Stack
            One for each voltage that was learned from, in the same order, on one grid.
        slices : range, optional
            Which slices are wanted; all by default.

        Returns
        -------
        dask array of shape (classes, z, y, x), float32
            In the order of :attr:`classes`; worked out in threads, block by block, when computed,
            and the same however it is cut.

        Raises
        ------
        PorescopeError
            If the stacks are of other voltages, do not lie on one grid, or hold no such slices; a
            value that is not a number is found when it is computed.
        """
        import dask.array as da

        stacks = _as_list(stacks)
        self.features.check(stacks)
        depth, height, width = stacks[0].shape
        wanted = range(depth) if slices is None else slices
        if not wanted or min(wanted) < 0 or max(wanted) >= depth:
            raise PorescopeError(f"There are {depth} slices, from 0 on; {wanted} asks for others.")
        rows = max(1, PIXELS_AT_ONCE // width)
        self._trees  # noqa: B018  # grown once, before threads ask for it

        def block(block_info: Any = None) -> NDArray[np.float32]:
            _, planes, band, _ = block_info[None]["array-location"]
            return self._probabilities(stacks, wanted[slice(*planes)], slice(*band))

        count = len(self.classes)
        chunks = (
            (count,),
            *(_parts(*each) for each in ((len(wanted), SLICES_OF_A_CHUNK), (height, rows))),
            (width,),
        )
        return da.map_blocks(block, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * 4, "f4"))

    def _probabilities(
        self, stacks: Sequence[Stack], slices: range, rows: slice
    ) -> NDArray[np.float32]:
        width = stacks[0].shape[2]
        shape = (len(self.classes), len(slices), rows.stop - rows.start, width)
        found = np.empty(shape, np.float32)
        for place, index in enumerate(slices):
            seen = self.features.of_rows(stacks, index, rows)
            each = self._trees.predict_proba(seen.reshape(len(seen), -1).T)
            found[:, place] = each.T.reshape(len(self.classes), *shape[2:])
        return found

    def segment(
        self,
        stacks: Stack | Sequence[Stack],
        *,
        progress: Progress = no_progress,
        cancel: Cancel = never_cancel,
    ) -> Any:
        """Return the most probable label of each voxel.

        Parameters
        ----------
        stacks
            As for :meth:`probabilities`.
        progress, cancel
            See :mod:`porescope.tracking`; slices are counted. A dask array is told when computed.

        Returns
        -------
        uint8 array of shape (z, y, x)
            A dask array where the stacks' data are one.
        """
        import dask.array as da

        stacks = _as_list(stacks)
        classes = np.array(self.classes, np.uint8)

        def most_probable(slices: range | None) -> Any:
            likely = self.probabilities(stacks, slices=slices)
            return likely.argmax(axis=0).map_blocks(classes.__getitem__, dtype=np.uint8)

        if any(isinstance(stack.data, da.Array) for stack in stacks):
            return most_probable(None)
        self.features.check(stacks)
        labels = np.empty(stacks[0].shape, np.uint8)
        for index in track(range(len(labels)), progress, cancel):
            labels[index] = most_probable(range(index, index + 1)).compute()[0]
        return labels

    def save(self, path: str | Path) -> None:
        """Write what the forest learns from, and how, as safetensors; no code, nothing pickled.

        The trees grow again when it is loaded: with the same version of scikit-learn the same.

        Raises
        ------
        PorescopeError
            If the file exists or cannot be written.
        """
        import sklearn
        from safetensors.numpy import save

        told = {
            "features": asdict(self.features),
            "trees": self.trees,
            "seed": self.seed,
            "scikit-learn": sklearn.__version__,
        }
        metadata = {MARK: FORMAT, "forest": json.dumps(told)}
        with write_beside(path) as beside:
            beside.write_bytes(save({"samples": self.samples, "labels": self.labels}, metadata))

    @classmethod
    def load(cls, path: str | Path) -> Forest:
        """Return a forest that :meth:`save` wrote.

        Raises
        ------
        PorescopeError
            If the file is missing or is no such file.

        Warns
        -----
        PorescopeWarning
            If another version of scikit-learn made it, which may grow other trees.
        """
        import sklearn

        path = Path(path)
        with opened(path, MARK, FORMAT, "forest") as (file, metadata):
            told = json.loads(metadata["forest"])
            tensors = {key: file.get_tensor(key) for key in ("samples", "labels")}
            features = Features(
                tuple(None if kv is None else float(kv) for kv in told["features"]["beam_kv"]),
                tuple(float(scale) for scale in told["features"]["scales_nm"]),
                tuple(bool(deep) for deep in told["features"]["along_z"]),
            )
            forest = cls(features, **tensors, trees=int(told["trees"]), seed=int(told["seed"]))
            forest._check()
        if told.get("scikit-learn") != sklearn.__version__:
            warnings.warn(
                f"{path} comes from scikit-learn {told.get('scikit-learn')!s:.20}, this is "
                f"{sklearn.__version__}; the trees may differ a little.",
                PorescopeWarning,
                stacklevel=2,
            )
        return forest

    def _check(self) -> None:
        """Refuse, by ValueError, what no training makes."""
        scales_fit = len(self.features.scales_nm) == len(self.features.along_z)
        if not (
            scales_fit
            and all(math.isfinite(scale) and scale > 0 for scale in self.features.scales_nm)
            and self.samples.dtype == np.float32
            and self.labels.dtype == np.uint8
            and self.samples.shape == (len(self.labels), len(self.features.names))
            and np.isfinite(self.samples).all()
            and 2 <= len(self.classes) <= MOST_CLASSES
            and 1 <= self.trees <= MOST_TREES
            and 0 <= self.seed < 2**32
        ):
            raise ValueError("no forest")


def train_forest(
    stacks: Stack | Sequence[Stack],
    scribbles: Any,
    *,
    scales_nm: Sequence[float] | None = None,
    trees: int = 60,
    seed: int = 0,
    progress: Progress = no_progress,
    cancel: Cancel = never_cancel,
) -> Forest:
    """Learn phases from scribbles.

    Parameters
    ----------
    stacks : Stack or sequence of Stack
        One for each voltage, on one grid; all are looked at.
    scribbles : array of whole numbers, shape (z, y, x)
        Numpy or dask array: 0 is unmarked, 1 is label 0 (pore), 2 is label 1, and so on.
    scales_nm : sequence of float, optional
        How far around a voxel is looked, as standard deviations of Gaussians; by default 1, 2, 4
        and 8 pixels. Neighbouring slices are looked at where they lie no further apart than that.
    trees : int
        From 1 to 1000.
    seed : int
        The same seed gives the same forest, to the bit.
    progress, cancel
        See :mod:`porescope.tracking`; slices are counted, then trees.

    Returns
    -------
    Forest

    Raises
    ------
    PorescopeError
        If the scribbles are of another shape than the stacks, mark fewer than two classes or more
        than 32, the stacks do not lie on one grid, or a value near a scribble is not a number.
    Cancelled
    """
    stacks = _as_list(stacks)
    features = Features.of(stacks, scales_nm)
    if not isinstance(trees, int) or not 1 <= trees <= MOST_TREES:
        raise PorescopeError(f"The number of trees must be from 1 to {MOST_TREES}, not {trees!r}.")
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise PorescopeError(f"The seed must be a whole number from 0 to 2^32 - 1, not {seed!r}.")
    marked, classes = _marked(scribbles, stacks[0].shape, np.random.default_rng(seed))
    steps = len(marked) + math.ceil(trees / TREES_AT_ONCE)
    samples = [
        _features_at(features, stacks, index, pixels)
        for index, pixels in track(
            list(marked.items()), lambda done, _: progress(done, steps), cancel
        )
    ]
    forest = Forest(features, np.concatenate(samples), classes, trees, seed)
    grown = forest._grown(lambda done, _: progress(len(marked) + done, steps), cancel)
    forest.__dict__["_trees"] = grown  # as the cached property would
    return forest


def _marked(
    scribbles: Any, shape: tuple[int, int, int], random: np.random.Generator
) -> tuple[dict[int, NDArray[np.intp]], NDArray[np.uint8]]:
    """Return the pixels, by number within each slice, to learn from, and their labels in order."""
    if not hasattr(scribbles, "dtype") or scribbles.dtype.kind not in "bui":
        raise PorescopeError("Scribbles are whole numbers, 0 where nothing is marked.")
    if tuple(scribbles.shape) != tuple(shape):
        raise PorescopeError(
            f"The scribbles have shape {tuple(scribbles.shape)}, but the stacks {tuple(shape)}; "
            "draw them on these stacks."
        )
    found = []
    for index in range(shape[SLICES]):
        plane = np.asarray(scribbles[index]).ravel()
        pixels = np.flatnonzero(plane)
        if pixels.size and not 0 < plane[pixels].min() <= plane[pixels].max() <= MOST_CLASSES:
            raise PorescopeError(
                f"Scribbles are numbers from 0 to {MOST_CLASSES}, but slice {index} holds "
                f"{plane.min()} to {plane.max()}."
            )
        found.append(np.stack([np.full(pixels.size, index), pixels, plane[pixels].astype(np.intp)]))
    places = np.concatenate(found, axis=1)
    kinds = np.unique(places[2])
    if kinds.size < 2:
        raise PorescopeError(
            "Mark at least two classes: 1 for pore, 2 for the first solid, and so on; "
            f"{'only ' + str(kinds[0]) if kinds.size else 'nothing'} is marked."
        )
    drawn = random.permutation(places.shape[1])
    some = [drawn[places[2, drawn] == kind][:LEAST_VOXELS] for kind in kinds]
    places = places[:, np.unique(np.concatenate([drawn[:MOST_VOXELS], *some]))]
    by_slice = {int(index): places[1, places[0] == index] for index in np.unique(places[0])}
    return by_slice, (places[2] - 1).astype(np.uint8)


def _features_at(
    features: Features, stacks: Sequence[Stack], index: int, pixels: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the features of sorted pixels of a slice, in an array (pixels, features)."""
    height, width = stacks[0].shape[ROWS:]
    rows = max(1, PIXELS_AT_ONCE // width)
    found = []
    for first in range(0, height, rows):
        band = slice(first, min(first + rows, height))
        inside = pixels[(pixels >= band.start * width) & (pixels < band.stop * width)]
        if inside.size:
            seen = features.of_rows(stacks, index, band)
            found.append(seen.reshape(len(seen), -1)[:, inside - band.start * width].T)
    return np.concatenate(found)


def _as_list(stacks: Stack | Sequence[Stack]) -> list[Stack]:
    return [stacks] if isinstance(stacks, Stack) else list(stacks)


def _parts(size: int, step: int) -> tuple[int, ...]:
    return tuple(min(step, size - start) for start in range(0, size, step))
