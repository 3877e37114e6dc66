"""The page in Airflow's UI: what it shows, to whom, and what it asks the scheduler to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "conformance"))

from engines import Engine, free_port  # noqa: E402

SLIPSTREAM = os.environ.get("SLIPSTREAM_BIN") or str(ROOT / "target" / "debug" / "slipstream")

SEED = """
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.session import create_session
from sqlalchemy import text
now = "2026-01-02 03:04:05.678901+00:00"
with create_session() as session:
    session.add(DagBundleModel(name="dags-folder"))
    session.flush()
    for dag_id in ("mine", "other"):
        session.add(DagModel(dag_id=dag_id, bundle_name="dags-folder", fileloc="", timetable_type="t"))
    for number, key in enumerate(["drift", "model.published", "model.<b>gone</b>"], start=1):
        session.execute(text(
            "INSERT INTO slipstream_event (position, namespace, key, type, source, id, time, received_at, data, extensions) "
            "VALUES (:n, 'default', :key, 't', '/s', :id, :now, :now, :data, '{}')"),
            {"n": number, "key": key, "id": str(number), "now": now, "data": '{"score": 0.9}'})
    session.execute(text("UPDATE slipstream_log_head SET last_position = 3"))
    session.execute(text(
        "INSERT INTO slipstream_trigger (id, name, dag_id, origin, spec, spec_hash, status, from_position, created_at, updated_at) "
        "VALUES (7, 'mine:first', 'mine', 'dag', :spec, 'h', 'active', 0, :now, :now)"),
        {"spec": '{"on": {"event": {"key": "drift"}}}', "now": now})
    session.execute(text(
        "INSERT INTO slipstream_dead_letter (trigger_id, run_id, position, error, attempts, status, created_at) "
        "VALUES (7, '', 1, 'no such field: score', 2, 'parked', :now)"), {"now": now})
"""

# Schedulers: one each for every way in which they can be asked, or cannot.
JOBS = SEED + """
    for job, kind, host in [(5, "SchedulerJob", "127.0.0.3"), (6, "SchedulerJob", "127.0.0.1"), (7, "SchedulerJob", "127.0.0.2"),
                            (8, "SchedulerJob", "127.0.0.1"), (9, "DagProcessorJob", "127.0.0.1")]:
        session.execute(text(
            "INSERT INTO job (id, job_type, state, hostname, unixname, start_date, latest_heartbeat) "
            "VALUES (:id, :kind, 'running', :host, 'me', :now, :now)"), {"id": job, "kind": kind, "host": host, "now": now})
"""

SCRIPT = """
import json, sys
from airflow.api_fastapi.app import init_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient
exec(sys.argv[1])
manager = init_auth_manager()
manager.init()
from slipstream.ui.app import app
token = lambda role: {"Authorization": "Bearer " + manager.generate_jwt(SimpleAuthManagerUser(username=role, role=role))}
client = TestClient(app)
told = {}
for name, role, method, path, body in json.loads(sys.argv[2]):
    headers = token(role) if role else {}
    if body is not None and "no header" not in name:
        headers["X-Slipstream"] = "page"
    answer = client.request(method, path, headers=headers, json=body)
    kind = answer.headers.get("content-type", "")
    told[name] = [answer.status_code, answer.json() if "json" in kind else answer.text]
print(json.dumps(told))
"""


class Scheduler(BaseHTTPRequestHandler):
    """Notes what it is asked for, and agrees."""

    asked: list[tuple[str, str, str]] = []
    health = b""

    def answer(self) -> None:
        if self.path == "/health":
            self.tell(self.health)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.asked.append((self.command, self.path, body))
        self.tell(json.dumps({"status": "paused", "lines": ["mine:first: fired"]}).encode())

    def tell(self, told: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    do_GET = do_POST = answer

    def log_message(self, *_) -> None:
        """Say nothing."""


def pulse(job: int) -> dict:
    """Return what the health server of a scheduler says."""
    now = "2026-01-02T03:04:05.678901Z"
    rounds = {"window": 60, "count": 4, "p50": 2.5, "p99": 7.25, "max": 7.25, "last": 2.0, "ended_at": now}
    return {"job_id": job, "step": {"name": "wait", "since": now}, "rounds": rounds}


def answers(db: str, requests: list[tuple], url: str, seed: str = SEED, port: int = 0) -> dict[str, list]:
    """Return what the page's server answers to requests on a database of its own.

    Without a seed it has none of our tables; `port` is where schedulers of other machines answer.
    """
    with tempfile.TemporaryDirectory(prefix="slipstream-test-") as home:
        engine = Engine("stock", Path(home), Path(home) / "dags", db, port=free_port())
        engine.log_port = 0
        try:
            engine.migrate()
            env = {**engine.environ(), "PYTHONPATH": str(ROOT / "airflow_compat"), "AIRFLOW__SLIPSTREAM__EVENTS_URL": url}
            del env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"]
            if port:
                env["AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT"] = str(port)
            if seed:
                subprocess.run([SLIPSTREAM, "db", "migrate"], env=env, check=True, capture_output=True)
            command = [sys.executable, "-W", "ignore", "-c", SCRIPT, seed, json.dumps(requests)]
            result = subprocess.run(command, env=env, capture_output=True, text=True)
        finally:
            engine.stop()
    if result.returncode:
        raise AssertionError(result.stderr[-3000:])
    return json.loads(result.stdout.splitlines()[-1])


class Page(unittest.TestCase):
    """Whole requests on both databases, with Airflow's own users."""

    def setUp(self) -> None:
        Scheduler.asked = []
        self.url = f"http://127.0.0.1:{self.serve(Scheduler)}"

    def serve(self, handler: type[BaseHTTPRequestHandler]) -> int:
        """Start a server of this test; return its port."""
        server = HTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_port

    def test_it_shows_what_is_in_the_database_to_those_who_may_see_it(self) -> None:
        requests = [
            ("page", None, "GET", "/", None),
            ("script", None, "GET", "/static/page.js", None),
            ("nobody", None, "GET", "/api/overview", None),
            ("overview", "admin", "GET", "/api/overview", None),
            ("events", "op", "GET", "/api/events?key=model.*", None),
            ("events of nobody", None, "GET", "/api/events", None),
            ("triggers", "viewer", "GET", "/api/triggers", None),
            ("letters", "viewer", "GET", "/api/letters", None),
            ("executions", "viewer", "GET", "/api/executions", None),
            ("runs", "viewer", "GET", "/api/runs", None),
            ("bars", "viewer", "GET", "/api/bars?dag_id=mine&run_id=r", None),
        ]
        for db in ["sqlite"] + ["postgres"] * ("PG_ADMIN_URL" in os.environ):
            with self.subTest(db=db):
                told = answers(db, requests, self.url)
                self.assertEqual(told["page"][0], 200)
                self.assertIn("static/page.js", told["page"][1])
                self.assertEqual(told["script"][0], 200)
                self.assertEqual(told["nobody"][0], 401)
                self.assertEqual(
                    told["overview"][1]["counts"],
                    {"events": 3, "triggers": 1, "parked": 1, "failed": 0, "pending": 0, "behind": 3},
                )
                events = told["events"][1]["events"]
                self.assertEqual([event["position"] for event in events], [3, 2])
                self.assertEqual(events[0]["data"], {"score": 0.9})
                self.assertEqual(events[0]["time"][:19], "2026-01-02T03:04:05")
                self.assertEqual(told["events of nobody"][0], 401)
                [trigger] = told["triggers"][1]["triggers"]
                self.assertEqual((trigger["name"], trigger["parked"], trigger["firings"]), ("mine:first", 1, 0))
                self.assertEqual(trigger["spec"]["on"], {"event": {"key": "drift"}})
                [letter] = told["letters"][1]["letters"]
                self.assertEqual((letter["error"], letter["attempts"]), ("no such field: score", 2))
                for name in ("executions", "runs", "bars"):
                    self.assertEqual((told[name][0], list(told[name][1].values())), (200, [[]]), name)

    def test_without_our_tables_it_says_that_no_scheduler_has_run_yet(self) -> None:
        requests = [(name, "admin", "GET", f"/api/{name}", None) for name in ("overview", "events", "triggers", "letters", "executions")]
        told = answers("sqlite", requests, self.url, seed="")
        for name in ("events", "triggers", "letters", "executions"):
            self.assertEqual(told[name][0], 503, name)
            self.assertIn("no Slipstream scheduler has run", told[name][1]["detail"])
        self.assertEqual(told["overview"][0], 200)
        self.assertEqual((told["overview"][1]["ready"], told["overview"][1]["counts"]), (False, {}))

    def test_it_changes_triggers_only_for_those_who_may_change_the_dag(self) -> None:
        path = "/api/triggers/mine:first"
        requests = [
            ("viewer", "viewer", "POST", f"{path}/pause", {}),
            ("admin, no header", "admin", "POST", f"{path}/pause", {}),
            ("pause", "admin", "POST", f"{path}/pause", {}),
            ("retry", "admin", "POST", f"{path}/retry", {"position": 1}),
            ("delete", "admin", "POST", f"{path}/delete", {}),
            ("unknown", "admin", "POST", "/api/triggers/nobody/pause", {}),
            ("explain", "admin", "GET", "/api/explain?event=1", None),
        ]
        told = answers("sqlite", requests, self.url)
        status = {name: answer[0] for name, answer in told.items()}
        expected = {"viewer": 403, "admin, no header": 403, "pause": 200, "retry": 200, "delete": 422, "unknown": 404}
        self.assertEqual(status, {**expected, "explain": 200})
        self.assertEqual(
            Scheduler.asked,
            [
                ("POST", "/triggers/mine%3Afirst/pause", "{}"),
                ("POST", "/triggers/mine%3Afirst/retry", '{"position":1}'),
                ("GET", "/triggers/explain?event=1", ""),
            ],
        )

    def test_it_shows_how_the_loops_of_all_schedulers_go_and_which_cannot_be_asked(self) -> None:
        url = f"http://127.0.0.1:{self.serve(type('Near', (Scheduler,), {'health': json.dumps(pulse(5)).encode()}))}"
        port = self.serve(type("Far", (Scheduler,), {"health": json.dumps(pulse(6)).encode()}))
        requests = [("nobody", None, "GET", "/api/loops", None), ("viewer", "viewer", "GET", "/api/loops", None)]
        for db in ["sqlite"] + ["postgres"] * ("PG_ADMIN_URL" in os.environ):
            with self.subTest(db=db):
                told = answers(db, requests, url, JOBS, port)
                self.assertEqual(told["nobody"][0], 401)
                near, far, silent, second = told["viewer"][1]["loops"]
                # Its machine cannot be reached, but the address for events is its own.
                self.assertEqual(near, {"hostname": "127.0.0.3", **pulse(5)})
                self.assertEqual(far, {"hostname": "127.0.0.1", **pulse(6)})
                self.assertEqual((silent["job_id"], silent["hostname"]), (7, "127.0.0.2"))
                self.assertRegex(silent["error"], rf"cannot be asked at http://127.0.0.2:{port} \(.*enable_health_check")
                self.assertEqual(second["job_id"], 8)
                self.assertIn("the scheduler with job 6 answers, not this one", second["error"])

    def test_a_stock_scheduler_is_said_to_tell_nothing_of_its_loop(self) -> None:
        port = self.serve(Scheduler)
        told = answers("sqlite", [("loops", "admin", "GET", "/api/loops", None)], f"http://127.0.0.1:{port}", JOBS, port)
        [loop, _] = [loop for loop in told["loops"][1]["loops"] if loop["hostname"] == "127.0.0.1"]
        self.assertIn("does not say how its loop goes", loop["error"])

    def test_a_scheduler_that_does_not_answer_is_named_with_what_to_do(self) -> None:
        url = f"http://127.0.0.1:{free_port()}"
        told = answers("sqlite", [("explain", "admin", "GET", "/api/explain?event=1", None)], url)
        self.assertEqual(told["explain"][0], 502)
        self.assertIn("events_url", told["explain"][1]["detail"])


if __name__ == "__main__":
    unittest.main()
