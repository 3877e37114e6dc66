"""An executor for tests: what it is given becomes a file, and files tell it what becomes of that."""

import os
import time
from pathlib import Path

from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState

HOUSE = Path(os.environ["HOUSE"])


class HouseExecutor(BaseExecutor):
    pre_assigns_external_executor_id = False

    def start(self):
        # As watchers of other executors do, it goes on until it is ended.
        watcher = os.fork()
        if not watcher:
            time.sleep(3600)
        (HOUSE / "watcher").write_text(f"{watcher} ")

    def _process_workloads(self, workload_items):
        for workload in workload_items:
            key = workload.ti.key
            del self.queued_tasks[key]
            self.running.add(key)
            self.say("given", key, workload.model_dump_json())
            self.event_buffer[key] = (TaskInstanceState.QUEUED, f"house-{key.task_id}")

    def say(self, what, key, text):
        # The test never sees half of it.
        whole = self.file("unfinished", key)
        whole.write_text(text)
        whole.rename(self.file(what, key))

    def file(self, what, key):
        return HOUSE / f"{what}-{key.task_id}"

    def sync(self):
        if self.asked("hang"):
            time.sleep(3600)
        if self.asked("crash"):
            os._exit(3)
        if self.asked("raise"):
            raise ConnectionError("the broker is away")
        for key in list(self.running):
            if self.file("success", key).exists():
                self.success(key)
            elif self.file("failed", key).exists():
                self.fail(key, "the house says so")

    def asked(self, what):
        if not (HOUSE / what).exists():
            return False
        (HOUSE / what).unlink()
        return True

    def try_adopt_task_instances(self, tis):
        refused = []
        for ti in tis:
            if self.file("given", ti.key).exists():
                self.running.add(ti.key)
                self.say("adopted", ti.key, str(ti.queued_by_job_id))
            else:
                refused.append(ti)
        return refused

    def revoke_task(self, *, ti):
        self.running.discard(ti.key)
        self.queued_tasks.pop(ti.key, None)

    def end(self):
        (HOUSE / "ended").touch()


class FixedExecutor(HouseExecutor):
    """One that names its work beforehand and cannot give it back."""

    pre_assigns_external_executor_id = True

    def revoke_task(self, *, ti):
        raise NotImplementedError
