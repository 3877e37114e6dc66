import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal

from airflow.sdk import DAG, task

CASE = {"about": "xcom: kinds of values, keys, multiple outputs, pulls across tasks, runs, map indexes and with defaults, unserialisable values, delete on retry, overwritten", "limit": 200,
        "dags": ["xcom_corners", "xcom_corners__other"],
        "actions": [{"trigger": {"dag": "xcom_corners__other", "run": "first", "logical_date": "2024-01-01T00:00:00Z"}}, {"wait": {"dag": "xcom_corners__other", "run": "first"}},
                    {"trigger": {"logical_date": "2024-01-01T00:00:00Z"}}, {"wait": "runs"},
                    {"trigger": {"run": "r2", "logical_date": "2024-01-02T00:00:00Z"}}, {"wait": "runs"}]}

VALUES = {
    "none": None, "true": True, "big": 2**70, "float": 1.5, "nan": float("nan"), "inf": float("inf"), "text": "ä\u2028\U0001f600", "tuple": (1, (2,)), "set": {3}, "frozen": frozenset([1]),
    "date": dt.date(2024, 1, 2), "datetime": dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc), "naive": dt.datetime(2024, 1, 2), "delta": dt.timedelta(days=1, seconds=3),
    "uuid": uuid.UUID(int=5), "decimal": Decimal("1.20"), "nested": {"a": [{"b": (1, 2)}]}, "large": "x" * 300_000, "intkey": {1: 2}, "bytes": b"\x00\xff", "exc": ValueError("v"), "empty": {},
    "time": dt.time(3, 4), "quote": 'a"b\\c\n\t\x01', "emptystr": "", "zero": 0, "neg": -3, "long": 9007199254740993, "obj": object,
}


@dataclass
class D:
    a: int


with DAG("xcom_corners", schedule=None):
    @task
    def push_all(ti=None):
        out = {}
        for k, v in VALUES.items():
            try:
                ti.xcom_push(key=k, value=v)
            except BaseException as e:
                out[k] = f"{type(e).__name__} {str(e)[:60]}"
        return out

    @task
    def pull_all(ti=None):
        out = {}
        for k in VALUES:
            try:
                got = ti.xcom_pull(task_ids="push_all", key=k)
                out[k] = [type(got).__name__, repr(got)[:80], len(repr(got))]
            except BaseException as e:
                out[k] = f"{type(e).__name__} {str(e)[:60]}"
        return out
    push_all() >> pull_all()
    for k in ("none", "nan", "obj", "bytes"):
        @task(task_id=f"v_{k}")
        def v(k=k):
            return VALUES[k]
        v()

    @task(multiple_outputs=True)
    def mo():
        return {"a": 1, "b": [2], "c": None}

    @task(multiple_outputs=True)
    def mo_bad():
        return [1]

    @task
    def mod() -> dict[str, int]:
        return {"q": 1}

    m = mo()

    @task
    def uses(a, b, c):
        return [a, b, c]
    uses(m["a"], m["b"], m["c"])
    mo_bad()
    q = mod()

    @task
    def push(x, ti=None):
        ti.xcom_push(key="k " + str(x), value=x)
        ti.xcom_push(key="same", value=x)
        ti.xcom_push(key="same", value=x + 1)
        ti.xcom_push(key="return_value", value="early")
        return x * 2
    ps = push.expand(x=[1, 2, 3])

    @task
    def pull(ti=None):
        P = lambda **k: (lambda r: r if isinstance(r, (int, str, type(None), dict)) else list(r))(ti.xcom_pull(**k))
        return [P(task_ids="push"), P(task_ids="push", map_indexes=1), P(task_ids="push", map_indexes=[2, 0]), P(task_ids="push", key="same"), P(task_ids="push", key="k 2", map_indexes=1),
                P(task_ids=["push", "mod"]), P(task_ids="nope"), P(task_ids="nope", default="d"), P(task_ids="push", key="no", default=5), P(key="same"), P(task_ids="mo", key="b"),
                P(task_ids="val", dag_id="xcom_corners__other"), P(task_ids="val", dag_id="xcom_corners__other", include_prior_dates=True), P(task_ids="val", dag_id="xcom_corners__other", run_id="first"),
                P(task_ids="mod", include_prior_dates=True), P(task_ids="later", include_prior_dates=True), P(task_ids=["mod"], map_indexes=None), P(task_ids="push", map_indexes=9)]
    @task
    def later(run_id=None):
        return run_id
    [ps, mod.override(task_id="mod2")(), m, q, later()] >> pull()

    @task
    def sl(vals):
        return [len(vals), vals[0], vals[-1], list(vals[1:]), list(vals[::-1]), list(vals)]
    sl(ps)
    @task
    def sl_err(vals):
        return vals[7]
    sl_err(ps)

    @task(retries=1, retry_delay=dt.timedelta(0))
    def rt(ti=None):
        seen = ti.xcom_pull(task_ids="rt", key="mine")
        ti.xcom_push(key="mine", value=ti.try_number)
        if ti.try_number == 1:
            ti.xcom_push(key="once", value=1)
            raise ValueError("first")
        return seen
    rt()

    @task
    def dataclass_():
        return D(3)
    dataclass_()

with DAG("xcom_corners__other", schedule=None):
    @task
    def val():
        return "other"
    val()
