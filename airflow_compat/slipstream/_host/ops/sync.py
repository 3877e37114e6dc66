"""Parse results into the database, by Airflow's own function."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from functools import cache
from typing import Any

from .bundles import manager

log = logging.getLogger("slipstream.dag_processor")

# Dag id -> the file that it was last found in.
OWNERS: dict[str, str] = {}


def claim(fileloc: str, dag_ids: Iterable[str]) -> list[str]:
    """Note whose Dags these are; return (and log) the files that have one of them too and are still there."""
    found = set(dag_ids)
    for dag_id in [d for d, owner in OWNERS.items() if owner == fileloc and d not in found]:
        del OWNERS[dag_id]
    others = []
    for dag_id in sorted(found):
        other = OWNERS.get(dag_id, fileloc)
        if other != fileloc and os.path.exists(other):
            log.warning(
                "Dag id %s is in %s and in %s: each overwrites the other, so give one of them another id",
                dag_id, other, fileloc,
            )
            others.append(other)
        OWNERS[dag_id] = fileloc
    return others


@cache
def decoders() -> tuple[Any, Any]:
    """Return the decoder of a frame and the validator of its body."""
    import msgspec
    from airflow.dag_processing.processor import DagFileParsingResult
    from pydantic import TypeAdapter

    return msgspec.msgpack.Decoder(), TypeAdapter(DagFileParsingResult)


def result(
    bundle_name: str,
    bundle_version: str | None,
    version_data: dict | None,
    relative_fileloc: str,
    run_duration: float,
    attachment: bytes,
) -> dict[str, Any]:
    """Write one file's parse result: ``attachment`` is the message as the child sent it."""
    from airflow.utils.session import create_session

    decoder, validator = decoders()
    parsed = validator.validate_python(decoder.decode(attachment))
    claim(parsed.fileloc, (dag.data["dag"]["dag_id"] for dag in parsed.serialized_dags))
    with create_session() as session:
        manager().persist_parsing_result(
            bundle_name=bundle_name,
            bundle_version=bundle_version,
            version_data=version_data,
            parsing_result=parsed,
            run_duration=run_duration,
            relative_fileloc=relative_fileloc,
            session=session,
        )
    return {"import_errors": len(parsed.import_errors or ())}


OPS = {"result": result}
