"""CeleryExecutor under Slipstream: unmodified Celery workers and api-server, a real broker, and harm.

    python tests/executors/celery.py redis
    python tests/executors/celery.py rabbitmq --cases run,broker

With Redis it is broker and result backend; with RabbitMQ the result backend is the metadata database, as in most
deployments of Airflow. Each case ends with: every run succeeded, no try was executed twice, nothing is left in an
executor's hands.
"""

from __future__ import annotations

import argparse
import collections
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "conformance")]
import brokers  # noqa: E402
import engines  # noqa: E402

WORKER, SCHEDULER, STOCK = "airflow celery worker", "slipstream scheduler", "airflow scheduler"
PROCESSOR = "slipstream dag-processor"


class Deployment(engines.Engine):
    """One with Celery: a broker, and a proxy before the result backend."""

    kind = "redis"

    def prepare(self, broker: brokers.Server) -> None:
        self.broker, self.proxy = broker, None
        self.notes = self.home / "notes-of-tasks"
        self.notes.mkdir(parents=True)
        self.env |= {
            "NOTES": str(self.notes),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": broker.url(),
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "6",
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            "AIRFLOW__CELERY__OPERATION_TIMEOUT": "5",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
            "AIRFLOW__SLIPSTREAM__EXECUTOR_TIMEOUT": "15",
        }

    def migrate(self) -> None:
        super().migrate()
        if isinstance(self.broker, brokers.Redis):
            self.proxy = brokers.Proxy(("127.0.0.1", self.broker.port))
            self.env["AIRFLOW__CELERY__RESULT_BACKEND"] = self.broker.url(1, self.proxy.port)
            return
        url = self.sqlalchemy_url()
        server = url.rsplit("@", 1)[1].split("/")[0]
        host, port = server.split(":")
        self.proxy = brokers.Proxy((host, int(port)))
        self.env["AIRFLOW__CELERY__RESULT_BACKEND"] = "db+" + url.replace(server, f"127.0.0.1:{self.proxy.port}")

    def wait(self, what: str, query: str, wanted: str, limit: float = 60) -> None:
        deadline = time.time() + limit
        while (found := self.sql(query)) != [[wanted]]:
            if time.time() > deadline:
                raise AssertionError(f"{what}: {found} instead of {wanted} after {limit} s; {self.picture()}")
            time.sleep(0.2)

    def picture(self) -> str:
        rows = self.sql("select dag_id, run_id, task_id, map_index, state, try_number, external_executor_id, "
                        "queued_by_job_id from task_instance where state is distinct from 'success' order by 1, 2, 3, 4")
        jobs = self.sql("select id, state from job where job_type = 'SchedulerJob'")
        return f"task instances {rows}, schedulers {jobs}, logs in {self.home}/proc"

    def running(self, run: str, number: int = 3) -> None:
        self.wait("tasks run", "select count(*) from task_instance where state = 'running' and task_id = 'sleep' "
                  f"and run_id = '{run}'", str(number), 90)

    def finish(self, runs: dict[str, str], limit: float = 120) -> None:
        """Wait for the runs; all must succeed."""
        for run, dag in runs.items():
            ended = self.wait_runs(dag, [run], limit)
            assert ended == {run: "success"}, f"{ended}; {self.picture()}"

    def executions(self) -> dict[str, int]:
        """How often each try has begun and ended."""
        notes = self.notes / "notes"
        return collections.Counter(notes.read_text().splitlines() if notes.exists() else [])

    def nothing_twice(self) -> None:
        twice = {what: n for what, n in self.executions().items() if n > 1}
        assert not twice, twice

    def tries(self, run: str) -> list[str]:
        found = self.sql(f"select try_number from task_instance where run_id = '{run}' and task_id = 'sleep'")
        return [row[0] for row in found]

    def history(self, run: str) -> int:
        return int(self.sql(f"select count(*) from task_instance_history where run_id = '{run}'")[0][0])

    def job(self) -> str:
        return self.sql("select max(id) from job where job_type = 'SchedulerJob'")[0][0]


# -- cases -------------------------------------------------------------------------------------------------------------


def case_run(d: Deployment) -> None:
    """Mapped tasks, XComs, a retry, and a task that names the executor."""
    runs = {d.trigger("flow"): "flow" for _ in range(3)}
    d.finish(runs)
    nameless = d.sql("select count(*) from task_instance where dag_id = 'flow' and external_executor_id is null")
    assert nameless == [["0"]], nameless
    retried = d.sql("select count(*) from task_instance where task_id = 'second_time_lucky' and try_number = 2")
    assert retried == [[str(len(runs))]], retried


def case_worker(d: Deployment) -> None:
    """The worker and its tasks are killed: the tasks are found by their missing heartbeats and run again elsewhere."""
    run = d.trigger("slow")
    d.running(run)
    d.kill(WORKER)
    for pid in d.left_by_worker():
        os.kill(pid, signal.SIGKILL)
    d.spawn(WORKER)
    d.finish({run: "slow"}, 180)
    assert d.tries(run) == ["2"] * 3, d.tries(run)


def case_broker(d: Deployment) -> None:
    """The broker is killed and comes back, with tasks that run and tasks that are queued."""
    first = d.trigger("slow")
    d.running(first)
    d.broker.kill()
    second = d.trigger("slow")
    time.sleep(4)
    d.broker.start()
    d.finish({first: "slow", second: "slow"}, 240)


def case_backend(d: Deployment) -> None:
    """The result backend does not answer for a while: the scheduler goes on, its executor is replaced, work is adopted."""
    run = d.trigger("slow")
    d.running(run)
    d.proxy.stall()
    log = d.home / "proc" / "slipstream-scheduler.log"
    silent = time.time() + 22
    late = 0.0
    while time.time() < silent:
        age = d.sql("select extract(epoch from now() - latest_heartbeat) from job where id = "
                    "(select max(id) from job where job_type = 'SchedulerJob')")[0][0]
        late = max(late, float(age))
        time.sleep(0.5)
    d.proxy.flow()
    assert late < 6, f"the scheduler's heartbeat was {late} s late: its loop was held up"
    assert "it has not answered for 15s" in log.read_text(), "the executor was not replaced"
    d.finish({run: "slow", d.trigger("flow"): "flow"}, 240)
    assert d.tries(run) == ["1"] * 3 and d.history(run) == 0, d.picture()


def case_scheduler(d: Deployment) -> None:
    """The scheduler is killed: the next one adopts the tasks, which notice nothing."""
    run = d.trigger("slow")
    d.running(run)
    d.kill(SCHEDULER, signal.SIGKILL, group=False)
    before = d.job()
    d.spawn(SCHEDULER)
    d.wait("adopted", f"select count(*) from task_instance where run_id = '{run}' and task_id = 'sleep' "
           f"and queued_by_job_id > {before}", "3", 60)
    d.finish({run: "slow"})
    assert d.tries(run) == ["1"] * 3 and d.history(run) == 0, d.picture()


def case_switch(d: Deployment) -> None:
    """From ours to stock, and back, with tasks in flight."""
    runs = {}
    for old, new in ((SCHEDULER, STOCK), (STOCK, SCHEDULER)):
        (d.notes / "hold").touch()
        run = d.trigger("slow")
        d.running(run)
        d.kill(old, signal.SIGTERM, group=False)
        before = d.job()
        d.spawn(new)
        d.wait("adopted", f"select count(*) from task_instance where run_id = '{run}' and task_id = 'sleep' "
               f"and queued_by_job_id > {before}", "3", 90)
        (d.notes / "hold").unlink()
        runs[run] = "slow"
    d.finish(runs)
    for run in runs:
        assert d.tries(run) == ["1"] * 3 and d.history(run) == 0, d.picture()


CASES = {name.removeprefix("case_"): case for name, case in globals().items() if name.startswith("case_")}


def left_by_worker(d: Deployment) -> list[int]:
    """Task processes and supervisors that a killed worker has left."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        ours = f"AIRFLOW_HOME={d.home}\0".encode() in environ + b"\0"
        if ours and ("supervisor" in line or "task runner" in line or "celeryd" in line or "celery" in line):
            found.append(int(pid))
    return found


Deployment.left_by_worker = left_by_worker


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("broker", choices=["redis", "rabbitmq"])
    options.add_argument("--cases", default=",".join(CASES))
    options.add_argument("--keep", action="store_true", help="keep the logs of a run that went well")
    options = options.parse_args()
    home = Path(tempfile.mkdtemp(prefix="slipstream-celery-"))
    kind = {"redis": brokers.Redis, "rabbitmq": brokers.RabbitMQ}[options.broker]
    failed = []
    with kind() as broker:
        deployment = Deployment("celery", home / "home", HERE / "dags", db="postgres", roles=[SCHEDULER, PROCESSOR, WORKER])
        deployment.prepare(broker)
        with deployment as d:
            d.wait_dags(["flow", "slow"])
            for name in options.cases.split(","):
                started = time.time()
                try:
                    CASES[name](d)
                    d.nothing_twice()
                    d.wait("nothing is held", "select count(*) from task_instance where state in "
                           "('queued', 'running', 'restarting')", "0", 30)
                except (AssertionError, TimeoutError) as error:
                    failed.append(name)
                    print(f"FAILED {options.broker} {name} after {time.time() - started:.0f} s: {error}", flush=True)
                    break
                print(f"ok     {options.broker} {name} {time.time() - started:.0f} s: {CASES[name].__doc__}", flush=True)
    if failed or options.keep:
        print(f"logs: {home}", flush=True)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
