//! What the worker holds: queued work, running work, and news that no scheduler has confirmed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slipstream_core::admit::Class;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::supervise::Order;
use crate::executor::wire::FromWorker;
use crate::executor::{Attached, ExecutorEvent, Report, WorkEvent, Workload, WorkloadKey};

/// A connected scheduler.
pub(super) type SessionId = u64;
/// One run of a workload in this worker.
pub(super) type SlotId = u64;

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    worker: Uuid,
    parallelism: usize,
    streaming: usize,
    sessions: HashMap<SessionId, mpsc::UnboundedSender<FromWorker>>,
    queue: BTreeSet<Waiting>,
    slots: HashMap<SlotId, Slot>,
    unconfirmed: BTreeMap<u64, News>,
    counter: u64,
}

/// A workload that waits for a slot. The order is that of `trigger_tasks`: callbacks first (and tests of connections,
/// which Airflow has last), then by priority, then as they came.
#[derive(Debug)]
struct Waiting {
    rank: (std::cmp::Reverse<i64>, u64),
    workload: Workload,
    owner: Option<SessionId>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

#[derive(Debug)]
struct Slot {
    workload: Workload,
    owner: Option<SessionId>,
    orders: mpsc::UnboundedSender<Order>,
    phase: Phase,
}

/// How far a running workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its process is being started.
    Starting,
    /// The database says that it runs.
    Entered,
    /// Its end is in the database; the process is still there.
    Settled,
}

#[derive(Debug)]
struct News {
    event: WorkEvent,
    owner: Option<SessionId>,
}

/// A workload that has just got a slot.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) slot: SlotId,
    pub(super) workload: Workload,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
}

impl Board {
    pub(super) fn new(worker: Uuid, parallelism: usize, streaming: usize) -> Self {
        Self {
            worker,
            parallelism: parallelism.max(1),
            streaming,
            sessions: HashMap::new(),
            queue: BTreeSet::new(),
            slots: HashMap::new(),
            unconfirmed: BTreeMap::new(),
            counter: 0,
        }
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A scheduler has said hello: it gets all that no connected scheduler has handed over.
    pub(super) fn open(&mut self, out: mpsc::UnboundedSender<FromWorker>) -> SessionId {
        let id = self.next_number();
        let mut held = Attached::default();
        for slot in self.slots.values_mut().filter(|slot| slot.owner.is_none()) {
            slot.owner = Some(id);
            held.running.push(slot.workload.clone());
        }
        self.each_waiting(|waiting| {
            if waiting.owner.is_none() {
                waiting.owner = Some(id);
                held.queued.push(waiting.workload.clone());
            }
        });
        // A closed channel means that the session ends at once; what was given to it is freed then.
        let _ = out.send(FromWorker::Welcome { worker: self.worker, pid: std::process::id(), held });
        for (seq, news) in self.unconfirmed.iter_mut().filter(|(_, news)| news.owner.is_none()) {
            news.owner = Some(id);
            let _ = out.send(FromWorker::Event { seq: Some(*seq), event: news.event.clone().into() });
        }
        self.sessions.insert(id, out);
        id
    }

    /// A scheduler is gone. Its work goes on.
    pub(super) fn close(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        let free = |owner: &mut Option<SessionId>| {
            owner.take_if(|owner| *owner == session);
        };
        self.slots.values_mut().for_each(|slot| free(&mut slot.owner));
        self.unconfirmed.values_mut().for_each(|news| free(&mut news.owner));
        self.each_waiting(|waiting| free(&mut waiting.owner));
    }

    /// Changes queued work in what does not change its order.
    fn each_waiting(&mut self, mut change: impl FnMut(&mut Waiting)) {
        let queue = std::mem::take(&mut self.queue).into_iter();
        self.queue = queue
            .map(|mut waiting| {
                change(&mut waiting);
                waiting
            })
            .collect();
    }

    /// Takes work in, unless it is here already.
    pub(super) fn add(&mut self, session: SessionId, workloads: Vec<Workload>) {
        let keys = workloads.iter().map(Workload::key).collect();
        for workload in workloads {
            if self.holds(&workload.key()) {
                continue;
            }
            let priority = match &workload {
                // Somebody looks at the screen until it has ended.
                Workload::ExecuteCallback(_) | Workload::TestConnection(_) => i64::MAX,
                Workload::ExecuteTask(task) => task.ti.priority_weight,
            };
            let rank = (std::cmp::Reverse(priority), self.next_number());
            self.queue.insert(Waiting { rank, workload, owner: Some(session) });
        }
        self.say(session, FromWorker::Queued { keys });
    }

    /// Whether the workload waits or runs. One whose end is in the database does not count: the task may be resumed
    /// while its first process is ending.
    fn holds(&self, key: &WorkloadKey) -> bool {
        self.queue.iter().any(|waiting| waiting.workload.key() == *key)
            || self.slots.values().any(|slot| slot.phase != Phase::Settled && slot.workload.key() == *key)
    }

    /// The next workload that may start.
    pub(super) fn start_next(&mut self) -> Option<Start> {
        // Each scheduler counts its own parallelism, as with stock Airflow.
        let sessions = self.sessions.len().max(1);
        let streams = self.slots.values().filter(|slot| slot.workload.class() == Class::Streaming).count();
        let has_room = |class| match class {
            Class::Batch => self.slots.len() - streams < self.parallelism * sessions,
            Class::Streaming => streams < self.streaming * sessions,
        };
        let next = self.queue.iter().find(|waiting| has_room(waiting.workload.class()))?;
        let rank = next.rank;
        let next = Waiting { rank, workload: next.workload.clone(), owner: next.owner };
        let Waiting { workload, owner, .. } = self.queue.take(&next)?;
        let slot = self.next_number();
        let (sender, orders) = mpsc::unbounded_channel();
        let running = Slot { workload: workload.clone(), owner, orders: sender, phase: Phase::Starting };
        self.slots.insert(slot, running);
        Some(Start { slot, workload, orders })
    }

    pub(super) fn entered(&mut self, slot: SlotId) {
        self.set_phase(slot, Phase::Entered);
    }

    pub(super) fn settled(&mut self, slot: SlotId) {
        self.set_phase(slot, Phase::Settled);
    }

    fn set_phase(&mut self, slot: SlotId, phase: Phase) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.phase = phase;
        }
    }

    /// A workload's process is gone: frees its slot and tells its scheduler.
    pub(super) fn end(&mut self, slot: SlotId, event: WorkEvent) {
        let owner = self.slots.remove(&slot).and_then(|slot| slot.owner);
        self.tell(owner, event);
    }

    /// News that must arrive.
    pub(super) fn tell(&mut self, owner: Option<SessionId>, event: WorkEvent) {
        let seq = self.next_number();
        if let Some(owner) = owner {
            self.say(owner, FromWorker::Event { seq: Some(seq), event: event.clone().into() });
        }
        self.unconfirmed.insert(seq, News { event, owner });
    }

    pub(super) fn tell_owner_of(&mut self, slot: SlotId, event: WorkEvent) {
        let owner = self.slots.get(&slot).and_then(|slot| slot.owner);
        self.tell(owner, event);
    }

    /// News that everyone may miss.
    pub(super) fn hint(&self, event: &ExecutorEvent) {
        for out in self.sessions.values() {
            let _ = out.send(FromWorker::Event { seq: None, event: event.clone() });
        }
    }

    pub(super) fn confirm(&mut self, seq: u64) {
        self.unconfirmed.remove(&seq);
    }

    /// Ends a workload, wherever it is.
    pub(super) fn kill(&mut self, key: &WorkloadKey) {
        let queue = std::mem::take(&mut self.queue).into_iter();
        let (killed, left): (Vec<Waiting>, _) = queue.partition(|waiting| waiting.workload.key() == *key);
        self.queue = left.into_iter().collect();
        for waiting in killed {
            let event =
                ended(&waiting.workload, Report::Failed, Some("it was taken out of the queue".to_owned()));
            self.tell(waiting.owner, event);
        }
        for slot in self.slots.values().filter(|slot| slot.workload.key() == *key) {
            let _ = slot.orders.send(Order::Stop);
        }
    }

    /// Drops what waits and ends what runs.
    pub(super) fn stop_all(&mut self) {
        self.queue.clear();
        for slot in self.slots.values() {
            let _ = slot.orders.send(Order::Stop);
        }
    }

    /// Task instances that the database should show as running.
    pub(super) fn entered_tasks(&self) -> Vec<Uuid> {
        let entered = self.slots.values().filter(|slot| slot.phase == Phase::Entered);
        entered.filter_map(|slot| task_id(&slot.workload)).collect()
    }

    /// Makes the supervisions of these task instances ask the database at once.
    pub(super) fn look(&self, ids: &[Uuid]) {
        for slot in self.slots.values() {
            if task_id(&slot.workload).is_some_and(|id| ids.contains(&id)) {
                let _ = slot.orders.send(Order::Look);
            }
        }
    }

    pub(super) fn running(&self) -> usize {
        self.slots.len()
    }

    /// Nobody is connected and nothing is left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.slots.is_empty() && self.queue.is_empty()
    }

    fn say(&self, session: SessionId, message: FromWorker) {
        if let Some(out) = self.sessions.get(&session) {
            // Said again to the next session if this one is ending.
            let _ = out.send(message);
        }
    }
}

fn task_id(workload: &Workload) -> Option<Uuid> {
    match workload {
        Workload::ExecuteTask(task) => Some(task.ti.id),
        Workload::ExecuteCallback(_) | Workload::TestConnection(_) => None,
    }
}

/// The event that ends a workload.
pub(super) fn ended(workload: &Workload, report: Report, info: Option<String>) -> WorkEvent {
    match workload {
        Workload::ExecuteTask(task) => {
            WorkEvent::TaskEnded { key: task.ti.key(), ti_id: task.ti.id, report, info }
        }
        Workload::ExecuteCallback(work) => WorkEvent::CallbackEnded { id: work.callback.id, report, info },
        Workload::TestConnection(work) => {
            WorkEvent::ConnectionTested { id: work.connection_test_id, report, info }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::ExecuteTask;
    use crate::worker::fake::task;

    fn session(board: &mut Board) -> (SessionId, mpsc::UnboundedReceiver<FromWorker>) {
        let (out, heard) = mpsc::unbounded_channel();
        (board.open(out), heard)
    }

    #[test]
    fn higher_priority_starts_first_and_slots_are_limited() {
        let mut board = Board::new(Uuid::nil(), 2, 1);
        let (id, _heard) = session(&mut board);
        board.add(id, vec![task("low", 1), task("high", 9), task("middle", 5)]);
        let mut started = Vec::new();
        while let Some(start) = board.start_next() {
            let Workload::ExecuteTask(task) = start.workload else { panic!() };
            started.push(task.ti.task_id.to_string());
        }
        assert_eq!(started, ["high", "middle"]);
    }

    #[test]
    fn streaming_tasks_have_slots_of_their_own_and_leave_those_of_others_alone() {
        let stream = |task_id: &str| match task(task_id, 9) {
            Workload::ExecuteTask(work) => {
                Workload::ExecuteTask(ExecuteTask { class: Class::Streaming, ..work })
            }
            other => other,
        };
        let mut board = Board::new(Uuid::nil(), 1, 1);
        let (id, _heard) = session(&mut board);
        board.add(id, vec![stream("s"), stream("s2"), task("a", 1), task("b", 1)]);
        let mut started = Vec::new();
        while let Some(start) = board.start_next() {
            let Workload::ExecuteTask(task) = start.workload else { panic!() };
            started.push(task.ti.task_id.to_string());
        }
        assert_eq!(started, ["s", "a"]);
    }

    #[test]
    fn the_same_try_is_not_taken_twice_but_a_resumed_one_is() {
        let mut board = Board::new(Uuid::nil(), 8, 0);
        let (id, _heard) = session(&mut board);
        let work = task("a", 1);
        board.add(id, vec![work.clone(), work.clone()]);
        let start = board.start_next().unwrap();
        board.add(id, vec![work.clone()]);
        assert!(board.start_next().is_none());
        board.settled(start.slot);
        board.add(id, vec![work]);
        assert!(board.start_next().is_some());
    }

    #[test]
    fn news_without_a_scheduler_waits_for_the_next_one() {
        let mut board = Board::new(Uuid::nil(), 8, 0);
        let (first, _heard) = session(&mut board);
        board.add(first, vec![task("a", 1), task("b", 1)]);
        let start = board.start_next().unwrap();
        board.close(first);
        board.end(start.slot, ended(&start.workload, Report::Success, None));
        let (_, mut heard) = session(&mut board);
        let Ok(FromWorker::Welcome { held, .. }) = heard.try_recv() else { panic!() };
        assert_eq!((held.running.len(), held.queued.len()), (0, 1));
        let Ok(FromWorker::Event { seq: Some(seq), .. }) = heard.try_recv() else { panic!() };
        board.confirm(seq);
        assert!(board.unconfirmed.is_empty());
    }
}
