"""The package `slipstream` in Dag files: what it writes, how Airflow takes it, and how early it tells of mistakes."""

import json
import os
import pickle
import sys
import tempfile
import threading
import unittest
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="slipstream-test-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "airflow_compat"))

from airflow.providers.standard.operators.bash import BashOperator  # noqa: E402
from airflow.providers.standard.operators.python import PythonOperator  # noqa: E402
from airflow.sdk import DAG, Asset, task, task_group  # noqa: E402
from airflow.serialization.serialized_objects import DagSerialization  # noqa: E402

import slipstream  # noqa: E402
from slipstream import (  # noqa: E402
    AssetUpdate,
    Event,
    EventSchedule,
    RunState,
    TaskState,
    Tick,
    by_data,
    none_for,
    periodic,
    restart_on,
    sequence,
    start_on,
    stop_on,
    stop_run_on,
    streaming,
)
from slipstream import events as log  # noqa: E402
from slipstream.tasks import TriggeringEvents  # noqa: E402


def triggers(operator):
    return operator.executor_config["slipstream"]["triggers"]


def bash(task_id, **kwargs):
    return BashOperator(task_id=task_id, bash_command="true", **kwargs)


class Conditions(unittest.TestCase):
    def test_a_term_writes_only_what_is_not_usual(self):
        self.assertEqual(Event("k").to_json(), {"event": {"key": "k"}})
        self.assertEqual(
            Event("m.*", type="t", namespace="*", sender="s", where="data > 1").to_json(),
            {"event": {"key": "m.*", "type": "t", "namespace": "*", "sender": "s", "where": "data > 1"}},
        )

    def test_groups_of_a_kind_become_one_and_keep_their_order(self):
        a, b, c = Event("a"), Event("b"), Event("c")
        self.assertEqual([part["event"]["key"] for part in (a & b & c).to_json()["all"]], ["a", "b", "c"])
        self.assertEqual(list((a & b | c).to_json()), ["any"])
        self.assertEqual(list(sequence(a, sequence(b, c)).to_json()["sequence"][1]), ["sequence"])

    def test_methods_wrap_in_the_order_they_are_called(self):
        self.assertEqual(
            Event("s").count(3, distinct="data.shard").within(hours=1).to_json(),
            {"within": {"of": {"count": {"of": {"event": {"key": "s"}}, "n": 3, "distinct": "data.shard"}}, "seconds": 3600}},
        )
        self.assertEqual(none_for(Event("h"), minutes=10).to_json(), {"none": {"of": {"event": {"key": "h"}}, "seconds": 600}})
        self.assertEqual(Event("h").debounce(0.5).to_json()["debounce"]["seconds"], 0.5)
        self.assertEqual(Event("n").sum("data.value", at_least=100).to_json()["sum"]["at_least"], 100)
        self.assertEqual(Event("n").by("data.k").to_json(), {"by": {"of": {"event": {"key": "n"}}, "field": "data.k"}})

    def test_repeated_reaches_every_term(self):
        both = (Event("a") & Event("b").count(2)).repeated().to_json()["all"]
        self.assertTrue(both[0]["event"]["repeated"])
        self.assertTrue(both[1]["count"]["of"]["event"]["repeated"])
        self.assertNotIn("repeated", Event("a").repeated().once().to_json()["event"])

    def test_ticks_assets_and_runs(self):
        self.assertEqual(Tick("0 9 * * *", timezone="Europe/Zurich").to_json(), {"tick": {"cron": "0 9 * * *", "timezone": "Europe/Zurich"}})
        self.assertEqual(Tick(interval=timedelta(minutes=2)).to_json(), {"tick": {"interval": 120}})
        self.assertEqual(AssetUpdate(Asset("a", uri="s3://b/x")).to_json(), {"asset": {"uri": "s3://b/x"}})
        for text, stored in (("y://b", "y://b/"), ("s3://b/x/", "s3://b/x"), ("raw", "raw"), ("y://b*", "y://b*"), ("*", "*")):
            self.assertEqual(AssetUpdate(text).to_json(), {"asset": {"uri": stored}})
        self.assertEqual(RunState("etl", "failed").to_json(), {"run_state": {"dag_id": "etl", "states": ["failed"]}})
        self.assertEqual(RunState(None, "failed").to_json(), {"run_state": {"states": ["failed"]}})

    def test_a_function_goes_with_its_text_or_its_module(self):
        def enough(event, total: "Unknown"):  # noqa: F821
            import math

            return math.isfinite(event["data"]), total

        inside = Event("n").passes(enough, limit=2).to_json()["python"]
        self.assertEqual(inside["of"], {"event": {"key": "n"}})
        self.assertEqual((inside["function"], inside["limit"]), ("enough", 2))
        names = {}
        exec(inside["source"], names)
        self.assertEqual(names["enough"]({"data": 1.0}, 7), (True, 7))
        imported = Event("n").passes("company.checks.enough").to_json()
        self.assertEqual(imported, {"python": {"of": {"event": {"key": "n"}}, "function": "company.checks.enough"}})

    def test_a_function_that_could_not_run_by_itself_is_told_at_once(self):
        outside = 3

        def closes(event, state):
            return event["data"] > outside

        def uses(event, state):
            return isinstance(event, SimpleNamespace)

        def one(event):
            return True

        for wrong, message in [
            (closes, "uses outside from there"),
            (uses, "uses SimpleNamespace from there"),
            (one, "must take two arguments"),
            (lambda event, state: True, "written with `def`"),
            ("enough", "'module.function'"),
            (len, "written with `def`"),
        ]:
            with self.assertRaisesRegex((TypeError, ValueError), message):
                Event("n").passes(wrong)
        with self.assertRaisesRegex(ValueError, "at most 60"):
            Event("n").passes("a.b", limit=600)
        with self.assertRaisesRegex(ValueError, "single events"):
            (Event("a") & Event("b")).passes("a.b")

    def test_mistakes_are_told_at_once(self):
        wrong = [
            (lambda: Event(""), "empty"),
            (lambda: Event("a*b"), "before the end"),
            (lambda: Event("a") & "b", "did you mean Event('b')"),
            (lambda: Event("a") and Event("b"), "`&` and `|`"),
            (lambda: Event("a").count(0), "at least 1"),
            (lambda: Event("a").within(), "needs a time"),
            (lambda: Event("a").within(hours=-1), "more than nothing"),
            (lambda: Event("a").by("shard"), "no field of an event"),
            (lambda: (Event("a") & Event("b")).sum("data", at_least=1), "single events"),
            (lambda: TaskState("t", "done"), "no state"),
            (lambda: RunState("failed"), "name the Dag first"),
            (lambda: Tick("hourly"), "no cron expression"),
            (lambda: Tick(), "either"),
            (lambda: EventSchedule(), "needs a condition"),
            (lambda: EventSchedule(Event("k"), while_active="wait"), "run, skip, queue"),
            (lambda: EventSchedule(Event("k"), lane="lane"), "EventSchedule(lane=)"),
        ]
        for make, message in wrong:
            with self.subTest(message), self.assertRaises((TypeError, ValueError)) as caught:
                make()
            self.assertIn(message, str(caught.exception))


class DagFiles(unittest.TestCase):
    def example(self):
        with DAG(
            "retrain",
            schedule=EventSchedule(
                Event("drift", where="data.score > 0.8") & Event("samples.ready").count(3).within(hours=1)
            ),
        ) as dag:
            ingest = streaming(bash("ingest"))
            train = PythonOperator(task_id="train", python_callable=print)
            serve = bash("serve", executor_config={"pod_override": 1})
            start_on(train, Event("batch.prepared").by("data.shard"), when_running="queue")
            restart_on(serve, Event("model.published"))
            stop_on(ingest, TaskState(train, "success"), mark="success")

            @task
            def copy(number):
                print(number)

            start_on(copy.expand(number=[1, 2]), Event("go"))
        return dag

    def test_the_dag_passes_through_airflows_serialization(self):
        dag = self.example()
        data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        self.assertEqual(data["dag"]["timetable"]["__type"], "airflow.timetables.simple.NullTimetable")
        (trigger,) = data["dag"]["timetable"]["__var"]["slipstream"]["triggers"]
        self.assertEqual(trigger["do"], {"run": {"while_active": "run"}})
        again = DagSerialization.from_dict(data)
        self.assertFalse(again.timetable.can_be_scheduled)
        for task_id in dag.task_ids:
            expected = dag.get_task(task_id).executor_config
            found = again.get_task(task_id).executor_config
            self.assertEqual(found, expected)
            self.assertEqual(pickle.loads(pickle.dumps(found)), expected)

    def test_runs_with_partition_keys_need_no_more_than_the_option(self):
        with DAG("d", schedule=EventSchedule(Event("k"), partition_key="data.version")) as dag:
            bash("t")
        data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        self.assertIsInstance(dag.timetable, EventSchedule)
        self.assertEqual(data["dag"]["timetable"]["__type"], "airflow.timetables.simple.PartitionedAtRuntime")
        self.assertTrue(DagSerialization.from_dict(data).timetable.partitioned_at_runtime)
        (trigger,) = data["dag"]["timetable"]["__var"]["slipstream"]["triggers"]
        self.assertEqual(trigger["do"]["run"]["partition_key"], "data.version")

    def test_a_run_ends_by_a_condition_that_its_first_task_carries(self):
        with DAG("d") as dag:
            with self.assertRaisesRegex(ValueError, "'d': the Dag has no tasks yet"):
                stop_run_on(dag, Event("k"))
            one, two = bash("b"), bash("a")
            self.assertIs(stop_run_on(dag, Event("k"), mark="failed"), dag)
        self.assertEqual(triggers(two)[0]["do"], {"stop_run": {"mark": "failed"}})
        self.assertNotIn("slipstream", one.executor_config)
        with self.assertRaisesRegex(TypeError, "needs a Dag"):
            stop_run_on(one, Event("k"))

    def test_every_parse_gives_the_same_version(self):
        first, second = (json.dumps(DagSerialization.to_dict(self.example()), sort_keys=True) for _ in range(2))
        self.assertEqual(first, second)
        self.assertNotIn(" at 0x", first)

    def test_what_is_attached(self):
        dag = self.example()
        self.assertEqual(dag.get_task("ingest").executor_config["slipstream"]["streaming"], {})
        self.assertEqual(
            triggers(dag.get_task("ingest"))[0],
            {
                "version": 1,
                "on": {"task_state": {"task_id": "train", "states": ["success"]}},
                "do": {"stop": {"mark": "success"}},
            },
        )
        self.assertEqual(triggers(dag.get_task("train"))[0]["do"], {"start": {"mode": "gate", "when_running": "queue"}})
        self.assertEqual(triggers(dag.get_task("serve"))[0]["do"], {"restart": {"mode": "control"}})
        self.assertEqual(dag.get_task("serve").executor_config["pod_override"], 1)
        self.assertEqual(len(triggers(dag.get_task("copy"))), 1)

    def test_tasks_that_share_a_configuration_do_not_share_triggers(self):
        shared = {"pod_override": 1}
        with DAG("d", default_args={"executor_config": shared}):
            first, second = bash("first"), bash("second")
        start_on(first, Event("k"))
        self.assertNotIn("slipstream", second.executor_config)
        self.assertEqual(shared, {"pod_override": 1})

    def test_a_task_of_another_dag_is_named_with_its_dag(self):
        with DAG("other"):
            other = bash("t")
        with DAG("d"):
            mine = start_on(bash("mine"), TaskState(other, "success", "failed"))
        self.assertEqual(
            triggers(mine)[0]["on"], {"task_state": {"task_id": "t", "states": ["success", "failed"], "dag_id": "other"}}
        )

    def test_a_periodic_task_ticks(self):
        with DAG("d"):
            every = periodic(bash("every"), interval=60, overlap="restart")
            daily = periodic(bash("daily"), "0 9 * * *", overlap="queue")
        self.assertEqual(triggers(every)[0]["do"], {"restart": {"mode": "gate"}})
        self.assertEqual(triggers(daily)[0]["do"], {"start": {"mode": "gate", "when_running": "queue"}})
        self.assertEqual(daily.executor_config["slipstream"]["periodic"], {"overlap": "queue"})

    def test_data_dependencies_follow_from_inlets_and_outlets(self):
        raw, clean, prices = Asset("raw"), Asset("clean"), Asset("prices")
        with DAG("d") as dag:
            bash("wash", inlets=[raw], outlets=[clean])
            bash("report", inlets=[clean, prices])
            bash("apart")
            by_data(dag)
        self.assertEqual(triggers(dag.get_task("wash"))[0]["on"], {"asset": {"uri": "raw"}})
        self.assertEqual(
            triggers(dag.get_task("report"))[0]["on"],
            {"all": [{"task_state": {"task_id": "wash", "states": ["success"]}}, {"asset": {"uri": "prices"}}]},
        )
        self.assertEqual(dag.get_task("apart").executor_config, {})

    def test_data_that_a_mapped_task_makes_is_new_when_all_of_its_copies_are_done(self):
        parts, more = Asset("parts"), Asset("more")

        @task(outlets=[parts])
        def make(number):
            return number

        @task(outlets=[more])
        def more_of(number):
            return number

        @task_group
        def group(number):
            more_of(number)

        with DAG("d") as dag:
            make.expand(number=[1, 2, 3])
            group.expand(number=[1, 2])
            bash("join", inlets=[parts, more])
            by_data(dag)
        all_copies = [
            {"task_state": {"task_id": task_id, "states": ["success"], "where": "data.remaining == 0"}}
            for task_id in ("make", "group.more_of")
        ]
        self.assertEqual(triggers(dag.get_task("join"))[0]["on"], {"all": all_copies})

    def test_a_state_that_is_over_before_it_is_seen_is_refused(self):
        for state in ("scheduled", "queued"):
            with self.assertRaisesRegex(ValueError, f"TaskState\\('t'\\): '{state}' is often over before it is seen"):
                TaskState("t", "success", state)
        self.assertEqual(RunState(None, "queued").to_json(None), {"run_state": {"states": ["queued"]}})

    def test_mistakes_name_the_task(self):
        with DAG("d"):
            one = bash("one")
        with self.assertRaisesRegex(TypeError, "start_on\\(\\) on task 'd.one'"):
            start_on(one, "key")
        with self.assertRaisesRegex(ValueError, "'d.one': there is already a trigger named 'n'"):
            stop_on(start_on(one, Event("k"), name="n"), Event("k"), name="n")
        with self.assertRaisesRegex(TypeError, "needs a task"):
            start_on("one", Event("k"))
        with self.assertRaisesRegex(ValueError, "mode=\\) must be one of gate, event_only, control"):
            start_on(one, Event("k"), mode="or")

    def test_the_events_come_into_the_context_before_the_users_hook(self):
        seen = []
        with DAG("d"):
            mine = bash("mine", pre_execute=lambda context: seen.append(context["triggering_events"]))
            start_on(start_on(mine, Event("k")), Event("l"))
        ti = SimpleNamespace(task_id="mine", map_index=-1, xcom_pull=lambda **asked: [asked["key"]])
        self.assertIsInstance(mine._pre_execute_hook, TriggeringEvents)
        mine._pre_execute_hook({"ti": ti})
        ti.xcom_pull = lambda **asked: None
        mine._pre_execute_hook({"ti": ti})
        self.assertEqual(seen, [["triggering_events"], []])

    def test_a_run_of_the_dag_under_airflow_alone_is_an_ordinary_run(self):
        told = []
        with DAG("ordinary", schedule=EventSchedule(Event("k"))) as dag:

            @task
            def tell(triggering_events=None):
                told.append(triggering_events)

            start_on(tell(), Event("k"))
        hook = dag.get_task("tell")._pre_execute_hook
        context = {"ti": SimpleNamespace(task_id="tell", map_index=-1, xcom_pull=lambda **_: None)}
        hook(context)
        self.assertEqual(context["triggering_events"], [])


class Server:
    """Takes what is posted, and answers with what it was told to, then with success."""

    def __init__(self, *answers):
        taken, answers = [], list(answers)
        self.taken = taken

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                taken.append((self.path, self.headers.get("Authorization"), body))
                status = answers.pop(0) if answers else 200
                answer = b'{"events": [{"position": 7, "duplicate": false}]}' if status == 200 else b"no"
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Sending(unittest.TestCase):
    def setUp(self):
        log._ordinals.clear()

    def inside(self, **fields):
        usual = {"dag_id": "d", "run_id": "r", "task_id": "t", "id": "ti-1", "try_number": 2, "start_date": None}
        return mock.patch.object(log, "_task_instance", lambda: SimpleNamespace(**{**usual, **fields}))

    def test_outside_of_a_task_a_namespace_is_needed(self):
        with self.assertRaisesRegex(ValueError, "namespace must be given"):
            log.send("k")
        with Server() as server:
            self.assertEqual(log.send("k", 1, namespace="n", url=server.url, token="secret"), 7)
        ((path, token, event),) = server.taken
        self.assertEqual((path, token), ("/events", "Bearer secret"))
        self.assertEqual((event["subject"], event["namespace"], event["data"]), ("k", "n", 1))
        self.assertNotIn("runid", event)

    def test_a_task_sends_for_its_run_unless_it_says_otherwise(self):
        with Server() as server, self.inside():
            log.send("k", url=server.url)
            log.send("k", url=server.url, scope="all", type="mine", extensions={"color": "red"})
        first, second = (event for _, _, event in server.taken)
        self.assertEqual((first["scope"], first["dagid"], first["runid"]), ("run", "d", "r"))
        self.assertEqual((first["sender"], first["namespace"]), ("d.t", "default"))
        self.assertEqual((second["scope"], second["type"], second["color"]), ("all", "mine", "red"))
        self.assertEqual([first["id"], second["id"]], ["ti-1/2/0", "ti-1/2/1"])

    def test_what_is_sent_again_has_the_same_id(self):
        with Server(503, 500) as server, self.inside():
            self.assertEqual(log.send("k", url=server.url), 7)
        self.assertEqual([event["id"] for _, _, event in server.taken], ["ti-1/2/0"] * 3)

    def test_a_try_that_goes_on_in_another_process_has_other_ids(self):
        from datetime import datetime

        told = SimpleNamespace(next_method="resume", task_reschedule_count=0)
        with Server() as server, self.inside(_ti_context_from_server=told, start_date=datetime(2026, 1, 1)):
            log.send("k", url=server.url)
        self.assertEqual(server.taken[0][2]["id"], "ti-1/2/2026-01-01T00:00:00/0")

    def test_a_refusal_is_told_and_not_repeated(self):
        with Server(403) as server, self.inside(), self.assertRaisesRegex(log.EventNotSent, "403: no"):
            log.send("k", url=server.url)
        self.assertEqual(len(server.taken), 1)

    def test_a_scheduler_that_does_not_answer_is_named(self):
        with self.inside(), self.assertRaisesRegex(log.EventNotSent, "events_url"):
            log.send("k", url="http://127.0.0.1:9", timeout=0.2)

    def test_the_address_comes_from_the_configuration(self):
        with mock.patch.dict(os.environ, {"AIRFLOW__SLIPSTREAM__EVENTS_URL": "http://h:1/", "AIRFLOW__SLIPSTREAM__EVENTS_TOKEN": "x"}):
            self.assertEqual((log._option("events_url"), log._option("events_token")), ("http://h:1/", "x"))
        with mock.patch.dict(os.environ, {"AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "9999"}):
            self.assertEqual(log._default_url(), "http://127.0.0.1:9999")


class Package(unittest.TestCase):
    def test_importing_it_imports_nothing_of_airflow(self):
        import subprocess

        code = "import sys, slipstream, slipstream.events; print([name for name in sys.modules if name.startswith('airflow')])"
        path = str(Path(slipstream.__file__).parents[1])
        out = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True)
        self.assertEqual(out.stdout.strip(), "[]")


if __name__ == "__main__":
    unittest.main()
