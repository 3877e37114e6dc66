//! `[secrets]`.

use std::time::Duration;

keys! { "secrets":
    /// The class of the secrets backend.
    BACKEND: String = "backend", "";
    /// Its arguments, as JSON.
    BACKEND_KWARGS: String = "backend_kwargs", "", sensitive;
    /// Whether Dag processors cache what the backend answers.
    USE_CACHE: bool = "use_cache", false;
    /// For how long.
    CACHE_TTL_SECONDS: Duration = "cache_ttl_seconds", Duration::from_secs(900);
}
