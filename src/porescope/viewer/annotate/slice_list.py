"""A list of the slices that are done, and of the stretches between them."""

# Qt comes without types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QPushButton, QVBoxLayout, QWidget

from porescope.segment.annotation import gaps
from porescope.viewer.paths import in_a_row

LIST_PX = 120
PLACE = Qt.ItemDataRole.UserRole


class SliceList(QWidget):
    """Slices with what is known of each, gaps between them, and ways to go there."""

    chosen = Signal(int)
    """The slice to go to."""

    def __init__(self) -> None:
        super().__init__()
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.entries = QListWidget()
        self.entries.setFixedHeight(LIST_PX)
        self.entries.itemClicked.connect(lambda item: self.chosen.emit(item.data(PLACE)))
        self.before, self.after = QPushButton("Previous"), QPushButton("Next")
        self.before.clicked.connect(lambda: self._go(-1))
        self.after.clicked.connect(lambda: self._go(+1))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.summary)
        column.addWidget(self.entries)
        column.addWidget(in_a_row(self.before, self.after))
        self._listed: list[int] = []
        self._here = -1

    def show_slices(
        self, told: Mapping[int, str], done: Sequence[int], count: int, otherwise: str
    ) -> None:
        """List slices.

        Parameters
        ----------
        told : mapping of int to str
            What is known of slices.
        done : sequence of int
            Those that are done, ascending; the others are left.
        count : int
            Of all slices.
        otherwise : str
            What is known of the slices between.
        """
        left = dict(gaps(done, count)) if done else {}
        rows = {index: (f"Slice {index}: {text}", index) for index, text in told.items()}
        for first, last in left.items():
            between = otherwise if first == last else f"{last - first + 1} slices, {otherwise}"
            place = f"{first}" if first == last else f"{first} – {last}"
            if not any(first <= index <= last for index in told):
                rows[first] = (f"      {place}: {between}", (first + last) // 2)
        self.entries.clear()
        for _, (text, index) in sorted(rows.items()):
            item = QListWidgetItem(text)
            item.setData(PLACE, index)
            if index not in told:
                # A colour of its own would not follow the theme.
                font = item.font()
                font.setItalic(True)
                item.setFont(font)
            self.entries.addItem(item)
        self._listed = sorted(told)
        longest = max(left.items(), key=lambda gap: gap[1] - gap[0], default=None)
        self.summary.setText(f"{len(done)} of {count} slices.{_longest(longest)}")
        self.show_here(self._here)

    def show_here(self, index: int) -> None:
        """Mark the slice at the slider, and offer those on both sides of it."""
        self._here = index
        self.before.setEnabled(bool(self._listed) and self._listed[0] < index)
        self.after.setEnabled(bool(self._listed) and self._listed[-1] > index)
        self.entries.clearSelection()
        for row in range(self.entries.count()):
            item = self.entries.item(row)
            if item.data(PLACE) == index:
                self.entries.setCurrentItem(item)

    def _go(self, step: int) -> None:
        place = bisect_right(self._listed, self._here)
        if step < 0:
            place = bisect_left(self._listed, self._here) - 1
        if 0 <= place < len(self._listed):
            self.chosen.emit(self._listed[place])


def _longest(gap: tuple[int, int] | None) -> str:
    if gap is None:
        return ""
    first, last = gap
    return f" Longest gap: {first} – {last}." if last > first else ""
