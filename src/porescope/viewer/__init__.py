"""The napari plugin: readers, writers, sample data and the Porescope dock.

Only this subpackage imports napari and Qt.
"""
