"""Tasks that are forked from a process that has parsed their Dag file behave as if they had parsed it themselves."""

from __future__ import annotations

import select
import socket
import struct
import sys
import tempfile
import time
import unittest
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches/airflow"))

import children  # noqa: E402

HEAD = """
from airflow.sdk import DAG, Variable, task
from airflow.providers.standard.operators.python import PythonOperator
"""

PLUGIN = """
from airflow.plugins_manager import AirflowPlugin
from datetime import datetime

def when():
    return datetime.now()

class Clock(AirflowPlugin):
    name = "clock"
"""


def dag(body: str, top: str = "") -> str:
    """Return a Dag file with one task, which does ``body``."""
    inner = "\n".join("    " + line for line in body.splitlines())
    return f"{HEAD}{top}\ndef work():\n{inner}\n\nwith DAG('fan', schedule=None):\n    PythonOperator(task_id='t1', python_callable=work)\n"


class Prepared(unittest.TestCase):
    """One zygote for all tests."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.home = Path(cls.folder.name).resolve()
        (cls.home / "dags").mkdir()
        (cls.home / "plugins").mkdir()
        (cls.home / "plugins/clock_plugin.py").write_text(PLUGIN)
        cls.process, cls.zygote = children.start(children.HOST, "task", cls.home)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.zygote.close()
        cls.process.wait()
        cls.folder.cleanup()

    def setUp(self) -> None:
        for path in (self.home / "dags").glob("*.*"):
            path.unlink()

    def write(self, source: str, name: str = "fan.py") -> None:
        (self.home / "dags" / name).write_text(source)
        # A file that was written in this very moment is not trusted.
        time.sleep(0.05)

    def prepare(self) -> tuple[socket.socket, dict[str, Any]]:
        ours, theirs = socket.socketpair()
        socket.send_fds(self.zygote, [b"f"], [theirs.fileno()])
        theirs.close()
        place = {"bundle_info": {"name": "dags-folder", "version": None}, "dag_rel_path": "fan.py"}
        data = msgspec.json.encode(place)
        ours.sendall(struct.pack(">II", len(data), 0) + data)
        self.assertIn("forked", self.heard(self.zygote))
        return ours, children.read(ours)

    def ready(self) -> socket.socket:
        sock, answer = self.prepare()
        self.assertEqual(answer, {"ready": True})
        self.addCleanup(sock.close)
        return sock

    def heard(self, sock: socket.socket) -> dict[str, Any]:
        """Return the answer to a fork; what is said of ends of tasks is for ``run``."""
        while True:
            message = children.read(sock)
            if "exited" not in message:
                return message

    def run_task(self, zygote: socket.socket) -> dict[str, Any]:
        """Run the task; return what it returned, what it printed, and what it logged."""
        pairs = [socket.socketpair() for _ in range(4)]
        socket.send_fds(zygote, [b"f"], [theirs.fileno() for _, theirs in pairs])
        for _, theirs in pairs:
            theirs.close()
        requests, stdout, stderr, logs = ours = [ours for ours, _ in pairs]
        forked = self.heard(zygote)
        self.assertIn("forked", forked)
        children.send_frame(requests, 0, children.startup(datetime.now(tz=timezone.utc)))
        seen: dict[str, Any] = {"frames": [], stdout: b"", stderr: b"", logs: b""}
        waiting = list(ours)
        while waiting:
            for sock in select.select(waiting, [], [], 30)[0]:
                try:
                    if sock is requests:
                        frame = msgspec.msgpack.decode(children.take(sock, struct.unpack(">I", children.take(sock, 4))[0]))
                        seen["frames"].append(frame[1])
                        children.send_frame(sock, frame[0], None)
                    elif data := sock.recv(65536):
                        seen[sock] += data
                    else:
                        waiting.remove(sock)
                except (EOFError, ConnectionError):
                    waiting.remove(sock)
        end = children.read(zygote)
        for sock in ours:
            sock.close()
        lines = [msgspec.json.decode(line) for line in seen[logs].splitlines()]
        values = [frame["value"] for frame in seen["frames"] if frame["type"] == "SetXCom"]
        return {
            "end": end.get("code", end),
            "value": values[0] if values else None,
            "frames": [frame["type"] for frame in seen["frames"]],
            "printed": (seen[stdout] + seen[stderr]).decode(),
            "logged": [(line.get("event"), line.get("level"), line.get("logger")) for line in lines],
        }

    def assert_unfit(self, source: str, why: str, **others: str) -> None:
        for name, text in others.items():
            (self.home / "dags" / f"{name}.py").write_text(text)
        self.write(source)
        sock, answer = self.prepare()
        sock.close()
        self.assertRegex(answer.get("unfit", "it is fit"), why)

    # -- a task is as it would be otherwise --------------------------------------------------------------

    def test_a_task_does_says_and_logs_the_same_and_has_its_own_copy(self) -> None:
        (self.home / "dags/beside.py").write_text("SEEN = []\n")
        self.write(dag("SEEN.append(1)\nprint('hello')\nreturn len(SEEN)", "from beside import SEEN\n"))
        plain, prepared = self.run_task(self.zygote), self.ready()
        for _ in range(2):
            self.assertEqual(self.run_task(prepared), plain)
        self.assertEqual((plain["end"], plain["value"]), (0, 1))
        self.assertIn("hello", plain["printed"])

    def test_chance_is_each_tasks_own(self) -> None:
        self.write(dag("return sys.modules['ran' 'dom'].uniform(0, 1)", "import sys\n"))
        prepared = self.ready()
        one, two = self.run_task(prepared)["value"], self.run_task(prepared)["value"]
        self.assertIsNotNone(one)
        self.assertNotEqual(one, two)

    def test_time_zones_and_templates_of_the_bundle_are_no_obstacle(self) -> None:
        (self.home / "dags/query.sql").write_text("SELECT 1\n")
        top = "import pendulum\nfrom datetime import datetime\nZONE = pendulum.timezone('Europe/Amsterdam')\nSTART = datetime(2024, 1, 1, tzinfo=ZONE)\n"
        self.write(dag("return str(START)", top))
        self.assertIn("2024-01-01", str(self.run_task(self.ready())["value"]))

    def test_a_change_of_the_file_or_of_what_is_beside_it_ends_the_sharing(self) -> None:
        for change in (
            lambda: self.write(dag("return 'new'", "from beside import x\n")),
            lambda: self.write("x = 3\n", "beside.py"),
            lambda: self.write("y = 3\n", "another.py"),
            lambda: (self.home / "dags/beside.py").unlink(),
        ):
            self.write("x = 2\n", "beside.py")
            self.write(dag("return x", "from beside import x\n"))
            prepared = self.ready()
            self.assertEqual(self.run_task(prepared)["end"], 0)
            change()
            pairs = [socket.socketpair() for _ in range(4)]
            socket.send_fds(prepared, [b"f"], [theirs.fileno() for _, theirs in pairs])
            self.assertEqual(self.heard(prepared), {"stale": True})

    def test_a_process_that_is_let_go_reports_the_last_of_its_tasks(self) -> None:
        self.write(dag("return 1"))
        prepared = self.ready()
        pairs = [socket.socketpair() for _ in range(4)]
        socket.send_fds(prepared, [b"f"], [theirs.fileno() for _, theirs in pairs])
        forked = self.heard(prepared)["forked"]
        prepared.shutdown(socket.SHUT_WR)
        for pair in pairs:
            pair[1].close()
        pairs[0][0].close()
        self.assertEqual(children.read(prepared)["exited"], forked)
        self.assertEqual(prepared.recv(1), b"")

    # -- what makes a file unfit -------------------------------------------------------------------------

    def test_words_in_the_file_and_beside_it(self) -> None:
        self.assert_unfit(dag("pass", "from datetime import datetime\nx = datetime.now()\n"), "fan.py names `now`")
        self.assert_unfit(dag("pass", "import beside\n"), "beside.py names `environ`", beside="import os\nx = os.environ\n")
        self.assert_unfit(dag("pass", "import os\nx = os.path.exists('/x')\n"), "`exists`")
        self.assert_unfit(dag("pass", "import clock_plugin\nx = clock_plugin.when()\n"), "clock_plugin.py names `now`")
        self.assert_unfit(dag("pass", "from clock_plugin import when\nx = when()\n"), "clock_plugin.py names `now`")

    def test_what_a_task_would_see_in_its_log(self) -> None:
        self.assert_unfit(dag("pass", "print('x')\n"), "prints")
        self.assert_unfit(dag("pass", "import logging\nlogging.getLogger('x').warning('x')\n"), "logs")
        self.assert_unfit(dag("pass", "import warnings\nwarnings.warn('x')\n"), "logs")

    def test_what_reaches_outside_is_not_even_done(self) -> None:
        mark = self.home / "mark"
        for top, why in (
            (f"open({str(mark)!r}, 'w').close()\n", "it writes"),
            (f"import os\nos.close(os.open({str(mark)!r}, os.O_CREAT | os.O_WRONLY))\n", "it writes"),
            (f"import os\nos.mkdir({str(mark)!r})\n", "os.mkdir"),
            (f"import subprocess\nsubprocess.run(['touch', {str(mark)!r}])\n", "subprocess.Popen|os.posix_spawn|pipe"),
            (f"import os\nif not os.fork():\n    open({str(mark)!r}, 'w').close()\n    os._exit(0)\n", "os.fork"),
            ("import socket\nsocket.socket()\n", "socket"),
            ("import os\nos.putenv('A', 'b')\n", "os.putenv"),
            ("import os\nos.chdir('/')\n", "os.chdir"),
            ("import os\nos.listdir('.')\n", "os.listdir"),
            ("import pathlib\nlist(pathlib.Path('.').iterdir())\n", "os.listdir|os.scandir"),
            ("x = open('/proc/uptime').read()\n", "reads /proc/uptime"),
            ("import sqlite3\nsqlite3.connect(':memory:')\n", "sqlite3"),
            ("import mmap\nx = mmap.mmap(-1, 10)\n", "mmap"),
        ):
            self.assert_unfit(dag("pass", top), why)
            self.assertFalse(mark.exists(), top)

    def test_what_a_fork_does_not_inherit_or_would_share(self) -> None:
        for top, why in (
            ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n", "threads"),
            ("import os\nx = os.pipe()\n", "open descriptors"),
            ("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n", "handlers of signals"),
            ("import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.signal(signal.SIGUSR1, print)\n", "handlers"),
            ("import atexit\natexit.register(len, ())\n", "at exit"),
            ("import sys\nOUT = sys.stdout\n", "standard streams"),
            ("import logging\nx = logging.StreamHandler()\n", "standard streams"),
            ("import sys\nsys.displayhook = print\n", "hooks of Python"),
        ):
            self.assert_unfit(dag("pass", top), why)

    def test_what_is_for_one_task_only(self) -> None:
        self.assert_unfit(dag("pass", "Variable.get('x', default=None)\n"), "supervisor")
        self.assert_unfit(dag("pass", "from airflow.sdk.log import mask_secret\nmask_secret('secret')\n"), "supervisor")
        asks = "import airflow.sdk.definitions.context as context\ngetattr(context, 'get_' + 'parsing_context')()\n"
        self.assert_unfit(dag("pass", asks), "parsing context")
        self.assert_unfit(dag("pass").replace("task_id=", "run_as_user='me', task_id="), "another user")
        self.assert_unfit("import nothing_of_this_name\n", "errors|logs")


if __name__ == "__main__":
    unittest.main()
