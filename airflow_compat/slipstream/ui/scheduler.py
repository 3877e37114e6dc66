"""What only the scheduler can do: explain a decision, pause a trigger, judge an event again. Asked over its HTTP API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
from fastapi import HTTPException

from slipstream.events import _default_url, _option

LIMIT = 15.0


def ask(method: str, path: str, **options: Any) -> dict[str, Any]:
    """Return the scheduler's answer.

    :raises HTTPException: 502 when the scheduler does not answer; its own status and words when it refuses.
    """
    address = (_option("events_url") or _default_url()).rstrip("/")
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


def of_trigger(name: str, what: str) -> str:
    """Return the path of what can be done with a trigger."""
    return f"/triggers/{quote(name, safe='')}/{what}"
