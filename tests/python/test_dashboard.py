"""The dashboard of ``deploy/`` asks Prometheus only for metrics that the scheduler shows."""

import json
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy/grafana-dashboard.json"
# What runs in the scheduler's process, which is the one that Prometheus reads.
SOURCES = [path for folder in ("scheduler", "events", "executor") for path in (ROOT / "src" / folder).rglob("*.rs")]
CALL = re.compile(r'(?:metrics|Held)::(incr|count|gauge|timing)\(\s*"([^"]+)"')
SUFFIXES = {"incr": ["_total"], "count": ["_total"], "gauge": [""], "timing": ["_seconds_bucket", "_seconds_sum", "_seconds_count"]}


def shown() -> set[str]:
    """Names on the page `/metrics`, from the places in the program where they are measured."""
    names = set()
    for path in SOURCES:
        for kind, name in CALL.findall(path.read_text()):
            names |= {"airflow_" + re.sub(r"[^a-z0-9_]", "_", name) + suffix for suffix in SUFFIXES[kind]}
    return names


def asked() -> dict[str, list[str]]:
    """Names in the expressions of each panel and variable."""
    board = json.loads(DASHBOARD.read_text())
    texts = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in board["panels"]}
    texts |= {variable["name"]: [variable["query"]] for variable in board["templating"]["list"]}
    return {title: re.findall(r"\bairflow_\w+", " ".join(lines)) for title, lines in texts.items()}


class Dashboard(unittest.TestCase):
    def test_it_uses_only_metrics_that_exist(self):
        known = shown()
        self.assertIn("airflow_scheduler_heartbeat_total", known)
        for title, names in asked().items():
            for name in names:
                with self.subTest(panel=title, name=name):
                    self.assertIn(name, known)

    def test_every_panel_asks_for_something_and_no_id_is_there_twice(self):
        board = json.loads(DASHBOARD.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in board["panels"]:
            with self.subTest(panel=panel["title"]):
                self.assertTrue(asked()[panel["title"]])


if __name__ == "__main__":
    unittest.main()
