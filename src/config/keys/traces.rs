//! `[traces]`.

keys! { "traces":
    /// Whether traces go to an OpenTelemetry collector.
    OTEL_ON: bool = "otel_on", false;
    /// Its host, without the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    OTEL_HOST: String = "otel_host", "";
    /// Its port.
    OTEL_PORT: String = "otel_port", "";
    /// The name of the service that sends.
    OTEL_SERVICE: String = "otel_service", "";
    /// Whether the collector is reached over TLS.
    OTEL_SSL_ACTIVE: String = "otel_ssl_active", "";
}
