"""A task for tests: speaks the Task SDK's protocol with nothing but the standard library."""

import array
import json
import os
import signal
import socket
import struct
import sys
import time


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())


requests = socket.socket(fileno=0)


def read_frame():
    header = requests.recv(4, socket.MSG_WAITALL)
    return requests.recv(struct.unpack(">I", header)[0], socket.MSG_WAITALL)


def send(kind, **fields):
    data = pack([1, {"type": kind, **fields}])
    requests.sendall(struct.pack(">I", len(data)) + data)


def ask(kind, **fields):
    send(kind, **fields)
    return read_frame()


def log_socket():
    send("ResendLoggingFD")
    _, control, _, _ = requests.recvmsg(4096, socket.CMSG_SPACE(4))
    fds = array.array("i", control[0][2])
    return os.fdopen(fds[0], "wb", buffering=0)


def main(what):
    startup = read_frame()
    assert b"StartupDetails" in startup
    if what == "succeed":
        print("hello from the task")
        print("a complaint", file=sys.stderr)
        log_socket().write(json.dumps({"event": "record", "level": "info", "logger": "my"}).encode() + b"\n")
        ask("SucceedTask", end_date="2026-01-01T00:00:00Z")
    elif what == "succeed_and_vanish":
        send("SucceedTask", end_date="2026-01-01T00:00:00Z")
        os._exit(0)
    elif what == "skip":
        ask("TaskState", state="skipped", rendered_map_index="label")
    elif what == "exit":
        sys.exit(3)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "say_nothing":
        os._exit(0)
    elif what == "flood":
        line = b"x" * 99 + b"\n"
        for _ in range(200):
            os.write(1, line * 1000)
        ask("SucceedTask")
    elif what == "dirty":
        os.write(1, b"\xff\xfe not utf-8\nno line end")
        log_socket().write(b"not json\n")
        ask("SucceedTask")
    elif what == "full_pipe":
        ask("SendMeMuch")
        # The next answer is never read while this goes on.
        send("SendMeMuch")
        time.sleep(600)
    elif what == "wait":
        print("waiting", flush=True)
        time.sleep(600)
    elif what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("waiting", flush=True)
        time.sleep(600)
    elif what == "linger":
        ask("SucceedTask")
        time.sleep(600)
    elif what == "leave_child":
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        ask("SucceedTask")
    elif what == "secret":
        ask("MaskSecret", value="hunter22", name=None)
        print("the password is hunter22")
        ask("SucceedTask")


sys.stdout.reconfigure(line_buffering=True)
main(sys.argv[1])
