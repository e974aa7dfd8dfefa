"""What the collectors count. Plain numbers that only grow; whoever wants to show them reads the fields."""

from dataclasses import dataclass


@dataclass(slots=True)
class ReceiveStats:
    """Of the agent links."""

    links: int = 0  # accepted and welcomed
    refused: int = 0  # turned away at HELLO
    over_limit: int = 0  # closed at once, too many connections
    late_hello: int = 0  # said no HELLO in time
    replaced: int = 0  # closed because the VM came again
    silent: int = 0  # closed because nothing was heard
    bad_messages: int = 0  # closed because of what is not our protocol
    frames: int = 0  # published
    samples: int = 0  # values in them, derived ones included
    duplicates: int = 0  # frames that came again and were not published again
    clock_steps: int = 0  # an agent's clock jumped while its link was up
    behind: int = 0  # frames booked at the time of the frame before, as their own was older
    acks: int = 0


@dataclass(slots=True)
class WriteStats:
    """Of the way from the bus to the store."""

    frames: int = 0  # put into windows
    duplicates: int = 0  # frames that were there already
    windows: int = 0  # VM × window handed to the writer
    blocks: int = 0  # blocks written
    rows: int = 0  # rows the store says it has written
    failures: int = 0  # attempts the store refused
    unknown_schema: int = 0  # frames dropped because nobody ever said what their columns mean
    bad_frames: int = 0  # messages on the bus that are no frame
