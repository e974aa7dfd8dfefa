"""The bus on Kafka, for a daemon of several processes. Import ``KafkaBus`` from here where Kafka is wanted: that loads
the client library.
"""

from mcisd.bus.kafka.bus import KafkaBus
from mcisd.bus.kafka.options import KafkaLimits, KafkaOptions

__all__ = ["KafkaBus", "KafkaLimits", "KafkaOptions"]
