"""Parse results into the database, by Airflow's own function."""

from __future__ import annotations

from functools import cache
from typing import Any

from .bundles import manager


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
