//! How topics of Kafka are reached.

use super::fields::Fields;

/// Topics, and how to log in.
#[derive(Clone)]
#[cfg_attr(not(feature = "kafka"), allow(dead_code))] // then it is only ever refused
pub struct KafkaConfig {
    /// The topics.
    pub(super) topics: Vec<String>,
    /// Where offsets are committed for others to see; ours are in the database.
    pub(super) group: Option<String>,
    /// All options of librdkafka.
    pub(super) options: Vec<(String, String)>,
}

impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaConfig").field("topics", &self.topics).finish_non_exhaustive()
    }
}

/// What a user may change.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "slipstream"),
    ("isolation.level", "read_committed"),
    // What is read ahead is held in memory.
    ("queued.max.messages.kbytes", "16384"),
    ("queued.min.messages", "1000"),
    ("fetch.wait.max.ms", "100"),
];

/// What exactly-once rests on, or what is said by other fields.
const OURS: &[&str] = &[
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "metadata.broker.list",
    "plugin.library.paths",
];

impl KafkaConfig {
    pub(super) fn read(name: &str, fields: &mut Fields) -> Result<Self, String> {
        if !cfg!(feature = "kafka") {
            return Err(fields.wrong("kind", "is `kafka`, but this binary was built without Kafka"));
        }
        let brokers = fields.required_list("brokers")?.join(",");
        let topics = fields.required_list("topics")?;
        let group = fields.text("group")?;
        let given = fields.options("options")?;
        if let Some((option, _)) = given.iter().find(|(option, _)| OURS.contains(&&**option)) {
            return Err(fields.wrong("options", &format!("has `{option}`, which Slipstream sets by itself")));
        }
        if !cfg!(feature = "kafka-tls")
            && let Some((option, _)) = given.iter().find(|(option, value)| needs_tls(option, value))
        {
            return Err(fields.wrong(
                "options",
                &format!(
                    "has `{option}`, but this binary was built without TLS and SCRAM for Kafka: build it with \
                     `cargo build --release --features kafka-tls`"
                ),
            ));
        }
        let mut options: Vec<(String, String)> = DEFAULTS
            .iter()
            .filter(|(option, _)| !given.iter().any(|(other, _)| other == option))
            .map(|(option, value)| ((*option).to_owned(), (*value).to_owned()))
            .collect();
        options.extend(given);
        let group_id = group.clone().unwrap_or_else(|| format!("slipstream-{name}"));
        for (option, value) in [
            ("bootstrap.servers", &*brokers),
            ("group.id", &group_id),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "false"),
            // We decide about offsets that are not there.
            ("auto.offset.reset", "error"),
        ] {
            options.push((option.to_owned(), value.to_owned()));
        }
        let config = Self { topics, group, options };
        #[cfg(feature = "kafka")]
        super::kafka::check(&config).map_err(|why| fields.wrong("options", &why))?;
        Ok(config)
    }
}

/// Whether librdkafka needs OpenSSL for it.
fn needs_tls(option: &str, value: &str) -> bool {
    match option {
        "security.protocol" => value.to_ascii_lowercase().ends_with("ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => !value.eq_ignore_ascii_case("PLAIN"),
        _ => option.starts_with("ssl.") || option.starts_with("sasl.oauthbearer."),
    }
}
