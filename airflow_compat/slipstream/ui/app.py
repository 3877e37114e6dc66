"""The page's server: who may see and do what is Airflow's own decision about its user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_access_view
from airflow.models.dag import DagModel
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from slipstream.ui import queries, scheduler

STATIC = Path(__file__).parent / "static"

app = FastAPI(title="Slipstream", docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=STATIC), name="static")


def readable_dags(user: GetUserDep) -> set[str]:
    """Return the Dags whose runs and triggers the user may see."""
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET")


def own_tables(session: SessionDep) -> None:
    """Refuse what needs our tables as long as there are none."""
    if not queries.are_there(session):
        raise HTTPException(503, "no Slipstream scheduler has run on this database yet: it makes its tables at its first start")


has_tables = Depends(own_tables)
Dags = Annotated[set[str], Depends(readable_dags)]
sees_jobs = Depends(requires_access_view(AccessView.JOBS))
sees_events = Depends(requires_access_view(AccessView.TRIGGERS))
sees_run = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))


def asked_by_the_page(x_slipstream: Annotated[str | None, Header()] = None) -> None:
    """Refuse what a form of another site could send: it cannot set a header."""
    if x_slipstream is None:
        raise HTTPException(403, "the header X-Slipstream is missing")


@app.get("/")
def page() -> FileResponse:
    """Return the page, which holds no data."""
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


@app.get("/api/overview", dependencies=[sees_jobs])
def overview(session: SessionDep) -> dict[str, Any]:
    """Return who is alive and how much there is."""
    ready = queries.are_there(session)
    return {"ready": ready, "jobs": queries.jobs(session), "counts": queries.counts(session) if ready else {}}


@app.get("/api/loops", dependencies=[sees_jobs])
def loops(session: SessionDep) -> dict[str, Any]:
    """Return how the loops of the schedulers go, as far as they can be asked."""
    schedulers = [job for job in queries.jobs(session) if job["job_type"] == "SchedulerJob"]
    # Who is asked may take a while; no connection is kept for it.
    session.close()
    return {"loops": scheduler.loops(schedulers)}


@app.get("/api/events", dependencies=[sees_events, has_tables])
def events(session: SessionDep, after: int = 0, key: str | None = None) -> dict[str, Any]:
    """Return the newest events after a position."""
    return {"events": queries.events(session, after, key)}


@app.get("/api/triggers", dependencies=[has_tables])
def triggers(session: SessionDep, dags: Dags) -> dict[str, Any]:
    """Return triggers, and what they have done."""
    return {"triggers": queries.triggers(session, dags), "firings": queries.firings(session, dags)}


@app.get("/api/letters", dependencies=[has_tables])
def letters(session: SessionDep, dags: Dags) -> dict[str, Any]:
    """Return what waits for a person."""
    return {"letters": queries.letters(session, dags)}


@app.get("/api/executions", dependencies=[has_tables])
def executions(session: SessionDep, dags: Dags) -> dict[str, Any]:
    """Return the tasks that events start and stop."""
    return {"executions": queries.executions(session, dags)}


@app.get("/api/runs")
def runs(session: SessionDep, dags: Dags) -> dict[str, Any]:
    """Return the latest runs."""
    return {"runs": queries.runs(session, dags)}


@app.get("/api/bars", dependencies=[sees_run])
def bars(session: SessionDep, dag_id: str, run_id: str) -> dict[str, Any]:
    """Return the tries of a run."""
    return {"bars": queries.bars(session, dag_id, run_id)}


@app.get("/api/explain", dependencies=[sees_events])
def explain(session: SessionDep, dags: Dags, event: int) -> dict[str, Any]:
    """Say what triggers made of an event; only to those who may see every Dag, for it may concern any."""
    if len(dags) < session.scalar(text("SELECT count(*) FROM dag")):
        raise HTTPException(403, "an event's explanation names every Dag, and you may not see all of them")
    return scheduler.ask("GET", "/triggers/explain", params={"event": event})


class Letter(BaseModel):
    """Which parked event is meant; without a position all of them."""

    model_config = ConfigDict(extra="forbid")
    position: int | None = None


@app.post("/api/triggers/{name:path}/{action}", dependencies=[Depends(asked_by_the_page), has_tables])
def act(
    name: str, action: Literal["pause", "resume", "retry", "skip"], session: SessionDep, user: GetUserDep, letter: Letter
) -> dict[str, Any]:
    """Pause or resume a trigger, try again or skip what it could not judge; for those who may change its Dag."""
    [dag_id] = session.execute(text("SELECT dag_id FROM slipstream_trigger WHERE name = :name"), {"name": name}).first() or [None]
    if dag_id is None:
        raise HTTPException(404, f"there is no trigger {name!r}")
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    if not get_auth_manager().is_authorized_dag(method="PUT", details=details, user=user):
        raise HTTPException(403, f"you may not change the Dag {dag_id!r}")
    body = letter.model_dump(exclude_none=True)
    return scheduler.ask("POST", scheduler.of_trigger(name, action), json=body)

