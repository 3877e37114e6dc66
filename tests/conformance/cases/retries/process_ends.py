import os
import signal
import sys
import time
from datetime import timedelta

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.exceptions import AirflowFailException
from conformance_witness import context_facts, say

CASE = {"about": "ends of a task process: kill -9, SIGTERM, sys.exit, os._exit, KeyboardInterrupt, SystemExit, with and without retries; retry policies; timeouts with retries", "limit": 250, "state_mismatch": True}


def note(kind):
    def f(context):
        say("process_ends", f"{kind} {context_facts(context)}")
    return f


CB = {f"on_{k}_callback": note(k) for k in ("success", "failure", "retry", "skipped")}

WAYS = {
    "kill": lambda: os.kill(os.getpid(), 9),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "exit0": lambda: sys.exit(0),
    "exit3": lambda: sys.exit(3),
    "_exit0": lambda: os._exit(0),
    "_exit5": lambda: os._exit(5),
    "kbd": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
    "base": lambda: (_ for _ in ()).throw(BaseException("b")),
    "abort": lambda: os.abort(),
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "outer": lambda: (os.system(f"(sleep 1; kill -SEGV {os.getpid()}) &"), time.sleep(60)),
}

with DAG("process_ends", schedule=None, default_args=CB):
    for w, f in WAYS.items():
        for retries in (0, 1):
            @task(task_id=f"{w}_{retries}", retries=retries, retry_delay=timedelta(seconds=4))
            def end(w=w):
                WAYS[w]()
            end()

    POL = ExceptionRetryPolicy(rules=[
        RetryRule(exception=ValueError, action=RetryAction.FAIL, reason="bad value"),
        RetryRule(exception="builtins.KeyError", action=RetryAction.RETRY, retry_delay=timedelta(seconds=4), reason="key"),
    ])
    for n, e in (("v", ValueError), ("k", KeyError), ("o", OSError), ("f", AirflowFailException)):
        @task(task_id=f"pol_{n}", retries=1, retry_delay=timedelta(seconds=4), retry_policy=POL)
        def pol(e=n):
            raise {"v": ValueError, "k": KeyError, "o": OSError, "f": AirflowFailException}[e]("x")
        pol()

    @task(retries=2, retry_delay=timedelta(seconds=4), execution_timeout=timedelta(seconds=1))
    def slow(x):
        import time
        time.sleep(x)
    slow.expand(x=[0, 30])

    @task(retries=2, retry_delay=timedelta(seconds=4), retry_exponential_backoff=2.0, max_retry_delay=timedelta(seconds=6))
    def expo():
        raise ValueError("e")
    expo()
