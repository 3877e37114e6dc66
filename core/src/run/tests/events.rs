//! Tasks with triggers: gates, tasks that only events start, streaming and periodic ones.

use super::*;

/// The events of a run of this Dag: held tasks, tasks that may start.
fn events(dag: &Dag, held: &[(&str, Hold)], open: &[(&str, Dependencies)]) -> Loaded {
    let index = |task: &str| dag.find(task).expect("a task");
    let events = EventFacts {
        held: held.iter().map(|(task, hold)| (index(task), *hold)).collect(),
        openings: open
            .iter()
            .map(|(task, dependencies)| (index(task), Opening { command: 1, dependencies: *dependencies }))
            .collect(),
        heard: Heard::Everything,
        ..EventFacts::default()
    };
    Loaded { events: Some(events), ..Loaded::default() }
}

fn streaming(mut loaded: Loaded, dag: &Dag, task: &str) -> Loaded {
    let events = loaded.events.as_mut().expect("events");
    events.streaming.insert(dag.find(task).expect("a task"));
    events.timeout = Timeout::Never;
    loaded
}

const GOES_ON: Outcome = Outcome::StillRunning { next_look: None };

#[test]
fn a_gate_holds_a_ready_task_back_until_it_is_opened() {
    let dag = plain(&[("a", &["b"]), ("b", &[])]);
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("b", -1, None)];
    let held = judge(&dag, &tis, &events(&dag, &[("b", Hold::Gate)], &[]));
    assert_eq!((short(&held), held.outcome), (vec![], GOES_ON), "no deadlock: it waits for an event");
    let open = events(&dag, &[("b", Hold::Gate)], &[("b", Dependencies::Checked)]);
    assert_eq!(short(&judge(&dag, &tis, &open)), ["b[-1] -> scheduled"]);
}

#[test]
fn an_open_gate_still_waits_for_the_tasks_before_it() {
    let dag = plain(&[("a", &["b"]), ("b", &[])]);
    let open = events(&dag, &[("b", Hold::Gate)], &[("b", Dependencies::Checked)]);
    let running = [ti("a", -1, Some(TaskState::Running)), ti("b", -1, None)];
    assert_eq!(short(&judge(&dag, &running, &open)), Vec::<String>::new());
    let failed = [ti("a", -1, Some(TaskState::Failed)), ti("b", -1, None)];
    assert_eq!(short(&judge(&dag, &failed, &open)), ["b[-1] -> upstream_failed"]);
}

#[test]
fn a_task_that_has_begun_goes_on_without_another_event() {
    let dag = plain(&[("a", &[])]);
    let cleared = TiFacts { try_number: 1, ..ti("a", -1, None) };
    for (hold, state) in
        [(Hold::Gate, None), (Hold::EventOnly, None), (Hold::EventOnly, Some(TaskState::UpForReschedule))]
    {
        let tis = [TiFacts { state, ..cleared.clone() }];
        assert_eq!(short(&judge(&dag, &tis, &events(&dag, &[("a", hold)], &[]))), ["a[-1] -> scheduled"]);
    }
}

#[test]
fn an_event_only_task_is_started_by_an_event_whatever_is_before_it() {
    let dag = plain(&[("a", &["b"]), ("b", &[])]);
    let held = [("b", Hold::EventOnly)];
    let failed = [ti("a", -1, Some(TaskState::Running)), ti("b", -1, None)];
    assert_eq!(short(&judge(&dag, &failed, &events(&dag, &held, &[]))), Vec::<String>::new());
    let open = events(&dag, &held, &[("b", Dependencies::Skipped)]);
    assert_eq!(short(&judge(&dag, &failed, &open)), ["b[-1] -> scheduled"]);
}

#[test]
fn a_failure_before_an_event_only_task_does_not_decide_its_state() {
    let dag = plain(&[("a", &["b"]), ("b", &[]), ("c", &[])]);
    let tis =
        [ti("a", -1, Some(TaskState::Failed)), ti("b", -1, None), ti("c", -1, Some(TaskState::Running))];
    assert_eq!(
        short(&judge(&dag, &tis, &events(&dag, &[("b", Hold::EventOnly)], &[]))),
        Vec::<String>::new()
    );
}

#[test]
fn an_event_only_task_that_never_ran_is_skipped_at_the_end_with_all_that_waits_for_it() {
    let dag = plain(&[("a", &[]), ("b", &["c"]), ("c", &[])]);
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("b", -1, None), ti("c", -1, None)];
    let loaded = events(&dag, &[("b", Hold::EventOnly)], &[]);
    let over = judge(&dag, &tis, &loaded);
    assert_eq!(short(&over), ["b[-1] -> skipped", "c[-1] -> skipped"]);
    assert!(matches!(over.outcome, Outcome::Success { .. }), "{:?}", over.outcome);
}

#[test]
fn a_run_of_nothing_but_event_only_tasks_waits_for_its_first_event() {
    let dag = plain(&[("a", &[]), ("b", &[])]);
    let loaded = events(&dag, &[("a", Hold::EventOnly), ("b", Hold::EventOnly)], &[]);
    let first = judge(&dag, &[ti("a", -1, None), ti("b", -1, None)], &loaded);
    assert_eq!((short(&first), first.outcome), (vec![], GOES_ON));
    let then = judge(&dag, &[ti("a", -1, Some(TaskState::Success)), ti("b", -1, None)], &loaded);
    assert_eq!(short(&then), ["b[-1] -> skipped"]);
}

#[test]
fn a_run_does_not_end_while_an_event_may_be_on_its_way() {
    let dag = plain(&[("a", &[]), ("b", &[])]);
    let mut loaded = events(&dag, &[("b", Hold::EventOnly)], &[]);
    loaded.events.as_mut().expect("events").heard = Heard::NotYet;
    for b in [None, Some(TaskState::Success), Some(TaskState::Failed)] {
        let result = judge(&dag, &[ti("a", -1, Some(TaskState::Success)), ti("b", -1, b)], &loaded);
        assert_eq!(short(&result), Vec::<String>::new());
        assert!(matches!(result.outcome, Outcome::StillRunning { next_look: Some(_) }), "{b:?}");
    }
}

#[test]
fn a_waiting_gate_keeps_the_run_going_and_other_event_tasks_with_it() {
    let dag = plain(&[("a", &[]), ("b", &[]), ("c", &[])]);
    let loaded = events(&dag, &[("b", Hold::Gate), ("c", Hold::EventOnly)], &[]);
    let tis = [ti("a", -1, Some(TaskState::Success)), ti("b", -1, None), ti("c", -1, None)];
    let result = judge(&dag, &tis, &loaded);
    assert_eq!((short(&result), result.outcome), (vec![], GOES_ON));
}

#[test]
fn a_streaming_task_keeps_its_run_going_without_a_deadlock_or_a_timeout() {
    let mut dag = plain(&[("stream", &["after"]), ("after", &[]), ("other", &[])]);
    dag.dagrun_timeout = Some(TimeDelta::seconds(1));
    let loaded = streaming(events(&dag, &[("stream", Hold::EventOnly)], &[]), &dag, "stream");
    let tis = [
        ti("stream", -1, Some(TaskState::Running)),
        ti("after", -1, None),
        ti("other", -1, Some(TaskState::Success)),
    ];
    let result = judge(&dag, &tis, &loaded);
    assert_eq!((short(&result), result.outcome), (vec![], GOES_ON));
}

#[test]
fn the_run_ends_when_its_streaming_task_has_been_stopped() {
    let dag = plain(&[("stream", &[]), ("other", &[])]);
    let loaded = streaming(events(&dag, &[], &[]), &dag, "stream");
    let tis = [ti("stream", -1, Some(TaskState::Success)), ti("other", -1, Some(TaskState::Success))];
    assert!(matches!(judge(&dag, &tis, &loaded).outcome, Outcome::Success { .. }));
}

#[test]
fn a_streaming_task_that_ends_by_itself_is_judged_as_any_other() {
    let dag = plain(&[("stream", &[]), ("other", &[])]);
    let loaded = streaming(events(&dag, &[], &[]), &dag, "stream");
    let tis = |end| [ti("stream", -1, Some(end)), ti("other", -1, Some(TaskState::Success))];
    assert!(matches!(judge(&dag, &tis(TaskState::Failed), &loaded).outcome, Outcome::Failed { .. }));
    assert!(matches!(judge(&dag, &tis(TaskState::Success), &loaded).outcome, Outcome::Success { .. }));
}

#[test]
fn a_gate_after_a_streaming_task_opens_while_that_runs() {
    let dag = plain(&[("stream", &["gated", "plain"]), ("gated", &[]), ("plain", &[])]);
    let open = events(&dag, &[("gated", Hold::Gate)], &[("gated", Dependencies::Checked)]);
    let loaded = streaming(open, &dag, "stream");
    let states = |stream| [ti("stream", -1, stream), ti("gated", -1, None), ti("plain", -1, None)];
    assert_eq!(short(&judge(&dag, &states(Some(TaskState::Running)), &loaded)), ["gated[-1] -> scheduled"]);
    assert_eq!(short(&judge(&dag, &states(Some(TaskState::Queued)), &loaded)), Vec::<String>::new());
}

#[test]
fn a_periodic_task_keeps_its_run_going_between_two_ticks() {
    let dag = plain(&[("tick", &[]), ("a", &[])]);
    let mut loaded = events(&dag, &[("tick", Hold::Gate)], &[]);
    loaded.events.as_mut().expect("events").periodic.insert(dag.find("tick").expect("a task"));
    let tis = [ti("tick", -1, Some(TaskState::Success)), ti("a", -1, Some(TaskState::Success))];
    assert_eq!(judge(&dag, &tis, &loaded).outcome, GOES_ON);
}

#[test]
fn a_periodic_task_that_was_stopped_before_its_first_tick_does_not_keep_its_run() {
    let dag = plain(&[("tick", &["after"]), ("after", &[]), ("a", &[])]);
    let mut loaded = events(&dag, &[("tick", Hold::Gate)], &[]);
    let facts = loaded.events.as_mut().expect("events");
    facts.stopped.insert(dag.find("tick").expect("a task"));
    let tis = |a| [ti("tick", -1, None), ti("after", -1, None), ti("a", -1, a)];
    assert_eq!(judge(&dag, &tis(Some(TaskState::Running)), &loaded).outcome, GOES_ON);
    let over = judge(&dag, &tis(Some(TaskState::Success)), &loaded);
    assert_eq!(short(&over), ["tick[-1] -> skipped", "after[-1] -> skipped"]);
    // Also when it is all that there is.
    let alone = plain(&[("tick", &[])]);
    let mut loaded = events(&alone, &[("tick", Hold::Gate)], &[]);
    let facts = loaded.events.as_mut().expect("events");
    facts.stopped.insert(alone.find("tick").expect("a task"));
    assert_eq!(short(&judge(&alone, &[ti("tick", -1, None)], &loaded)), ["tick[-1] -> skipped"]);
}
