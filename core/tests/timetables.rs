//! Timetables at the moments that matter: changes of the clock, new schedules, the ends of a Dag's life.

#![allow(clippy::unwrap_used, reason = "a test")]

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use slipstream_core::schedule::{
    Catchup, DataInterval, LastRun, NextRunFacts, Restriction, RunFacts, Timetable, TimetableError, Zone,
    isoformat, run_id_of,
};
use slipstream_core::state::RunType;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn timetable(path: &str, fields: Value) -> Timetable {
    Timetable::from_serialized(&json!({"__type": format!("airflow.timetables.{path}"), "__var": fields}))
        .unwrap()
}

fn cron(expression: &str, zone: &str) -> Timetable {
    timetable(
        "trigger.CronTriggerTimetable",
        json!({"expression": expression, "timezone": zone, "interval": 0.0, "run_immediately": false}),
    )
}

fn intervals(expression: &str, zone: &str) -> Timetable {
    timetable("interval.CronDataIntervalTimetable", json!({"expression": expression, "timezone": zone}))
}

fn from(earliest: &str, catchup: Catchup) -> Restriction {
    Restriction { earliest: Some(at(earliest)), latest: None, catchup }
}

/// When the next runs start, one after the other.
fn starts(timetable: &Timetable, restriction: &Restriction, now: &str, count: usize) -> Vec<String> {
    let mut last = None;
    let mut all = Vec::new();
    while let Some(run) = timetable.next_run(last.as_ref(), restriction, at(now)).unwrap() {
        all.push(isoformat(run.run_after).replace(":00+00:00", ""));
        last = Some(run.as_last());
        if all.len() == count {
            break;
        }
    }
    all
}

#[test]
fn an_hourly_run_happens_twice_in_the_repeated_hour() {
    let restriction = from("2026-10-24T23:30:00Z", Catchup::On);
    let found = starts(&cron("30 * * * *", "Europe/Zurich"), &restriction, "2026-11-01T00:00:00Z", 4);
    assert_eq!(found, ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"]);
}

#[test]
fn a_daily_run_in_the_repeated_hour_happens_the_second_time() {
    let restriction = from("2026-10-24T00:00:00Z", Catchup::On);
    let found = starts(&cron("30 2 * * *", "Europe/Zurich"), &restriction, "2026-11-01T00:00:00Z", 3);
    assert_eq!(found, ["2026-10-24T00:30", "2026-10-25T01:30", "2026-10-26T01:30"]);
}

#[test]
fn a_daily_run_in_the_skipped_hour_moves_behind_it() {
    let restriction = from("2026-03-28T00:00:00Z", Catchup::On);
    let found = starts(&cron("30 2 * * *", "Europe/Zurich"), &restriction, "2026-04-01T00:00:00Z", 3);
    assert_eq!(found, ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]);
}

#[test]
fn without_catchup_only_the_newest_interval_that_is_over_runs() {
    let restriction = from("2026-01-01T00:00:00Z", Catchup::Off);
    let run =
        intervals("@daily", "UTC").next_run(None, &restriction, at("2026-02-10T12:00:00Z")).unwrap().unwrap();
    assert_eq!(run.logical_date(), Some(at("2026-02-09T00:00:00Z")));
    assert_eq!(run.run_after, at("2026-02-10T00:00:00Z"));
}

#[test]
fn an_interval_does_not_start_after_the_end_date() {
    let restriction =
        Restriction { latest: Some(at("2026-01-02T00:00:00Z")), ..from("2026-01-01T00:00:00Z", Catchup::On) };
    let found = starts(&intervals("@daily", "UTC"), &restriction, "2026-02-01T00:00:00Z", 9);
    assert_eq!(found, ["2026-01-02T00:00", "2026-01-03T00:00"]);
}

#[test]
fn a_coarser_schedule_goes_on_behind_the_last_run() {
    let interval = DataInterval { start: at("2026-01-01T05:00:00Z"), end: at("2026-01-01T06:00:00Z") };
    let last = LastRun { run_after: interval.end, data_interval: Some(interval) };
    let restriction = from("2026-01-01T00:00:00Z", Catchup::On);
    let run =
        intervals("@daily", "UTC").next_run(Some(&last), &restriction, at("2026-01-05T00:00:00Z")).unwrap();
    assert_eq!(run.unwrap().logical_date(), Some(at("2026-01-02T00:00:00Z")));
}

#[test]
fn once_means_once() {
    let restriction = from("2026-01-01T00:00:00Z", Catchup::Off);
    let found =
        starts(&timetable("simple.OnceTimetable", json!({})), &restriction, "2026-02-01T00:00:00Z", 3);
    assert_eq!(found, ["2026-01-01T00:00"]);
}

#[test]
fn a_plugins_timetable_is_asked_elsewhere() {
    let custom =
        Timetable::from_serialized(&json!({"__type": "my.plugin.Table", "__var": {"a": 1}})).unwrap();
    let error = custom
        .next_run(None, &from("2026-01-01T00:00:00Z", Catchup::On), at("2026-02-01T00:00:00Z"))
        .unwrap_err();
    assert!(error.is_custom() && error.to_string().contains("my.plugin.Table"), "{error}");
    assert!(custom.properties().unwrap_err().is_custom());
}

#[test]
fn an_invalid_expression_fails_when_it_is_asked_and_not_before() {
    for expression in ["60 * * * *", "H * * * *", "R * * * *", "* * * *"] {
        let result = cron(expression, "UTC").next_run(
            None,
            &from("2026-01-01T00:00:00Z", Catchup::On),
            at("2026-02-01T00:00:00Z"),
        );
        assert!(matches!(result, Err(TimetableError::Cron(_))), "{expression}: {result:?}");
    }
}

#[test]
fn a_date_that_never_comes_is_an_error_and_not_a_loop() {
    let result = cron("0 0 31 2 *", "UTC").next_run(
        None,
        &from("2026-01-01T00:00:00Z", Catchup::On),
        at("2026-02-01T00:00:00Z"),
    );
    assert!(result.unwrap_err().to_string().contains("matches no date"));
}

#[test]
fn a_delta_of_nothing_is_an_error_and_not_a_loop() {
    for delta in [json!(0.0), json!({"months": 0, "days": 0}), json!({"years": 1, "months": -12})] {
        let still = timetable("interval.DeltaDataIntervalTimetable", json!({"delta": delta}));
        let result =
            still.next_run(None, &from("2026-01-01T00:00:00Z", Catchup::Off), at("2026-02-01T00:00:00Z"));
        assert!(matches!(result, Err(TimetableError::NoAdvance { .. })), "{result:?}");
    }
}

#[test]
fn a_last_run_without_an_interval_gets_the_one_of_a_manual_run() {
    let run = RunFacts {
        run_after: at("2026-01-02T03:00:00Z"),
        data_interval_start: None,
        data_interval_end: None,
        partition_key: None,
    };
    let daily = intervals("@daily", "UTC");
    let interval = daily.last_run(&run).unwrap().data_interval.unwrap();
    assert_eq!((interval.start, interval.end), (at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z")));
    let partition = RunFacts { partition_key: Some("us".to_owned()), ..run };
    assert_eq!(daily.last_run(&partition).unwrap().data_interval, None);
    let half = RunFacts { data_interval_start: Some(run.run_after), ..run };
    assert!(matches!(daily.last_run(&half), Err(TimetableError::Inconsistent { .. })));
}

#[test]
fn the_columns_of_the_next_run_are_written_and_read_back() {
    let restriction = from("2026-01-01T00:00:00Z", Catchup::On);
    let partitions = timetable(
        "trigger.CronPartitionTimetable",
        json!({"expression": "@daily", "timezone": "Asia/Taipei", "run_immediately": false, "run_offset": -1,
            "key_format": "%Y-%m-%d"}),
    );
    for table in [intervals("@daily", "UTC"), partitions] {
        let run = table.next_run(None, &restriction, at("2026-02-01T00:00:00Z")).unwrap();
        let columns = NextRunFacts::from(run.clone());
        assert_eq!(table.announced_run(&columns).unwrap(), run);
    }
    assert_eq!(NextRunFacts::from(None), NextRunFacts::default());
}

#[test]
fn a_partitions_key_is_in_the_zone_of_its_timetable() {
    let table = timetable(
        "trigger.CronPartitionTimetable",
        json!({"expression": "0 0 * * *", "timezone": "Asia/Taipei", "run_immediately": false, "run_offset": 0,
            "key_format": "%Y-%m-%dT%H:%M:%S"}),
    );
    let run = table
        .next_run(None, &from("2026-01-01T00:00:00Z", Catchup::On), at("2026-02-01T00:00:00Z"))
        .unwrap()
        .unwrap();
    assert_eq!(run.partition_key.as_deref(), Some("2026-01-02T00:00:00"));
    assert_eq!((run.run_after, run.data_interval), (at("2026-01-01T16:00:00Z"), None));
    let id =
        table.generate_run_id(RunType::Scheduled, run.run_after, run.partition_key.as_deref(), "abcdefgh");
    assert_eq!(id.unwrap(), "scheduled__2026-01-01T16:00:00+00:00__2026-01-02T00:00:00__abcdefgh");
}

#[test]
fn run_ids_print_dates_as_python_does() {
    let after = at("2026-01-01T00:00:00.000500Z");
    let id = Timetable::Null.generate_run_id(RunType::Manual, after, None, "abcdefgh").unwrap();
    assert_eq!(id, "manual__2026-01-01T00:00:00.000500+00:00");
    assert_eq!(
        run_id_of(RunType::AssetTriggered, None, at("2026-01-01T00:00:00Z"), "abcdefgh"),
        "asset_triggered__2026-01-01T00:00:00+00:00_abcdefgh"
    );
}

#[test]
fn zones_are_names_or_seconds() {
    for (zone, written) in
        [(json!("UTC"), json!("UTC")), (json!(0), json!("UTC")), (json!(-3600), json!(-3600))]
    {
        assert_eq!(Zone::from_serialized(&zone).unwrap().to_serialized(), written);
    }
    let error = Zone::from_serialized(&json!("Mars/Olympus")).unwrap_err();
    assert!(error.to_string().contains("Mars/Olympus"));
}
