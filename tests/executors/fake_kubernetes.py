"""A small Kubernetes API server: pods of one namespace, in memory, with watches. Its "kubelet" runs a pod's command here.

It knows what Airflow's executor asks for: discovery, create, read, list and watch with selectors, merge-patch, delete.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse


class Cluster:
    """The pods, and everything that was asked about them."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.pods: dict[str, dict] = {}
        self.version = 1
        self.history: list[tuple[int, str, dict]] = []
        self.calls: list[tuple[str, str]] = []
        self.processes: dict[str, subprocess.Popen] = {}
        # Whether a node has room for one more pod; without, pods stay pending.
        self.room = threading.Event()
        self.room.set()
        self.changed = threading.Condition()
        self.env, self.log = env, log
        cluster = self

        class Handler(ApiHandler):
            pass

        Handler.cluster = cluster
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kubeconfig(self, path: Path) -> Path:
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }))
        return path

    def note(self, kind: str, pod: dict) -> None:
        """Record a change; the lock is held."""
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, kind, json.loads(json.dumps(pod))))
        self.changed.notify_all()

    def create(self, pod: dict) -> dict:
        with self.changed:
            meta = pod.setdefault("metadata", {})
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            pod |= {"kind": "Pod", "apiVersion": "v1", "status": {"phase": "Pending"}}
            self.pods[meta["name"]] = pod
            self.note("ADDED", pod)
        threading.Thread(target=self.run, args=(meta["name"],), daemon=True).start()
        return pod

    def phase(self, name: str, phase: str) -> None:
        with self.changed:
            if pod := self.pods.get(name):
                pod["status"] = {"phase": phase}
                self.note("MODIFIED", pod)

    def run(self, name: str) -> None:
        """The kubelet: runs the pod's command as a process of this machine."""
        container = self.pods[name]["spec"]["containers"][0]
        command = [*(container.get("command") or []), *(container.get("args") or [])]
        if command[0] == "python":
            command[0] = self.env.get("POD_PYTHON", sys.executable)
        self.room.wait()
        if name not in self.pods:
            return
        self.phase(name, "Running")
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, env={**os.environ, **self.env}, stdout=log, stderr=log, start_new_session=True)
        self.processes[name] = process
        self.phase(name, "Succeeded" if process.wait() == 0 else "Failed")

    def end(self, name: str) -> None:
        """End what still runs of a pod: its command leads a session of its own."""
        if name in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGKILL)

    def close(self) -> None:
        """End every pod, and the server."""
        for name in list(self.processes):
            self.end(name)
        self.server.shutdown()
        self.server.server_close()

    def select(self, query: dict[str, str]) -> list[dict]:
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        return [pod for pod in self.pods.values() if matches(pod, labels, fields)]


def matches(pod: dict, labels: str, fields: str) -> bool:
    has = pod["metadata"].get("labels") or {}
    # Commas also stand inside of `in (a,b)`.
    for term in filter(None, _split(labels)):
        key, negative, wanted = _term(term)
        if wanted is None:
            if (key in has) == negative:
                return False
        elif (has.get(key) in wanted) == negative:
            return False
    for term in filter(None, fields.split(",")):
        key, negative, wanted = _term(term)
        value = pod["status"]["phase"] if key == "status.phase" else pod["metadata"].get(key.removeprefix("metadata."))
        if (value in wanted) == negative:
            return False
    return True


def _split(selector: str) -> list[str]:
    parts, depth = [""], 0
    for c in selector:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def _term(term: str) -> tuple[str, bool, list[str] | None]:
    for word, negative in ((" notin ", True), (" in ", False)):
        if word in term:
            key, values = term.split(word, 1)
            return key.strip(), negative, [v.strip() for v in values.strip(" ()").split(",")]
    for sign, negative in (("!=", True), ("==", False), ("=", False)):
        if sign in term:
            key, value = term.split(sign, 1)
            return key.strip(), negative, [value.strip()]
    return term.strip().lstrip("!"), term.strip().startswith("!"), None


class ApiHandler(BaseHTTPRequestHandler):
    """The paths of the API."""

    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, *_args) -> None:
        pass

    def answer(self, body: dict, code: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def missing(self, name: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        self.answer(status | {"message": f'pods "{name}" not found'}, 404)

    def body(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def target(self) -> tuple[list[str], dict[str, str]]:
        url = urlparse(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.cluster.calls.append((self.command, self.path))
        return [part for part in url.path.split("/") if part], query

    def do_GET(self) -> None:
        path, query = self.target()
        cluster = self.cluster
        match path:
            case ["version"]:
                self.answer({"major": "1", "minor": "31", "gitVersion": "v1.31.0"})
            case ["api"]:
                self.answer({"kind": "APIVersions", "versions": ["v1"]})
            case ["apis"]:
                self.answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
            case ["api", "v1"]:
                verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
                pods = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": verbs}
                self.answer({"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]})
            case ["api", "v1", "namespaces", _, "pods"] | ["api", "v1", "pods"]:
                if query.get("watch", "").lower() == "true":
                    self.watch(query)
                    return
                with cluster.changed:
                    kind = "PodList"
                    # The executor wants metadata only, and asks for it by this type.
                    if "PartialObjectMetadataList" in self.headers.get("Accept", ""):
                        kind = "PartialObjectMetadataList"
                    body = {"kind": kind, "apiVersion": "v1", "items": cluster.select(query),
                            "metadata": {"resourceVersion": str(cluster.version)}}
                    self.answer(body)
            case ["api", "v1", "namespaces", _, "pods", name] if name in cluster.pods:
                self.answer(cluster.pods[name])
            case _:
                self.missing(path[-1] if path else "")

    def watch(self, query: dict[str, str]) -> None:
        """Stream changes after a version until the client goes, at most for its timeout."""
        cluster = self.cluster
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = int(query.get("resourceVersion") or 0)
        until = time.time() + float(query.get("timeoutSeconds") or 30)
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        seen = set()
        try:
            if not since:
                # Without a version a watch begins with what there is.
                with cluster.changed:
                    since, there = cluster.version, cluster.select(query)
                for pod in there:
                    seen.add(pod["metadata"]["name"])
                    self.chunk({"type": "ADDED", "object": pod})
            while time.time() < until:
                with cluster.changed:
                    news = [event for event in cluster.history if event[0] > since]
                    if not news:
                        cluster.changed.wait(1)
                        continue
                for version, kind, pod in news:
                    since = version
                    name = pod["metadata"]["name"]
                    if matches(pod, labels, fields):
                        # One that comes into the selection is new to this watch.
                        shown = kind if kind == "DELETED" or name in seen else "ADDED"
                        seen.add(name)
                        self.chunk({"type": shown, "object": pod})
                    elif name in seen:
                        seen.discard(name)
                        self.chunk({"type": "DELETED", "object": pod})
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def chunk(self, event: dict) -> None:
        data = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def do_POST(self) -> None:
        self.target()
        self.answer(self.cluster.create(self.body()), 201)

    def do_PATCH(self) -> None:
        path, _ = self.target()
        change = self.body()
        with self.cluster.changed:
            pod = self.cluster.pods.get(path[-1])
            if pod:
                for key, values in (change.get("metadata") or {}).items():
                    if isinstance(values, dict):
                        pod["metadata"].setdefault(key, {}).update(values)
                self.cluster.note("MODIFIED", pod)
        self.answer(pod) if pod else self.missing(path[-1])

    def do_DELETE(self) -> None:
        path, _ = self.target()
        self.body()
        with self.cluster.changed:
            pod = self.cluster.pods.pop(path[-1], None)
            if pod:
                pod["metadata"]["deletionTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                self.cluster.note("DELETED", pod)
        self.cluster.end(path[-1])
        self.answer(pod) if pod else self.missing(path[-1])
