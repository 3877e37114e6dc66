//! Questions to a person.

use super::super::value::{Fields, Message};
use super::{Answerer, Response, SecretsBackend};
use crate::store::execution::hitl::{self, HitlRequest};

impl<B: SecretsBackend> Answerer<B> {
    pub(super) async fn create_hitl_detail(&mut self, fields: &Fields<'_>) -> Response {
        let ti = fields.uuid("ti_id")?;
        let request = HitlRequest {
            options: fields.json_of_model("options")?,
            subject: fields.text("subject")?.to_owned(),
            body: fields.text_opt("body")?.map(str::to_owned),
            defaults: fields.json_of_model("defaults")?,
            multiple: Some(fields.bool_opt("multiple")?.unwrap_or(false)),
            params: fields.json_of_model("params")?,
            assigned_users: fields.json_of_model("assigned_users")?,
        };
        let stored = hitl::put_request(&self.db, ti, &request).await?;
        let message = Message::new("HITLDetailRequestResult")
            .with("ti_id", ti)
            .with("options", stored.options)
            .with("subject", stored.subject)
            .with("body", stored.body)
            .with("defaults", stored.defaults)
            .with("multiple", stored.multiple)
            .with("params", stored.params)
            .with("assigned_users", stored.assigned_users);
        Ok(Some(message))
    }
}
