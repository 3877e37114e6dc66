//! Typed options: a name, a default, and how its text is understood.

use std::marker::PhantomData;
use std::time::Duration;

/// An option of the configuration: where it is, of which type, and Airflow's default.
#[derive(Debug)]
pub struct Key<T: Setting> {
    section: &'static str,
    name: &'static str,
    default: T::Default,
    sensitive: bool,
    about: &'static str,
    type_: PhantomData<fn() -> T>,
}

impl<T: Setting> Key<T> {
    /// An option of `[section]`, with what it means.
    pub const fn new(
        section: &'static str,
        name: &'static str,
        default: T::Default,
        about: &'static str,
    ) -> Self {
        Self { section, name, default, sensitive: false, about, type_: PhantomData }
    }

    /// Marks a secret: its value may come from `_CMD` and `_SECRET`, and is never shown.
    #[must_use]
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Section.
    pub const fn section(&self) -> &'static str {
        self.section
    }

    /// Option.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn default(&self) -> T {
        T::from_default(self.default)
    }
}

/// A type that an option can have.
pub trait Setting: Sized + 'static {
    /// How a default is written in a constant.
    type Default: Copy + Sync + std::fmt::Debug;

    /// The default as a value.
    fn from_default(default: Self::Default) -> Self;

    /// The default as it would stand in `airflow.cfg`.
    fn default_text(default: Self::Default) -> String;

    /// Understands a text as Airflow does.
    ///
    /// # Errors
    /// A phrase that says what is wrong with it, to be put after the option's name.
    fn parse(text: &str) -> Result<Self, String>;
}

/// An option whose type does not matter.
pub trait AnyKey: Sync {
    /// Section.
    fn section(&self) -> &'static str;
    /// Option.
    fn name(&self) -> &'static str;
    /// The default as it would stand in `airflow.cfg`.
    fn default_text(&self) -> String;
    /// Whether it is a secret.
    fn is_sensitive(&self) -> bool;
    /// What it means, in a sentence or two.
    fn about(&self) -> String;
    /// Whether the text can be understood.
    ///
    /// # Errors
    /// As [`Setting::parse`].
    fn check(&self, text: &str) -> Result<(), String>;
}

impl<T: Setting> AnyKey for Key<T> {
    fn section(&self) -> &'static str {
        self.section
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn default_text(&self) -> String {
        T::default_text(self.default)
    }

    fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    fn about(&self) -> String {
        let lines: Vec<_> = self.about.lines().map(str::trim).collect();
        lines.join(" ").trim().to_owned()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        T::parse(text).map(|_| ())
    }
}

impl Setting for i64 {
    type Default = i64;

    fn from_default(default: i64) -> Self {
        default
    }

    fn default_text(default: i64) -> String {
        default.to_string()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let plain = text.trim().replace('_', "");
        if let Ok(value) = plain.parse() {
            return Ok(value);
        }
        // Airflow takes "32.0" for 32.
        match plain.parse::<f64>() {
            #[allow(clippy::cast_possible_truncation)]
            Ok(value) if value.fract() == 0.0 && value.abs() < 9e15 => Ok(value as Self),
            _ => Err(format!("must be a whole number, not \"{text}\"")),
        }
    }
}

impl Setting for f64 {
    type Default = f64;

    fn from_default(default: f64) -> Self {
        default
    }

    fn default_text(default: f64) -> String {
        format!("{default:?}")
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().replace('_', "").parse::<Self>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("must be a number, not \"{text}\"")),
        }
    }
}

impl Setting for bool {
    type Default = bool;

    fn from_default(default: bool) -> Self {
        default
    }

    fn default_text(default: bool) -> String {
        if default { "True".to_owned() } else { "False".to_owned() }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let word = text.split('#').next().unwrap_or_default().trim().to_lowercase();
        match word.as_str() {
            "t" | "true" | "1" => Ok(true),
            "f" | "false" | "0" => Ok(false),
            _ => Err(format!("must be True or False, not \"{text}\"")),
        }
    }
}

impl Setting for String {
    type Default = &'static str;

    fn from_default(default: &'static str) -> Self {
        default.to_owned()
    }

    fn default_text(default: &'static str) -> String {
        default.to_owned()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// Seconds, whole or not.
impl Setting for Duration {
    type Default = Duration;

    fn from_default(default: Duration) -> Self {
        default
    }

    fn default_text(default: Duration) -> String {
        if default.subsec_nanos() == 0 {
            default.as_secs().to_string()
        } else {
            default.as_secs_f64().to_string()
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let seconds = f64::parse(text).map_err(|_| format!("must be a number of seconds, not \"{text}\""))?;
        Self::try_from_secs_f64(seconds)
            .map_err(|_| format!("must be a number of seconds from 0 on, not \"{text}\""))
    }
}
