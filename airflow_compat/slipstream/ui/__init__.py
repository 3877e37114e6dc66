"""The page *Slipstream* in Airflow's UI: events, triggers, dead letters, streaming tasks, the scheduler and its runs.

Airflow loads plugins in each of its processes, so this module imports nothing that only the api-server needs.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/slipstream"


class OnDemand:
    """The page's server, imported when its first request comes."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from slipstream.ui.app import app

            self._app = app
        await self._app(scope, receive, send)


def _address() -> str:
    """Return the page's address below that of the UI, which a proxy may have moved."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + PREFIX + "/"


class SlipstreamPlugin(AirflowPlugin):
    """Adds the page to Airflow's navigation."""

    name = "slipstream"
    fastapi_apps = [{"app": OnDemand(), "url_prefix": PREFIX, "name": "Slipstream"}]
    external_views = [
        {"name": "Slipstream", "href": _address(), "url_route": "slipstream", "destination": "nav", "category": "browse"}
    ]
