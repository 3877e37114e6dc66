"""A PgBouncer of its own in front of the server that PG_ADMIN_URL names."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

MISSING = """\
PgBouncer is needed and not installed. On Debian or Ubuntu: apt-get install pgbouncer
(its service may stay stopped: the test starts a process of its own)."""


def program() -> str:
    """Return where it is, or end with what to do."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if not found:
        sys.exit(MISSING)
    return found


class Bouncer:
    """One process. Few connections with the server: whoever comes next gets another one."""

    def __init__(self, folder: Path, admin_url: str, port: int, *, servers: int = 4, round_robin: bool = False) -> None:
        self.folder, self.port = folder, port
        self.log = folder / "pgbouncer.log"
        folder.mkdir(parents=True)
        server = urlsplit(admin_url)
        login = f"user={unquote(server.username or 'postgres')}"
        if server.password:
            login += f" password={unquote(server.password)}"
        (folder / "pgbouncer.ini").write_text(f"""\
[databases]
* = host={server.hostname} port={server.port or 5432} {login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 300
server_round_robin = {int(round_robin)}
logfile = {self.log}
""")
        command = [program(), "-q", str(folder / "pgbouncer.ini")]
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(folder, "postgres")
            folder.chmod(0o755)
            command = ["runuser", "-u", "postgres", "--", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None, f"PgBouncer ended, see {self.log}"
                assert time.monotonic() < end, "PgBouncer did not start"
                time.sleep(0.1)

    def ask(self, database: str, query: str) -> str:
        """Return what a client of it gets for a query."""
        url = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        return subprocess.run(["psql", url, "-At", "-c", query], check=True, capture_output=True, text=True).stdout.strip()

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
