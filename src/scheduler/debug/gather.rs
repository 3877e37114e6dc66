//! What the loop tells about itself.

use chrono::{DateTime, Utc};

use super::rounds::LONGEST;
use super::state::{Due, ExecutorKind, ExecutorState, LoopState, Runs};
use super::{Desk, desk::Question};
use crate::executor::Executor;
use crate::scheduler::tick::Scheduler;

/// Most moments at which runs are looked at that are listed.
const RUNS_SHOWN: usize = 20;

impl Scheduler {
    /// Where this scheduler can be asked about itself while it runs.
    pub fn desk(&self) -> Desk {
        Desk::new(self.db.clone(), self.progress.clone(), self.ask.clone())
    }

    /// Answers whoever has asked.
    pub(in crate::scheduler) fn answer_questions(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            self.answer(question);
        }
    }

    /// Answers one question.
    pub(in crate::scheduler) fn answer(&mut self, question: Question) {
        let state = self.loop_state(Utc::now());
        // Who asked may have stopped waiting.
        let _ = question.send(state);
    }

    fn loop_state(&self, now: DateTime<Utc>) -> LoopState {
        LoopState {
            job_id: self.job.0,
            rounds: self.progress.rounds(LONGEST),
            due: self.due(now),
            next_steps: self.agenda.steps(),
            runs: Runs {
                examined: self.seen.len(),
                to_examine: self.agenda.runs(),
                later: self.agenda.moments().map(|(_, runs)| runs.len()).sum(),
            },
            executors: self.executor_states(),
        }
    }

    fn due(&self, now: DateTime<Utc>) -> Vec<Due> {
        let duties = self.timers.moments().map(|(duty, at)| Due { at, what: duty.name().to_owned() });
        let looks =
            self.looks_at_the_database(now).into_iter().map(|(what, at)| Due { at, what: what.to_owned() });
        let runs = self.agenda.moments().take(RUNS_SHOWN).map(|(at, runs)| {
            let ids: Vec<String> = runs.iter().take(RUNS_SHOWN).map(i64::to_string).collect();
            Due { at, what: format!("look at dag_run {}", ids.join(", ")) }
        });
        let mut due: Vec<Due> = duties.chain(looks).chain(runs).collect();
        due.sort();
        due
    }

    fn executor_states(&self) -> Vec<ExecutorState> {
        let roster = self.executors.roster();
        let state = |(index, executor): (_, &Executor)| {
            let (kind, ready, worker_pid) = match executor {
                Executor::Local(local) => {
                    (ExecutorKind::Local, local.worker_pid().is_some(), local.worker_pid())
                }
                Executor::Hosted(hosted) => (ExecutorKind::Hosted, hosted.is_ready(), None),
            };
            ExecutorState {
                name: roster.get(index).map_or_else(String::new, |name| name.shown().to_string()),
                kind,
                ready,
                worker_pid,
                open_slots: executor.room().batch,
                occupied_slots: executor.slots_occupied(),
                task_instances: executor.held_tasks().len(),
            }
        };
        self.executors.all().map(state).collect()
    }
}
