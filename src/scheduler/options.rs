//! What the scheduler has to know, read once from `airflow.cfg`.

use std::time::Duration;

use chrono::TimeDelta;

use super::timers::Duty;
use crate::config::{Config, keys};
use crate::store::execution::MultiTeam;

/// When a scheduler ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// After so many loops; `None`: never.
    pub after: Option<u64>,
    /// Which loops count.
    pub counts: Loops,
}

/// Which loops count for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loops {
    /// All.
    All,
    /// Those in a row in which nothing was queued and nothing ended.
    Idle,
}

/// What a round of the loop did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// It queued something, or something had ended.
    Busy,
    /// Neither.
    Idle,
}

impl End {
    /// The number of loops that count after one more.
    pub(super) fn count(self, before: u64, round: Round) -> u64 {
        if self.counts == Loops::Idle && round == Round::Busy { 0 } else { before + 1 }
    }

    /// Whether so many loops are enough.
    pub(super) fn is_reached(self, loops: u64) -> bool {
        self.after.is_some_and(|most| loops >= most)
    }
}

/// Settings of the loop. Names and defaults are Airflow's where there is one.
#[derive(Clone, Debug)]
pub struct Options {
    /// `[core] parallelism`: most task instances that are queued or running at once, over all runs.
    pub parallelism: i64,
    /// `[scheduler] num_runs` and `only_idle`: when it ends by itself.
    pub end: End,
    /// `[scheduler] use_job_schedule`: whether time-based and asset-triggered runs are made at all.
    pub create_runs: bool,
    /// `[scheduler] scheduler_heartbeat_sec`.
    pub heartbeat: Duration,
    /// `[scheduler] scheduler_health_check_threshold`: a peer without a heartbeat for so long is dead.
    pub peer_dead_after: Duration,
    /// `[slipstream] poll_interval`: how often the database is asked for what others changed.
    pub poll: Duration,
    /// `[slipstream] deep_poll_interval`: how often running runs are asked for changes.
    pub deep_poll: Duration,
    /// `[slipstream] reexamine_interval`: every running run is examined at least so often.
    pub reexamine: Duration,
    /// `[scheduler] max_dagruns_per_loop_to_schedule`: most runs that are examined in one transaction.
    pub runs_per_pass: usize,
    /// About how many rows are changed in one transaction that examines runs.
    pub changes_per_pass: usize,
    /// How many tasks are read of serialised Dags that are new here before what was read is used in the next round only.
    pub tasks_read_per_pass: u64,
    /// Intervals of the periodic duties.
    pub duties: DutyIntervals,
    /// `[scheduler] task_instance_heartbeat_timeout`.
    pub heartbeat_timeout: Duration,
    /// `[scheduler] task_queued_timeout`.
    pub queued_timeout: Duration,
    /// `[scheduler] num_stuck_in_queued_retries`.
    pub stuck_retries: i64,
    /// `[core] multi_team`.
    pub multi_team: MultiTeam,
    /// `[logging] log_filename_template`.
    pub log_template: String,
    /// What decisions about runs depend on.
    pub decisions: slipstream_core::run::Options,
}

/// Runs that are examined in one transaction, if `[scheduler] max_dagruns_per_loop_to_schedule` does not ask for more.
/// That option bounds the time of a loop that looks at every run again and again.
const RUNS_PER_PASS: i64 = 50;

/// With more changes in one transaction, heartbeats and other runs would wait for a second.
const CHANGES_PER_PASS: usize = 2_000;
/// To read Dags with so many tasks may take longer than all else in a round.
const TASKS_READ_PER_PASS: u64 = 5_000;

impl Options {
    /// Reads the settings.
    pub fn from_config(config: &Config) -> Self {
        let number = |key| config.get::<i64>(key);
        let duration = |key| config.get::<Duration>(key);
        let runs_per_pass = number(&keys::scheduler::MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE).max(RUNS_PER_PASS);
        let max_retry_delay = TimeDelta::from_std(duration(&keys::core::MAX_TASK_RETRY_DELAY));
        Self {
            parallelism: match number(&keys::core::PARALLELISM) {
                0 => i64::MAX,
                most => most,
            },
            end: End {
                after: u64::try_from(number(&keys::scheduler::NUM_RUNS)).ok().filter(|runs| *runs > 0),
                counts: if config.get(&keys::scheduler::ONLY_IDLE) { Loops::Idle } else { Loops::All },
            },
            create_runs: config.get(&keys::scheduler::USE_JOB_SCHEDULE),
            heartbeat: duration(&keys::scheduler::SCHEDULER_HEARTBEAT_SEC),
            peer_dead_after: duration(&keys::scheduler::SCHEDULER_HEALTH_CHECK_THRESHOLD),
            poll: duration(&keys::slipstream::POLL_INTERVAL),
            deep_poll: duration(&keys::slipstream::DEEP_POLL_INTERVAL),
            reexamine: duration(&keys::slipstream::REEXAMINE_INTERVAL),
            runs_per_pass: usize::try_from(runs_per_pass).unwrap_or(usize::MAX),
            changes_per_pass: CHANGES_PER_PASS,
            tasks_read_per_pass: TASKS_READ_PER_PASS,
            duties: DutyIntervals::from_config(config),
            heartbeat_timeout: duration(&keys::scheduler::TASK_INSTANCE_HEARTBEAT_TIMEOUT),
            queued_timeout: duration(&keys::scheduler::TASK_QUEUED_TIMEOUT),
            stuck_retries: number(&keys::scheduler::NUM_STUCK_IN_QUEUED_RETRIES),
            multi_team: if config.get(&keys::core::MULTI_TEAM) { MultiTeam::On } else { MultiTeam::Off },
            log_template: config.get(&keys::logging::LOG_FILENAME_TEMPLATE),
            decisions: slipstream_core::run::Options {
                max_retry_delay: max_retry_delay.unwrap_or(TimeDelta::MAX),
                ..slipstream_core::run::Options::default()
            },
        }
    }
}

/// How often each periodic duty is done.
#[derive(Clone, Copy, Debug)]
pub struct DutyIntervals {
    /// `[scheduler] orphaned_tasks_check_interval`.
    pub orphans: Duration,
    /// `[scheduler] trigger_timeout_check_interval`, also for people's answers.
    pub trigger_timeouts: Duration,
    /// Airflow's fixed 30 seconds.
    pub backfills: Duration,
    /// `[scheduler] pool_metrics_interval`.
    pub pool_metrics: Duration,
    /// `[scheduler] ti_metrics_interval`.
    pub ti_metrics: Duration,
    /// `[scheduler] dagrun_metrics_interval`.
    pub run_metrics: Duration,
    /// `[scheduler] task_instance_heartbeat_timeout_detection_interval`.
    pub heartbeat_timeouts: Duration,
    /// Airflow's fixed 60 seconds.
    pub paused_dags: Duration,
    /// `[scheduler] task_queued_timeout_check_interval`.
    pub stuck_in_queued: Duration,
    /// `[scheduler] parsing_cleanup_interval`: assets and unreferenced triggers.
    pub cleanup: Duration,
    /// `[connection_test] reaper_interval`.
    pub connection_tests: Duration,
}

impl DutyIntervals {
    fn from_config(config: &Config) -> Self {
        let duration = |key| config.get::<Duration>(key);
        Self {
            orphans: duration(&keys::scheduler::ORPHANED_TASKS_CHECK_INTERVAL),
            trigger_timeouts: duration(&keys::scheduler::TRIGGER_TIMEOUT_CHECK_INTERVAL),
            backfills: Duration::from_secs(30),
            pool_metrics: duration(&keys::scheduler::POOL_METRICS_INTERVAL),
            ti_metrics: duration(&keys::scheduler::TI_METRICS_INTERVAL),
            run_metrics: duration(&keys::scheduler::DAGRUN_METRICS_INTERVAL),
            heartbeat_timeouts: duration(
                &keys::scheduler::TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL,
            ),
            paused_dags: Duration::from_secs(60),
            stuck_in_queued: duration(&keys::scheduler::TASK_QUEUED_TIMEOUT_CHECK_INTERVAL),
            cleanup: duration(&keys::scheduler::PARSING_CLEANUP_INTERVAL),
            connection_tests: duration(&keys::connection_test::REAPER_INTERVAL),
        }
    }

    /// Every duty with its interval.
    pub(super) fn armed(&self) -> [(Duty, Duration); 13] {
        [
            (Duty::Orphans, self.orphans),
            (Duty::TriggerTimeouts, self.trigger_timeouts),
            (Duty::AwaitingInputTimeouts, self.trigger_timeouts),
            (Duty::Backfills, self.backfills),
            (Duty::PoolMetrics, self.pool_metrics),
            (Duty::TiMetrics, self.ti_metrics),
            (Duty::RunMetrics, self.run_metrics),
            (Duty::HeartbeatTimeouts, self.heartbeat_timeouts),
            (Duty::PausedDags, self.paused_dags),
            (Duty::StuckInQueued, self.stuck_in_queued),
            (Duty::AssetOrphanage, self.cleanup),
            (Duty::UnreferencedTriggers, self.cleanup),
            (Duty::ConnectionTests, self.connection_tests),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_only_idle_a_busy_loop_begins_the_count_anew() {
        let end = |counts| End { after: Some(2), counts };
        let count = |end: End| {
            [Round::Idle, Round::Busy, Round::Idle].into_iter().fold(0, |n, round| end.count(n, round))
        };
        assert_eq!((count(end(Loops::All)), count(end(Loops::Idle))), (3, 1));
        assert!(end(Loops::All).is_reached(2) && !end(Loops::All).is_reached(1));
        assert!(!End { after: None, counts: Loops::All }.is_reached(u64::MAX));
    }
}
