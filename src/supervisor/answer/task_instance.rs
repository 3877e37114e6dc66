//! Other task instances, and the task's own assets.

use slipstream_core::ids::MapIndex;

use super::super::value::{Fields, Message};
use super::failure::Failure;
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::reschedule::first_reschedule;
use crate::store::execution::task_instances::{self, PreviousOf, TiFilter};

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn get_ti_count(&mut self, fields: &Fields<'_>) -> Response {
        let states = fields.texts_opt("states")?.unwrap_or_default();
        let count = task_instances::count(&self.db, &filter(fields)?, &states).await?;
        Ok(Some(Message::new("TICount").with("count", count)))
    }

    pub(super) async fn get_task_states(&mut self, fields: &Fields<'_>) -> Response {
        let mut runs = Message::map();
        for (run_id, tasks) in task_instances::states(&self.db, &filter(fields)?).await? {
            let mut states = Message::map();
            for (task, state) in tasks {
                states = states.with(&task, state.map(|state| state.as_str()));
            }
            runs = runs.with(run_id.as_str(), states);
        }
        Ok(Some(Message::new("TaskStatesResult").with("task_states", runs)))
    }

    pub(super) async fn get_previous_ti(&mut self, fields: &Fields<'_>) -> Response {
        let of = PreviousOf {
            dag_id: fields.text("dag_id")?.into(),
            task_id: fields.text("task_id")?.into(),
            logical_date: fields.time_opt("logical_date")?,
            map_index: map_index(fields)?.unwrap_or(MapIndex::UNMAPPED),
            state: fields.text_opt("state")?.map(str::to_owned),
        };
        let found = task_instances::previous(&self.db, &of).await?.map(|ti| {
            Message::map()
                .with("task_id", ti.task_id.as_str())
                .with("dag_id", ti.dag_id.as_str())
                .with("run_id", ti.run_id.as_str())
                .with("logical_date", ti.logical_date)
                .with("start_date", ti.start_date)
                .with("end_date", ti.end_date)
                .with("state", ti.state.map(|state| state.as_str()))
                .with("try_number", ti.try_number)
                .with("map_index", ti.map_index.0)
                .with("duration", ti.duration)
        });
        Ok(Some(Message::new("PreviousTIResult").with("task_instance", found)))
    }

    pub(super) async fn get_task_breadcrumbs(&mut self, fields: &Fields<'_>) -> Response {
        let (dag_id, run_id) = (fields.text("dag_id")?.into(), fields.text("run_id")?.into());
        let crumbs = task_instances::breadcrumbs(&self.db, &dag_id, &run_id).await?;
        let crumbs: Vec<_> = crumbs
            .into_iter()
            .map(|crumb| {
                Message::map()
                    .with("task_id", crumb.task_id)
                    .with("map_index", crumb.map_index)
                    .with("state", crumb.state)
                    .with("operator", crumb.operator)
                    .with("duration", crumb.duration)
            })
            .collect();
        Ok(Some(Message::new("TaskBreadcrumbsResult").with("breadcrumbs", crumbs)))
    }

    pub(super) async fn get_reschedule_start_date(&mut self, fields: &Fields<'_>) -> Response {
        let date = first_reschedule(&self.db, fields.uuid("ti_id")?).await?;
        Ok(Some(Message::new("TaskRescheduleStartDate").with("start_date", date)))
    }

    pub(super) async fn validate_inlets_and_outlets(&mut self, fields: &Fields<'_>) -> Response {
        let inactive = task_instances::inactive_assets(&self.db, fields.uuid("ti_id")?).await?;
        let profiles: Vec<_> = inactive
            .into_iter()
            .map(|(name, uri)| Message::map().with("name", name).with("uri", uri).with("type", "Asset"))
            .collect();
        Ok(Some(Message::new("InactiveAssetsResult").with("inactive_assets", profiles)))
    }
}

/// A copy; a negative index is none, as the SDK's client has it.
fn map_index(fields: &Fields<'_>) -> Result<Option<MapIndex>, Failure> {
    let Some(index) = fields.int_opt("map_index")?.filter(|index| *index >= 0) else { return Ok(None) };
    match i32::try_from(index) {
        Ok(index) => Ok(Some(MapIndex(index))),
        Err(_) => Err(fields.bad("map_index", "is out of range").into()),
    }
}

fn filter(fields: &Fields<'_>) -> Result<TiFilter, Failure> {
    Ok(TiFilter {
        dag_id: fields.text("dag_id")?.into(),
        map_index: map_index(fields)?,
        task_ids: fields.texts_opt("task_ids")?.unwrap_or_default(),
        task_group_id: fields.text_opt("task_group_id")?.filter(|id| !id.is_empty()).map(str::to_owned),
        logical_dates: fields.times("logical_dates")?,
        run_ids: fields.texts_opt("run_ids")?.unwrap_or_default(),
    })
}
