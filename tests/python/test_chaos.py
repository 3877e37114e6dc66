"""The chaos test itself: its choices follow from the seed, and its oracle finds what is wrong."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import oracle  # noqa: E402
from clocks import Clocks, compiler  # noqa: E402
from plan import CLOCKS, KINDS, LASTING, WRONG, plan  # noqa: E402
from proxy import Proxy  # noqa: E402

DAY = datetime(2031, 5, 17, tzinfo=timezone.utc)


class Plans(unittest.TestCase):
    def test_a_seed_gives_one_plan(self):
        self.assertEqual(plan(7, 600, KINDS), plan(7, 600, KINDS))
        self.assertNotEqual(plan(7, 600, KINDS), plan(8, 600, KINDS))

    def test_a_long_round_has_faults_of_every_kind_and_stops_of_a_minute(self):
        faults = plan(7, 3600, KINDS + CLOCKS)
        self.assertEqual({(one.what, one.whom) for one in faults}, set(KINDS + CLOCKS))
        self.assertGreater(max(one.length for one in faults), 50)

    def test_everything_is_undone_before_the_time_is_up(self):
        for seconds in (20, 40, 300):
            for one in plan(3, seconds, KINDS + CLOCKS):
                self.assertLessEqual(one.at + one.length, seconds)
                self.assertEqual(one.length > 0, one.what in LASTING)


    def test_clocks_go_wrong_in_both_directions_and_within_bounds(self):
        faults = plan(7, 3600, CLOCKS)
        for what, (least, most) in WRONG.items():
            found = [one.by for one in faults if one.what == what]
            self.assertTrue(min(found) < 0 < max(found))
            self.assertTrue(all(least <= abs(by) <= most for by in found))


@unittest.skipUnless(compiler(), "there is no C compiler")
class WallClocks(unittest.TestCase):
    def test_only_the_time_of_the_day_goes_wrong_and_only_on_that_machine(self):
        program = ("import sys, time\n"
                   "for _ in sys.stdin:\n"
                   "    before = time.monotonic(); time.sleep(0.01)\n"
                   "    print(time.time(), time.monotonic(), time.monotonic() - before, flush=True)\n")
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            clocks = Clocks(Path(folder) / "clocks", compiler())
            machines = {}
            for name in ("one", "other"):
                machines[name] = stack.enter_context(subprocess.Popen(
                    [sys.executable, "-c", program], env={**os.environ, **clocks.environ(name)},
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1))
                stack.callback(machines[name].stdin.close)

            def wrong(name: str) -> tuple[float, float, float]:
                machines[name].stdin.write("\n")
                wall, monotonic, slept = map(float, machines[name].stdout.readline().split())
                return wall - time.time(), monotonic - time.monotonic(), slept

            for by in (0, 3600.5, -3600.5, 0):
                clocks.put("one", by)
                wall, monotonic, slept = wrong("one")
                self.assertAlmostEqual(wall, by, delta=30)
                self.assertAlmostEqual(monotonic, 0, delta=30)
                self.assertTrue(0.01 <= slept < 30)
                self.assertAlmostEqual(wrong("other")[0], 0, delta=30)


def facts() -> oracle.Facts:
    """One scheduled run with one task that took two tries, and one run on an event: all is well."""
    first, second = ("d", "r", "t", -1, 1, "failed"), ("d", "r", "t", -1, 2, "success")
    fired = ("on_event", "e", "t", -1, 1, "success")
    return oracle.Facts(
        due={"d": [DAY]},
        runs=[("d", "r", DAY, "success"), ("on_event", "e", None, "success")],
        tries=[first, second, fired],
        now=[second, fired],
        notes=["d r t -1 1 begin", "d r t -1 2 begin", "d r t -1 2 end", "on_event e t -1 1 begin", "on_event e t -1 1 end"],
        sent=["1"], unconfirmed=[], stored=["1"], fired=["1"],
    )


def violated(now: oracle.Facts) -> list[str]:
    return [name for name, check in oracle.CHECKS.items() if check(now)]


class Oracle(unittest.TestCase):
    def found(self, row: str, **changed):
        self.assertIn(row, " / ".join(violated(replace(facts(), **changed))))

    def test_nothing_is_found_where_all_is_well(self):
        self.assertEqual(violated(facts()), [])

    def test_runs_that_are_missing_double_or_not_due_are_found(self):
        run = ("d", "r", DAY, "success")
        row = "each due interval"
        self.found(row, runs=[])
        self.found(row, runs=[run, ("d", "r2", DAY, "success")])
        self.found(row, runs=[run, ("d", "r2", DAY + timedelta(days=1), "success")])

    def test_a_run_that_failed_is_found(self):
        self.found("every run", runs=[("d", "r", DAY, "failed")])

    def test_tries_without_an_outcome_with_two_or_with_a_false_one_are_found(self):
        row, good = "each try", facts()
        self.found(row, tries=good.tries[1:])
        self.found(row, tries=[*good.tries, good.tries[0]])
        self.found(row, notes=[*good.notes, "d r t -1 1 begin"])
        self.found(row, notes=[note for note in good.notes if note != "d r t -1 2 end"])
        self.found(row, notes=[*good.notes, "d r t -1 3 begin"])

    def test_a_try_that_stock_has_forgotten_is_none_but_its_successor_is_one(self):
        good = facts()
        lost = replace(good, tries=good.tries[1:], notes=[*good.notes, "d r t -1 1 begin"], forgotten={("d", "r", "t", -1, 1)})
        self.assertEqual(violated(lost), [])
        self.found("each try", tries=lost.tries, notes=[*lost.notes, "d r t -1 2 begin"], forgotten=lost.forgotten)

    def test_the_process_of_a_forgotten_try_may_end_in_the_place_of_the_next_one(self):
        good = facts()
        notes = [note for note in good.notes if note != "d r t -1 2 end"] + ["d r t -1 1 end"]
        lost = replace(good, tries=good.tries[1:], notes=notes, forgotten={("d", "r", "t", -1, 1)})
        self.assertEqual(violated(lost), [])
        self.found("each try", tries=lost.tries, notes=notes)

    def test_a_try_that_was_killed_before_it_could_note_anything_is_none(self):
        good = facts()
        self.assertEqual(violated(replace(good, notes=[note for note in good.notes if note != "d r t -1 1 begin"])), [])

    def test_rows_that_are_stuck_and_pools_that_are_held_are_found(self):
        running = [("d", "r", "t", -1, 2, "running")]
        self.found("no row is stuck", now=running)
        self.found("pools", now=running)
        self.found("pools", exceeded=["3 instead of 2 slots"])
        self.found("no row is stuck", runs=[("d", "r", DAY, "running")])
        self.found("no row is stuck", left_to_judge=1)

    def test_events_that_are_lost_double_or_unconfirmed_are_found(self):
        row = "no event"
        self.found(row, stored=[])
        self.found(row, fired=[])
        self.found(row, fired=["1", "1"])
        self.found(row, fired=["1", "2"])
        self.found(row, unconfirmed=["2"])


class Echo(threading.Thread):
    """Answers on one connection after the other with what it is sent."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection, contextlib.suppress(ConnectionResetError):
                while data := connection.recv(100):
                    connection.sendall(data)


class Proxies(unittest.TestCase):
    def setUp(self):
        echo = Echo()
        echo.start()
        self.proxy = Proxy(echo.port)
        self.addCleanup(self.proxy.close)
        self.client = socket.create_connection(("127.0.0.1", self.proxy.port), timeout=20)
        self.addCleanup(self.client.close)

    def test_what_is_stalled_comes_when_it_flows_again(self):
        self.client.sendall(b"one")
        self.assertEqual(self.client.recv(100), b"one")
        self.proxy.stall()
        self.client.sendall(b"two")
        self.client.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            self.client.recv(100)
        self.client.settimeout(20)
        self.proxy.flow()
        self.assertEqual(self.client.recv(100), b"two")

    def test_a_cut_ends_the_connection(self):
        self.client.sendall(b"one")
        self.assertEqual(self.client.recv(100), b"one")
        self.assertEqual(self.proxy.cut(), 1)
        with self.assertRaises(ConnectionResetError):
            self.client.recv(100)


if __name__ == "__main__":
    unittest.main()
