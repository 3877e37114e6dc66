"""Kill schedulers at random while events stream in, and count firings: none lost, none double.

Two schedulers share one PostgreSQL database. Senders post batches of events, in no order and with duplicates, to whichever
scheduler answers, and repeat what was not confirmed. Meanwhile one scheduler or the other is killed (SIGKILL) again and
again. What must have fired follows from the events alone:

* ``each``: one run per event, keys ``each``;
* ``tens``: per value of ``data.group``, one run per ten events of it.

    python tests/crash/events.py --events 20000 --seed 7
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "conformance")]
import engines  # noqa: E402
from event_dags import add_dag, connect, event, post  # noqa: E402

GROUPS, TEN = 40, 10
EACH = {"version": 1, "on": {"event": {"key": "each"}}, "do": {"run": {}}}
TENS = {
    "version": 1,
    "on": {"by": {"field": "data.group", "of": {"count": {"of": {"event": {"key": "tens"}}, "n": TEN}}}},
    "do": {"run": {}},
}


class Pair(engines.Engine):
    """Two schedulers on one database (or more), each with ports and a worker of its own, as on two machines."""

    schedulers = 2

    def ports(self) -> list[int]:
        return [self.log_port + 2 + 100 * which for which in range(self.schedulers)]

    def start(self, which: int) -> None:
        home = self.home / f"scheduler-{which}"
        home.mkdir(exist_ok=True)
        self.spawn("slipstream scheduler", f"scheduler-{which}", {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "True",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports()[which]),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.log_port + 100 * which),
        })


def send(ports: list[int], batches: list[list[dict]], stop: threading.Event) -> None:
    dice = random.Random(1)
    for batch in batches:
        while not stop.is_set():
            try:
                post(dice.choice(ports), batch)
                break
            except OSError:
                time.sleep(0.1)


def stream(number: int, dice: random.Random) -> list[dict]:
    events = []
    for index in range(number):
        if index % 20 == 0:
            events.append(event(index, "each", {"n": index}))
        else:
            events.append(event(index, "tens", {"group": f"g{index % GROUPS}"}))
    events += dice.sample(events, number // 10)
    # Out of order within a window, as networks do it.
    return sorted(events, key=lambda one: int(one["id"]) + dice.uniform(0, 300))


def oracle(events: list[dict]) -> tuple[set[str], dict[str, int]]:
    unique = {one["id"]: one for one in events}.values()
    each = {one["id"] for one in unique if one["subject"] == "each"}
    groups = collections.Counter(one["data"]["group"] for one in unique if one["subject"] == "tens")
    return each, {group: count // TEN for group, count in groups.items() if count >= TEN}


def fired(cursor) -> tuple[collections.Counter, collections.Counter]:
    cursor.execute("select conf->'triggering_events'->0->>'id' from dag_run where dag_id = 'each'")
    each = collections.Counter(row[0] for row in cursor.fetchall())
    cursor.execute("select conf->'triggering_events'->0->'data'->>'group' from dag_run where dag_id = 'tens'")
    return each, collections.Counter(row[0] for row in cursor.fetchall())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--limit", type=float, default=900)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"seed {options.seed}")
    events = stream(options.events, dice)
    with tempfile.TemporaryDirectory() as folder, Pair("slipstream", Path(folder), Path(folder) / "dags", "postgres",
                                                       {"AIRFLOW__CORE__PARALLELISM": "4"}, api=False, roles=[]) as pair:
        cursor = connect(pair.sqlalchemy_url().replace("+psycopg2", "")).cursor()
        add_dag(cursor, "each", [EACH])
        add_dag(cursor, "tens", [TENS])
        pair.start(0)
        pair.start(1)
        deadline = time.time() + options.limit
        while True:
            time.sleep(0.2)
            try:
                cursor.execute("select count(*) from slipstream_trigger")
                if cursor.fetchone()[0] == 2:
                    break
            except Exception:  # noqa: BLE001  the tables are being made
                if time.time() > deadline:
                    raise
        batches = [events[at:at + 50] for at in range(0, len(events), 50)]
        stop = threading.Event()
        senders = [threading.Thread(target=send, args=(pair.ports(), batches[part::2], stop)) for part in range(2)]
        for sender in senders:
            sender.start()
        each, groups = oracle(events)
        kills = 0
        try:
            while time.time() < deadline:
                time.sleep(dice.uniform(0.3, 1.5))
                sending = any(sender.is_alive() for sender in senders)
                cursor.execute("select (select last_position from slipstream_log_head) - position from slipstream_cursor"
                               " where name = 'engine'")
                left = cursor.fetchone()[0]
                if not sending and left == 0:
                    break
                victim = dice.randrange(2)
                pair.kill(f"scheduler-{victim}", group=False)
                pair.start(victim)
                kills += 1
        finally:
            stop.set()
        time.sleep(1)
        cursor.execute("select count(*), max(position) from slipstream_event where source = 'test'")
        stored, head = cursor.fetchone()
        runs, tens = fired(cursor)
        wrong = []
        if stored != options.events:
            wrong.append(f"{stored} events are in the log, {options.events} were sent")
        lost, double = each - set(runs), [key for key, count in runs.items() if count > 1]
        wrong += [f"lost: {len(lost)} of each"] if lost else []
        wrong += [f"double: {len(double)} of each"] if double else []
        for group in sorted(set(groups) | set(tens)):
            if groups.get(group, 0) != tens.get(group, 0):
                wrong.append(f"{group}: fired {tens.get(group, 0)} times, must be {groups.get(group, 0)}")
        print(f"{stored} events (last position {head}), {sum(runs.values())} + {sum(tens.values())} firings, {kills} kills")
        for line in wrong:
            print("WRONG", line)
        print("wrong" if wrong else "right")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
