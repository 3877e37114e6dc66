//! Runs that a timetable makes.

use super::*;

/// The run of that day, whose data interval has so many hours.
async fn make(db: &Db, dag_id: &str, day: DateTime<Utc>, hours: i64) {
    let end = day + TimeDelta::days(1);
    let values: Vec<(&str, Param)> = vec![
        ("dag_id", dag_id.into()),
        ("run_id", format!("scheduled__{}", end.format("%Y-%m-%dT%H:%M:%S+00:00")).into()),
        ("logical_date", day.into()),
        ("data_interval_start", day.into()),
        ("data_interval_end", (day + TimeDelta::hours(hours)).into()),
        ("run_after", end.into()),
        ("queued_at", far(0).into()),
        ("state", RunState::Queued.into()),
        ("run_type", "scheduled".into()),
        ("conf", Value::Object(serde_json::Map::new()).into()),
    ];
    insert(db, "dag_run", values).await;
}

fn day(number: i64) -> DateTime<Utc> {
    at(number * 86_400)
}

/// A moment when the first ten days have passed.
fn far(seconds: i64) -> DateTime<Utc> {
    day(11) + TimeDelta::seconds(seconds)
}

#[test]
fn runs_that_the_timetable_announced_agree_also_several_between_two_looks() {
    on_each_database_and_reader(async |db, reader| {
        timed(db, "daily", day(0)).await;
        let mut watcher = watcher(reader);
        assert_eq!(watcher.look(far(0)).await.unwrap(), []);
        for number in 0..3 {
            make(db, "daily", day(number), 24).await;
        }
        announce(db, "daily", day(3)).await;
        assert_eq!(watcher.look(far(1)).await.unwrap(), []);
        assert_eq!(watcher.summary().agreed, 4, "three runs, and the next one");
    });
}

#[test]
fn a_run_that_is_not_made_is_late() {
    on_each_database_and_reader(async |db, reader| {
        timed(db, "daily", day(0)).await;
        let mut watcher = watcher(reader);
        watcher.look(far(0)).await.unwrap();
        let found = watcher.look(far(31)).await.unwrap();
        assert_eq!(kinds(&found), [(Kind::Late, None)]);
        assert!(found[0].ours.contains("scheduled__2026-01-02T00:00:00+00:00"), "{}", found[0]);
    });
}

#[test]
fn a_run_with_another_interval_and_one_before_its_turn_are_differences() {
    on_each_database_and_reader(async |db, reader| {
        timed(db, "daily", day(0)).await;
        let mut watcher = watcher(reader);
        watcher.look(far(0)).await.unwrap();
        make(db, "daily", day(0), 12).await;
        make(db, "daily", day(7), 24).await;
        announce(db, "daily", day(8)).await;
        let found = watcher.look(far(1)).await.unwrap();
        let kinds: Vec<_> = found.iter().map(|one| (one.kind, one.run_id.as_deref())).collect();
        let first = "scheduled__2026-01-02T00:00:00+00:00";
        let eighth = "scheduled__2026-01-09T00:00:00+00:00";
        assert_eq!(kinds, [(Kind::Otherwise, Some(first)), (Kind::Unforeseen, Some(eighth))]);
    });
}

#[test]
fn a_run_that_no_timetable_announces_is_a_difference() {
    on_each_database_and_reader(async |db, reader| {
        timed(db, "daily", day(0)).await;
        let mut watcher = watcher(reader);
        watcher.look(far(0)).await.unwrap();
        make(db, "daily", day(0) + TimeDelta::hours(5), 24).await;
        let found = watcher.look(far(1)).await.unwrap();
        assert!(found.iter().any(|one| one.kind == Kind::Unforeseen), "{found:?}");
    });
}

#[test]
fn another_next_run_is_a_difference_and_so_is_one_that_is_passed_over() {
    on_each_database_and_reader(async |db, reader| {
        timed(db, "daily", day(0)).await;
        let mut watcher = watcher(reader);
        watcher.look(far(0)).await.unwrap();
        make(db, "daily", day(0), 24).await;
        announce(db, "daily", day(2)).await;
        let found = watcher.look(far(1)).await.unwrap();
        assert_eq!(kinds(&found), [(Kind::Otherwise, None)]);
        assert!(found[0].theirs.starts_with("announced the run of 2026-01-03"), "{}", found[0]);
        announce(db, "daily", day(3)).await;
        let found = watcher.look(far(2)).await.unwrap();
        assert_eq!(found[0].theirs, "went on to the next one without making it");
    });
}
