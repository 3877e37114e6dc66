//! Airflow's encryption of connections, variables and trigger arguments (`airflow/models/crypto.py`).

use fernet::{Fernet, MultiFernet};

use super::deadlines::Encrypt;

/// The keys of `[core] fernet_key`: the first encrypts, all decrypt. Without a key everything is stored as it is.
#[derive(Clone)]
pub struct FernetKeys {
    keys: Option<std::sync::Arc<MultiFernet>>,
}

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "[core] fernet_key: key {position} is not 32 bytes in URL-safe base64; make one with Python's `Fernet.generate_key()`"
)]
pub struct FernetKeyError {
    /// Which of the keys, counted from 1.
    pub position: usize,
}

impl FernetKeys {
    /// Reads `[core] fernet_key`: keys separated by commas, newest first; empty for none.
    ///
    /// # Errors
    /// [`FernetKeyError`] names the key that cannot be used.
    pub fn parse(text: &str) -> Result<Self, FernetKeyError> {
        let texts = text.split(',').map(str::trim).filter(|key| !key.is_empty());
        let keys = texts
            .enumerate()
            .map(|(at, key)| Fernet::new(key).ok_or(FernetKeyError { position: at + 1 }))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { keys: (!keys.is_empty()).then(|| MultiFernet::new(keys).into()) })
    }

    /// Whether there is a key.
    pub fn is_encrypting(&self) -> bool {
        self.keys.is_some()
    }

    /// The text that `token` was made of; `None` if none of the keys made it.
    pub fn decrypt(&self, token: &str) -> Option<String> {
        let bytes = self.keys.as_ref()?.decrypt(token).ok()?;
        String::from_utf8(bytes).ok()
    }
}

impl Encrypt for FernetKeys {
    fn encrypt(&self, plain: &str) -> String {
        match &self.keys {
            Some(keys) => keys.encrypt(plain.as_bytes()),
            None => plain.to_owned(),
        }
    }
}

impl std::fmt::Debug for FernetKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_encrypting() { "FernetKeys(set)" } else { "FernetKeys(none)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=";

    #[test]
    fn the_first_key_encrypts_and_every_key_decrypts() {
        let old = FernetKeys::parse(KEY).unwrap();
        let token = old.encrypt("secret");
        let both = FernetKeys::parse(&format!("{}, {KEY}", Fernet::generate_key())).unwrap();
        assert_eq!(both.decrypt(&token).as_deref(), Some("secret"));
        assert_eq!(old.decrypt(&both.encrypt("other")), None);
    }

    #[test]
    fn without_a_key_nothing_is_encrypted() {
        let none = FernetKeys::parse("").unwrap();
        assert_eq!(none.encrypt("plain"), "plain");
        assert!(!none.is_encrypting());
    }

    #[test]
    fn a_bad_key_is_named() {
        assert_eq!(FernetKeys::parse(&format!("{KEY},short")).unwrap_err().position, 2);
    }
}
