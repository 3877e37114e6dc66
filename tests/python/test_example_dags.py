"""The Dags of `dags/` are what they claim to be: they parse, and every one has the documentation that the UI shows."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="slipstream-test-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# The package `slipstream`, which the environment need not have installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "airflow_compat"))

from airflow.dag_processing.dagbag import DagBag  # noqa: E402

DAGS = Path(__file__).resolve().parents[2] / "dags"


class ExampleDags(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bags = {file.name: DagBag(str(file), bundle_name="dags-folder") for file in sorted(DAGS.glob("*.py"))}

    def test_every_file_parses(self):
        for name, bag in self.bags.items():
            with self.subTest(name):
                self.assertEqual(bag.import_errors, {})
                self.assertTrue(bag.dags)

    def test_every_dag_is_documented_and_does_not_catch_up(self):
        for bag in self.bags.values():
            for dag in bag.dags.values():
                with self.subTest(dag.dag_id):
                    self.assertTrue(dag.doc_md)
                    self.assertFalse(dag.catchup)


if __name__ == "__main__":
    unittest.main()
