"""Segmenting, the physics check and training in the window."""
