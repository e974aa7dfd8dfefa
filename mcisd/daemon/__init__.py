"""Decide and serve: the program `mcisd`."""
