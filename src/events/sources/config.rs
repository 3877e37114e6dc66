//! `[slipstream] sources`: a JSON object of sources by name.

use std::collections::BTreeMap;

use serde_json::Value;
use slipstream_core::event::source::{OnLost, Start};

use super::fields::Fields;
use super::kafka_config::KafkaConfig;
use super::mapping::Mapping;
use super::nats_config::NatsConfig;
use crate::config::{Config, keys};

/// All sources, by name.
#[derive(Clone, Debug, Default)]
pub struct Sources(BTreeMap<String, SourceConfig>);

/// One source, as it is configured.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// What is read, and how.
    pub kind: Kind,
    /// How a message becomes an event.
    pub(super) mapping: Mapping,
    /// Where it begins.
    pub start: Start,
    /// What to do when messages are gone.
    pub on_lost: OnLost,
}

/// What is read, and how.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Topics of a Kafka cluster.
    Kafka(KafkaConfig),
    /// A stream of NATS JetStream.
    Nats(NatsConfig),
    /// A broker of the tests.
    #[cfg(test)]
    Fake(super::fake::Broker),
}

impl Kind {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kafka(_) => "kafka",
            Self::Nats(_) => "nats",
            #[cfg(test)]
            Self::Fake(_) => "kafka",
        }
    }
}

#[derive(Clone, Copy)]
enum Word {
    Kafka,
    Nats,
}

impl Sources {
    /// As configured.
    ///
    /// # Errors
    /// A sentence that names the source and the field that is wrong; values are not in it.
    pub fn of(config: &Config) -> Result<Self, String> {
        config.get(&keys::slipstream::SOURCES).parse()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &SourceConfig> {
        self.0.values()
    }

    /// Whether there is one of a name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl std::str::FromStr for Sources {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let what = "[slipstream] sources must be a JSON object of sources by name";
        let Value::Object(map) =
            serde_json::from_str::<Value>(text).map_err(|error| format!("{what}: {error}"))?
        else {
            return Err(what.to_owned());
        };
        let sources = map.into_iter().map(|(name, value)| Ok((name.clone(), read(&name, value)?)));
        sources.collect::<Result<_, String>>().map(Self)
    }
}

impl FromIterator<SourceConfig> for Sources {
    fn from_iter<I: IntoIterator<Item = SourceConfig>>(sources: I) -> Self {
        Self(sources.into_iter().map(|source| (source.name.clone(), source)).collect())
    }
}

fn read(name: &str, value: Value) -> Result<SourceConfig, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 200 || !name.chars().all(plain) {
        return Err(format!(
            "[slipstream] sources: `{name}` is no name for a source: use letters, digits, `.`, `_` and `-`"
        ));
    }
    let mut fields = Fields::of(name, value)?;
    let kinds = [("kafka", Word::Kafka), ("nats", Word::Nats)];
    let kind = match fields.word("kind", &kinds)?.ok_or_else(|| fields.wrong("kind", "is missing"))? {
        Word::Kafka => Kind::Kafka(KafkaConfig::read(name, &mut fields)?),
        Word::Nats => Kind::Nats(NatsConfig::read(name, &mut fields)?),
    };
    let starts = [("latest", Start::Latest), ("earliest", Start::Earliest)];
    let start = fields.word("start", &starts)?.unwrap_or_default();
    let on_lost = [("earliest", OnLost::Earliest), ("latest", OnLost::Latest), ("stop", OnLost::Stop)];
    let on_lost = fields.word("on_lost", &on_lost)?.unwrap_or_default();
    let mapping = Mapping::read(name, &kind, &mut fields)?;
    fields.end()?;
    Ok(SourceConfig { name: name.to_owned(), kind, mapping, start, on_lost })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Sources>().unwrap_err()
    }

    #[test]
    fn without_the_option_there_are_no_sources() {
        assert_eq!(" ".parse::<Sources>().unwrap().iter().count(), 0);
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn sources_of_both_kinds_are_read() {
        let text = r#"{
            "orders": {"kind": "kafka", "brokers": "a:9092, b:9092", "topics": "orders", "group": "g", "key": "/id",
                       "type": "order", "start": "earliest", "options": {"fetch.wait.max.ms": 10}},
            "sensors": {"kind": "nats", "servers": ["nats://a:4222"], "stream": "S", "subjects": ["s.>"], "token": "t"}
        }"#;
        let sources: Sources = text.parse().unwrap();
        let kinds: Vec<_> = sources.iter().map(|source| (&*source.name, source.kind.name())).collect();
        assert_eq!(kinds, [("orders", "kafka"), ("sensors", "nats")]);
        assert_eq!(sources.iter().next().unwrap().start, Start::Earliest);
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_source_and_field_and_without_secrets() {
        for (text, why) in [
            ("[]", "[slipstream] sources must be a JSON object of sources by name"),
            (r#"{"s": "hidden"}"#, "`s` must be a JSON object of fields"),
            (r#"{"s s": {}}"#, "`s s` is no name for a source"),
            (r#"{"s": {}}"#, "`s`: field `kind` is missing"),
            (r#"{"s": {"kind": "hidden"}}"#, "`s`: field `kind` must be \"kafka\" or \"nats\""),
            (r#"{"s": {"kind": "nats"}}"#, "`s`: field `servers` is missing"),
            (r#"{"s": {"kind": "nats", "servers": "nats://a"}}"#, "`s`: field `stream` is missing"),
            (
                r#"{"s": {"kind": "nats", "servers": "nats://a", "stream": "S", "password": 5}}"#,
                "`password` must be a text",
            ),
            (
                r#"{"s": {"kind": "nats", "servers": "nats://a", "stream": "S", "password": "hidden"}}"#,
                "field `password` needs `user`",
            ),
            (
                r#"{"s": {"kind": "nats", "servers": "nats://a", "stream": "S", "token": "hidden", "color": 1}}"#,
                "field `color` is not known",
            ),
            (
                r#"{"s": {"kind": "nats", "servers": "nats://a", "stream": "S", "namespace": "airflow"}}"#,
                "field `namespace` names the reserved namespace",
            ),
            (
                r#"{"s": {"kind": "nats", "servers": "nats://a", "stream": "S", "start": "now"}}"#,
                "field `start` must be \"latest\" or \"earliest\"",
            ),
            (
                r#"{"s": {"kind": "nats", "servers": "nats://a", "stream": "S", "key": "message"}}"#,
                "field `key` must be \"subject\" or a JSON pointer",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(why) && !error.contains("hidden"), "{error}");
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn a_wrong_option_of_kafka_is_refused_at_start() {
        let kafka = |more: &str| {
            error(&format!(r#"{{"s": {{"kind": "kafka", "brokers": "a:1", "topics": "t", {more}}}}}"#))
        };
        for (more, why) in [
            (r#""options": "sasl.password=hidden""#, "field `options` must be a JSON object"),
            (r#""options": {"no.such.option": "hidden"}"#, "field `options` has `no.such.option`"),
            (r#""options": {"fetch.wait.max.ms": "hidden"}"#, "field `options` has `fetch.wait.max.ms`"),
            (r#""options": {"enable.auto.commit": "hidden"}"#, "`enable.auto.commit`, which Slipstream sets"),
            (r#""options": {"bootstrap.servers": "hidden"}"#, "`bootstrap.servers`, which Slipstream sets"),
        ] {
            let error = kafka(more);
            assert!(error.contains(why) && !error.contains("hidden"), "{error}");
        }
        if !cfg!(feature = "kafka-tls") {
            for option in [r#""security.protocol": "SASL_SSL""#, r#""sasl.mechanism": "SCRAM-SHA-256""#] {
                let error = kafka(&format!(r#""options": {{{option}}}"#));
                assert!(error.contains("built without") && error.contains("kafka-tls"), "{error}");
            }
        }
    }

    #[cfg(not(feature = "kafka"))]
    #[test]
    fn a_build_without_kafka_says_so() {
        let error = error(r#"{"s": {"kind": "kafka", "brokers": "a:1", "topics": "t"}}"#);
        assert!(error.contains("built without Kafka"), "{error}");
    }

    #[test]
    fn secrets_are_not_in_what_is_written_to_logs() {
        let text =
            r#"{"s": {"kind": "nats", "servers": "nats://u:hidden@a", "stream": "S", "token": "hidden"}}"#;
        assert!(!format!("{:?}", text.parse::<Sources>().unwrap()).contains("hidden"));
    }
}
