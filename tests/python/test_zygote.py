"""What the task zygote does before the first fork leaves no trace but speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "airflow_compat"

sys.path.insert(0, str(PACKAGE))

POLICY = """
from airflow.policies import hookimpl

@hookimpl
def task_policy(task):
    open(__file__ + ".called", "a").close()
"""


def run(script: str, **files: str) -> dict:
    """Run a script in a process with an ``AIRFLOW_HOME`` of its own; return what it prints as JSON in its last line."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "config").mkdir()
        for name, text in files.items():
            (Path(home) / "config" / f"{name}.py").write_text(text)
        env = {**os.environ, "AIRFLOW_HOME": home, "PYTHONPATH": str(PACKAGE), "HOME_CONFIG": f"{home}/config"}
        env |= {"_AIRFLOW_PROCESS_CONTEXT": "client", "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        env |= {"AIRFLOW__CORE__DEFAULT_IMPERSONATION": "nobody"}
        result = subprocess.run([sys.executable, "-W", "ignore", "-c", script], env=env, capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(result.stderr[-3000:])
    return json.loads(result.stdout.splitlines()[-1])


class Rehearsal(unittest.TestCase):
    """A task and a parse that nobody sees."""

    def test_it_goes_through_and_the_process_is_as_before(self) -> None:
        seen = run(
            """
import json, os, signal, sys
from slipstream._host import preload, rehearsal
preload.load("task", [])
preload.parsing()
from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.listener import get_listener_manager

class Listener:
    def __getattr__(self, name):
        raise AssertionError("a listener was called: " + name)

def state():
    modules = [n for n in sys.modules if n.startswith("unusual_prefix")]
    swapped = [task_runner.DagBundlesManager, task_runner.stats, task_runner.tracer, task_runner.get_hostname, comms.socket]
    return [dict(os.environ), list(sys.path), modules, [id(o) for o in swapped], signal.getsignal(signal.SIGTERM),
            hasattr(task_runner, "SUPERVISOR_COMMS"), preload.thread_count(), len(os.listdir("/proc/self/fd"))]

before = state()
went = [rehearsal.rehearse(kind) for kind in ("task", "parse")]
called = os.path.exists(os.environ["HOME_CONFIG"] + "/airflow_local_settings.py.called")
print(json.dumps({"went": went, "same": state() == before, "policy": called}))
""",
            airflow_local_settings=POLICY,
        )
        self.assertEqual(seen, {"went": [True, True], "same": True, "policy": False})


class Attributes(unittest.TestCase):
    """The faster way to set an operator's attributes."""

    def test_an_operator_is_the_same_as_with_airflows_own_method(self) -> None:
        seen = run(
            """
import json
from datetime import datetime, timedelta
from airflow.sdk import DAG, BaseOperator, setup, task
from airflow.providers.standard.operators.bash import BashOperator
from airflow.serialization.serialized_objects import DagSerialization

class Mixed:
    def __setattr__(self, key, value):
        object.__setattr__(self, key, value)
        if key == "queue":
            object.__setattr__(self, "seen_by_mixin", value)

class Operator(BaseOperator, Mixed):
    template_fields = ("x",)
    def __init__(self, x=None, **kwargs):
        super().__init__(**kwargs)
        self.x = x

def build():
    out = []
    with DAG("d", schedule=None, start_date=datetime(2024, 1, 1), catchup=False) as dag:
        one = BashOperator(task_id="one", bash_command="true", retries="3", retry_delay=7, max_retry_delay=9)
        two = Operator(task_id="two", queue="q")
        two.x = one.output
        two.retries = "5"
        two.retry_delay = 3
        BashOperator.partial(task_id="three", retries=2).expand(bash_command=["a", "b"])
        @setup
        @task
        def prepare(): pass
        prepare() >> one
        for wrong in ({"retries": "x"}, {"pool_slots": 0}, {"trigger_rule": "no"}):
            try:
                BashOperator(task_id="wrong", bash_command="true", **wrong)
            except Exception as error:
                out.append(repr(error))
        try:
            prepare.operator.is_teardown = True
        except Exception as error:
            out.append(repr(error))
    out += [two.seen_by_mixin, two.retries, str(two.retry_delay), sorted(two.upstream_task_ids)]
    out += [{k: repr(v) for k, v in sorted(two._BaseOperator__init_kwargs.items()) if k not in ("dag", "task_group", "params")}]
    dag.task_dict.pop("wrong", None)
    return out + [DagSerialization.to_dict(dag)["dag"]["tasks"]]

from slipstream._host import attributes
stock = build()
installed = attributes.install()
print(json.dumps({"installed": installed, "same": build() == stock, "things": len(stock)}, default=str))
"""
        )
        self.assertTrue(seen["installed"], "this Airflow's method is not known: compare, then add its digest")
        self.assertTrue(seen["same"])
        self.assertGreater(seen["things"], 6)


class TriggeringEvents(unittest.TestCase):
    """The events that made a run."""

    def test_every_task_of_such_a_run_has_them_and_no_other_context_changes(self) -> None:
        seen = run(
            """
import json
from types import SimpleNamespace
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from slipstream._host import triggering
RuntimeTaskInstance.get_template_context = lambda ti: {"ti": 1, "dag_run": SimpleNamespace(conf=ti)}
triggering.install()
triggering.install()
contexts = [RuntimeTaskInstance.get_template_context(conf) for conf in
            ({"triggering_events": [{"key": "k"}], "x": 1}, {"x": 1}, None, {"triggering_events": "mine"})]
print(json.dumps([context.get("triggering_events") for context in contexts] + [len(context) for context in contexts]))
"""
        )
        self.assertEqual(seen, [[{"key": "k"}], None, None, None, 3, 2, 2, 2])


class CallbackMetrics(unittest.TestCase):
    """Metrics of a child that runs callbacks of a Dag file."""

    def test_a_callback_that_raises_is_counted_and_a_parse_sends_nothing(self) -> None:
        seen = run(
            """
import json
from slipstream._host import preload
preload.parse_target()
from airflow._shared.observability.metrics import stats
from airflow.dag_processing import processor
from airflow.observability.metrics import stats_utils

sent = []

class Recorder:
    def incr(self, name, *args, tags=None, **kwargs):
        sent.append([name, tags])

stats_utils.get_stats_factory = lambda: Recorder
stats.incr("before")
run = lambda bag, requests, log: stats.incr("dag.callback_exceptions", tags={"dag_id": "d"})
from slipstream._host import callback_metrics
name = processor._execute_callbacks.__name__
callback_metrics.measured(run)(None, [], None)
print(json.dumps([name, hasattr(processor._execute_callbacks, "__wrapped__"), sent]))
"""
        )
        self.assertEqual(seen, ["_execute_callbacks", True, [["dag.callback_exceptions", {"dag_id": "d"}]]])


class Traced(unittest.TestCase):
    """A deployment that sends spans."""

    def test_a_zygote_has_one_thread_and_its_children_a_provider(self) -> None:
        seen = run(
            """
import json, os, socket
os.environ.update(AIRFLOW__TRACES__OTEL_ON="True", OTEL_TRACES_EXPORTER="otlp_proto_http")
from slipstream._host import hello, wire, zygote
ours, theirs = socket.socketpair()
pid = os.fork()
if pid == 0:
    ours.close()
    zygote.main(theirs, {"kind": "callback", "skip": []})
    os._exit(0)
theirs.close()
said = wire.read(ours)[0]
ours.close()
os.waitpid(pid, 0)
with hello.untraced():
    import airflow
from opentelemetry import trace
before = type(trace.get_tracer_provider()).__name__
hello.trace()
print(json.dumps([said.get("ready", said).get("threads"), before, type(trace.get_tracer_provider()).__name__]))
"""
        )
        self.assertEqual(seen, [1, "ProxyTracerProvider", "TracerProvider"])


class Kerberos(unittest.TestCase):
    """What the ``airflow`` command does before its role."""

    def test_its_variables_are_set_where_it_is_the_security(self) -> None:
        seen = run(
            """
import json, os
os.environ.update(AIRFLOW__CORE__SECURITY="kerberos", AIRFLOW__KERBEROS__CCACHE="/tmp/cc", AIRFLOW__KERBEROS__KEYTAB="k")
from slipstream._host import hello
hello.as_the_command()
print(json.dumps([os.environ["KRB5CCNAME"], os.environ["KRB5_KTNAME"]]))
"""
        )
        self.assertEqual(seen, ["/tmp/cc", "k"])


class Watching(unittest.TestCase):
    """What a parse child notes of what the file does."""

    def report(self, source: str, folder: str) -> dict:
        """Return what is noted while ``source`` is executed."""
        return run(
            f"""
import json, sys
sys.path.insert(0, {folder!r})
from slipstream._host import parse
watch = parse.Watch()
sys.addaudithook(watch.hook)
exec({source!r})
print(json.dumps(watch.report()))
"""
        )

    def test_what_is_looked_for_is_noted_also_where_python_says_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "data.csv").write_text("x")
            Path(folder, "pyodbc.py").write_text("")
            seen = self.report(
                f"import os; os.path.exists({folder!r} + '/none'); os.path.isdir({folder!r}); "
                f"os.close(os.open({folder!r} + '/data.csv', os.O_RDONLY))",
                folder,
            )
            self.assertEqual([seen["paths"], seen["outward"]], [[f"{folder}/data.csv", f"{folder}/none"], False])
            self.assertTrue(self.report("import sqlite3; sqlite3.connect(':memory:')", folder)["outward"])
            self.assertTrue(self.report("import pyodbc", folder)["outward"])
            self.assertTrue(
                self.report("import os, shutil; assert os.stat in os.supports_follow_symlinks", folder)["steady"]
            )

    def test_only_folders_of_packages_are_left_out(self) -> None:
        import sysconfig

        from slipstream._host.parse import installed

        own = tuple(installed())
        self.assertTrue(sysconfig.get_path("purelib").startswith(own) or sysconfig.get_path("purelib") + "/" in own)
        self.assertFalse(f"{sys.prefix}/airflow/dags/helpers.py".startswith(own))
        self.assertFalse("/etc/airflow/dags.yaml".startswith(own))


class Steady(unittest.TestCase):
    """Whether a source shows that its result may be another one the next time."""

    def test_a_clock_chance_and_the_environment_are_seen_and_what_cannot_be_read_is_not_trusted(self) -> None:
        from slipstream._host.parse import steady

        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "a.py"
            for source, expected in (
                ("from datetime import datetime\nd = datetime(2024, 1, 1)\nstart_time = 1\n", True),
                ("d = datetime.now()", False),
                ("import random", False),
                ("x = os.environ['X']", False),
                ("import time", False),
            ):
                place.write_text(source)
                self.assertEqual(steady(str(place)), expected, source)
            self.assertFalse(steady(folder + "/none.py"))
            self.assertFalse(steady(folder + "/native.so"))
            self.assertTrue(steady(folder + "/table.csv"))


if __name__ == "__main__":
    unittest.main()
