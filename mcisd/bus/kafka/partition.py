"""Which partition a key belongs to: Kafka's own rule, so that any other client finds the same."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=131_072)
def _spread(key: str) -> int:
    return int(murmur2(key.encode())) & 0x7FFFFFFF


def partition_for(key: str, partitions: int) -> int:
    """The partition of ``key`` among so many: murmur2 of its UTF-8 without the sign bit, modulo their number."""
    return _spread(key) % partitions
