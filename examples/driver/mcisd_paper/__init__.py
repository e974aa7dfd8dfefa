"""A driver in one folder: the cloud it drives is a book of paper. In: calls of mcisd. Out: entries of the book."""

from mcisd_paper.driver import PaperDriver

__all__ = ["PaperDriver"]
