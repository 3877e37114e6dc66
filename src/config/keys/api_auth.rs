//! `[api_auth]`.

use std::time::Duration;

keys! { "api_auth":
    /// Who tokens are for; empty: Airflow's default per API.
    JWT_AUDIENCE: String = "jwt_audience", "";
    /// Who issues tokens; empty: not checked.
    JWT_ISSUER: String = "jwt_issuer", "";
    /// The secret that signs tokens.
    JWT_SECRET: String = "jwt_secret", "", sensitive;
    /// The file of the private key that signs tokens instead.
    JWT_PRIVATE_KEY_PATH: String = "jwt_private_key_path", "";
    /// The algorithm; empty: by the kind of key.
    JWT_ALGORITHM: String = "jwt_algorithm", "";
    /// How far clocks may differ.
    JWT_LEEWAY: Duration = "jwt_leeway", Duration::from_secs(10);
    /// The key's id; empty: its thumbprint.
    JWT_KID: String = "jwt_kid", "";
}
