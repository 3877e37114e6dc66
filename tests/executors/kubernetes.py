"""KubernetesExecutor of its provider, unmodified, under Slipstream, against a small API server that runs pods as processes.

    python tests/executors/kubernetes.py

Pods are created, watched to their success and failure, deleted, and adopted by the next scheduler after `kill -9`, also those that
ended before it came.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "conformance")]
import engines  # noqa: E402
from fake_kubernetes import Cluster  # noqa: E402

PROVIDER = "apache-airflow-providers-cncf-kubernetes==10.25.0"
SCHEDULER = "slipstream scheduler"


def provider_packages() -> Path:
    """A folder with the provider and what it needs beyond the environment's packages; made when it is missing."""
    folder = ROOT / ".cache" / "kubernetes-provider"
    python = folder / "bin" / "python"
    done = folder / PROVIDER
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([engines.AIRFLOW_BIN / "python", "-m", "venv", folder], check=True)
        base = subprocess.run([engines.AIRFLOW_BIN / "python", "-c", ask], check=True, capture_output=True, text=True)
        own = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
        # The environment's packages count as installed, and stay as they are.
        (Path(own) / "base.pth").write_text(base.stdout)
        have = subprocess.run(
            [engines.AIRFLOW_BIN / "python", "-c", "from importlib.metadata import version as v; print(v('apache-airflow-core'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()
        subprocess.run([python, "-m", "pip", "install", "-q", PROVIDER, f"apache-airflow-core=={have}"], check=True)
        done.touch()
    return Path(subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip())


class Deployment(engines.Engine):
    killed: frozenset[int] = frozenset()

    def kill_scheduler(self) -> None:
        """Kill the scheduler alone, and see that what its executor has forked ends too: watchers, managers of queues."""
        others = {process.pid for role, process in self.procs.items() if role != SCHEDULER}
        before = {pid for pid in self.tree() if self.is_ours(pid)}
        self.kill(SCHEDULER, signal.SIGKILL, group=False)
        self.killed |= before - self.tree() - others
        self.wait("the executor's processes have ended", lambda: not self.outliving(), 20)

    def outliving(self) -> list[str]:
        """Processes of schedulers that were killed."""
        return [Path(f"/proc/{pid}/cmdline").read_text()[:60] for pid in self.killed if self.is_ours(pid)]

    def is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return str(self.home).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def stop(self) -> None:
        super().stop()
        for pid in filter(self.is_ours, self.killed):
            os.kill(pid, signal.SIGKILL)

    def wait(self, what: str, found, limit: float = 180):
        deadline = time.time() + limit
        while not (value := found()):
            if time.time() > deadline:
                rows = self.sql("select dag_id, task_id, state, try_number, queued_by_job_id from task_instance")
                raise AssertionError(f"{what}: not after {limit} s; {rows}; logs in {self.home}/proc")
            time.sleep(0.2)
        return value


def pods_end_and_are_deleted(d: Deployment, cluster: Cluster) -> None:
    run = d.trigger("pods")
    assert d.wait_runs("pods", [run], 300) == {run: "success"}, d.sql("select task_id, state, try_number from task_instance")
    assert d.sql(f"select task_id, try_number from task_instance where run_id = '{run}' order by 1") == [
        ["good", "1"], ["second_time_lucky", "2"]]
    created = [pod for _, kind, pod in cluster.history if kind == "ADDED"]
    # One more where a busy machine makes Airflow's task runner put a task off (`[workers] missing_dag_retries`).
    assert len(created) >= 3, [pod["metadata"]["name"] for pod in created]
    d.wait("pods that succeeded are deleted",
           lambda: sum(1 for method, _ in cluster.calls if method == "DELETE") >= 2)
    failed = [pod for pod in cluster.pods.values() if pod["status"]["phase"] == "Failed"]
    assert len(failed) == 1, "the pod that failed is kept, as the default says"


def made(cluster: Cluster, run: str) -> list[str]:
    """The pods that were made for a run."""
    return [pod["metadata"]["name"] for _, kind, pod in list(cluster.history)
            if kind == "ADDED" and pod["metadata"]["annotations"]["run_id"] == run]


def owners(cluster: Cluster, name: str) -> list[str]:
    """The schedulers that a pod belonged to, one after the other: their executors find it by this label."""
    found: list[str] = []
    for _, _, pod in list(cluster.history):
        label = pod["metadata"]["labels"]["airflow-worker"]
        if pod["metadata"]["name"] == name and found[-1:] != [label]:
            found.append(label)
    return found


def row(d: Deployment, run: str) -> list[str | None]:
    [found] = d.sql(f"select state, try_number, queued_by_job_id from task_instance where run_id = '{run}'")
    return found


def no_notes(d: Deployment) -> Path:
    """The folder by which test and pods talk, without what an earlier case has left there."""
    notes = Path(d.env["NOTES"])
    for name in ("notes", "go", "die"):
        (notes / name).unlink(missing_ok=True)
    return notes


def ended_once(d: Deployment, cluster: Cluster, run: str, pod: str, old: str, new: str) -> None:
    """The run succeeds at its first try, in this pod, which the schedulers had one after the other and which is deleted."""
    assert d.wait_runs("long_pod", [run], 180) == {run: "success"}
    d.wait("the adopted pod is deleted", lambda: pod not in cluster.pods)
    assert row(d, run) == ["success", "1", new]
    assert (Path(d.env["NOTES"]) / "notes").read_text() == "start\n"
    assert (made(cluster, run), owners(cluster, pod)) == ([pod], [old, new])


def a_scheduler_dies(d: Deployment, cluster: Cluster, order: str = "") -> tuple[str, str, str]:
    """A pod runs whose scheduler gets `kill -9`, and then does what it is ordered; the run, the pod, the scheduler's job."""
    notes = no_notes(d)
    run = d.trigger("long_pod")
    d.wait("the pod runs", lambda: (notes / "notes").exists())
    [pod] = made(cluster, run)
    state, try_number, job = row(d, run)
    assert (state, try_number) == ("running", "1"), (state, try_number)
    d.kill_scheduler()
    if order:
        (notes / order).touch()
    return run, pod, job


def a_pod_is_adopted(d: Deployment, cluster: Cluster) -> None:
    notes = Path(d.env["NOTES"])
    run, pod, old = a_scheduler_dies(d, cluster)
    d.spawn(SCHEDULER)
    new = d.wait("the pod is adopted", lambda: next(iter(owners(cluster, pod)[1:]), None))
    assert cluster.pods[pod]["status"]["phase"] == "Running"
    d.wait("the task instance is the new scheduler's", lambda: row(d, run) == ["running", "1", new])
    (notes / "go").touch()
    ended_once(d, cluster, run, pod, old, new)


def a_pending_pod_is_adopted(d: Deployment, cluster: Cluster) -> None:
    """No node has room for the pod until the next scheduler is there: its task is still queued."""
    notes = no_notes(d)
    cluster.room.clear()
    run = d.trigger("long_pod")
    [pod] = d.wait("the pod is made", lambda: made(cluster, run))
    state, try_number, old = row(d, run)
    assert (state, try_number) == ("queued", "1"), (state, try_number)
    d.kill_scheduler()
    d.spawn(SCHEDULER)
    new = d.wait("the pod is adopted", lambda: next(iter(owners(cluster, pod)[1:]), None))
    d.wait("the task instance is the new scheduler's", lambda: row(d, run) == ["queued", "1", new])
    assert cluster.pods[pod]["status"]["phase"] == "Pending"
    (notes / "go").touch()
    cluster.room.set()
    ended_once(d, cluster, run, pod, old, new)


def a_pod_that_succeeded_unseen_is_deleted(d: Deployment, cluster: Cluster) -> None:
    """Between two schedulers its task has reported its success to the api-server; nobody has looked at the pod."""
    notes = Path(d.env["NOTES"])
    run, pod, old = a_scheduler_dies(d, cluster, "go")
    d.wait("the pod has succeeded", lambda: cluster.pods[pod]["status"]["phase"] == "Succeeded")
    assert row(d, run) == ["success", "1", old]
    d.spawn(SCHEDULER)
    assert d.wait_runs("long_pod", [run], 180) == {run: "success"}
    d.wait("the completed pod is deleted", lambda: pod not in cluster.pods)
    assert row(d, run) == ["success", "1", old], "who queued it does not change once it has ended"
    assert (notes / "notes").read_text() == "start\n"
    [was, new] = owners(cluster, pod)
    assert (made(cluster, run), was) == ([pod], old) and new != old


def a_pod_that_failed_unseen_is_retried(d: Deployment, cluster: Cluster) -> None:
    """Between two schedulers the whole pod fails, so that nobody has reported the end of the try."""
    run, pod, old = a_scheduler_dies(d, cluster, "die")
    d.wait("the pod has failed", lambda: cluster.pods[pod]["status"]["phase"] == "Failed")
    assert row(d, run) == ["running", "1", old]
    d.spawn(SCHEDULER)
    assert d.wait_runs("long_pod", [run], 180) == {run: "success"}
    assert row(d, run)[:2] == ["success", "2"]
    [was, new] = owners(cluster, pod)
    [first, second] = made(cluster, run)
    assert (first, was) == (pod, old) and owners(cluster, second) == [new] and new != old
    assert cluster.pods[pod]["status"]["phase"] == "Failed", "the pod that failed is kept, as the default says"


CASES = (
    pods_end_and_are_deleted, a_pod_is_adopted, a_pending_pod_is_adopted, a_pod_that_succeeded_unseen_is_deleted,
    a_pod_that_failed_unseen_is_retried,
)


def main() -> int:
    home = Path(tempfile.mkdtemp(prefix="slipstream-kubernetes-"))
    (home / "notes").mkdir()
    env: dict[str, str] = {"POD_PYTHON": str(engines.AIRFLOW_BIN / "python")}
    cluster = Cluster(env, home / "pods.log")
    d = Deployment("kubernetes", home / "home", HERE / "dags", db="postgres",
                   roles=[SCHEDULER, "slipstream dag-processor"])
    d.env |= {
        "NOTES": str(home / "notes"),
        "PYTHONPATH": str(provider_packages()),
        "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
        "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(cluster.kubeconfig(home / "kubeconfig")),
        "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": "airflow",
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_REPOSITORY": "nobody/pulls-this",
        "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_CONTAINER_TAG": "1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    }
    d.env["AIRFLOW__CORE__EXECUTOR"] = "KubernetesExecutor"
    failed = 0
    with contextlib.closing(cluster), d:
        env |= {key: value for key, value in d.environ().items() if key not in os.environ or key.startswith("AIRFLOW")}
        d.wait_dags(["pods", "long_pod"])
        for case in CASES:
            started = time.time()
            try:
                case(d, cluster)
                print(f"ok     kubernetes {case.__name__} {time.time() - started:.0f} s", flush=True)
            # Whatever is wrong (a pod that is not there, two where one should be), the logs are kept.
            except Exception as error:
                failed += 1
                where = traceback.extract_tb(error.__traceback__)[1]
                print(f"FAILED kubernetes {case.__name__}, `{where.line}`: {error!r}", flush=True)
                break
    if failed:
        print(f"logs: {home}", flush=True)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
