"""Makes the seeds of `dag` and `timetable` again: Dags of the conformance suite, as Airflow serialises them.

    .venv/bin/python fuzz/seeds.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="slipstream-seeds-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from airflow.sdk.definitions._internal.contextmanager import DagContext  # noqa: E402
from airflow.serialization.serialized_objects import DagSerialization  # noqa: E402

HERE = Path(__file__).resolve().parent
CASES = HERE.parent / "tests/conformance/cases"
DAGS = ["branching/branch_simple", "mapping/map_zip", "mapping/map_group", "setup_teardown/setup_scopes", "assets/asset_conditions"]
TIMETABLES = ["timetables/schedule_kinds", "timetables/multiple_crons", "timetables/asset_or_time", "assets/partition_cron"]
MOST = 6000
"""Bytes of the largest seed: what is longer is changed at random without effect."""


def serialized(case: str) -> dict[str, dict]:
    """Return the Dags of a case by id."""
    spec = importlib.util.spec_from_file_location(case.replace("/", "_"), CASES / f"{case}.py")
    module = importlib.util.module_from_spec(spec)
    DagContext.autoregistered_dags.clear()
    DagContext.current_autoregister_module_name = spec.name
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return {dag.dag_id: DagSerialization.to_dict(dag) for dag, _ in DagContext.autoregistered_dags}


def main() -> None:
    """Write all of them."""
    for target, cases in (("dag", DAGS), ("timetable", TIMETABLES)):
        folder = HERE / "seeds" / target
        folder.mkdir(parents=True, exist_ok=True)
        for case in cases:
            for dag_id, data in serialized(case).items():
                found = data if target == "dag" else data["dag"]["timetable"]
                text = json.dumps(found, separators=(",", ":")).replace(str(HERE.parent), "/opt/airflow")
                if len(text) <= MOST:
                    (folder / f"{dag_id}.json").write_text(text)


if __name__ == "__main__":
    main()
