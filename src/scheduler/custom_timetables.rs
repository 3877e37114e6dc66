//! Questions to timetables of users, asked in the background while the loop goes on.

use std::collections::HashSet;
use std::sync::Arc;

use slipstream_core::ids::DagId;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::create_runs::{CustomAnswer, CustomAnswers, CustomQuestion};
use crate::python::LazyService;

/// What is being asked, and the answers that have arrived.
#[derive(Debug)]
pub(super) struct CustomTimetables {
    service: LazyService,
    wake: Arc<Notify>,
    asked: HashSet<DagId>,
    said: UnboundedSender<(DagId, Option<CustomAnswer>)>,
    heard: UnboundedReceiver<(DagId, Option<CustomAnswer>)>,
}

impl CustomTimetables {
    /// The service is started by the first question; `wake` is notified of answers.
    pub(super) fn new(service: LazyService, wake: Arc<Notify>) -> Self {
        let (said, heard) = unbounded_channel();
        Self { service, wake, asked: HashSet::new(), said, heard }
    }

    /// Asks what is not being asked already.
    pub(super) fn ask(&mut self, questions: Vec<CustomQuestion>) {
        for question in questions {
            let dag_id = question.dag_id.clone();
            if !self.asked.insert(dag_id.clone()) {
                continue;
            }
            let (service, said, wake) = (self.service.clone(), self.said.clone(), self.wake.clone());
            tokio::spawn(async move {
                let answer = question.ask(&service).await.map_err(|error| {
                    tracing::error!(%dag_id, %error, "the Dag's own timetable gave no answer; its next run waits");
                });
                // The loop may have ended meanwhile.
                let _ = said.send((dag_id, answer.ok().map(|(_, answer)| answer)));
                wake.notify_one();
            });
        }
    }

    /// Whether answers have arrived.
    pub(super) fn has_answers(&self) -> bool {
        !self.heard.is_empty()
    }

    /// Moves the answers that have arrived to `answers`.
    pub(super) fn collect(&mut self, answers: &mut CustomAnswers) {
        while let Ok((dag_id, answer)) = self.heard.try_recv() {
            self.asked.remove(&dag_id);
            if let Some(answer) = answer {
                answers.insert(dag_id, answer);
            }
        }
    }
}
