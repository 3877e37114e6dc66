//! `[metrics]`.

keys! { "metrics":
    /// Prefixes of the metrics that are sent; empty: all.
    METRICS_ALLOW_LIST: String = "metrics_allow_list", "";
    /// Prefixes of metrics that are not sent.
    METRICS_BLOCK_LIST: String = "metrics_block_list", "";
    /// Whether metrics are sent under their old dotted names.
    LEGACY_NAMES_ON: bool = "legacy_names_on", true;
    /// Whether metrics go to StatsD.
    STATSD_ON: bool = "statsd_on", false;
    /// Its host.
    STATSD_HOST: String = "statsd_host", "localhost";
    /// Its port.
    STATSD_PORT: i64 = "statsd_port", 8125;
    /// What every metric's name begins with.
    STATSD_PREFIX: String = "statsd_prefix", "airflow";
    /// Whether tags are sent in DogStatsD's form.
    STATSD_DATADOG_ENABLED: bool = "statsd_datadog_enabled", false;
    /// Tags that every metric has, `name:value` separated by commas.
    STATSD_DATADOG_TAGS: String = "statsd_datadog_tags", "";
    /// Whether a metric's own tags are sent to DogStatsD.
    STATSD_DATADOG_METRICS_TAGS: bool = "statsd_datadog_metrics_tags", true;
    /// Whether tags are sent in InfluxDB's form.
    STATSD_INFLUXDB_ENABLED: bool = "statsd_influxdb_enabled", false;
    /// Whether metrics go to an OpenTelemetry collector, unless they go to StatsD.
    OTEL_ON: bool = "otel_on", false;
    /// Its host, without the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    OTEL_HOST: String = "otel_host", "";
    /// Its port.
    OTEL_PORT: String = "otel_port", "";
    /// What every metric's name begins with there.
    OTEL_PREFIX: String = "otel_prefix", "airflow";
    /// Milliseconds between two sendings.
    OTEL_INTERVAL_MILLISECONDS: String = "otel_interval_milliseconds", "";
    /// The name of the service that sends.
    OTEL_SERVICE: String = "otel_service", "";
    /// Whether the collector is reached over TLS.
    OTEL_SSL_ACTIVE: String = "otel_ssl_active", "";
    /// Tags that are not sent.
    STATSD_DISABLED_TAGS: String = "statsd_disabled_tags", "job_id,run_id";
}
