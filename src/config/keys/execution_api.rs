//! `[execution_api]`.

use std::time::Duration;

keys! { "execution_api":
    /// Who the tokens of tasks are for.
    JWT_AUDIENCE: String = "jwt_audience", "urn:airflow.apache.org:task";
    /// How long they are good.
    JWT_EXPIRATION_TIME: Duration = "jwt_expiration_time", Duration::from_secs(600);
}
