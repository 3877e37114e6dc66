//! Assets and their events.

use serde_json::json;

use super::super::value::{Fields, Message};
use super::failure::{Failure, error};
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::asset_reads::{
    self, AssetFacts, CreatedRun, EventFacts, EventFilter, EventsOf, Order, neither_name_nor_uri,
};
use crate::store::execution::state_store::AssetRef;

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn get_asset(&mut self, fields: &Fields<'_>) -> Response {
        let asset = asset_ref(fields)?;
        match asset_reads::find(&self.db, &asset).await? {
            Some(found) => Ok(Some(asset_message(&found).with("type", "AssetResult"))),
            None => {
                let detail = match &asset {
                    AssetRef::Name(name) => json!({"name": name}),
                    AssetRef::Uri(uri) => json!({"uri": uri}),
                };
                Ok(Some(error("ASSET_NOT_FOUND", detail)))
            }
        }
    }

    pub(super) async fn get_assets_by_alias(&mut self, fields: &Fields<'_>) -> Response {
        let assets = asset_reads::of_alias(&self.db, fields.text("alias_name")?).await?;
        let assets: Vec<_> =
            assets.iter().map(|asset| asset_message(asset).with("type", "AssetResult")).collect();
        Ok(Some(Message::new("AssetsByAliasResult").with("assets", assets)))
    }

    pub(super) async fn get_asset_events(&mut self, fields: &Fields<'_>) -> Response {
        let filter = EventFilter {
            of: events_of(fields)?,
            after: fields.time_opt("after")?,
            before: fields.time_opt("before")?,
            limit: fields.int_opt("limit")?,
            order: match fields.bool_opt("ascending")? {
                Some(false) => Order::Descending,
                _ => Order::Ascending,
            },
        };
        let events = asset_reads::events(&self.db, &filter).await?;
        let events: Vec<_> = events.iter().map(event_message).collect();
        Ok(Some(Message::new("AssetEventsResult").with("asset_events", events)))
    }
}

/// The name or URI in a message, whichever it has.
pub(super) fn asset_ref(fields: &Fields<'_>) -> Result<AssetRef, Failure> {
    match fields.text_opt("name")? {
        Some(name) => Ok(AssetRef::Name(name.to_owned())),
        None => Ok(AssetRef::Uri(fields.text("uri")?.to_owned())),
    }
}

fn events_of(fields: &Fields<'_>) -> Result<EventsOf, Failure> {
    if let Some(alias) = fields.text_opt("alias_name")? {
        return Ok(EventsOf::Alias(alias.to_owned()));
    }
    let text =
        |field| Ok::<_, Failure>(fields.text_opt(field)?.filter(|text| !text.is_empty()).map(str::to_owned));
    match (text("name")?, text("uri")?) {
        (Some(name), Some(uri)) => Ok(EventsOf::Asset { name, uri }),
        (Some(name), None) => Ok(EventsOf::Active(AssetRef::Name(name))),
        (None, Some(uri)) => Ok(EventsOf::Active(AssetRef::Uri(uri))),
        (None, None) => Err(neither_name_nor_uri().into()),
    }
}

fn asset_message(asset: &AssetFacts) -> Message {
    Message::map()
        .with("name", asset.name.as_str())
        .with("uri", asset.uri.as_str())
        .with("group", asset.group.as_str())
        .with("extra", &asset.extra)
}

fn event_message(event: &EventFacts) -> Message {
    let runs: Vec<_> = event.created_dagruns.iter().map(run_message).collect();
    Message::map()
        .with("id", event.id)
        .with("timestamp", event.timestamp)
        .with("extra", &event.extra)
        .with("asset", asset_message(&event.asset))
        .with("created_dagruns", runs)
        .with("source_task_id", event.source_task_id.as_deref())
        .with("source_dag_id", event.source_dag_id.as_deref())
        .with("source_run_id", event.source_run_id.as_deref())
        .with("source_map_index", event.source_map_index)
        .with("partition_key", event.partition_key.as_deref())
}

fn run_message(run: &CreatedRun) -> Message {
    Message::map()
        .with("run_id", run.run_id.as_str())
        .with("dag_id", run.dag_id.as_str())
        .with("logical_date", run.logical_date)
        .with("start_date", run.start_date)
        .with("end_date", run.end_date)
        .with("state", run.state.as_str())
        .with("data_interval_start", run.data_interval_start)
        .with("data_interval_end", run.data_interval_end)
        .with("partition_key", run.partition_key.as_deref())
}
