"""What AIFlow's own client does against the notification service. Usage: behaviours.py URI[,URI]

Needs PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python; the client is of 2022.
"""

import collections
import collections.abc
import queue
import sys
import threading
import time

collections.Iterable = collections.abc.Iterable  # what the client imports was moved in Python 3.10

from notification_service.base_notification import BaseEvent, EventWatcher  # noqa: E402
from notification_service.client import NotificationClient  # noqa: E402

URI = sys.argv[1]
FIRST = URI.split(",")[0]


class Watcher(EventWatcher):
    def __init__(self):
        self.seen = queue.Queue()

    def process(self, events):
        for event in events:
            self.seen.put(event)

    def values(self, count):
        return [self.seen.get(timeout=30).value for _ in range(count)]


def client(namespace, sender="me", uri=FIRST, **properties):
    return NotificationClient(uri, default_namespace=namespace, sender=sender, properties=properties or None)


def an_event_is_stored_as_it_was_sent():
    one = client("basic")
    before = int(time.time() * 1000)
    sent = one.send_event(BaseEvent("key", "value", "type", context='{"a": 1}'))
    assert sent.version > 0 and before - 1000 <= sent.create_time <= int(time.time() * 1000) + 1000
    assert (sent.key, sent.value, sent.event_type, sent.context) == ("key", "value", "type", '{"a": 1}')
    assert (sent.namespace, sent.sender) == ("basic", "me")
    assert one.list_events("key") == [sent]
    plain = one.send_event(BaseEvent("key", ' {"not": "touched"} '))
    assert plain.version > sent.version and plain.event_type == "UNDEFINED" and plain.context == ""
    assert one.list_events("key")[1] == plain
    one.close()


def a_second_try_of_a_send_stores_nothing_new():
    one = client("again")
    event = BaseEvent("key", "value")
    first = one.send_event(event)
    one.send_event(event)
    assert len(one.list_events("key")) == 2, "two sends are two events"
    one.sequence_num_manager._seq_num = 0
    again = one.send_event(event)
    assert len(one.list_events("key")) == 2
    assert (again.version, again.create_time) == (first.version, first.create_time), "where the original is"
    number = str(one.client_id)
    restarted = client("again", **{"client.id": number, "initial.sequence.number": "1"})
    restarted.send_event(event)
    assert len(one.list_events("key")) == 2, "a client that starts again with its number"
    restarted.send_event(event)
    assert len(one.list_events("key")) == 3
    one.close()
    try:
        client("again", **{"client.id": number})
    except Exception as error:
        assert "not registered" in str(error) or "have not registered" in str(error)
    else:
        raise AssertionError("a client that was closed is known")
    without = client("again", **{"enable.idempotence": "false"})
    without.send_event(event)
    assert len(without.list_events("key")) == 4


def eight_threads_of_one_client_lose_nothing():
    one = client("threads")

    def send(thread):
        for number in range(50):
            one.send_event(BaseEvent("key", f"{thread}-{number}"))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total, by_sender = one.count_events("key")
    assert total == 400, total
    assert [(count.sender, count.event_count) for count in by_sender] == [("me", 400)]
    versions = [event.version for event in one.list_events("key")]
    assert versions == sorted(set(versions)) and len(versions) == 400
    one.close()


def lists_are_filtered():
    one, other = client("lists", "one"), client("lists.other", "other")
    first = one.send_event(BaseEvent("a", "1", "t1"))
    second = one.send_event(BaseEvent("b", "2", "t2"))
    third = other.send_event(BaseEvent("a", "3", "t1"))
    fourth = one.send_event(BaseEvent("a*", "4", "t1"))

    def values(events):
        return [event.value for event in events]

    assert values(one.list_events("a")) == ["1"], "a namespace is a world of its own"
    assert values(one.list_events("a*")) == ["4"], "a key is a text, no pattern"
    assert values(one.list_events(["a", "b"])) == ["1", "2"]
    assert values(one.list_events("*")) == ["1", "2", "4"]
    assert values(one.list_events("a", namespace="lists.other")) == ["3"]
    assert values(one.list_events("*", namespace="*", version=first.version)) == ["2", "3", "4"]
    assert values(one.list_events("*", version=second.version)) == ["4"]
    assert values(one.list_events("*", event_type="t2")) == ["2"]
    assert values(one.list_events("*", sender="nobody")) == []
    assert values(one.list_events("*", namespace="*", sender="other")) == ["3"]
    assert values(one.list_events("*", start_time=fourth.create_time + 60000)) == []
    assert values(one.list_events("*", start_time=first.create_time)) == ["1", "2", "4"]
    everything = one.list_all_events(start_version=first.version, end_version=third.version)
    assert values(everything) == ["2", "3"]
    assert values(one.list_all_events(start_version=first.version)) == ["2", "3", "4"]
    assert values(one.list_all_events(start_time=first.create_time))[-3:] == ["2", "3", "4"]
    assert one.count_events(["a", "b"])[0] == 2
    assert one.count_events("*", namespace="*", version=first.version)[0] == 3
    assert one.get_latest_version("a") == first.version
    assert one.get_latest_version("a", namespace="lists.other") == third.version
    assert one.get_latest_version("none") == 0


def a_listener_sees_every_event_once():
    one = client("listen")
    for number in range(3):
        one.send_event(BaseEvent("key", str(number)))
    watcher, late, everything = Watcher(), Watcher(), Watcher()
    first = one.list_events("key")[0]
    one.start_listen_event("key", watcher, version=0)
    one.start_listen_event("key", late, version=first.version, event_type="UNDEFINED", namespace="listen")
    one.start_listen_events(everything, version=first.version)
    assert watcher.values(3) == ["0", "1", "2"]
    assert late.values(2) == ["1", "2"]
    assert everything.values(2) == ["1", "2"]
    client("elsewhere").send_event(BaseEvent("key", "x"))
    one.send_event(BaseEvent("other", "y"))
    one.send_event(BaseEvent("key", "3"))
    assert watcher.values(1) == ["3"] and late.values(1) == ["3"]
    assert everything.values(3) == ["x", "y", "3"]
    one.stop_listen_events()
    one.stop_listen_event()
    assert watcher.seen.empty()


def several_addresses_are_one_service():
    if "," not in URI:
        return
    second = URI.split(",")[1]
    both = client("ha", uri=URI)
    assert sorted(both.living_members) == sorted(URI.split(",")), both.living_members
    watcher = Watcher()
    client("ha", uri=second).start_listen_event("key", watcher, version=0)
    both.send_event(BaseEvent("key", "1"))
    assert watcher.values(1) == ["1"], "sent to one, heard at the other"
    both.disable_high_availability()


if __name__ == "__main__":
    for behaviour in [
        an_event_is_stored_as_it_was_sent,
        a_second_try_of_a_send_stores_nothing_new,
        eight_threads_of_one_client_lose_nothing,
        lists_are_filtered,
        a_listener_sees_every_event_once,
        several_addresses_are_one_service,
    ]:
        behaviour()
        print("passed:", behaviour.__name__.replace("_", " "), flush=True)
