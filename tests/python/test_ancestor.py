"""What the dag processor's ancestor does before it forks leaves its descendants as if each had loaded Airflow by itself."""

from __future__ import annotations

import unittest

from test_zygote import POLICY, run

LOADED = """
import json, os, signal, sys

def state():
    streams = [os.readlink(f"/proc/self/fd/{fd}") for fd in (1, 2)]
    signals = [repr(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGALRM)]
    return [dict(os.environ), list(sys.path), streams, signals, len(os.listdir("/proc/self/fd")), preload.thread_count()]

import airflow
from slipstream._host import logs, preload
before = state()
culprit = preload.load_shared([])
"""


class Shared(unittest.TestCase):
    """What is loaded and rehearsed once for all."""

    def test_every_step_goes_through_and_the_process_is_as_before(self) -> None:
        seen = run(
            LOADED
            + """
import structlog
went = {}
for name, step in preload.SHARED_STEPS.items():
    try:
        step()
        went[name] = True
    except Exception as error:
        went[name] = repr(error)
called = os.path.exists(os.environ["HOME_CONFIG"] + "/airflow_local_settings.py.called")
from sqlalchemy import text
from airflow.utils.session import create_session
with create_session() as session:
    answer = session.scalar(text("select 7"))
after = state()
session.bind.dispose()
print(json.dumps({"went": set(went.values()) == {True} or went, "same": state() == before or [before, state()], "culprit": culprit,
    "policy": called, "database": answer, "kept": structlog.get_config()["cache_logger_on_first_use"]}))
""",
            airflow_local_settings=POLICY,
        )
        expected = {"went": True, "same": True, "culprit": None, "policy": False, "database": 7, "kept": True}
        self.assertEqual(seen, expected)

    def test_a_child_logs_to_its_own_channel_also_where_the_rehearsal_has_logged(self) -> None:
        seen = run(
            LOADED
            + """
from pathlib import Path
from airflow.dag_processing.dagbag import BundleDagBag
preload.load("parse", [])
channel = logs.Channel()
read, write = os.pipe()
channel.take(write)
folder = Path(os.environ["AIRFLOW_HOME"], "dags")
folder.mkdir()
for name, text in (("good", "from airflow.sdk import DAG\\nDAG('good', schedule=None)"), ("bad", "from airflow.sdk import DAG\\n1 / 0")):
    (folder / f"{name}.py").write_text(text)
    BundleDagBag(dag_folder=str(folder / f"{name}.py"), bundle_path=folder, bundle_name="b")
os.close(channel.fd)
lines = [json.loads(line) for line in open(read)]
print(json.dumps([line["event"] for line in lines]))
"""
        )
        self.assertTrue(any("Failed to import" in event for event in seen), seen)
        self.assertTrue(any("Filling up the DagBag" in event for event in seen), seen)


if __name__ == "__main__":
    unittest.main()
