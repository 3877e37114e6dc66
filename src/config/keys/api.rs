//! `[api]`.

keys! { "api":
    /// Where the UI is, as users see it.
    BASE_URL: String = "base_url", "";
    /// On which port.
    PORT: i64 = "port", 8080;
    /// Signs tokens of the log server and sessions of the UI.
    SECRET_KEY: String = "secret_key", "", sensitive;
}
