//! What we request, read and compared by Airflow's own classes.

use slipstream_core::state::TaskState;

use super::{CallbackRequest, EmailKind, Outcome, Sent, send};
use crate::store::Conn;
use crate::store::assets::events::consume;
use crate::store::runs::testing::TestDb;
use crate::store::testing::{NewRun, NewTi, at, dag, insert, serialized_dag};

/// Reads every request with pydantic and compares it with the one that Airflow makes of the same rows.
const COMPARE: &str = r#"
import json
from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext, EmailRequest, TaskCallbackRequest
from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun as DagRunModel, TIRunContext
from airflow.models import TaskInstance
from airflow.models.callback import DagProcessorCallback
from airflow.utils.session import create_session
from sqlalchemy import select

with create_session() as session:
    ti = session.scalar(select(TaskInstance))
    run = ti.dag_run
    events = [(event.asset, event.source_aliases) for event in run.consumed_asset_events]
    assert len(events) == 1
    where = {"filepath": "d.py", "bundle_name": "dags-folder", "bundle_version": None}
    context = TIRunContext(
        dag_run=DagRunModel.model_validate(run, from_attributes=True), max_tries=ti.max_tries,
        variables=[], connections=[], xcom_keys_to_clear=[],
    )
    dag_context = DagRunContext(dag_run=run, last_ti=ti)
    expected = [
        DagCallbackRequest(**where, msg="task_failure", dag_id="d", run_id="r", is_failure_callback=True,
                           context_from_server=dag_context),
        TaskCallbackRequest(**where, msg="gone", ti=ti, task_callback_type="failed", context_from_server=context),
        EmailRequest(**where, msg="gone", ti=ti, email_type="retry", context_from_server=context),
    ]
    rows = session.scalars(select(DagProcessorCallback).order_by(DagProcessorCallback.id)).all()
    assert len(rows) == len(expected)
    for row, request in zip(rows, expected):
        assert (row.fetch_method, row.state, row.bundle_name, row.priority_weight) == (
            "dag_attribute", None, "dags-folder", 1)
        assert row.data["req_class"] == type(request).__name__
        assert row.get_callback_request() == request, (row.data["req_data"], request.to_json())
        assert json.loads(row.data["req_data"]) == json.loads(request.to_json())
"#;

#[tokio::test]
async fn airflow_reads_our_requests_as_its_own() {
    for test in TestDb::all().await {
        let db = &test.db;
        dag(db, "d").await;
        serialized_dag(db, "d", serde_json::json!({"dag_id": "d"})).await;
        let run = NewRun::new("d", "r").insert(db).await;
        let ti = NewTi::new("d", "r", "t").state(TaskState::Running).retries(2).insert(db).await;
        let values = vec![
            ("id", 1_i64.into()),
            ("name", "asset".into()),
            ("uri", "asset".into()),
            ("group", "asset".into()),
            ("extra", serde_json::json!({}).into()),
            ("created_at", at(0).into()),
            ("updated_at", at(0).into()),
        ];
        insert(db, "asset", values).await;
        let values = vec![
            ("id", 1_i64.into()),
            ("asset_id", 1_i64.into()),
            ("extra", serde_json::json!({"k": 1}).into()),
            ("source_map_index", (-1_i64).into()),
            ("timestamp", at(5).into()),
        ];
        insert(db, "asset_event", values).await;
        consume(db, run, &[1]).await.unwrap();
        // The first request for the task instance gives it its Dag's version; the request for the Dag needs that.
        super::context::give_dag_version(db, ti, at(1)).await.unwrap();
        let requests = [
            CallbackRequest::Dag {
                dag_id: "d".into(),
                run_id: "r".into(),
                outcome: Outcome::Failure,
                msg: "task_failure".to_owned(),
                last_ti: Some(ti),
            },
            CallbackRequest::Task { ti, kind: Some(TaskState::Failed), msg: "gone".to_owned() },
            CallbackRequest::Email { ti, kind: EmailKind::Retry, msg: "gone".to_owned() },
        ];
        for request in &requests {
            assert_eq!(send(db, request, at(2)).await.unwrap(), Sent::Yes);
        }
        let sql = db.sql("SELECT count(*) AS n FROM callback");
        assert_eq!(db.one(sql).await.unwrap().unwrap().int("n").unwrap(), 3);
        test.airflow(COMPARE);
        test.drop().await;
    }
}
