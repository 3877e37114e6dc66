//! What others ask of the dag processor: to parse a file now (`dag_priority_parsing_request`), to run a callback of a Dag
//! (`callback` of the type `dag_processor`).

use crate::store::{Conn, Db, StoreError};

/// Whether someone waits for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Files are to be parsed.
    pub files: bool,
    /// Callbacks are to be run.
    pub callbacks: bool,
}

/// Looks whether anything waits for these bundles: the one statement of an idle second.
///
/// # Errors
/// As any statement.
pub async fn waiting(db: &Db, bundles: &[String]) -> Result<Waiting, StoreError> {
    let sql = db
        .sql(
            "SELECT EXISTS (SELECT 1 FROM dag_priority_parsing_request WHERE bundle_name IN (?)) AS files, \
             EXISTS (SELECT 1 FROM callback WHERE type = 'dag_processor' AND bundle_name IN (?)) AS callbacks",
        )
        .bind_list(bundles)
        .bind_list(bundles);
    match db.one(sql).await? {
        Some(row) => Ok(Waiting { files: row.bool("files")?, callbacks: row.bool("callbacks")? }),
        None => Ok(Waiting::default()),
    }
}

/// Takes the requests to parse files: `(bundle, file)`.
///
/// # Errors
/// As any statement.
pub async fn claim_files(db: &Db, bundles: &[String]) -> Result<Vec<(String, String)>, StoreError> {
    let sql = db.sql(
        "DELETE FROM dag_priority_parsing_request WHERE bundle_name IN (?) RETURNING bundle_name, relative_fileloc",
    );
    let rows = db.all(sql.bind_list(bundles)).await?;
    rows.iter().map(|row| Ok((row.text("bundle_name")?, row.text("relative_fileloc")?))).collect()
}

/// Takes callbacks, the most urgent first: each a `CallbackRequest` of `airflow/callbacks/callback_requests.py`.
///
/// A row that cannot be understood is removed too, with a warning: it would come back for ever.
///
/// # Errors
/// As any statement.
pub async fn claim_callbacks(
    db: &Db,
    bundles: &[String],
    limit: i64,
) -> Result<Vec<serde_json::Value>, StoreError> {
    let tx = db.begin().await?;
    let sql = tx
        .sql(
            "SELECT id, data FROM callback WHERE type = 'dag_processor' AND bundle_name IN (?) \
             ORDER BY priority_weight DESC LIMIT ? ",
        )
        .bind_list(bundles)
        .bind(limit);
    let rows = tx.all(sql.push(tx.dialect().pg("FOR UPDATE SKIP LOCKED"))).await?;
    let mut ids = Vec::with_capacity(rows.len());
    let mut requests = Vec::with_capacity(rows.len());
    for row in &rows {
        let id = row.uuid("id")?;
        ids.push(id);
        match request(&row.json("data")?) {
            Some(request) => requests.push(request),
            None => tracing::warn!(%id, "a callback's request cannot be read; it is dropped"),
        }
    }
    if !ids.is_empty() {
        tx.exec(tx.sql("DELETE FROM callback WHERE id IN (?)").bind_list(ids)).await?;
    }
    tx.commit().await?;
    Ok(requests)
}

/// The request within `data`, which is Airflow's extended JSON: `{"__type": "dict", "__var": {…, "req_data": "…"}}`.
fn request(data: &serde_json::Value) -> Option<serde_json::Value> {
    let plain = data.get("__var").unwrap_or(data);
    serde_json::from_str(plain.get("req_data")?.as_str()?).ok()
}
