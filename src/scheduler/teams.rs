//! Which teams the scheduler's measurements name.

use chrono::{DateTime, TimeDelta, Utc};

use super::tick::Scheduler;
use crate::store::execution::MultiTeam;
use crate::store::{StoreError, teams};
use crate::telemetry::metrics;

/// How often the teams are read again.
const AGAIN: TimeDelta = TimeDelta::seconds(5);

impl Scheduler {
    /// Reads who belongs to which team, if that is of interest and was not read just now.
    pub(super) async fn learn_teams(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let wanted = self.options.multi_team == MultiTeam::On && metrics::is_on();
        if wanted && self.clocks.teams.is_none_or(|last| now - last >= AGAIN) {
            metrics::set_teams(teams::all(&self.db).await?);
            self.clocks.teams = Some(now);
        }
        Ok(())
    }
}
