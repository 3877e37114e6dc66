//! `[secrets]`.

keys! { "secrets":
    /// The class of the deployment's secrets backend; empty for none.
    BACKEND: String = "backend", "";
}
