"""The folder in which work is kept."""
