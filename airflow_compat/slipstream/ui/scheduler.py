"""What only the scheduler can do or knows: explain a decision, pause a trigger, how its loop goes. Asked over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from fastapi import HTTPException

from slipstream.events import _default_url, _option

LIMIT = 15.0
# How long a scheduler's health server may take; names of machines that nobody knows take longer to be refused.
HEALTH_LIMIT = 3.0


def ask(method: str, path: str, **options: Any) -> dict[str, Any]:
    """Return the scheduler's answer.

    :raises HTTPException: 502 when the scheduler does not answer; its own status and words when it refuses.
    """
    address = _address()
    token = _option("events_token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # The scheduler is not behind the proxy that the environment may name.
        with httpx.Client(base_url=address, headers=headers, timeout=LIMIT, trust_env=False) as client:
            answer = client.request(method, path, **options)
    except httpx.HTTPError as error:
        raise HTTPException(
            502,
            f"the scheduler at {address} does not answer ({error}): is it running with [slipstream] events_http, and is "
            "[slipstream] events_url its address?",
        ) from None
    try:
        body = answer.json()
    except ValueError:
        body = {"error": answer.text}
    if answer.is_error:
        # A right that this server lacks is not one that its user could acquire by logging in.
        status = 502 if answer.status_code in (401, 403) else answer.status_code
        raise HTTPException(status, f"the scheduler refuses: {body.get('error', answer.status_code)}")
    return body


def _address() -> str:
    return (_option("events_url") or _default_url()).rstrip("/")


def loops(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how the loop of each of these schedulers goes; of one that cannot be asked, why not.

    Schedulers are asked on their own machines, and at the address for events: the only one where the port is not open
    to other machines, or where the name of the machine says nothing on this one.
    """
    port = urlsplit(_default_url()).port
    own = {job["id"]: f"http://{_host(job['hostname'])}:{port}" for job in jobs}
    addresses = list(dict.fromkeys([_address(), *own.values()])) if jobs else []
    pool = ThreadPoolExecutor(max(1, len(addresses)), thread_name_prefix="health")
    asked = {address: pool.submit(_health, address) for address in addresses}
    wait(asked.values(), timeout=HEALTH_LIMIT)
    # A name that takes long to look up is left to its thread.
    pool.shutdown(wait=False, cancel_futures=True)
    late = {"error": f"no answer within {HEALTH_LIMIT:g} s"}
    told = {address: answer.result() if answer.done() else late for address, answer in asked.items()}
    by_job = {answer["job_id"]: answer for answer in told.values() if answer.get("job_id") is not None}
    return [
        {"hostname": job["hostname"], **(by_job.get(job["id"]) or _unknown(job["id"], own[job["id"]], told[own[job["id"]]]))}
        for job in jobs
    ]


def _unknown(job_id: int, address: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Say why nothing is known of the loop of a scheduler whose address gave this answer."""
    if other := answer.get("job_id"):
        why = f"at {address} the scheduler with job {other} answers, not this one: two on one machine need a port each"
    elif "error" in answer:
        why = (
            f"it cannot be asked at {address} ({answer['error']}); [scheduler] enable_health_check opens its port to "
            "other machines"
        )
    else:
        why = f"what answers at {address} does not say how its loop goes: it is `airflow scheduler`, or about to start"
    return {"job_id": job_id, "error": why}


def _health(address: str) -> dict[str, Any]:
    """Return what a health server says of the loop: nothing, if it is not one of ours."""
    try:
        answer = httpx.get(f"{address}/health", timeout=HEALTH_LIMIT, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return {"error": str(error) or type(error).__name__}
    # 503 says that its heartbeat is old, which is no reason not to show how its loop goes.
    if answer.status_code not in (200, 503):
        return {"error": f"HTTP status {answer.status_code}"}
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def of_trigger(name: str, what: str) -> str:
    """Return the path of what can be done with a trigger."""
    return f"/triggers/{quote(name, safe='')}/{what}"
