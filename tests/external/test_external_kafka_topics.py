"""Topics on a real broker: made as declared, refused where they do not fit, and what goes by retention is counted."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from mcisd.aio.clock import SystemClock
from mcisd.bus.base import Topic
from mcisd.bus.kafka import KafkaBus, KafkaOptions
from mcisd.bus.topics import ALL
from mcisd.model.errors import BusError, ConfigError, TooLargeError
from tests.external.kafka_kit import LIMITS, TOPIC, open_bus, until

pytestmark = pytest.mark.engines


@pytest.fixture
async def admin(kafka_servers: str) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await client.start()
    yield client
    await client.close()


async def setting(admin: Any, topic: str, name: str) -> str:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {name: ""})])
    return str(response.resources[0][4][0][1])


async def test_topics_are_made_as_declared_and_found_again(kafka_servers: str, kafka_prefix: str, admin: Any) -> None:
    compacted = Topic("newest", partitions=1, compacted=True)
    for topic in (TOPIC, compacted, TOPIC, compacted):
        bus = await open_bus(kafka_servers, kafka_prefix, topic=topic)
        assert await bus.check() == f"Kafka at {kafka_servers}, 1 brokers, 1 topics"
        await bus.close()
    assert await setting(admin, f"{kafka_prefix}load", "retention.ms") == "3600000"
    assert await setting(admin, f"{kafka_prefix}newest", "cleanup.policy") == "compact"
    described = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    assert (described[f"{kafka_prefix}load"], described[f"{kafka_prefix}newest"]) == (4, 1)


async def test_our_own_topics_fit(kafka_servers: str, kafka_prefix: str) -> None:
    bus = await KafkaBus.open(KafkaOptions(kafka_servers, prefix=kafka_prefix), SystemClock())
    for topic in ALL:
        assert 0 <= bus.partition_of(topic.name, "some-key") < topic.partitions
    await bus.close()


async def test_topic_with_too_few_partitions_is_named(kafka_servers: str, kafka_prefix: str, admin: Any) -> None:
    await admin.create_topics([NewTopic(f"{kafka_prefix}load", 2, 1)])
    with pytest.raises(ConfigError, match=rf"{kafka_prefix}load has 2 partitions, fewer than 4") as failure:
        await open_bus(kafka_servers, kafka_prefix)
    assert "--partitions 4" in str(failure.value.remedy)


async def test_topic_with_more_partitions_is_used_as_it_is(kafka_servers: str, kafka_prefix: str, admin: Any) -> None:
    await admin.create_topics([NewTopic(f"{kafka_prefix}load", 40, 1)])
    bus = await open_bus(kafka_servers, kafka_prefix)
    places = await bus.publish_all("load", [(f"k{i}", b"", {}) for i in range(200)])
    assert max(partition for partition, _ in places) > 20
    await bus.close()


@pytest.mark.parametrize("compacted", [True, False])
async def test_topic_that_forgets_in_the_wrong_way_is_named(
    kafka_servers: str, kafka_prefix: str, admin: Any, compacted: bool
) -> None:
    policy = {"cleanup.policy": "delete" if compacted else "compact"}
    await admin.create_topics([NewTopic(f"{kafka_prefix}load", 4, 1, topic_configs=policy)])
    with pytest.raises(ConfigError, match=rf"{kafka_prefix}load has cleanup.policy {policy['cleanup.policy']}, not"):
        await open_bus(kafka_servers, kafka_prefix, topic=replace(TOPIC, compacted=compacted))


async def test_more_copies_than_brokers_is_refused(kafka_servers: str, kafka_prefix: str) -> None:
    options = KafkaOptions(kafka_servers, prefix=kafka_prefix, replication=3, limits=replace(LIMITS, connect_s=1.0))
    with pytest.raises(BusError, match=f"topic {kafka_prefix}load was not created: .*replication factor"):
        await KafkaBus.open(options, SystemClock(), [TOPIC])


async def test_what_retention_took_is_counted(kafka_servers: str, kafka_prefix: str, admin: Any) -> None:
    bus = await open_bus(kafka_servers, kafka_prefix, topic=replace(TOPIC, partitions=1))
    await bus.subscribe("load", "g").close()
    await bus.publish_all("load", [("k", str(i).encode(), {}) for i in range(10)])
    await admin.delete_records({TopicPartition(f"{kafka_prefix}load", 0): RecordsToDelete(7)})
    reader = bus.subscribe("load", "g")
    assert [message.value for message in await reader.fetch()] == [b"7", b"8", b"9"]
    assert bus.dropped() == {("load", "g"): 7}
    await reader.close()
    assert bus.dropped() == {("load", "g"): 7}
    await bus.close()


async def test_message_larger_than_kafka_takes_is_refused_at_once(kafka_servers: str, kafka_prefix: str) -> None:
    bus = await open_bus(kafka_servers, kafka_prefix)
    with pytest.raises(TooLargeError, match="bytes, more than 900000"):
        await bus.publish("load", "k", bytes(1_000_000))
    await bus.publish("load", "k", bytes(890_000))
    await bus.publish_all("load", [("k", bytes(400_000), {})] * 5)
    await bus.close()


async def test_messages_of_other_clients_are_read_and_theirs_find_ours(kafka_servers: str, kafka_prefix: str) -> None:
    bus = await open_bus(kafka_servers, kafka_prefix)
    follower = bus.follow("load", "f", from_start=True)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_servers)
    await producer.start()
    sent = await producer.send_and_wait(f"{kafka_prefix}load", b"hi", key=b"vm-9", headers=[("a", "ä".encode())])
    await producer.stop()
    (message,) = await follower.fetch()
    assert (message.partition, message.offset, message.key) == (sent.partition, sent.offset, "vm-9")
    assert (message.value, message.headers) == (b"hi", {"a": "ä"})
    assert bus.partition_of("load", "vm-9") == sent.partition
    await until(lambda: bus.lag() == {("load", "f"): 0})
    await bus.close()
