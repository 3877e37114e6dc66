"""A Kafka cluster in this process (librdkafka's mock), with one topic to which lines from the standard input are sent.

Prints the addresses of its brokers first, then ``ok`` after each line. A line is ``{"key": …, "value": …}``.
Needs ``confluent-kafka``; ``kafka_client.sh`` makes an environment that has it.
"""

import json
import sys

from confluent_kafka import Producer

producer = Producer({"test.mock.num.brokers": 1, "log_level": 0, "linger.ms": 0})
brokers = producer.list_topics(timeout=10).brokers.values()
# The topic is made by the first message.
producer.produce("orders", value=b'"before"')
producer.flush(10)
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    producer.produce("orders", key=message["key"], value=json.dumps(message["value"]))
    left = producer.flush(10)
    print("ok" if left == 0 else "lost", flush=True)
