"""The whole API as one class. In: names and request bodies as the API takes them. Out: its answers, plain JSON."""

from mcisd.client.alarms import AlarmCalls
from mcisd.client.federation import FederationCalls
from mcisd.client.infra import InfraCalls
from mcisd.client.watch import WatchCalls


class Client(FederationCalls, InfraCalls, WatchCalls, AlarmCalls):
    """All operations of the API. Every call raises ApiError and nothing else of ours."""
