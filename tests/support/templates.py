#!/usr/bin/env python3
"""Makes the migrated metadata databases that tests copy: a SQLite file and, if PG_ADMIN_URL names a server, a database."""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "conformance"))
from engines import Engine  # noqa: E402


def main() -> None:
    for db in ["sqlite"] + ["postgres"] * ("PG_ADMIN_URL" in os.environ):
        with tempfile.TemporaryDirectory(prefix="slipstream-template-") as folder:
            engine = Engine("stock", Path(folder), Path(folder) / "dags", db)
            engine.log_port = 0
            engine.migrate()
            engine.stop()


if __name__ == "__main__":
    main()
