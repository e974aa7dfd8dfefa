"""mcisd: the multi-cloud daemon."""

__version__ = "0.1.0"
