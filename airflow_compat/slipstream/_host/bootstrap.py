"""First code of a host process (``python -c``): takes the package from the socket on fd 0, then runs the wanted role.

Fd 0 is replaced by ``/dev/null``, so that user code can never read from or write to the socket.
"""

import importlib
import importlib.abc
import importlib.util
import json
import linecache
import os
import socket
import struct
import sys

PACKAGE = "_slipstream_host"


class SourceImporter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of the package from the sources that came through the socket."""

    def __init__(self, sources):
        self.sources = sources

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.sources:
            return None
        package = any(name.startswith(fullname + ".") for name in self.sources)
        origin = "<" + fullname + ">"
        return importlib.util.spec_from_loader(fullname, self, origin=origin, is_package=package)

    def exec_module(self, module):
        source, origin = self.sources[module.__name__], module.__spec__.origin
        # With this, tracebacks show the lines although there is no file.
        linecache.cache[origin] = (len(source), None, source.splitlines(keepends=True), origin)
        exec(compile(source, origin, "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def take(sock, size):
    """Read exactly ``size`` bytes, or leave: without them there is nothing to run."""
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            sys.exit("slipstream went away before the Python host had started")
        data += chunk
    return data


def main():
    # `dup` makes a descriptor that programs started by user code do not inherit.
    sock = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    start = json.loads(take(sock, struct.unpack(">I", take(sock, 4))[0]))
    sys.meta_path.insert(0, SourceImporter(start["sources"]))
    # Dag files can import the public package also where it is not installed.
    sys.meta_path.append(SourceImporter(start["public"]))
    # As the `airflow` command has them: a script's folder comes first, not the current one.
    sys.path[:1] = [os.path.dirname(sys.executable)]
    sys.argv[:] = [os.path.join(os.path.dirname(sys.executable), "airflow"), *start["argv"]]
    importlib.import_module(PACKAGE + "." + start["role"]).main(sock, start["settings"])


if __name__ == "__main__":
    main()
