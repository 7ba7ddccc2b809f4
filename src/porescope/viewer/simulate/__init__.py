"""Samples, heightfields and simulated images in the window."""
