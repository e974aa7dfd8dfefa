"""The API's client: method calls in, plain JSON objects out. Used by `mcis`, by the demonstration, by any program."""

from mcisd.client.api import Client
from mcisd.client.errors import ApiError
from mcisd.client.target import Target

__all__ = ["ApiError", "Client", "Target"]
