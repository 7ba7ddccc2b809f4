"""Painting and correcting labels."""
