//! Whole messages in and out: Airflow's own SDK encodes the requests, and its models read the answers.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rmpv::Value;
use serde_json::json;
use slipstream_core::state::TaskState;
use uuid::Uuid;

use super::super::frame::Frame;
use super::super::value::Message;
use super::*;
use crate::store::execution::{EnterRunning, MultiTeam, run};
use crate::store::testing::{self, NewRun, NewTi, at, block_on, first, on_each_database, one_task};
use crate::store::{Conn, Dialect};

/// The SDK's side: `send` writes the request that the expression builds, in the SDK's frame; then the SDK reads our
/// response and prints what it made of it.
const SDK: &str = r#"
import sys, json, uuid, datetime as dt
from datetime import timedelta
from pydantic import TypeAdapter
import msgspec
from airflow.sdk.execution_time import comms
from airflow.sdk.execution_time.comms import *
from airflow.sdk.execution_time.comms import _RequestFrame, _ResponseFrame
from airflow.sdk.api.datamodels._generated import AssetProfile, HITLUser
UTC = dt.timezone.utc
reader, answers = msgspec.msgpack.Decoder(_ResponseFrame), TypeAdapter(comms.ToTask)
inp, out = sys.stdin.buffer, sys.stdout.buffer
def put(data): out.write(len(data).to_bytes(4, "big") + data); out.flush()
for n, line in enumerate(iter(inp.readline, b"")):
    message = eval(json.loads(line))
    out.write(_RequestFrame(id=n, body=message.model_dump()).as_bytes()); out.flush()
    frame = reader.decode(inp.read(int.from_bytes(inp.read(4), "big")))
    assert frame.id == n
    kind = "nothing"
    if frame.error is not None:
        error = answers.validate_python(frame.error)
        kind = "error %s %s" % (error.error.value, (error.detail or {}).get("status_code"))
    elif frame.body is not None:
        answer = answers.validate_python(frame.body)
        kind = type(answer).__name__
        if kind == "ErrorResponse": kind += " " + answer.error.value
    put(kind.encode())
"#;

struct Sdk {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Sdk {
    fn start() -> Self {
        let mut child = Command::new(testing::python())
            .args(["-c", SDK])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn read(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.output.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.output.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Sends the message that a Python expression builds; returns what the SDK made of our answer, and its end.
    async fn ask(&mut self, answerer: &mut Answerer, expression: &str) -> (String, Option<Terminal>) {
        writeln!(self.input, "{}", json!(expression)).unwrap();
        let request = Frame::decode(&self.read()).unwrap();
        let answer = answerer.answer(&request.body).await;
        let response = Frame::response(request.id, answer.body, answer.error);
        self.input.write_all(&response.encode().unwrap()).unwrap();
        (String::from_utf8(self.read()).unwrap(), answer.terminal)
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // The child has nothing to save; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn task(db: &Db, ti_id: Uuid) -> Answerer {
    Answerer::new(db.clone(), Options::default(), Asker::Task { ti_id })
}

/// Every message that does not end the task, and what the SDK must make of the answer. `TI` stands for the task's id.
const MESSAGES: &[(&str, &str)] = &[
    ("SetXCom(key='k', value={'b': 1, 'a': [None, 2.5]}, dag_id='d', run_id='r', task_id='t')", "nothing"),
    (
        "SetXCom(key='k', value=1, dag_id='d', run_id='r', task_id='t', mapped_length=2000)",
        "error API_SERVER_ERROR 400",
    ),
    ("GetXCom(key='k', dag_id='d', run_id='r', task_id='t')", "XComResult"),
    ("GetXCom(key='none', dag_id='d', run_id='r', task_id='t', include_prior_dates=True)", "XComResult"),
    ("GetXComCount(key='k', dag_id='d', run_id='r', task_id='t')", "XComCountResponse"),
    (
        "GetXComSequenceItem(key='k', dag_id='d', run_id='r', task_id='t', offset=0)",
        "XComSequenceIndexResult",
    ),
    (
        "GetXComSequenceItem(key='k', dag_id='d', run_id='r', task_id='t', offset=9)",
        "ErrorResponse XCOM_NOT_FOUND",
    ),
    (
        "GetXComSequenceSlice(key='k', dag_id='d', run_id='r', task_id='t', start=None, stop=None, step=-1)",
        "XComSequenceSliceResult",
    ),
    ("DeleteXCom(key='k', dag_id='d', run_id='r', task_id='t')", "nothing"),
    ("SetRenderedFields(rendered_fields={'bash_command': 'echo', 'env': None})", "nothing"),
    ("SetRenderedMapIndex(rendered_map_index='label')", "nothing"),
    ("PutVariable(key='v', value='secret-value', description=None)", "nothing"),
    ("GetVariable(key='v')", "VariableResult"),
    ("GetVariable(key='missing')", "ErrorResponse VARIABLE_NOT_FOUND"),
    ("GetVariableKeys(prefix='v')", "VariableKeysResult"),
    ("DeleteVariable(key='v')", "OKResponse"),
    ("GetConnection(conn_id='c')", "ConnectionResult"),
    ("GetConnection(conn_id='missing')", "ErrorResponse CONNECTION_NOT_FOUND"),
    ("MaskSecret(value={'password': 'long-secret'}, name=None)", "nothing"),
    ("GetDagRun(dag_id='d', run_id='r')", "DagRunResult"),
    ("GetDagRun(dag_id='d', run_id='missing')", "error API_SERVER_ERROR 404"),
    ("GetDagRunState(dag_id='d', run_id='r')", "DagRunStateResult"),
    (
        "GetDRCount(dag_id='d', logical_dates=[dt.datetime(2026, 1, 1, tzinfo=UTC)], states=['running'])",
        "DRCount",
    ),
    (
        "GetPreviousDagRun(dag_id='d', logical_date=dt.datetime(2026, 1, 3, tzinfo=UTC))",
        "PreviousDagRunResult",
    ),
    ("GetPrevSuccessfulDagRun(ti_id=TI)", "PrevSuccessfulDagRunResult"),
    ("GetDag(dag_id='d')", "DagResult"),
    ("GetDag(dag_id='missing')", "error API_SERVER_ERROR 404"),
    ("GetTICount(dag_id='d', task_ids=['t'], states=['running', 'null'])", "TICount"),
    ("GetTICount(dag_id='d', task_group_id='g')", "TICount"),
    ("GetTICount(dag_id='d', task_group_id='missing')", "error API_SERVER_ERROR 404"),
    ("GetTaskStates(dag_id='d', run_ids=['r'])", "TaskStatesResult"),
    ("GetTaskStates(dag_id='d', task_group_id='g')", "TaskStatesResult"),
    ("GetPreviousTI(dag_id='d', task_id='t')", "PreviousTIResult"),
    ("GetPreviousTI(dag_id='d', task_id='missing')", "PreviousTIResult"),
    ("GetTaskBreadcrumbs(dag_id='d', run_id='r')", "TaskBreadcrumbsResult"),
    ("GetTaskRescheduleStartDate(ti_id=TI)", "TaskRescheduleStartDate"),
    ("ValidateInletsAndOutlets(ti_id=TI)", "InactiveAssetsResult"),
    ("GetAssetByName(name='a')", "AssetResult"),
    ("GetAssetByUri(uri='missing')", "ErrorResponse ASSET_NOT_FOUND"),
    ("GetAssetsByAlias(alias_name='al')", "AssetsByAliasResult"),
    ("GetAssetEventByAsset(name='a', uri=None, limit=3)", "AssetEventsResult"),
    ("GetAssetEventByAssetAlias(alias_name='al', ascending=False)", "AssetEventsResult"),
    ("SetTaskStateStore(ti_id=TI, key='k', value={'at': 1}, expires_at=None)", "OKResponse"),
    ("GetTaskStateStore(ti_id=TI, key='k')", "TaskStateStoreResult"),
    ("GetTaskStateStore(ti_id=TI, key='missing')", "ErrorResponse TASK_STORE_NOT_FOUND"),
    ("DeleteTaskStateStore(ti_id=TI, key='k')", "OKResponse"),
    ("ClearTaskStateStore(ti_id=TI)", "OKResponse"),
    ("SetAssetStateStoreByName(name='a', key='k', value=[1])", "OKResponse"),
    ("GetAssetStateStoreByUri(uri='s3://a', key='k')", "AssetStateStoreResult"),
    ("DeleteAssetStateStoreByUri(uri='s3://a', key='k')", "OKResponse"),
    ("GetAssetStateStoreByName(name='a', key='k')", "ErrorResponse ASSET_STORE_NOT_FOUND"),
    ("ClearAssetStateStoreByName(name='a')", "OKResponse"),
    (
        "CreateHITLDetailPayload(ti_id=TI, options=['yes', 'no'], subject='really?', params={'p': {}})",
        "HITLDetailRequestResult",
    ),
    ("UpdateHITLDetail(ti_id=TI, chosen_options=['yes'])", "error API_SERVER_ERROR 400"),
    ("SkipDownstreamTasks(tasks=['next', ('mapped', 0)])", "nothing"),
    ("TriggerDagRun(dag_id='missing', run_id='x')", "error API_SERVER_ERROR 404"),
];

async fn seed(db: &Db) -> Uuid {
    let ti = one_task(db, TaskState::Running).await;
    NewTi::new("d", "r", "next").state(None).insert(db).await;
    NewTi::new("d", "r", "mapped").copy(0).state(None).insert(db).await;
    let group = json!({"_group_id": "g", "children": {"t": ["operator", "t"]}});
    let tasks = json!([{"__type": "operator", "__var": {"task_id": "t",
        "outlets": [{"__type": "asset", "__var": {"name": "gone", "uri": "gone"}}]}}]);
    let dag =
        json!({"tasks": tasks, "task_group": {"_group_id": null, "children": {"g": ["taskgroup", group]}}});
    testing::serialized_dag(db, "d", dag).await;
    let row = vec![
        ("conn_id", "c".into()),
        ("conn_type", "http".into()),
        ("password", "connection-password".into()),
        ("is_encrypted", false.into()),
        ("is_extra_encrypted", false.into()),
    ];
    testing::insert(db, "connection", row).await;
    let asset = vec![
        ("name", "a".into()),
        ("uri", "s3://a".into()),
        ("group", "asset".into()),
        ("extra", json!({}).into()),
        ("created_at", at(0).into()),
        ("updated_at", at(0).into()),
    ];
    testing::insert(db, "asset", asset).await;
    testing::insert(db, "asset_active", vec![("name", "a".into()), ("uri", "s3://a".into())]).await;
    ti
}

#[test]
fn the_sdk_reads_every_answer() {
    on_each_database(async |db| {
        let ti = seed(db).await;
        let mut answerer = Answerer::new(
            db.clone(),
            Options { runs: Some(run_options()), ..Options::default() },
            Asker::Task { ti_id: ti },
        );
        let mut sdk = Sdk::start();
        for (message, expected) in MESSAGES {
            let message = message.replace("TI)", &format!("uuid.UUID('{ti}'))"));
            let message = message.replace("TI,", &format!("uuid.UUID('{ti}'),"));
            let (kind, terminal) = sdk.ask(&mut answerer, &message).await;
            assert_eq!(&kind, expected, "{message}");
            assert_eq!(terminal, None, "{message}");
        }
        for secret in ["secret-value", "connection-password", "long-secret"] {
            let shown = answerer.masker().redact(secret).into_owned();
            assert_eq!(shown == "***", secret != "secret-value", "{secret}");
        }
    });
}

fn run_options() -> crate::store::create_run::RunOptions {
    use crate::store::runs::run_id::{DoubleDot, RunIdRules};
    let run_ids = RunIdRules::new(RunIdRules::DEFAULT_PATTERN, DoubleDot::Refused).unwrap();
    crate::store::create_run::RunOptions {
        run_ids,
        unixname: "user".to_owned(),
        secrets: crate::store::secrets::Sources::default(),
    }
}

/// Messages that end the task, the state that they lead to, and whether the state is written at once.
const ENDS: &[(&str, TaskState, bool)] = &[
    ("TaskState(state='failed', end_date=dt.datetime.now(UTC))", TaskState::Failed, false),
    (
        "SucceedTask(end_date=dt.datetime.now(UTC), task_outlets=[AssetProfile(name='a', uri='s3://a', type='Asset')], outlet_events=[])",
        TaskState::Success,
        true,
    ),
    ("RetryTask(end_date=dt.datetime.now(UTC), retry_delay_seconds=2.5)", TaskState::UpForRetry, true),
    (
        "DeferTask(classpath='a.B', trigger_kwargs={'n': 1}, trigger_timeout=timedelta(hours=1), next_method='m', next_kwargs={})",
        TaskState::Deferred,
        true,
    ),
    (
        "RescheduleTask(reschedule_date=dt.datetime(2027, 1, 1, tzinfo=UTC), end_date=dt.datetime.now(UTC))",
        TaskState::UpForReschedule,
        true,
    ),
    (
        "AwaitInputTask(timeout=timedelta(seconds=90), next_method='m', next_kwargs={})",
        TaskState::AwaitingInput,
        true,
    ),
];

#[test]
fn the_end_that_a_task_reports_is_written_or_remembered() {
    on_each_database(async |db| {
        let mut sdk = Sdk::start();
        seed(db).await;
        for (n, (message, state, written)) in ENDS.iter().enumerate() {
            let name = format!("end{n}");
            let ti = NewTi::new("d", "r", &name).state(TaskState::Running).insert(db).await;
            let (kind, terminal) = sdk.ask(&mut task(db, ti), message).await;
            assert_eq!(kind, "nothing", "{message}");
            let terminal = terminal.unwrap();
            assert_eq!(terminal.state(), *state, "{message}");
            assert_eq!(matches!(terminal, Terminal::Written { .. }), *written, "{message}");
            let row = first(db, &format!("SELECT state FROM task_instance WHERE task_id = '{name}'")).await;
            let expected = if *written { *state } else { TaskState::Running };
            assert_eq!(row.state::<TaskState>("state").unwrap(), expected, "{message}");
        }
        assert_eq!(first(db, "SELECT kwargs FROM trigger").await.text("kwargs").unwrap(), r#"{"n": 1}"#);
    });
}

#[test]
fn an_end_that_is_refused_is_kept_and_can_be_repeated() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Queued).await;
        let mut answerer = task(db, ti);
        let body = Message::new("SucceedTask").with("end_date", at(20)).done();
        let answer = answerer.answer(&body).await;
        assert_eq!(answer.terminal, Some(Terminal::Unsent { state: TaskState::Success }));
        assert!(answer.error.is_some());
        let who = EnterRunning { hostname: "h".into(), unixname: "u".into(), pid: 1, start_date: at(10) };
        run(db, ti, &who, MultiTeam::Off).await.unwrap();
        let replayed = answerer.replay().await.unwrap().unwrap();
        assert_eq!(replayed, Terminal::Written { state: TaskState::Success });
        assert!(answerer.replay().await.is_none());
    });
}

#[test]
fn start_up_details_are_read_by_the_sdk() {
    const READ: &str = r#"
import sys, msgspec
from pydantic import TypeAdapter
from airflow.sdk.execution_time import comms
data = sys.stdin.buffer.read()
frame = msgspec.msgpack.Decoder(comms._ResponseFrame).decode(data[4:])
details = TypeAdapter(comms.ToTask).validate_python(frame.body)
print(type(details).__name__, details.ti.task_id, details.ti_context.dag_run.run_id, details.start_date.isoformat())
"#;
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Queued).await;
        let who = EnterRunning { hostname: "h".into(), unixname: "u".into(), pid: 1, start_date: at(10) };
        let context = run(db, ti, &who, MultiTeam::Off).await.unwrap();
        let startup = Startup {
            ti_id: ti,
            task_id: "t".into(),
            dag_id: "d".into(),
            run_id: "r".into(),
            try_number: 1,
            dag_version_id: Some(Uuid::now_v7()),
            map_index: slipstream_core::ids::MapIndex::UNMAPPED,
            hostname: None,
            context_carrier: json!({"traceparent": "00-x"}),
            queue: "default".into(),
            dag_rel_path: "d.py".into(),
            bundle_name: "dags-folder".into(),
            bundle_version: None,
            sentry_integration: String::new(),
        };
        let frame = Frame::new(0, startup_details(&startup, &context, at(10)));
        let mut child = Command::new(testing::python())
            .args(["-c", READ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&frame.encode().unwrap()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(output.trim(), "StartupDetails t r 2026-01-01T00:00:10+00:00");
    });
}

#[test]
fn an_unknown_message_gets_the_error_of_the_python_supervisor() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Running).await;
        let answer = task(db, ti).answer(&Message::new("Nonsense").done()).await;
        let error = super::super::value::to_json(&answer.error.unwrap()).unwrap();
        assert_eq!(error["error"], "API_SERVER_ERROR");
        assert_eq!(error["detail"], json!({"status_code": 400, "message": "Unhandled request"}));
        let mut parser = Answerer::new(db.clone(), Options::default(), Asker::DagFile);
        let answer = parser.answer(&Message::new("SetRenderedMapIndex").done()).await;
        let error = super::super::value::to_json(&answer.error.unwrap()).unwrap();
        assert_eq!(error["error"], "GENERIC_ERROR");
        assert!(task(db, ti).answer(&Value::Nil).await.error.is_some());
    });
}

#[test]
fn a_number_that_cannot_be_sent_raises_what_it_raises_in_airflow() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Running).await;
        let at = |kind| {
            Message::new(kind).with("dag_id", "d").with("run_id", "r").with("task_id", "t").with("key", "k")
        };
        let detail = async |body: Message| {
            let answer = task(db, ti).answer(&body.done()).await;
            answer.error.map(|error| super::super::value::to_json(&error).unwrap()["detail"].clone())
        };
        let error = detail(at("SetXCom").with("value", f64::NAN)).await.unwrap();
        let message = "Out of range float values are not JSON compliant";
        assert_eq!(error, json!({"status_code": null, "message": message, "exception_type": "ValueError"}));
        assert_eq!(detail(at("SetXCom").with("value", 1e300)).await, None);
        let error = detail(at("GetXCom")).await;
        // SQLite keeps the exponent, PostgreSQL makes a whole number of it.
        match db.dialect() {
            Dialect::Postgres => assert_eq!(error.unwrap()["exception_type"], "OverflowError"),
            Dialect::Sqlite => assert_eq!(error, None),
        }
    });
}

#[test]
fn a_value_that_a_column_cannot_hold_is_the_tasks_own_fault() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Running).await;
        let long = "k".repeat(600);
        let at = Message::new("SetXCom").with("dag_id", "d").with("run_id", "r").with("task_id", "t");
        for body in [
            at.with("key", long.as_str()).with("value", 1),
            Message::new("PutVariable").with("key", long.as_str()).with("value", "v"),
        ] {
            let answer = task(db, ti).answer(&body.done()).await;
            let detail =
                answer.error.map(|error| super::super::value::to_json(&error).unwrap()["detail"].clone());
            match db.dialect() {
                Dialect::Postgres => {
                    let detail = detail.unwrap();
                    assert_eq!(detail["status_code"], 422);
                    assert_eq!(detail["detail"]["detail"]["reason"], "Value rejected by database");
                }
                // It has no lengths of columns.
                Dialect::Sqlite => assert_eq!(detail, None),
            }
        }
    });
}

#[test]
fn a_state_store_refuses_what_airflows_api_refuses() {
    block_on(async {
        let (_directory, db) = testing::sqlite().await;
        let ti = one_task(&db, TaskState::Running).await;
        let of_task = |kind| Message::new(kind).with("ti_id", ti.to_string().as_str());
        for (body, place) in [
            (of_task("GetTaskStateStore").with("key", ""), json!(["path", "key"])),
            (of_task("DeleteTaskStateStore").with("key", ""), json!(["path", "key"])),
            (of_task("SetTaskStateStore").with("key", "k").with("value", f64::NAN), json!(["body", "value"])),
            (
                Message::new("GetAssetStateStoreByName").with("name", "a").with("key", ""),
                json!(["query", "key"]),
            ),
        ] {
            let answer = task(&db, ti).answer(&body.done()).await;
            let detail = &super::super::value::to_json(&answer.error.unwrap()).unwrap()["detail"];
            assert_eq!(detail["status_code"], 422);
            assert_eq!(detail["detail"]["detail"][0]["loc"], place);
        }
        let holds_one = rmpv::Value::Array(vec![f64::NAN.into(), 1.into()]);
        let body = of_task("SetTaskStateStore").with("key", "k").with("value", holds_one);
        assert!(task(&db, ti).answer(&body.done()).await.error.is_none());
        assert_eq!(
            first(&db, "SELECT value FROM task_state_store").await.text("value").unwrap(),
            "[null, 1]"
        );
    });
}

#[test]
fn xcoms_are_kept_from_tasks_of_other_teams() {
    on_each_database(async |db| {
        let ti = one_task(db, TaskState::Running).await;
        testing::team(db, "blue").await;
        testing::insert(db, "team", vec![("name", "red".into())]).await;
        for (dag, bundle, team) in [("reds", "red-bundle", Some("red")), ("nobodys", "free-bundle", None)] {
            testing::dag(db, dag).await;
            testing::insert(db, "dag_bundle", vec![("name", bundle.into()), ("active", true.into())]).await;
            db.exec(db.sql("UPDATE dag SET bundle_name = ? WHERE dag_id = ?").bind(bundle).bind(dag))
                .await
                .unwrap();
            if let Some(team) = team {
                let values = vec![("dag_bundle_name", bundle.into()), ("team_name", team.into())];
                testing::insert(db, "dag_bundle_team", values).await;
            }
        }
        let mut options = Options::default();
        options.execution.multi_team = MultiTeam::On;
        let mut answerer: Answerer = Answerer::new(db.clone(), options, Asker::Task { ti_id: ti });
        let mut ask = async |kind: &str, dag: &str| {
            let body = Message::new(kind).with("dag_id", dag).with("run_id", "r").with("task_id", "t");
            let answer = answerer.answer(&body.with("key", "k").done()).await;
            answer
                .error
                .map(|error| super::super::value::to_json(&error).unwrap()["detail"]["status_code"].clone())
        };
        for (dag, read, deleted) in
            [("d", None, None), ("nobodys", None, Some(403)), ("reds", Some(403), Some(403))]
        {
            assert_eq!(ask("GetXCom", dag).await, read.map(Into::into), "{dag}");
            assert_eq!(ask("DeleteXCom", dag).await, deleted.map(Into::into), "{dag}");
        }
    });
}

#[test]
fn a_previous_run_is_found_by_its_date() {
    block_on(async {
        let (_directory, db) = testing::sqlite().await;
        let ti = one_task(&db, TaskState::Running).await;
        let later = NewRun { logical_date: at(3600), ..NewRun::new("d", "later") };
        later.insert(&db).await;
        let body =
            Message::new("GetPreviousDagRun").with("dag_id", "d").with("logical_date", at(3600)).done();
        let answer = task(&db, ti).answer(&body).await.body.unwrap();
        let json = super::super::value::to_json(&answer).unwrap();
        assert_eq!(json["dag_run"]["run_id"], "r");
    });
}

#[test]
fn a_previous_run_in_a_state_that_there_is_not_is_refused() {
    block_on(async {
        let (_directory, db) = testing::sqlite().await;
        let ti = one_task(&db, TaskState::Running).await;
        let body = Message::new("GetPreviousDagRun").with("dag_id", "d").with("logical_date", at(3600));
        let answer = task(&db, ti).answer(&body.with("state", "nonsense").done()).await;
        let detail = &super::super::value::to_json(&answer.error.unwrap()).unwrap()["detail"];
        assert_eq!(detail["status_code"], 422);
        assert_eq!(detail["message"], "Remote server returned validation error");
        assert_eq!(detail["detail"]["detail"][0]["loc"], json!(["query", "state"]));
    });
}
