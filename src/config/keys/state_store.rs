//! `[state_store]`.

keys! { "state_store":
    /// Whether the state of a task is removed when it has succeeded.
    CLEAR_ON_SUCCESS: bool = "clear_on_success", false;
}
