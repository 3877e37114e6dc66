//! `[traces]`.

keys! { "traces":
    /// Whether traces go to an OpenTelemetry collector.
    OTEL_ON: bool = "otel_on", false;
    /// Its host, without the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    OTEL_HOST: String = "otel_host", "localhost";
    /// Its port.
    OTEL_PORT: i64 = "otel_port", 8889;
    /// The name of the service that sends.
    OTEL_SERVICE: String = "otel_service", "Airflow";
    /// Whether the collector is reached over TLS.
    OTEL_SSL_ACTIVE: bool = "otel_ssl_active", false;
}
