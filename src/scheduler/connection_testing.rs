//! Tests of connections that people ask for in the UI: handed to an executor (`_enqueue_connection_tests`), and given up when they
//! take too long.

use std::time::Instant;

use chrono::{DateTime, Utc};
use slipstream_core::executor::ExecutorIndex;

use super::duties;
use super::tick::Scheduler;
use crate::executor::{Executor, LocalExecutor, TestConnection, Workload, WorkloadKey};
use crate::store::connection_tests::{self, PendingTest};
use crate::store::execution::MultiTeam;
use crate::store::{StoreError, Tx};
use crate::telemetry::metrics;

impl Scheduler {
    /// Hands the tests that wait to the executors that they ask for, within `[connection_test] max_concurrency`. One whose
    /// executor cannot do it fails, and says why.
    pub(super) async fn hand_on_connection_tests(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.agenda.connection_tests = false;
        let began = Instant::now();
        let tx = self.db.begin().await?;
        let (active, pending) = connection_tests::waiting(&tx).await?;
        let room = self.duty_options.connection_tests - active;
        if room <= 0 || pending == 0 {
            return Ok(());
        }
        let mut handed_on = Vec::new();
        for test in connection_tests::pending(&tx, room).await? {
            match self.tester_for(&test) {
                Ok(executor) => {
                    connection_tests::queue(&tx, test.id, now).await?;
                    handed_on.push((executor.clone(), test));
                }
                Err(reason) => self.refuse(&tx, &test, &reason, now).await?,
            }
        }
        tx.commit().await?;
        for (executor, test) in handed_on {
            executor.queue(vec![self.connection_test_workload(test)]);
        }
        metrics::timing("connection_test.dispatch_duration", began.elapsed(), &[]);
        Ok(())
    }

    /// The executor that tests it, or why none does. Of Airflow's own executors only the local one can.
    fn tester_for(&self, test: &PendingTest) -> Result<&LocalExecutor, String> {
        let team = test.team.as_deref().filter(|_| self.options.multi_team == MultiTeam::On);
        let wanted = test.executor.as_deref();
        match self.executors.of(wanted, team) {
            Some((_, Executor::Local(executor))) => Ok(executor),
            Some((index, Executor::Hosted(_))) => {
                let name = wanted.or_else(|| self.name_of(index)).unwrap_or_default();
                Err(format!("Executor '{name}' does not support connection testing"))
            }
            None => Err(format!("No executor matches '{}'", wanted.unwrap_or("None"))),
        }
    }

    fn name_of(&self, index: ExecutorIndex) -> Option<&str> {
        Some(self.executors.roster().get(index)?.shown())
    }

    async fn refuse(
        &self,
        tx: &Tx,
        test: &PendingTest,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        tracing::warn!(id = %test.id, connection_id = test.connection_id, "a connection is not tested: {reason}");
        connection_tests::fail(tx, test.id, reason, now).await
    }

    fn connection_test_workload(&self, test: PendingTest) -> Workload {
        Workload::TestConnection(TestConnection {
            token: String::new(),
            connection_test_id: test.id,
            connection_id: test.connection_id,
            timeout: self.duty_options.connection_test_timeout,
            queue: test.queue,
        })
    }

    /// Gives up tests that take too long, and counts the others.
    pub(super) async fn reap_connection_tests(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let timeout = self.duty_options.connection_test_timeout;
        for test in duties::connection_tests::run_once(&self.db, timeout, now).await? {
            metrics::incr("connection_test.reaped", &[("prior_state", test.prior_state.as_str())]);
            for (_, executor) in self.executors.all() {
                if let Executor::Local(executor) = executor {
                    executor.kill(WorkloadKey::ConnectionTest { id: test.id });
                }
            }
            self.agenda.connection_tests = true;
        }
        if metrics::is_on() {
            let (active, pending) = connection_tests::waiting(&self.db).await?;
            metrics::gauge("connection_test.active", active, &[]);
            metrics::gauge("connection_test.pending", pending, &[]);
        }
        Ok(())
    }
}
