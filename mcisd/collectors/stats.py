"""What the collectors count. Plain numbers that only grow; whoever wants to show them reads the fields."""

from dataclasses import dataclass


@dataclass(slots=True)
class ReceiveStats:
    """Of the agent links."""

    links: int = 0  # accepted and welcomed
    refused: int = 0  # turned away at HELLO
    moved: int = 0  # sent to another collector
    over_limit: int = 0  # closed at once, too many connections
    bad_handshakes: int = 0  # connections that never came to speak TLS with us
    hung_up: int = 0  # connections whose peer had gone before its turn came
    late_hello: int = 0  # said no HELLO in time
    replaced: int = 0  # closed because the VM came again
    silent: int = 0  # closed because nothing was heard
    stalled: int = 0  # closed to begin anew, because the bus was away, or a lane paused, for long
    bad_messages: int = 0  # closed because of what is not our protocol
    frames: int = 0  # published
    replayed: int = 0  # … of them late, as they were kept by the agent
    samples: int = 0  # values in them, derived ones included
    duplicates: int = 0  # frames that came twice on a link and were not published again
    clock_steps: int = 0  # an agent's clock jumped while its link was up
    behind: int = 0  # frames booked at the nearest time that fits, as their own was older than the one before
    acks: int = 0
    bus_failures: int = 0  # attempts to publish that the bus refused


@dataclass(slots=True)
class WriteStats:
    """Of the way from the bus to the store."""

    frames: int = 0  # put into windows
    duplicates: int = 0  # frames that were there already
    stale: int = 0  # frames of a link that a newer one had taken over from, and which therefore come again
    resumed: int = 0  # frames of a window whose first frames lie before what we read: it is stored whole already
    late: int = 0  # frames of a window that had been written without them, and was written again
    windows: int = 0  # VM × window handed to the writer
    blocks: int = 0  # blocks written
    rows: int = 0  # rows the store says it has written
    failures: int = 0  # attempts the store refused
    unknown_schema: int = 0  # frames dropped because nobody ever said what their columns mean
    unknown_identity: int = 0  # windows written without the names of their VM
    doubts: int = 0  # times a write waited to learn whether another process has our partitions
    given_up: int = 0  # windows left to the process that has taken over their partition
    bad_frames: int = 0  # messages on the bus that are no frame
