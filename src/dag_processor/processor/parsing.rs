//! The loop's dealings with children and their results.

use super::*;
use crate::dag_processor::child::{Parsed, Request};
use crate::dag_processor::memory::turn;
use crate::dag_processor::queue::Callbacks;
use crate::supervisor::{Answerer, Asker};

impl Processor {
    /// Whether a file is being parsed or its result being written.
    pub(super) fn is_busy(&self, file: &FileKey) -> bool {
        self.syncing.contains(file) || self.running.keys().any(|item| item.file == *file)
    }

    /// Queues what is due once the queue is empty; what did not change is only noted in the database.
    pub(super) async fn queue_due_files(&mut self) -> Result<(), StoreError> {
        if !self.queue.is_empty() {
            return Ok(());
        }
        if let Some(since) = self.pass_since.take() {
            measure::passed(&self.files, since.elapsed());
        }
        let began = Instant::now();
        let now = Utc::now();
        let (settings, runs) = (&self.options.settings, self.options.runs);
        let mut due = pass::due(&self.files, settings, runs, now, |file| self.is_busy(file));
        if !due.confirm.is_empty() {
            // What is only looked at is part of the pass.
            self.pass_since = Some(began);
            let confirm = std::mem::take(&mut due.confirm);
            let all = confirm.clone();
            let version =
                |bundle: &Bundle| bundle.checkout.as_ref().and_then(|checkout| checkout.version.clone());
            let versions =
                self.bundles.iter().map(|(name, bundle)| (name.clone(), version(bundle))).collect();
            let database = (&mut self.known, &versions);
            let not = pass::confirm(&self.options.db, &self.files, confirm, settings, database, now).await?;
            for file in all.iter().filter(|file| !not.contains(file)) {
                if let Some(state) = self.files.get_mut(file) {
                    state.last_finish = Some(now);
                    state.run_count += 1;
                }
            }
            due.execute.extend(not);
        }
        let mut files: Vec<_> =
            due.execute.into_iter().filter_map(|file| Some((file.clone(), self.files.get(&file)?))).collect();
        queue::sort(&mut files, settings.sort_mode, &self.options.hostname);
        for (file, _) in files {
            self.queue.push_back(file.into());
        }
        measure::queued_what_is_due();
        measure::queue(self.queue.len());
        Ok(())
    }

    /// Starts as many children as may run.
    pub(super) fn start_children(&mut self) {
        while self.running.len() < self.options.settings.parsing_processes.max(1) {
            // What somebody asked for is parsed as it is after a refresh; callbacks need none.
            let refreshed = |item: &Item| {
                let waits =
                    |bundle: &Bundle| bundle.configured.versioned && (bundle.asked || bundle.refreshing);
                item.version.is_some() || !self.bundles.get(&item.file.bundle).is_some_and(waits)
            };
            let free = |item: &Item| {
                !self.running.contains_key(item) && !self.syncing.contains(&item.file) && refreshed(item)
            };
            let Some((item, callbacks)) = self.queue.pop(free) else { return };
            self.start_child(item, callbacks);
        }
    }

    fn start_child(&mut self, item: Item, callbacks: Option<Callbacks>) {
        let root = self.bundles.get(&item.file.bundle).and_then(|bundle| bundle.checkout.as_ref());
        let bundle_path = callbacks.as_ref().map(|callbacks| callbacks.bundle_path.clone());
        let Some(bundle_path) = bundle_path.or_else(|| root.map(|checkout| checkout.path.clone())) else {
            return;
        };
        let requests = callbacks.map(|callbacks| callbacks.requests).unwrap_or_default();
        let file = bundle_path.join(&item.file.path);
        let stamp = Stamp::of(&file);
        if stamp.is_none() && requests.is_empty() {
            tracing::warn!(file = %item.file, "the file is not there; it is skipped");
            if let Some(state) = self.files.get_mut(&item.file) {
                state.last_finish = Some(Utc::now());
            }
            return;
        }
        let settings = &self.options.settings;
        let log = Arc::new(ChildLog::open(settings, &item.file, Utc::now()));
        let had_callbacks = !requests.is_empty();
        let request = Request {
            file,
            bundle_path,
            bundle: item.file.bundle.clone(),
            callbacks: requests,
            limit: settings.processor_timeout,
        };
        let children = self.children.clone();
        let (db, answers) = (self.options.db.clone(), self.options.answers.clone());
        let answerer = Answerer::new(db, answers, Asker::DagFile);
        let key = item.clone();
        let handle = self.tasks.spawn_local(async move {
            let outcome = child::run(&children, answerer, request, log).await;
            Event::Child { item, had_callbacks, stamp, outcome }
        });
        measure::child(&key.file, Action::Start);
        measure::queue(self.queue.len());
        self.running.insert(key, handle);
    }

    /// Takes over what a child did.
    pub(super) fn child_ended(
        &mut self,
        item: Item,
        had_callbacks: bool,
        stamp: Option<Stamp>,
        outcome: Result<Outcome, PythonError>,
    ) {
        let file = item.file;
        let now = Utc::now();
        let Some(state) = self.files.get(&file) else { return };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(%file, %error, "the file could not be parsed; it is tried again");
                self.set_state(&file, FileState { last_finish: Some(now), ..failed(state, stamp, None) });
                return;
            }
        };
        measure::ended(&file, outcome.ending, outcome.duration);
        let seconds = outcome.duration.as_secs_f64();
        let mut outcome = outcome;
        let Some(parsed) = outcome.parsed.take() else {
            // Callbacks alone say nothing about the file.
            if had_callbacks {
                measure::ran_callbacks(&file.bundle);
            } else {
                self.set_state(
                    &file,
                    FileState { last_finish: Some(now), ..failed(state, stamp, Some(seconds)) },
                );
            }
            return;
        };
        let memory = remember(state, &parsed, &outcome, turn(&file));
        let others: Vec<PathBuf> = outcome.paths.into_iter().filter(|path| *path != state.location).collect();
        let next = FileState {
            location: state.location.clone(),
            last_finish: Some(now),
            run_count: state.run_count + 1,
            dags: parsed.dag_ids.len(),
            import_errors: parsed.import_errors,
            last_duration: Some(seconds),
            memory: Some(memory),
            watched: Some((stamp, stamps(&others, outcome.started))),
        };
        self.write(file, parsed, outcome.duration, next);
    }

    /// Has a result written, in the order in which results come.
    fn write(&mut self, file: FileKey, parsed: Parsed, duration: Duration, state: FileState) {
        let checkout = self.bundles.get(&file.bundle).and_then(|bundle| bundle.checkout.clone());
        let Some(checkout) = checkout else { return };
        self.syncing.insert(file.clone());
        self.unwritten.push_back(Unwritten {
            file,
            checkout,
            parsed,
            duration,
            state,
            since: Instant::now(),
        });
    }

    /// Writes the next results together, unless others are being written or it pays to wait for more.
    pub(super) fn write_results(&mut self) {
        if self.writing {
            return;
        }
        let more = if self.queue.is_empty() { More::None } else { More::ToCome };
        let batch = sync::batch(&mut self.unwritten, more);
        if batch.is_empty() {
            return;
        }
        self.writing = true;
        let (service, db) = (self.service.clone(), self.options.db.clone());
        self.tasks.spawn(async move {
            let errors = match sync::write(&service, &batch).await {
                Ok(errors) => errors,
                Err(error) => vec![Some(error.to_string()); batch.len()],
            };
            let missing = || Some("the Python service did not say what became of it".to_owned());
            let errors = errors.into_iter().chain(std::iter::repeat_with(missing));
            let ids: Vec<String> =
                batch.iter().flat_map(|result| result.parsed.dag_ids.iter()).cloned().collect();
            // Without it the next look takes what it finds for what the parse found.
            let known = dags::known(&db, &ids).await.unwrap_or_default();
            Event::Written(
                batch.into_iter().zip(errors).map(|(result, why)| (result.file, result.state, why)).collect(),
                known,
            )
        });
    }

    /// Takes over results that were written.
    pub(super) fn written(&mut self, files: Vec<(FileKey, FileState, Option<String>)>) {
        self.writing = false;
        for (file, state, error) in files {
            self.syncing.remove(&file);
            let Some(before) = self.files.get(&file) else { continue };
            let next = match error {
                None => state,
                Some(error) => {
                    tracing::error!(%file, error, "the Dags of the file could not be written; it is tried again");
                    FileState {
                        dags: before.dags,
                        import_errors: before.import_errors,
                        memory: None,
                        ..state
                    }
                }
            };
            self.set_state(&file, next);
        }
    }

    fn set_state(&mut self, file: &FileKey, next: FileState) {
        if let Some(state) = self.files.get_mut(file) {
            *state = next;
        }
    }
}

/// The state of a file whose child brought no result; Airflow counts it as one import error and writes nothing.
fn failed(before: &FileState, stamp: Option<Stamp>, seconds: Option<f64>) -> FileState {
    FileState {
        location: before.location.clone(),
        last_finish: before.last_finish,
        run_count: before.run_count + 1,
        dags: 0,
        import_errors: 1,
        last_duration: seconds,
        memory: None,
        watched: Some((stamp, Stamps::from([]))),
    }
}

/// What to remember of a result.
fn remember(before: &FileState, parsed: &Parsed, outcome: &Outcome, turn: f64) -> Memory {
    let executed_at = outcome.started;
    let same = before.memory.as_ref().filter(|memory| memory.hash == parsed.hash);
    Memory {
        dag_ids: parsed.dag_ids.clone(),
        hash: parsed.hash,
        changed_at: same.map_or(executed_at, |memory| memory.changed_at),
        executed_at,
        // What is missing may turn up anywhere, as a package does that someone installs.
        inputs: if parsed.import_errors > 0 { Inputs::Anything } else { outcome.inputs },
        turn: outcome.steady.then_some(turn),
    }
}
