"""What events cost on PostgreSQL: how fast they are taken, how soon a run is there, and whether old runs matter.

Each measurement has a database and a scheduler of its own; events go in by HTTP, as everybody's would.

* ``ingest``: batches of events over several connections, with 100 triggers of which one in a hundred events makes one fire;
* ``latency``: single events at a steady rate, one in ``--every`` of which makes a run; from the moment before it is sent
  until its run's row can be read;
* ``history``: the same with 10 and with 10,000 finished runs in the database.

    python benches/events/bench.py --measure ingest --measure latency
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests" / "crash"), str(HERE.parents[1] / "tests" / "conformance")]
import engines  # noqa: E402
from event_dags import add_dag, connect, event  # noqa: E402


def trigger(key: str) -> dict:
    return {"version": 1, "on": {"event": {"key": key, "where": "data.n >= 0"}}, "do": {"run": {}}}


class One(engines.Engine):
    """One scheduler on a database of its own, with its Dags in it."""

    def begin(self, triggers: int, history: int = 0):
        self.env.update(AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK="True", AIRFLOW__CORE__PARALLELISM="4")
        self.cursor = self.own_cursor()
        for number in range(triggers):
            add_dag(self.cursor, f"dag{number}", [trigger(f"key{number}")])
        self.cursor.execute(
            "insert into dag_run (dag_id, run_id, logical_date, start_date, end_date, run_after, state, run_type, conf,"
            " clear_number, created_at, updated_at) select 'dag0', 'old' || n, now() - n * interval '1 minute', now(),"
            " now(), now(), 'success', 'manual', '{}', 0, now(), now() from generate_series(1, %s) n", (history,))
        self.cursor.execute("insert into task_instance (id, dag_id, run_id, task_id, map_index, state, try_number,"
                            " max_tries, pool, pool_slots, queue, priority_weight, operator, updated_at)"
                            " select gen_random_uuid(), dag_id, run_id, 't', -1, 'success', 1, 0, 'default_pool', 1,"
                            " 'default', 1, 'EmptyOperator', now() from dag_run where run_id like 'old%'")
        self.cursor.execute("analyze")
        self.spawn("slipstream scheduler")
        deadline = time.time() + 120
        while time.time() < deadline:
            time.sleep(0.2)
            try:
                self.cursor.execute("select count(*) from slipstream_trigger")
                if self.cursor.fetchone()[0] == triggers:
                    return self
            except Exception:  # noqa: BLE001  the tables are being made
                pass
        raise TimeoutError(f"the triggers were not found; see {self.home}/proc")

    def own_cursor(self):
        cursor = connect(self.sqlalchemy_url().replace("+psycopg2", "")).cursor()
        cursor.execute("set application_name = 'bench'")
        return cursor

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.log_port + 2, timeout=30)

    def caught_up(self) -> bool:
        self.cursor.execute("select last_position - (select position from slipstream_cursor where name = 'engine')"
                            " from slipstream_log_head")
        return self.cursor.fetchone()[0] == 0

    def wait(self, limit: float = 120) -> None:
        deadline = time.time() + limit
        while not self.caught_up():
            if time.time() > deadline:
                raise TimeoutError("the engine does not catch up")
            time.sleep(0.01)


class Cpu:
    """What a deployment has spent since this was made: says more than the clock where other things run on the machine."""

    def __init__(self, one: One) -> None:
        self.one, self.before = one, self.spent(one)

    @staticmethod
    def spent(one: One) -> dict[str, dict[int, float]]:
        one.cursor.execute("select pid from pg_stat_activity where datname = current_database()"
                           " and application_name <> 'bench'")
        backends = [row[0] for row in one.cursor.fetchall()]
        scheduler = [process.pid for name, process in one.procs.items() if name.startswith("slipstream")]
        return {"scheduler": {pid: seconds(pid) for pid in scheduler}, "postgres": {pid: seconds(pid) for pid in backends}}

    def per_event(self, events: int) -> dict[str, int]:
        """Microseconds of user and system time for each event."""
        now = self.spent(self.one)
        total = {name: sum(spent - self.before[name].get(pid, 0.0) for pid, spent in pids.items()) for name, pids in now.items()}
        return {f"{name}_us": round(spent / events * 1e6) for name, spent in total.items()}


def seconds(pid: int) -> float:
    """User and system time of a process; none for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def deployment(folder: str) -> One:
    return One("slipstream", Path(folder), Path(folder) / "dags", "postgres", {}, api=False, roles=[])


def post(connection: http.client.HTTPConnection, events: list[dict] | dict) -> None:
    kind = "application/cloudevents-batch+json" if isinstance(events, list) else "application/cloudevents+json"
    connection.request("POST", "/events", json.dumps(events), {"Content-Type": kind})
    response = connection.getresponse()
    body = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{response.status}: {body[:300]!r}")


def ingest(total: int, batch: int, senders: int) -> dict:
    with tempfile.TemporaryDirectory() as folder, deployment(folder) as one:
        one.begin(100)
        source = str(uuid.uuid4())
        # One in a hundred makes a run; the others concern no trigger or are declined by its filter.
        events = [event(n, f"key{n // 100 % 100}" if n % 100 == 0 else f"key{n % 200}",
                        {"n": n if n % 100 == 0 else -1}, source) for n in range(total)]
        bodies = [json.dumps(events[at:at + batch]) for at in range(0, total, batch)]

        def work(part: int) -> None:
            connection = one.connection()
            for body in bodies[part::senders]:
                connection.request("POST", "/events", body, {"Content-Type": "application/cloudevents-batch+json"})
                response = connection.getresponse()
                response.read()
                assert response.status < 300, response.status

        threads = [threading.Thread(target=work, args=(part,)) for part in range(senders)]
        cpu, begin = Cpu(one), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = time.perf_counter() - begin
        one.wait()
        evaluated = time.perf_counter() - begin
        spent = cpu.per_event(total)
        one.cursor.execute("select count(*) from dag_run")
        return {"events": total, "batch": batch, "taken_per_s": round(total / taken), "runs": one.cursor.fetchone()[0],
                "evaluated_per_s": round(total / evaluated), "cpu_per_event": spent}


def latency(rate: float, seconds: float, every: int, history: int = 0) -> dict:
    with tempfile.TemporaryDirectory() as folder, deployment(folder) as one:
        one.begin(100, history)
        source, sent, seen = str(uuid.uuid4()), {}, {}
        number = int(rate * seconds)
        done = threading.Event()

        def watch() -> None:
            cursor = one.own_cursor()
            last = 0
            while not done.is_set() or len(seen) < (number + every - 1) // every and time.perf_counter() < done_at[0] + 15:
                cursor.execute("select dr.id, dr.conf->'triggering_events'->0->>'id' from dag_run dr where id > %s"
                               " and run_type = 'manual' and run_id like 'event%%'", (last,))
                now = time.perf_counter()
                for row, name in cursor.fetchall():
                    seen.setdefault(name, now)
                    last = max(last, row)
                time.sleep(0.002)

        done_at = [0.0]
        watcher = threading.Thread(target=watch)
        watcher.start()
        senders, lock, begin = 4, threading.Lock(), time.perf_counter() + 0.5

        def work(part: int) -> None:
            connection = one.connection()
            for n in range(part, number, senders):
                at = begin + n / rate
                if (pause := at - time.perf_counter()) > 0:
                    time.sleep(pause)
                moment = time.perf_counter()
                fires = n % every == 0
                post(connection, event(n, f"key{n // every % 100}", {"n": n if fires else -1}, source))
                if fires:
                    with lock:
                        sent[str(n)] = moment

        threads = [threading.Thread(target=work, args=(part,)) for part in range(senders)]
        cpu = Cpu(one)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = cpu.per_event(number)
        done_at[0] = time.perf_counter()
        took = done_at[0] - begin
        done.set()
        watcher.join()
        times = sorted((seen[name] - sent[name]) * 1000 for name in sent if name in seen)
        cut = lambda part: round(times[min(len(times) - 1, int(len(times) * part))], 1)  # noqa: E731
        return {"rate_asked": rate, "rate": round(number / took), "one_run_per": every, "old_runs": history, "events": number,
                "runs_seen": len(times), "p50_ms": cut(0.5), "p95_ms": cut(0.95), "p99_ms": cut(0.99),
                "mean_ms": round(statistics.mean(times), 1), "cpu_per_event": spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="append", choices=["ingest", "latency", "history"])
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--every", type=int, default=10, help="one event in so many makes a run, all concern a trigger")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()}))
    for measure in options.measure or ["ingest", "latency", "history"]:
        if measure == "ingest":
            print("ingest", json.dumps(ingest(options.events, options.batch, options.senders)), flush=True)
        elif measure == "latency":
            print("latency", json.dumps(latency(options.rate, options.seconds, options.every)), flush=True)
        else:
            for runs in (10, 10_000):
                print("history", json.dumps(latency(50, options.seconds, 1, runs)), flush=True)


if __name__ == "__main__":
    main()
