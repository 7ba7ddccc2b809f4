"""Planes between slices: classical ways, kriging, and a network that adds what it learned."""
