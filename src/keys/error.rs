//! What can be wrong with keys.

use std::path::PathBuf;

use crate::release::{PublicKey, ReleaseError};
use crate::sync::SyncError;

/// An error of keys. Files are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Text that names no key.
    #[error(
        "key: found {found:?}, expected the path of a PEM file, env:NAME, command:LINE, or the 64 digits of a public key"
    )]
    Spec {
        /// The text, cut where it may be a secret.
        found: String,
    },
    /// A private key is needed, and only a public one was named.
    #[error(
        "key {key}: found a public key, expected where the private one is; name a PEM file, env:NAME or command:LINE"
    )]
    OnlyPublic {
        /// The key.
        key: PublicKey,
    },
    /// A variable of the environment is not set.
    #[error(
        "the variable {name} of the environment is not set, expected {expected}; set it, or name the key otherwise"
    )]
    Variable {
        /// Its name.
        name: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// What should be a private key is none.
    #[error(
        "{place}: {reason}, expected a private Ed25519 key, as 64 hexadecimal digits or PKCS#8 in PEM; check which key was named"
    )]
    Private {
        /// Where it is.
        place: String,
        /// What was found.
        reason: String,
    },
    /// There is nobody to ask for a passphrase.
    #[error("{place}: needs a passphrase, and there is no terminal to ask on; set NEARSHELF_PASSPHRASE")]
    NoPassphrase {
        /// The key's file.
        place: String,
    },
    /// A passphrase does not decrypt a key.
    #[error(
        "{place}: the passphrase does not open it, expected the one that it was written with; check NEARSHELF_PASSPHRASE, or type it again"
    )]
    WrongPassphrase {
        /// The key's file.
        place: String,
    },
    /// A passphrase that must not be.
    #[error("passphrase: {found}, expected the same text twice, of at least {least} characters; choose another one")]
    BadPassphrase {
        /// What is wrong.
        found: &'static str,
        /// Fewest characters.
        least: usize,
    },
    /// A command that holds a key did not answer as it should.
    #[error("command {line:?}: {reason}, expected {expected}; run it by itself to see why")]
    Command {
        /// The command.
        line: String,
        /// What happened.
        reason: String,
        /// What it should print.
        expected: &'static str,
    },
    /// A key is in no role.
    #[error("key {found:?}: the newest root does not name it, expected one of {known:?}; see nearshelf keys show")]
    Unknown {
        /// What was named.
        found: String,
        /// The keys that are in the roles that count here.
        known: Vec<PublicKey>,
    },
    /// A role cannot be.
    #[error(
        "{role} keys: found {found} with a threshold of {threshold}, expected 1 to {most} different ones and a threshold of 1 to as many; give other numbers or keys"
    )]
    Role {
        /// Which role.
        role: &'static str,
        /// How many keys.
        found: usize,
        /// The threshold.
        threshold: usize,
        /// The most keys.
        most: usize,
    },
    /// A folder has no root yet.
    #[error("{}: no root/1.json, expected the folder of a shop's keys; make one with nearshelf keys init, or name another one with --dir", path.display())]
    NoRoot {
        /// The folder.
        path: PathBuf,
    },
    /// There is something already that is not written twice.
    #[error("{}: is there already, and is not replaced; {remedy}", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// The roots of a folder are not one after the other.
    #[error("{}: version {found}, expected {expected}; restore the file that is missing or has another name", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The version that should come.
        expected: u64,
    },
    /// A root does not follow the one before.
    #[error("root {version}: {source}; restore the roots that were published")]
    Chain {
        /// Its version.
        version: u64,
        /// What is wrong.
        source: Box<SyncError>,
    },
    /// A file is damaged.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ReleaseError>,
    },
    /// What should be signed cannot be.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// A file could not be read or written.
    #[error("{}: {source}; check the path, its permissions and the space on the disk", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl KeyError {
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}
