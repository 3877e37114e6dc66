"""Dag bundles: what is configured, what is in them, and what is gone from them.

Everything is done by Airflow's own functions, so that it is what ``airflow dag-processor`` would do.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.dag_processing.bundles.base import BaseDagBundle
    from airflow.dag_processing.manager import DagFileProcessorManager


@cache
def manager() -> DagFileProcessorManager:
    """Return Airflow's dag processor manager, for its methods only: its loop never runs here."""
    from airflow.configuration import conf
    from airflow.dag_processing.manager import DagFileProcessorManager

    # Not through `__init__`, which builds an Execution API of its own.
    bare = object.__new__(DagFileProcessorManager)
    bare.dag_discovery_safe_mode = conf.getboolean("core", "dag_discovery_safe_mode")
    bare.bundle_names_to_parse = None
    return bare


@cache
def configured() -> dict[str, BaseDagBundle]:
    """Return the bundles of this environment's configuration."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    return {bundle.name: bundle for bundle in DagBundlesManager().get_all_dag_bundles()}


def sync_to_db(names: list[str] | None) -> list[dict[str, Any]]:
    """Write the configured bundles to the database; return those that are to be parsed."""
    from airflow.dag_processing.bundles.local import LocalDagBundle

    host = manager()
    host.bundle_names_to_parse = names
    host.sync_bundles()
    return [
        {
            "name": bundle.name,
            "refresh_interval": bundle.refresh_interval,
            "versioned": bundle.supports_versioning,
            "local": isinstance(bundle, LocalDagBundle),
        }
        for bundle in configured().values()
        if not names or bundle.name in names
    ]


def version_of(bundle: BaseDagBundle) -> dict[str, Any]:
    """Return the version that a bundle has now."""
    from airflow.dag_processing.bundles.base import unpack_bundle_version

    version, data = None, None
    if bundle.supports_versioning:
        version, data = unpack_bundle_version(bundle.get_current_version(), bundle)
    return {"path": str(bundle.path), "version": version, "version_data": data}


def prepare(name: str) -> dict[str, Any]:
    """Initialise a bundle unless it is; return its path and version."""
    bundle = configured()[name]
    if not bundle.is_initialized:
        bundle.initialize()
    return version_of(bundle)


def refresh(name: str) -> dict[str, Any]:
    """Fetch the newest files of a bundle; return its path and version."""
    bundle = configured()[name]
    if not bundle.is_initialized:
        bundle.initialize()
    bundle.refresh()
    return version_of(bundle)


def files(name: str) -> list[str]:
    """List the Dag files of a bundle, relative to it; forget in the database what is no longer there."""
    from airflow.dag_processing.manager import DagFileInfo

    host, bundle = manager(), configured()[name]
    found = {
        DagFileInfo(rel_path=path, bundle_name=name, bundle_path=bundle.path)
        for path in host._find_files_in_bundle(bundle)
    }
    host.deactivate_deleted_dags(bundle_name=name, present=found)
    host.clear_orphaned_import_errors(
        bundle_name=name, observed_filelocs=host._get_observed_filelocs(found)
    )
    return sorted(str(file.rel_path) for file in found)


def at_version(name: str, version: str | None) -> str:
    """Return the path of a bundle at one version, checked out if need be: for a callback."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    bundle = DagBundlesManager().get_bundle(name=name, version=version)
    if bundle.supports_versioning and version:
        bundle.initialize()
    return str(bundle.path)


def remove_stale_versions() -> None:
    """Delete the checked-out versions that nothing has used for long."""
    manager().cleanup_stale_bundle_versions()


OPS = {
    "sync_to_db": sync_to_db,
    "prepare": prepare,
    "refresh": refresh,
    "files": files,
    "at_version": at_version,
    "remove_stale_versions": remove_stale_versions,
}
