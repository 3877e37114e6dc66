"""Pictures of the conformance suite are the same on whatever day they are taken."""

import os
import re
import sys
import tempfile
import types
import unittest
from datetime import datetime, timezone
from pathlib import Path

SUITE = Path(__file__).resolve().parents[1] / "conformance"
os.environ.setdefault("AIRFLOW_BIN", str(Path(sys.executable).parent))
sys.path.insert(0, str(SUITE))

from conformance import Scrub  # noqa: E402

STARTED = datetime(2031, 5, 17, 9, 30, tzinfo=timezone.utc)


def scrub(text: str) -> str:
    folder = tempfile.gettempdir()
    engine = types.SimpleNamespace(dags=folder + "/no-dags", home=folder + "/no-home")
    return Scrub(engine, STARTED)(text)


class Pictures(unittest.TestCase):
    def test_the_day_of_a_run_is_masked(self):
        self.assertEqual(scrub("example__runme_0__20310517 && sleep"), "example__runme_0__<day> && sleep")
        self.assertEqual(scrub("20310516"), "<day>", "a daily run is of yesterday")

    def test_a_day_that_the_case_names_is_kept(self):
        for text in ("20240101", "x_20310401", "20310517123", "20319999"):
            self.assertEqual(scrub(text), text)

    def test_no_picture_names_a_day_of_its_recording(self):
        # Stock Airflow 3.3.2 was recorded at the end of 2026; the cases' own dates are others.
        recorded = re.compile(r"(?<!\d)2026-?1[12]-?[0-3]\d(?!\d)")
        for picture in SUITE.glob("expected/*/*.json"):
            self.assertIsNone(recorded.search(picture.read_text()), picture.name)


if __name__ == "__main__":
    unittest.main()
