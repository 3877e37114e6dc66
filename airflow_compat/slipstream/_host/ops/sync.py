"""Parse results into the database, by Airflow's own function."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Any

from .. import hello
from .bundles import manager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.dag_processing.processor import DagFileParsingResult
    from sqlalchemy.orm import Session


@cache
def decoders() -> tuple[Any, Any]:
    """Return the decoder of a frame and the validator of its body."""
    import msgspec
    from airflow.dag_processing.processor import DagFileParsingResult
    from pydantic import TypeAdapter

    return msgspec.msgpack.Decoder(), TypeAdapter(DagFileParsingResult)


def results(
    bundle_name: str,
    bundle_version: str | None,
    version_data: dict | None,
    files: list[dict[str, Any]],
    attachment: bytes,
) -> list[str | None]:
    """Write the results of several files of a bundle; return for each why it failed.

    ``attachment`` has the messages as the children sent them, one after the other. They are written together; if that
    fails, one by one, so that a result that cannot be written keeps no other from it. Several may only come together if
    no Dag is in two and none has errors or warnings.
    """
    bundle = {"bundle_name": bundle_name, "bundle_version": bundle_version, "version_data": version_data}
    decoder, validator = decoders()
    messages, offset = [], 0
    for file in files:
        end = offset + file.pop("size")
        messages.append((file, attachment[offset:end]))
        offset = end

    def decoded() -> Iterator[tuple[dict[str, Any], DagFileParsingResult]]:
        for file, message in messages:
            yield file, validator.validate_python(decoder.decode(message))

    if len(messages) > 1:
        with contextlib.suppress(Exception):
            write_together(bundle, list(decoded()))
            return [None] * len(messages)
    errors: list[str | None] = []
    for file, message in messages:
        try:
            write_one(bundle, file, validator.validate_python(decoder.decode(message)))
            errors.append(None)
        except Exception as error:
            errors.append(hello.tail(error))
    return errors


def write_one(bundle: dict[str, Any], file: dict[str, Any], parsed: DagFileParsingResult) -> None:
    """Write one file's result as Airflow's manager does."""
    from airflow.utils.session import create_session

    with create_session() as session:
        manager().persist_parsing_result(**bundle, **file, parsing_result=parsed, session=session)


def write_together(bundle: dict[str, Any], parsed: list[tuple[dict[str, Any], DagFileParsingResult]]) -> None:
    """Write results without errors and warnings in one transaction, each Dag with the duration of its own file."""
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.utils.session import create_session
    from sqlalchemy import event

    durations = {
        dag.dag_id: file["run_duration"] for file, result in parsed for dag in result.serialized_dags
    }

    def set_durations(session: Session, *_: Any) -> None:
        from airflow.models.dag import DagModel

        for row in (*session.new, *session.dirty):
            if isinstance(row, DagModel) and row.dag_id in durations:
                row.last_parse_duration = durations[row.dag_id]

    with create_session() as session:
        event.listen(session, "before_flush", set_durations)
        try:
            update_dag_parsing_results_in_db(
                **bundle,
                dags=[dag for _, result in parsed for dag in result.serialized_dags],
                import_errors={},
                parse_duration=None,
                warnings=set(),
                files_parsed={(bundle["bundle_name"], file["relative_fileloc"]) for file, _ in parsed},
                session=session,
            )
        finally:
            event.remove(session, "before_flush", set_durations)


OPS = {"results": results}
