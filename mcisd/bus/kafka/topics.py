"""Topics on the brokers. In: topics as declared. Out: topics that are there and fit, and their partitions."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from mcisd.aio.clock import Clock
from mcisd.bus.base import Topic
from mcisd.bus.kafka.options import KafkaOptions, client_arguments
from mcisd.model.errors import BusError, ConfigError

T = TypeVar("T")
log = logging.getLogger(__name__)
EXISTS = 36
CREATE_MS = 20_000
LEADER_POLL_S = 0.1
MOST_REPLICAS = 3


def settings_of(topic: Topic, replication: int) -> dict[str, str]:
    """The topic's settings on the brokers. A write is safe when all copies but one have it."""
    common = {"min.insync.replicas": str(max(1, replication - 1)), "message.timestamp.type": "CreateTime"}
    if topic.compacted:
        return common | {"cleanup.policy": "compact"}
    kept = int(topic.retention_s * 1000)
    return common | {"cleanup.policy": "delete", "retention.ms": str(kept), "segment.ms": str(max(60_000, kept // 4))}


class TopicKeeper:
    """Creates and checks topics; stays open to tell about the brokers."""

    def __init__(self, options: KafkaOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._admin = AIOKafkaAdminClient(**client_arguments(options))

    async def start(self) -> None:
        await self._admin.start()

    async def close(self) -> None:
        await self._admin.close()

    async def brokers(self) -> int:
        """How many brokers the cluster has."""
        return len((await self._admin.describe_cluster())["brokers"])

    async def ensure(self, topics: Sequence[Topic]) -> dict[str, int]:
        """Create the topics that are missing and check the others; returns their numbers of partitions.

        ConfigError names a topic that does not fit; BusError where Kafka refused to create one.
        """
        names = {self._options.prefix + topic.name: topic for topic in topics}
        copies = self._options.replication or min(MOST_REPLICAS, await self.brokers())
        found = await self._partitions(names)
        missing = [name for name in names if name not in found]
        if missing:
            await self._create({name: names[name] for name in missing}, copies)
            found = await self._until_led(names)
        await self._check_settings(names)
        for name, topic in names.items():
            _check_partitions(name, topic, found[name])
        return {topic.name: found[name] for name, topic in names.items()}

    async def _create(self, topics: Mapping[str, Topic], copies: int) -> None:
        wanted = [
            NewTopic(name, topic.partitions, copies, topic_configs=settings_of(topic, copies))
            for name, topic in topics.items()
        ]
        response = await self._admin.create_topics(wanted, timeout_ms=CREATE_MS)
        for name, code, *message in response.topic_errors:
            if code not in (0, EXISTS):
                why = (message[0] if message else None) or for_code(code).__name__
                raise BusError(
                    f"topic {name} was not created: {why}", remedy="give bus.username the right to create it"
                )
        log.info("created topics %s with %d copies", ", ".join(topics), copies)

    async def _partitions(self, names: Mapping[str, Topic]) -> dict[str, int]:
        """Number of partitions of those topics that are there and have all their leaders."""
        described = await self._admin.describe_topics()  # of all: to ask for one by name may create it
        found = {topic["topic"]: topic["partitions"] for topic in described if topic["error_code"] == 0}
        return {
            name: len(found[name])
            for name in names
            if name in found and all(partition["leader"] >= 0 for partition in found[name])
        }

    async def _until_led(self, names: Mapping[str, Topic]) -> dict[str, int]:
        return await self._of_all(names, self._partitions, "topics without leaders", "check that enough brokers run")

    async def _of_all(
        self,
        names: Mapping[str, Topic],
        look: Callable[[Mapping[str, Topic]], Awaitable[dict[str, T]]],
        lack: str,
        remedy: str,
    ) -> dict[str, T]:
        """What ``look`` tells as soon as it tells it of every topic; BusError names those of which it does not."""
        end = self._clock.monotonic() + CREATE_MS / 1000
        while len(found := await look(names)) < len(names):
            if self._clock.monotonic() > end:
                raise BusError(f"{lack}: {', '.join(sorted(names.keys() - found.keys()))}", remedy=remedy)
            await self._clock.sleep(LEADER_POLL_S)
        return found

    async def _check_settings(self, names: Mapping[str, Topic]) -> None:
        """The broker that is asked may not have heard yet of a topic that was just made."""
        lack, remedy = "no broker tells the settings of", "check that all brokers run"
        for name, policy in (await self._of_all(names, self._policies, lack, remedy)).items():
            if names[name].compacted != ("compact" in policy):
                wanted = "compact" if names[name].compacted else "delete"
                raise ConfigError(
                    f"topic {name} has cleanup.policy {policy}, not {wanted}",
                    field="bus.prefix",
                    remedy=f"kafka-configs --alter --topic {name} --add-config cleanup.policy={wanted}",
                )

    async def _policies(self, names: Mapping[str, Topic]) -> dict[str, str]:
        """Name → cleanup.policy."""
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": ""}) for name in names]
        return {
            name: entry[1]
            for response in await self._admin.describe_configs(asked)
            for _code, _message, _kind, name, entries in response.resources
            for entry in entries
            if entry[0] == "cleanup.policy" and entry[1]
        }


def _check_partitions(name: str, topic: Topic, found: int) -> None:
    if found < topic.partitions:
        raise ConfigError(
            f"topic {name} has {found} partitions, fewer than {topic.partitions}",
            field="bus.prefix",
            remedy=f"kafka-topics --alter --topic {name} --partitions {topic.partitions}, or another bus.prefix",
        )
