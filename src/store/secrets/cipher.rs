//! Airflow's encryption of stored secrets (`airflow/models/crypto.py`): Fernet under the keys of `[core] fernet_key`.

use crate::store::deadlines::Encrypt;
use crate::store::fernet::{FernetKeyError, FernetKeys};

/// Encrypts with the first key, decrypts with any. Without a key, secrets are stored as they are.
#[derive(Clone, Debug, Default)]
pub struct Cipher(Option<FernetKeys>);

/// Why a secret cannot be encrypted or decrypted. Never holds the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// A key is malformed.
    #[error(transparent)]
    BadKey(#[from] FernetKeyError),
    /// A secret is encrypted but there is no key.
    #[error("a secret is encrypted, but [core] fernet_key is empty; set the key that it was stored with")]
    NoKey,
    /// No key decrypts the secret.
    #[error("no key in [core] fernet_key decrypts a stored secret; add the key that it was stored with")]
    WrongKey,
}

impl Cipher {
    /// Reads `[core] fernet_key`: keys separated by commas, or nothing.
    ///
    /// # Errors
    /// [`CipherError::BadKey`].
    pub fn new(keys: &str) -> Result<Self, CipherError> {
        let keys = FernetKeys::parse(keys)?;
        Ok(Self(keys.is_encrypting().then_some(keys)))
    }

    /// Encrypts; says whether it did.
    pub fn encrypt(&self, secret: &str) -> (String, Stored) {
        match &self.0 {
            Some(keys) => (keys.encrypt(secret), Stored::Encrypted),
            None => (secret.to_owned(), Stored::Plain),
        }
    }

    /// Decrypts what is stored.
    ///
    /// # Errors
    /// [`CipherError::NoKey`], [`CipherError::WrongKey`].
    pub fn decrypt(&self, stored: &str, form: Stored) -> Result<String, CipherError> {
        if form == Stored::Plain {
            return Ok(stored.to_owned());
        }
        let keys = self.0.as_ref().ok_or(CipherError::NoKey)?;
        keys.decrypt(stored).ok_or(CipherError::WrongKey)
    }
}

/// How a secret is stored (`is_encrypted`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// As it is.
    Plain,
    /// As a Fernet token.
    Encrypted,
}

impl From<bool> for Stored {
    fn from(encrypted: bool) -> Self {
        if encrypted { Self::Encrypted } else { Self::Plain }
    }
}
