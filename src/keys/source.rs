//! Where a private key is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{KeyError, Passphrase, Signer, pem};
use crate::release::PublicKey;

/// Where a private key is. As text: `file:PATH` or a path, `env:NAME`, `command:LINE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file of PKCS#8 in PEM, encrypted or not.
    File(PathBuf),
    /// A variable of the environment that holds 64 hexadecimal digits, the seed of RFC 8032, or PKCS#8 in PEM.
    Variable(String),
    /// A command that signs, for keys that a service or a device holds.
    Command(String),
}

impl KeySource {
    /// Makes it ready to sign.
    ///
    /// # Errors
    /// If there is no private key, its passphrase is not right, or the command fails.
    pub fn open(&self, passphrase: &Passphrase) -> Result<Signer, KeyError> {
        match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(KeyError::io(path))?;
                pem::read(&self.to_string(), &text, || passphrase.of(path)).map(Signer::of)
            }
            Self::Variable(name) => {
                let expected = "a private key";
                let text = std::env::var(name).map_err(|_| KeyError::Variable { name: name.clone(), expected })?;
                pem::read(&self.to_string(), &text, || passphrase.of(self.to_string().as_ref())).map(Signer::of)
            }
            Self::Command(line) => Signer::of_command(line),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::Command(line) => write!(f, "command:{line}"),
        }
    }
}

impl FromStr for KeySource {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What was pasted in place of a path may be a secret: only the beginning is shown.
        let wrong = || KeyError::Spec { found: text.chars().take(8).collect() };
        let mut digits = [0; 32];
        match text.split_once(':') {
            Some((_, "")) => Err(wrong()),
            Some(("env", name)) => Ok(Self::Variable(name.to_owned())),
            Some(("command", line)) => Ok(Self::Command(line.to_owned())),
            Some(("file", path)) => Ok(Self::File(path.into())),
            _ if text.is_empty() || crate::hex::parse(text, &mut digits) => Err(wrong()),
            _ => Ok(Self::File(text.into())),
        }
    }
}

/// A key that a role is to have: its public half, or where its private one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedKey {
    /// The public half, where the private one is on another machine.
    Public(PublicKey),
    /// The private half.
    Private(KeySource),
}

impl FromStr for NamedKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(key) => Ok(Self::Public(key)),
            Err(_) => text.parse().map(Self::Private),
        }
    }
}
