//! The Python packages that are compiled into this binary: the host's own, and the public one for Dag files.

macro_rules! sources {
    ($($name:literal <- $path:literal),+ $(,)?) => {
        /// Every module of the package: its name inside the process, and its source.
        pub(super) const MODULES: &[(&str, &str)] = &[$((
            concat!("_slipstream_host", $name),
            include_str!(concat!("../../airflow_compat/slipstream/_host/", $path)),
        )),+];
    };
}

sources! {
    "" <- "__init__.py",
    ".hello" <- "hello.py",
    ".wire" <- "wire.py",
    ".logs" <- "logs.py",
    ".parents" <- "parents.py",
    ".prepared" <- "prepared.py",
    ".shared_parse" <- "shared_parse.py",
    ".attributes" <- "attributes.py",
    ".rehearsal" <- "rehearsal.py",
    ".triggering" <- "triggering.py",
    ".preload" <- "preload.py",
    ".connection_test" <- "connection_test.py",
    ".callback" <- "callback.py",
    ".callback_metrics" <- "callback_metrics.py",
    ".executor" <- "executor.py",
    ".ancestor" <- "ancestor.py",
    ".zygote" <- "zygote.py",
    ".service" <- "service.py",
    ".ops" <- "ops/__init__.py",
    ".ops.bundles" <- "ops/bundles.py",
    ".ops.listeners" <- "ops/listeners.py",
    ".ops.predicates" <- "ops/predicates.py",
    ".ops.secrets" <- "ops/secrets.py",
    ".ops.serialized" <- "ops/serialized.py",
    ".ops.task_instances" <- "ops/task_instances.py",
    ".ops.task_logs" <- "ops/task_logs.py",
    ".ops.timetables" <- "ops/timetables.py",
    ".ops.sync" <- "ops/sync.py",
    ".parse" <- "parse.py",
    ".ops.probe" <- "ops/probe.py",
}

/// The public package: a module of this name that is installed in the environment comes first.
pub(super) const PUBLIC: &[(&str, &str)] = &[
    ("slipstream", include_str!("../../airflow_compat/slipstream/__init__.py")),
    ("slipstream.conditions", include_str!("../../airflow_compat/slipstream/conditions.py")),
    ("slipstream.data", include_str!("../../airflow_compat/slipstream/data.py")),
    ("slipstream.functions", include_str!("../../airflow_compat/slipstream/functions.py")),
    ("slipstream.events", include_str!("../../airflow_compat/slipstream/events.py")),
    ("slipstream.schedule", include_str!("../../airflow_compat/slipstream/schedule.py")),
    ("slipstream.tasks", include_str!("../../airflow_compat/slipstream/tasks.py")),
];

/// The first code of a host process.
pub(super) const BOOTSTRAP: &str = include_str!("../../airflow_compat/slipstream/_host/bootstrap.py");
