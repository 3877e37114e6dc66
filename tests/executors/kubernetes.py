"""KubernetesExecutor of its provider, unmodified, under Slipstream, against a small API server that runs pods as processes.

    python tests/executors/kubernetes.py

Pods are created, watched to their success and failure, deleted, adopted by the next scheduler after `kill -9`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
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


def a_pod_is_adopted(d: Deployment, cluster: Cluster) -> None:
    notes = Path(d.env["NOTES"])
    run = d.trigger("long_pod")
    d.wait("the pod runs", lambda: (notes / "notes").exists())
    d.kill(SCHEDULER, signal.SIGKILL, group=False)
    d.spawn(SCHEDULER)

    def adopted():
        job = d.sql("select max(id) from job where job_type = 'SchedulerJob'")[0][0]
        workers = [pod["metadata"]["labels"]["airflow-worker"] for pod in list(cluster.pods.values())
                   if pod["metadata"]["labels"].get("dag_id") == "long_pod"]
        return workers == [job] and d.sql(
            f"select queued_by_job_id from task_instance where run_id = '{run}'") == [[job]]

    d.wait("the pod is adopted", adopted)
    (notes / "go").touch()
    assert d.wait_runs("long_pod", [run], 180) == {run: "success"}
    assert d.sql(f"select try_number from task_instance where run_id = '{run}'") == [["1"]]
    assert (notes / "notes").read_text() == "start\n"
    d.wait("the adopted pod is deleted", lambda: not [
        pod for pod in list(cluster.pods.values()) if pod["metadata"]["labels"].get("dag_id") == "long_pod"])


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
    with d:
        env |= {key: value for key, value in d.environ().items() if key not in os.environ or key.startswith("AIRFLOW")}
        d.wait_dags(["pods", "long_pod"])
        for case in (pods_end_and_are_deleted, a_pod_is_adopted):
            started = time.time()
            try:
                case(d, cluster)
                print(f"ok     kubernetes {case.__name__} {time.time() - started:.0f} s", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"FAILED kubernetes {case.__name__}: {error}", flush=True)
                break
    if failed:
        print(f"logs: {home}", flush=True)
    else:
        shutil.rmtree(home, ignore_errors=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
