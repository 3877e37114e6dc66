use TaskState::{Deferred, Failed, Queued, Restarting, Running, Scheduled, Skipped, Success, UpForRetry};

use super::*;
use crate::event::order::Status::{Open, Pending, Stopping, Waiting};

const TI: Uuid = Uuid::from_u128(1);

fn start(id: i64, mode: Mode, when_running: WhenRunning) -> Command {
    Command { id, map_index: -1, order: Order::Start { mode, when_running }, status: Pending }
}

fn gate(id: i64) -> Command {
    start(id, Mode::Gate, WhenRunning::Ignore)
}

fn queued(id: i64) -> Command {
    start(id, Mode::Gate, WhenRunning::Queue)
}

fn stop(id: i64) -> Command {
    Command { id, map_index: -1, order: Order::Stop { mark: Mark::Success, grace: None }, status: Pending }
}

fn restart(id: i64) -> Command {
    let order = Order::Restart { mode: Mode::Control, grace: None };
    Command { id, map_index: -1, order, status: Pending }
}

fn at(status: Status, command: Command) -> Command {
    Command { status, ..command }
}

fn instance(state: impl Into<Option<TaskState>>, try_number: i32) -> Instance {
    Instance { id: TI, map_index: -1, state: state.into(), try_number, log: Log::Unwatched }
}

/// What becomes of these commands of a task with one instance.
fn settled(state: impl Into<Option<TaskState>>, try_number: i32, commands: &[Command]) -> Settled {
    settle(Nature::Ordinary, &[instance(state, try_number)], commands)
}

fn fates(settled: &Settled) -> Vec<(i64, Fate)> {
    settled.moves.iter().map(|step| (step.command, step.fate.clone())).collect()
}

fn changes(settled: &Settled) -> Vec<Change> {
    settled.changes.iter().map(|(_, change)| *change).collect()
}

fn opened(settled: &Settled) -> Option<i64> {
    settled.opening.map(|opening| opening.command)
}

#[test]
fn a_start_opens_the_gate_of_a_task_that_never_ran_and_dependencies_still_hold() {
    let settled = settled(None, 0, &[gate(1)]);
    assert_eq!(fates(&settled), [(1, Fate::Goes(Open))]);
    assert_eq!(settled.opening, Some(Opening { command: 1, dependencies: Dependencies::Checked }));
    assert!(settled.changes.is_empty());
}

#[test]
fn an_event_only_start_skips_the_dependencies() {
    let settled = settled(None, 0, &[start(1, Mode::EventOnly, WhenRunning::Ignore)]);
    assert_eq!(settled.opening, Some(Opening { command: 1, dependencies: Dependencies::Skipped }));
}

#[test]
fn a_controlled_task_is_started_first_by_its_dependencies() {
    let settled = settled(None, 0, &[start(1, Mode::Control, WhenRunning::Ignore), restart(2)]);
    assert_eq!(fates(&settled), [(1, Fate::Dropped), (2, Fate::Dropped)]);
    assert_eq!(settled.opening, None);
}

#[test]
fn an_open_gate_stays_open_until_the_task_starts() {
    let settled = settled(None, 0, &[at(Open, gate(1))]);
    assert!(settled.moves.is_empty());
    assert_eq!(opened(&settled), Some(1));
}

#[test]
fn a_start_while_the_task_runs_is_ignored_queued_or_coalesced() {
    for (state, alive) in [
        (Scheduled, true),
        (Queued, true),
        (Running, true),
        (Deferred, true),
        (UpForRetry, true),
        (Restarting, true),
    ] {
        assert!(alive);
        let coalesce = |id| start(id, Mode::Gate, WhenRunning::Coalesce);
        let settled = settled(state, 1, &[gate(1), queued(2), queued(3), coalesce(4)]);
        let expected = [
            (1, Fate::Dropped),
            (2, Fate::Goes(Waiting)),
            (3, Fate::Goes(Waiting)),
            (4, Fate::MergedInto(2)),
        ];
        assert_eq!(fates(&settled), expected, "{state}");
        assert!(settled.changes.is_empty() && settled.opening.is_none(), "{state}");
    }
}

#[test]
fn the_first_of_several_coalescing_starts_waits_and_inherits_the_others() {
    let coalesce = |id| start(id, Mode::Gate, WhenRunning::Coalesce);
    let settled = settled(Running, 1, &[coalesce(1), coalesce(2), coalesce(3)]);
    let expected = [(1, Fate::Goes(Waiting)), (2, Fate::MergedInto(1)), (3, Fate::MergedInto(1))];
    assert_eq!(fates(&settled), expected);
}

#[test]
fn a_queued_start_begins_when_the_execution_has_ended_and_the_next_goes_on_waiting() {
    let settled = settled(Failed, 3, &[at(Waiting, queued(1)), at(Waiting, queued(2))]);
    assert_eq!(changes(&settled), [Change::Clear]);
    assert_eq!(opened(&settled), Some(1));
    assert_eq!(settled.moves[0].fate, Fate::Goes(Open));
    assert!(!settled.moves[1..].iter().any(|step| step.fate != Fate::Goes(Waiting)));
}

#[test]
fn a_start_of_a_finished_task_is_another_execution() {
    for mode in [Mode::Gate, Mode::EventOnly, Mode::Control] {
        let settled = settled(Success, 1, &[start(1, mode, WhenRunning::Ignore)]);
        assert_eq!(changes(&settled), [Change::Clear]);
        assert_eq!(opened(&settled), Some(1));
    }
}

#[test]
fn two_events_for_an_open_gate_are_one_start_unless_they_are_queued() {
    let settled = settled(None, 0, &[at(Open, gate(1)), gate(2), queued(3)]);
    assert_eq!(fates(&settled), [(2, Fate::Dropped), (3, Fate::Goes(Waiting))]);
    assert_eq!(opened(&settled), Some(1));
}

#[test]
fn what_the_dependencies_decided_is_not_reopened_by_a_gate() {
    let skipped = settled(Skipped, 0, &[gate(1)]);
    assert_eq!(fates(&skipped), [(1, Fate::Dropped)]);
    let forced = settled(Skipped, 0, &[start(1, Mode::EventOnly, WhenRunning::Ignore)]);
    assert_eq!(changes(&forced), [Change::Clear]);
    assert_eq!(forced.opening.map(|opening| opening.dependencies), Some(Dependencies::Skipped));
}

#[test]
fn an_open_gate_whose_task_was_decided_otherwise_is_dropped() {
    let settled = settled(TaskState::UpstreamFailed, 0, &[at(Open, gate(1))]);
    assert_eq!(fates(&settled), [(1, Fate::Dropped)]);
}

#[test]
fn a_stop_of_a_running_task_waits_for_the_end_of_its_process() {
    let first = settled(Running, 1, &[stop(1)]);
    assert_eq!(changes(&first), [Change::Halt]);
    assert_eq!(fates(&first), [(1, Fate::Goes(Stopping))]);
    let meanwhile = settled(Restarting, 1, &[at(Stopping, stop(1))]);
    assert!(meanwhile.moves.is_empty() && meanwhile.changes.is_empty());
    for state in [None, Some(UpForRetry)] {
        let after = settled(state, 1, &[at(Stopping, stop(1))]);
        assert_eq!(changes(&after), [Change::End(Mark::Success)]);
        assert_eq!(fates(&after), [(1, Fate::Done)]);
    }
}

#[test]
fn a_stop_before_the_process_exists_writes_the_state_at_once() {
    for state in [Scheduled, Queued, Deferred, UpForRetry] {
        let settled = settled(state, 1, &[stop(1)]);
        assert_eq!(changes(&settled), [Change::End(Mark::Success)], "{state}");
        assert_eq!(fates(&settled), [(1, Fate::Done)]);
    }
}

#[test]
fn a_stop_of_what_never_ran_or_has_ended_does_nothing() {
    for (state, try_number) in [(None, 0), (Some(Success), 1), (Some(Skipped), 0)] {
        let settled = settled(state, try_number, &[stop(1)]);
        assert_eq!(fates(&settled), [(1, Fate::Dropped)]);
        assert!(settled.changes.is_empty());
    }
}

#[test]
fn a_stop_withdraws_earlier_starts() {
    let before = settled(None, 0, &[at(Open, gate(1)), stop(2)]);
    assert_eq!(fates(&before), [(1, Fate::Dropped), (2, Fate::Done)]);
    assert_eq!(before.opening, None);
    let running = settled(Running, 1, &[at(Waiting, queued(1)), stop(2)]);
    assert_eq!(fates(&running), [(1, Fate::Dropped), (2, Fate::Goes(Stopping))]);
    let restarting = settled(Restarting, 1, &[at(Stopping, restart(1)), stop(2)]);
    assert_eq!(fates(&restarting), [(1, Fate::Dropped), (2, Fate::Goes(Stopping))]);
}

#[test]
fn a_start_after_a_stop_waits_for_it_and_then_runs() {
    let both = settled(Running, 1, &[stop(1), gate(2)]);
    assert_eq!(fates(&both), [(1, Fate::Goes(Stopping)), (2, Fate::Goes(Waiting))]);
    let after = settled(None, 1, &[at(Stopping, stop(1)), at(Waiting, gate(2))]);
    assert_eq!(changes(&after), [Change::End(Mark::Success), Change::Clear]);
    assert_eq!(opened(&after), Some(2));
}

#[test]
fn a_restart_stops_waits_and_starts() {
    let first = settled(Running, 1, &[restart(1)]);
    assert_eq!(changes(&first), [Change::Renew]);
    assert_eq!(fates(&first), [(1, Fate::Goes(Stopping))]);
    assert_eq!(first.opening, None);
    let after = settled(None, 1, &[at(Stopping, restart(1))]);
    assert!(after.changes.is_empty());
    assert_eq!(opened(&after), Some(1));
    // The worker's host was lost, so that the row came back as one to be retried.
    let lost = settled(UpForRetry, 1, &[at(Stopping, restart(1))]);
    assert_eq!(changes(&lost), [Change::Clear]);
    assert_eq!(opened(&lost), Some(1));
}

#[test]
fn restarts_while_one_is_under_way_are_one() {
    let settled = settled(Restarting, 1, &[at(Stopping, restart(1)), restart(2), restart(3)]);
    assert_eq!(fates(&settled), [(2, Fate::MergedInto(1)), (3, Fate::MergedInto(1))]);
}

#[test]
fn a_restart_of_a_finished_task_is_a_start() {
    let settled = settled(Success, 2, &[restart(1)]);
    assert_eq!(changes(&settled), [Change::Clear]);
    assert_eq!(opened(&settled), Some(1));
}

#[test]
fn a_restart_of_a_task_that_has_not_begun_joins_its_start() {
    let settled = settled(Queued, 1, &[restart(1)]);
    assert_eq!(fates(&settled), [(1, Fate::Joined)]);
    assert!(settled.changes.is_empty());
}

#[test]
fn a_restart_after_a_stop_waits_and_then_starts() {
    let both = settled(Running, 1, &[stop(1), restart(2)]);
    assert_eq!(fates(&both), [(1, Fate::Goes(Stopping)), (2, Fate::Goes(Waiting))]);
    let after = settled(None, 1, &[at(Stopping, stop(1)), at(Waiting, restart(2))]);
    assert_eq!(opened(&after), Some(2));
}

#[test]
fn a_restart_respects_a_person_who_marked_the_task_meanwhile() {
    let settled = settled(Success, 1, &[at(Stopping, restart(1))]);
    assert_eq!(fates(&settled), [(1, Fate::Dropped)]);
    assert!(settled.changes.is_empty());
}

#[test]
fn a_stop_of_a_mapped_task_reaches_every_copy() {
    let copy = |index: i32, state| Instance {
        id: Uuid::from_u128(10 + index as u128),
        map_index: index,
        ..instance(state, 1)
    };
    let copies = [copy(0, Success), copy(1, Running), copy(2, Queued)];
    let settled = settle(Nature::Ordinary, &copies, &[stop(1)]);
    let expected = [(Uuid::from_u128(11), Change::Halt), (Uuid::from_u128(12), Change::End(Mark::Success))];
    assert_eq!(settled.changes, expected);
    assert_eq!(fates(&settled), [(1, Fate::Goes(Stopping))]);
}

#[test]
fn a_command_on_one_copy_leaves_the_others_alone() {
    let copy = |index: i32| Instance {
        id: Uuid::from_u128(10 + index as u128),
        map_index: index,
        ..instance(Running, 1)
    };
    let settled = settle(Nature::Ordinary, &[copy(0), copy(1)], &[Command { map_index: 1, ..stop(1) }]);
    assert_eq!(settled.changes, [(Uuid::from_u128(11), Change::Halt)]);
}

/// The same of an instance whose state the event log lacks.
fn settled_unseen(state: TaskState, commands: &[Command]) -> Settled {
    settle(Nature::Ordinary, &[Instance { log: Log::LacksIt, ..instance(state, 1) }], commands)
}

#[test]
fn no_start_overwrites_a_state_that_the_event_log_lacks() {
    let restarted = at(Stopping, restart(1));
    for (state, command, fates_of_it) in [
        (Success, queued(1), vec![(1, Fate::Goes(Waiting))]),
        (Failed, restart(1), vec![(1, Fate::Goes(Waiting))]),
        (UpForRetry, restart(1), vec![(1, Fate::Goes(Waiting))]),
        (Running, restart(1), vec![(1, Fate::Goes(Waiting))]),
        (UpForRetry, restarted, vec![]),
    ] {
        let held = settled_unseen(state, &[command]);
        assert_eq!(fates(&held), fates_of_it, "{state}");
        assert!(held.waits_for_log && held.changes.is_empty(), "{state}");
    }
}

#[test]
fn what_waits_for_the_event_log_goes_on_as_if_it_had_just_come() {
    let waiting = [at(Waiting, queued(1)), at(Waiting, gate(2))];
    let told = Instance { log: Log::HasIt, ..instance(Success, 1) };
    let settled = settle(Nature::Ordinary, &[told], &waiting);
    assert_eq!(fates(&settled), [(1, Fate::Goes(Open)), (2, Fate::Dropped)]);
    assert_eq!((changes(&settled), settled.waits_for_log), (vec![Change::Clear], false));
}

#[test]
fn a_stop_does_not_wait_for_the_event_log_but_a_start_after_it_waits_for_its_mark() {
    let deferred = Instance { log: Log::HasIt, ..instance(Deferred, 1) };
    let settled = settle(Nature::Ordinary, &[deferred], &[stop(1), gate(2)]);
    assert_eq!(fates(&settled), [(1, Fate::Done), (2, Fate::Goes(Waiting))]);
    assert_eq!(changes(&settled), [Change::End(Mark::Success)]);
    assert!(settled.waits_for_log);
}

#[test]
fn a_task_without_an_instance_drops_its_commands() {
    assert_eq!(fates(&settle(Nature::Ordinary, &[], &[gate(1)])), [(1, Fate::Dropped)]);
}

#[test]
fn a_stop_of_a_periodic_task_ends_its_ticks_too() {
    let of = |nature, state, commands: &[Command]| settle(nature, &[instance(state, 1)], commands);
    let between = of(Nature::Periodic, Some(Success), &[stop(1), gate(2)]);
    assert_eq!(fates(&between), [(1, Fate::Done), (2, Fate::Dropped)]);
    assert!(between.changes.is_empty());
    let running = of(Nature::Periodic, Some(Running), &[stop(1), queued(2)]);
    assert_eq!(fates(&running), [(1, Fate::Goes(Stopping)), (2, Fate::Dropped)]);
    let later = of(Nature::PeriodicStopped, Some(Success), &[gate(3)]);
    assert_eq!(fates(&later), [(3, Fate::Dropped)]);
}

/// Whatever the state and the commands: what is over says why, at most one start is open, and looking again without
/// anything having changed changes nothing.
#[test]
fn looking_twice_is_looking_once() {
    let states = [None, Some(Scheduled), Some(Running), Some(Restarting), Some(UpForRetry), Some(Success)];
    let kinds = [gate(0), queued(0), start(0, Mode::EventOnly, WhenRunning::Coalesce), stop(0), restart(0)];
    for state in states {
        for (one, two, three) in triples(&kinds) {
            let commands = [Command { id: 1, ..one }, Command { id: 2, ..two }, Command { id: 3, ..three }];
            let first = settled(state, 1, &commands);
            let left: Vec<Command> = commands
                .iter()
                .filter_map(|command| {
                    let fate = first.moves.iter().find(|step| step.command == command.id);
                    match fate.map(|step| &step.fate) {
                        None => Some(*command),
                        Some(Fate::Goes(status)) => Some(at(*status, *command)),
                        Some(_) => None,
                    }
                })
                .collect();
            assert!(left.iter().filter(|command| command.status == Open).count() <= 1);
            let end = end_state(state, &first.changes);
            let again = settled(end, 1, &left);
            assert!(again.moves.is_empty() && again.changes.is_empty(), "{state:?} {commands:?} {again:?}");
        }
    }
}

fn triples(kinds: &[Command]) -> impl Iterator<Item = (Command, Command, Command)> + '_ {
    kinds.iter().flat_map(move |one| {
        kinds.iter().flat_map(move |two| kinds.iter().map(move |three| (*one, *two, *three)))
    })
}

fn end_state(state: Option<TaskState>, changes: &[(Uuid, Change)]) -> Option<TaskState> {
    changes.iter().fold(state, |_, (_, change)| match change {
        Change::Halt | Change::Renew => Some(Restarting),
        Change::Clear => None,
        Change::End(mark) => Some(state_of(*mark)),
    })
}
