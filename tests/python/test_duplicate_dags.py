"""Two files with the same Dag id are named, a file that has moved is not."""

import sys
import tempfile
import types
import unittest
from pathlib import Path

HOST = Path(__file__).resolve().parents[2] / "airflow_compat/slipstream/_host"


def claim():
    """The function, from its source: the package runs inside the binary's Python processes only."""
    package = types.ModuleType("_ops")
    package.__path__ = [str(HOST / "ops")]
    sys.modules.setdefault("_ops", package)
    from _ops import sync

    return sync.claim


class DuplicateDags(unittest.TestCase):
    def test_two_files_with_one_id_are_named_while_both_are_there(self):
        with tempfile.TemporaryDirectory() as folder:
            first, second = Path(folder, "a.py"), Path(folder, "b.py")
            first.touch(), second.touch()
            look = claim()
            self.assertEqual(look(str(first), ["twin", "own"]), [])
            self.assertEqual(look(str(first), ["twin"]), [])
            self.assertEqual(look(str(second), ["twin", "own"]), [str(first)])
            second.unlink()
            self.assertEqual(look(str(first), ["twin"]), [])


if __name__ == "__main__":
    unittest.main()
