#!/usr/bin/env python3
"""The page of Slipstream in Airflow's UI, as a person uses it: `standalone` with the Dags of dags/, in a headless Chromium.

    page.py [--picture FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
SLIPSTREAM = Path(os.environ.get("SLIPSTREAM_BIN", ROOT / "target" / "release" / "slipstream"))
LIMIT = 120


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Deployment:
    """`slipstream standalone` on ports and in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port, self.health_port = home, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        bin_folder = os.environ.get("AIRFLOW_BIN", str(ROOT / ".venv" / "bin"))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW__")} | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.health_port),
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
        }

    def __enter__(self) -> Deployment:
        ports = ["--port", str(self.port), "--log-port", str(free_port()), "--trigger-log-port", str(free_port())]
        self.log = (self.home / "standalone.log").open("w")
        self.process = subprocess.Popen(
            [SLIPSTREAM, "standalone", *ports], env=self.env, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )
        return self

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()

    def cli(self, *arguments: str) -> str:
        result = subprocess.run([SLIPSTREAM, *arguments], env=self.env, capture_output=True, text=True, check=True)
        return result.stdout

    def api(self, method: str, path: str, body: object = None) -> dict:
        with urllib.request.urlopen(f"{self.url}/auth/token", timeout=10) as answer:
            token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{self.url}/api/v2{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def until(what: str, condition: Callable[[], object], limit: float = LIMIT) -> object:
    """Return what the condition gives as soon as that is true."""
    end = time.monotonic() + limit
    while True:
        try:
            if found := condition():
                return found
        except (OSError, KeyError):
            pass
        if time.monotonic() > end:
            raise SystemExit(f"not within {limit:g} s: {what}")
        time.sleep(0.3)


def browser(profile: str) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--window-size=1400,900", f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


class Page:
    """The page in its frame in the UI."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.wait = driver, WebDriverWait(driver, LIMIT)
        driver.get(f"{url}/plugin/slipstream")
        frame = self.wait.until(lambda d: d.find_element(By.CSS_SELECTOR, "iframe"))
        driver.switch_to.frame(frame)
        self.shows("events in the log")

    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "main").text

    def shows(self, *texts: str) -> None:
        self.wait.until(lambda _: all(text in self.text() for text in texts), f"{texts} in: {self.text()[:1500]}")

    def view(self, name: str, *texts: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f"[data-view={name}]").click()
        self.shows(*texts)
        print(f"ok  {name}: {', '.join(texts)}", flush=True)

    def click(self, label: str, row: str) -> None:
        """Click a button in the row that has a text; the row may be drawn anew in between."""
        script = """
            const row = [...document.querySelectorAll("main tr")].find((row) => row.textContent.includes(arguments[0]));
            const button = [...(row?.querySelectorAll("button") ?? [])].find((button) => button.textContent === arguments[1]);
            button?.click();
            return Boolean(button);
        """
        self.wait.until(lambda d: d.execute_script(script, row, label), f"{label} of {row}")


def serving(deployment: Deployment, run: str) -> dict:
    return deployment.api("GET", f"/dags/event_new_model/dagRuns/{run}/taskInstances/serve")


def loop_times(page: Page, deployment: Deployment) -> None:
    """What the page says of the loop is what the scheduler says; a scheduler that nobody can ask is named with the reason."""
    with urllib.request.urlopen(f"http://127.0.0.1:{deployment.health_port}/health", timeout=10) as answer:
        pulse = json.load(answer)
    row = """
        const row = [...document.querySelectorAll("#loops tbody tr")].find((row) => row.cells[0].textContent === arguments[0]);
        return row ? [...row.cells].map((cell) => cell.textContent) : null;
    """
    cells = page.wait.until(lambda d: d.execute_script(row, str(pulse["job_id"])))
    assert len(cells) == 9 and re.fullmatch(r"[1-9]\d* in 60 s", cells[2]), cells
    assert all(re.fullmatch(r"\d+(\.\d+)? m?s", cell) for cell in cells[3:7]), cells
    with contextlib.closing(sqlite3.connect(deployment.home / "airflow.db", timeout=30)) as database:
        now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
        lost = database.execute(
            "INSERT INTO job (job_type, state, hostname, unixname, start_date, latest_heartbeat) "
            "VALUES ('SchedulerJob', 'running', '127.0.0.2', 'me', ?, ?) RETURNING id", (now, now)).fetchone()[0]
        database.commit()
        told = page.wait.until(lambda d: d.execute_script(row, str(lost)))
        assert len(told) == 3 and "cannot be asked" in told[2], told
        print(f"ok  loop times: {cells}; {told[2]}", flush=True)


def play(deployment: Deployment, driver: webdriver.Chrome, picture: Path | None) -> None:
    dags = ("event_new_model", "event_three_shards", "event_quickstart")
    until("the Dags are there", lambda: all(deployment.api("GET", f"/dags/{dag}")["dag_id"] for dag in dags))
    for dag in dags:
        deployment.api("PATCH", f"/dags/{dag}", {"is_paused": False})
    until("triggers are registered", lambda: "event_three_shards#0" in deployment.cli("triggers", "list"))
    deployment.cli("triggers", "add", "careless", "--dag", "event_quickstart", "--event", "poison", "--where", "data.score > 1.0")
    for shard in range(3):
        deployment.cli("events", "send", "shard.done", json.dumps({"version": 7, "shard": shard}))
    for _ in range(2):
        deployment.cli("events", "send", "poison", '{"text": "<img src=x onerror=alert(1)>"}')
    run = deployment.api("POST", "/dags/event_new_model/dagRuns", {"logical_date": None})["dag_run_id"]
    until("its streaming task runs", lambda: serving(deployment, run)["state"] == "running")
    deployment.cli("events", "send", "model.published", '{"version": 2}')

    page = Page(driver, deployment.url)
    page.view("overview", "active triggers", "Scheduler", "DagProcessor", "Triggerer", "Loop time of the schedulers", "in 60 s")
    loop_times(page, deployment)
    if picture:
        driver.save_screenshot(str(picture.with_stem(f"{picture.stem}-overview")))
    page.view("events", "shard.done", "<img src=x onerror=alert(1)>")
    page.click("why", "poison")
    page.wait.until(lambda d: "careless" in d.find_element(By.ID, "told").text)
    page.view("triggers", "careless", "event_three_shards#0", "Latest firings")
    page.click("pause", "careless")
    page.wait.until(lambda _: "paused" in deployment.cli("triggers", "show", "careless"))
    page.click("resume", "careless")
    page.wait.until(lambda _: '"active"' in deployment.cli("triggers", "show", "careless"))
    page.view("letters", "careless", "retry")
    page.click("retry", "careless")
    page.shows("careless")
    for left in (1, 0):
        page.click("skip", "careless")
        page.wait.until(lambda _, left=left: page.text().count("careless") == left)
    page.view("executions", "event_new_model.serve", run, "event_new_model.serve#0")
    page.view("runs", "event_three_shards", "Latest runs")
    page.click("show", "event_new_model")
    page.wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, "svg rect"))
    page.shows(f"event_new_model {run}")
    if picture:
        page.wait.until(lambda d: len(d.find_elements(By.CSS_SELECTOR, "svg rect")) >= 3)
        driver.save_screenshot(str(picture))
    severe = [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    if severe:
        raise SystemExit(f"the browser's console has errors: {severe}")


def main() -> int:
    ap = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    ap.add_argument("--picture", type=Path, help="keep a picture of the last view, and one of the overview beside it")
    opt = ap.parse_args()
    with tempfile.TemporaryDirectory(prefix="slipstream-ui-") as home, tempfile.TemporaryDirectory() as profile:
        with Deployment(Path(home)) as deployment:
            driver = browser(profile)
            try:
                play(deployment, driver, opt.picture)
            finally:
                driver.quit()
    print("the page does what it says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
