//! `[scheduler]`.

use std::time::Duration;

keys! { "scheduler":
    /// How often a job shows that it is alive.
    JOB_HEARTBEAT_SEC: Duration = "job_heartbeat_sec", Duration::from_secs(5);
    /// How often the scheduler shows that it is alive.
    SCHEDULER_HEARTBEAT_SEC: Duration = "scheduler_heartbeat_sec", Duration::from_secs(5);
    /// How many loops until the scheduler ends by itself; −1: never.
    NUM_RUNS: i64 = "num_runs", -1;
    /// Whether only idle loops count for that.
    ONLY_IDLE: bool = "only_idle", false;
    /// How often Dags whose file is gone are looked for.
    PARSING_CLEANUP_INTERVAL: Duration = "parsing_cleanup_interval", Duration::from_secs(60);
    /// How often pool metrics are sent.
    POOL_METRICS_INTERVAL: Duration = "pool_metrics_interval", Duration::from_secs(5);
    /// How often task instances are counted for metrics.
    TI_METRICS_INTERVAL: Duration = "ti_metrics_interval", Duration::from_secs(30);
    /// How often running runs are counted for metrics.
    DAGRUN_METRICS_INTERVAL: Duration = "dagrun_metrics_interval", Duration::from_secs(30);
    /// After how long without a heartbeat a scheduler counts as dead.
    SCHEDULER_HEALTH_CHECK_THRESHOLD: Duration = "scheduler_health_check_threshold", Duration::from_secs(30);
    /// Whether the health server runs.
    ENABLE_HEALTH_CHECK: bool = "enable_health_check", false;
    /// Where it listens.
    SCHEDULER_HEALTH_CHECK_SERVER_HOST: String = "scheduler_health_check_server_host", "0.0.0.0";
    /// On which port.
    SCHEDULER_HEALTH_CHECK_SERVER_PORT: i64 = "scheduler_health_check_server_port", 8974;
    /// How often tasks of dead schedulers are looked for.
    ORPHANED_TASKS_CHECK_INTERVAL: Duration = "orphaned_tasks_check_interval", Duration::from_secs(300);
    /// After how long without a heartbeat a running task counts as dead.
    TASK_INSTANCE_HEARTBEAT_TIMEOUT: Duration = "task_instance_heartbeat_timeout", Duration::from_secs(300);
    /// How often that is looked for.
    TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL: Duration = "task_instance_heartbeat_timeout_detection_interval", Duration::from_secs(10);
    /// Most runs made per loop.
    MAX_DAGRUNS_TO_CREATE_PER_LOOP: i64 = "max_dagruns_to_create_per_loop", 10;
    /// Most runs examined per loop.
    MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE: i64 = "max_dagruns_per_loop_to_schedule", 20;
    /// Most partitions that one asset event may reach per Dag.
    PARTITION_MAPPER_MAX_DOWNSTREAM_KEYS: i64 = "partition_mapper_max_downstream_keys", 1000;
    /// Whether this scheduler makes runs by schedule.
    USE_JOB_SCHEDULE: bool = "use_job_schedule", true;
    /// How often deferred tasks whose time is up are looked for.
    TRIGGER_TIMEOUT_CHECK_INTERVAL: Duration = "trigger_timeout_check_interval", Duration::from_secs(15);
    /// How long a task may be queued.
    TASK_QUEUED_TIMEOUT: Duration = "task_queued_timeout", Duration::from_secs(600);
    /// How often that is looked for.
    TASK_QUEUED_TIMEOUT_CHECK_INTERVAL: Duration = "task_queued_timeout_check_interval", Duration::from_secs(120);
    /// How often a task that is stuck in the queue is queued again.
    NUM_STUCK_IN_QUEUED_RETRIES: i64 = "num_stuck_in_queued_retries", 2;
    /// What run ids may look like.
    ALLOWED_RUN_ID_PATTERN: String = "allowed_run_id_pattern", "^[A-Za-z0-9_.~:+-]+$";
}
