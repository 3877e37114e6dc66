//! The step that queues ready task instances, and the work for an executor that queued rows become.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use slipstream_core::admit::Slots;
use slipstream_core::executor::ExecutorIndex;
use slipstream_core::ids::TiKey;

use super::look_around::later;
use super::measure;
use super::options::Round;
use super::tick::Scheduler;
use crate::executor::{
    BundleInfo, CallbackDto, ExecuteCallback, ExecuteTask, Executor, LogTemplate, Workload, WorkloadTi,
};
use crate::store::callbacks::ExecutorCallback;
use crate::store::critical_section::{self, QueuedTi, Room};
use crate::store::{StoreError, encoding};

/// How often task instances that found no slot are looked at again for what others may have changed.
const TURNED_AWAY: Duration = Duration::from_millis(500);

impl Scheduler {
    /// Queues ready task instances as far as there is room, and hands them to the executor.
    pub(super) async fn enqueue(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.agenda.enqueue = false;
        let launched = self.launched.take_examined();
        let number = |slots| i64::try_from(slots).unwrap_or(i64::MAX);
        let executors = self.executors.rooms();
        let streaming_at = self.executors.streaming_at();
        let streaming = if streaming_at.is_some() { self.bag.streaming() } else { BTreeSet::new() };
        let all = executors.values().fold(0_i64, |sum, free| sum.saturating_add(free.batch));
        let occupied = number(self.executors.slots_occupied());
        let apart = streaming_at.filter(|_| !streaming.is_empty()).and_then(|at| executors.get(&at));
        let free = Slots {
            batch: all.min(self.options.parallelism.saturating_sub(occupied)),
            streaming: apart.map_or(0, |free| free.streaming),
        };
        if free.batch <= 0 && free.streaming <= 0 {
            return Ok(());
        }
        let room = Room {
            executors,
            roster: self.executors.roster().clone(),
            pre_assigning: self.executors.pre_assigning(),
            free,
            streaming,
            streaming_at,
            launched,
            multi_team: self.options.multi_team,
        };
        let began = Instant::now();
        let pass = critical_section::enqueue(&self.db, &self.bag, &room, self.job.0, now).await?;
        if pass.busy {
            crate::telemetry::metrics::incr("scheduler.critical_section_busy", &[]);
            self.agenda.enqueue = true;
            self.launched.put_back(room.launched);
            tokio::time::sleep(Duration::from_millis(5)).await;
            return Ok(());
        }
        if !pass.queued.is_empty() {
            self.round = Round::Busy;
        }
        measure::queued(&pass, began.elapsed(), now);
        if pass.queued.is_empty() {
            self.clocks.enqueue = later(now, TURNED_AWAY);
        }
        let began = Instant::now();
        self.hand_over(pass.queued);
        self.with_executor += began.elapsed();
        Ok(())
    }

    /// Gives what was queued to its executors.
    fn hand_over(&self, queued: Vec<QueuedTi>) {
        let mut parts: BTreeMap<ExecutorIndex, Vec<QueuedTi>> = BTreeMap::new();
        for ti in queued {
            parts.entry(ti.executor).or_default().push(ti);
        }
        for (index, tis) in parts {
            match self.executors.get(index) {
                Some(Executor::Local(executor)) => {
                    executor.queue(tis.into_iter().map(|ti| workload(ti, &self.logs)).collect());
                }
                Some(Executor::Hosted(executor)) => {
                    executor.queue_tasks(tis.into_iter().map(|ti| (ti.id, ti_key(ti))));
                }
                // The roster of the executors was asked.
                None => {}
            }
        }
    }
}

fn ti_key(ti: QueuedTi) -> TiKey {
    let QueuedTi { dag_id, task_id, run_id, try_number, map_index, .. } = ti;
    TiKey { dag_id, task_id, run_id, try_number, map_index }
}

/// The workload of a task instance that has just been queued (`ExecuteTask.make` in Airflow).
pub(super) fn workload(ti: QueuedTi, logs: &LogTemplate) -> Workload {
    let carrier = encoding::plain(&ti.context_carrier);
    let inner = WorkloadTi {
        id: ti.id,
        task_id: ti.task_id,
        dag_id: ti.dag_id,
        run_id: ti.run_id,
        try_number: ti.try_number,
        dag_version_id: ti.dag_version_id,
        map_index: ti.map_index,
        hostname: ti.hostname,
        context_carrier: carrier,
        queue: ti.queue,
        pool_slots: ti.pool_slots,
        priority_weight: ti.priority_weight,
    };
    Workload::ExecuteTask(ExecuteTask {
        token: String::new(),
        dag_rel_path: ti.relative_fileloc,
        bundle_info: BundleInfo { name: ti.bundle_name, version: ti.bundle_version },
        log_path: Some(logs.render(&inner)),
        ti: inner,
        sentry_integration: String::new(),
        class: ti.class,
    })
}

/// The workload of a callback that waits for an executor (`ExecuteCallback.make` in Airflow).
pub(super) fn callback_workload(callback: ExecutorCallback) -> Workload {
    let path = format!("executor_callbacks/{}/{}/{}", callback.dag_id, callback.run_id, callback.id);
    Workload::ExecuteCallback(ExecuteCallback {
        token: String::new(),
        dag_rel_path: callback.relative_fileloc.unwrap_or_default(),
        bundle_info: BundleInfo {
            name: callback.bundle_name.unwrap_or_default(),
            version: callback.bundle_version,
        },
        log_path: Some(path),
        callback: CallbackDto { id: callback.id, fetch_method: callback.fetch_method, data: callback.data },
    })
}
