//! The worker's running workloads.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use slipstream_core::ids::{DagId, RunId};
use tokio::sync::Notify;

use super::board::{Board, SessionId, SlotId, Start, ended};
use super::callback;
use super::connection_test;
use super::leftovers::Leftovers;
use super::process::Launcher;
use super::server::Servers;
use super::settings::Settings;
use super::supervise::{Watcher, supervise};
use crate::executor::wire::ToWorker;
use crate::executor::{ExecutorEvent, WorkEvent, Workload};

/// What starts the processes of each kind of workload.
#[derive(Debug)]
pub(super) struct Launchers<L> {
    pub(super) tasks: L,
    /// And tests of connections.
    pub(super) callbacks: L,
}

/// Runs what the board has. Shared by all sessions.
#[derive(Debug)]
pub(super) struct Crew<L, V> {
    board: RefCell<Board>,
    pub(super) settings: Settings,
    launchers: Launchers<L>,
    servers: V,
    leftovers: Leftovers,
    /// Something has ended, or a scheduler has gone.
    pub(super) changed: Notify,
}

impl<L: Launcher + 'static, V: Servers + 'static> Crew<L, V> {
    pub(super) fn new(
        board: Board,
        settings: Settings,
        launchers: Launchers<L>,
        servers: V,
        leftovers: Leftovers,
    ) -> Self {
        Self { board: RefCell::new(board), settings, launchers, servers, leftovers, changed: Notify::new() }
    }

    /// The board. Not to be held across an await.
    pub(super) fn board(&self) -> RefMut<'_, Board> {
        self.board.borrow_mut()
    }

    /// Does what a scheduler says.
    pub(super) fn obey(self: &Rc<Self>, session: SessionId, message: ToWorker) {
        match message {
            ToWorker::Hello { .. } => {}
            ToWorker::Queue { workloads } => {
                self.board().add(session, workloads);
                self.start_what_may();
            }
            ToWorker::Kill { key } => self.board().kill(&key),
            ToWorker::Got { seq } => self.board().confirm(seq),
        }
    }

    /// Starts workloads as long as there are slots.
    pub(super) fn start_what_may(self: &Rc<Self>) {
        loop {
            let Some(start) = self.board().start_next() else { return };
            tokio::task::spawn_local(self.clone().run(start));
        }
    }

    async fn run(self: Rc<Self>, start: Start) {
        let Start { slot, workload, mut orders } = start;
        let outcome = match &workload {
            Workload::ExecuteTask(task) => {
                let post = Post { crew: &self, slot, pid: RefCell::new(None) };
                let server = self.servers.server(task);
                let outcome =
                    supervise(task, &self.settings, &self.launchers.tasks, server, &post, &mut orders).await;
                if let Some(pid) = post.pid.take() {
                    self.leftovers.end(pid);
                }
                outcome
            }
            Workload::ExecuteCallback(work) => {
                self.board().tell_owner_of(slot, WorkEvent::CallbackStarted { id: work.callback.id });
                let answers = self.servers.for_callback();
                callback::supervise(work, &self.settings, &self.launchers.callbacks, answers, &mut orders)
                    .await
            }
            Workload::TestConnection(work) => {
                let launcher = &self.launchers.callbacks;
                connection_test::supervise(work, &self.settings, launcher, &self.servers, &mut orders).await
            }
        };
        if let Some(info) = &outcome.info {
            tracing::warn!(key = ?workload.key(), info, "a workload could not be run");
        }
        self.board().end(slot, ended(&workload, outcome.report, outcome.info));
        self.start_what_may();
        self.changed.notify_one();
    }

    /// Finds tasks that were stopped, cleared or marked in the database, with one statement for all.
    pub(super) async fn look_around(&self) {
        let ids = self.board().entered_tasks();
        if ids.is_empty() {
            return;
        }
        match self.servers.not_running(&ids).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => self.board().look(&found),
            // The heartbeats count failures.
            Err(error) => tracing::debug!(error, "the states of running tasks cannot be read"),
        }
    }
}

/// What one supervision reports to.
struct Post<'a, L, V> {
    crew: &'a Crew<L, V>,
    slot: SlotId,
    pid: RefCell<Option<i32>>,
}

impl<L: Launcher + 'static, V: Servers + 'static> Watcher for Post<'_, L, V> {
    fn started(&self, pid: i32) {
        self.crew.leftovers.note(pid);
        *self.pid.borrow_mut() = Some(pid);
    }

    fn entered(&self) {
        self.crew.board().entered(self.slot);
    }

    fn settled(&self) {
        self.crew.board().settled(self.slot);
    }

    fn changed(&self, dag_id: &DagId, run_id: &RunId) {
        let event = ExecutorEvent::Changed { dag_id: dag_id.clone(), run_id: run_id.clone() };
        self.crew.board().hint(&event);
    }
}
