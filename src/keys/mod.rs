//! The keys of a shop: which of them sign, where their private halves are, and how one set follows another.
//!
//! A folder of keys holds what anybody may read, `root/<version>.json`, the [roots](crate::release::Root) in their order, and, on the machines that hold them, private keys as
//! `root-<first digits>.pem` and `head-<first digits>.pem`. Root keys sign the next root and are needed some times a year: after [`KeyFolder::init`] they belong on a
//! medium that is connected to nothing. Head keys sign every head that is published.
//!
//! - A private key is a [`KeySource`]: a file of PKCS#8 in PEM, encrypted by a passphrase (PBES2 of scrypt and AES-256-CBC, which OpenSSL reads), a variable of the environment, or a
//!   command that asks whatever holds the key. A [`Signer`] is one of them, opened. No secret is in a message or in debug output.
//! - A root never changes once it is written, and no version is written twice. One that has too few signatures, because a key is elsewhere, is
//!   `root/<version>.pending.json` until [`KeyFolder::sign`] has added the others, on as many machines as it takes.
//! - Each root is signed by enough keys of the root before and of its own, as clients check ([`Trust`](crate::sync::Trust)).

mod ceremony;
mod error;
mod folder;
mod passphrase;
mod pem;
mod signer;
mod source;

pub use ceremony::{Init, NextRoot, RoleName, Signing};
pub use error::KeyError;
pub use folder::KeyFolder;
pub use passphrase::Passphrase;
pub use signer::Signer;
pub use source::{KeySource, NamedKey};

#[cfg(test)]
mod tests;
