//! What signs.

use std::fmt;
use std::io::Write;
use std::process::Stdio;

use ed25519_compact::KeyPair;

use super::KeyError;
use crate::hex;
use crate::platform::shell;
use crate::release::{PublicKey, Signature};

/// A private key that is at hand.
pub struct Signer {
    key: PublicKey,
    held: Held,
}

enum Held {
    Here(KeyPair),
    /// By what this command asks.
    Command(String),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.key)
    }
}

const PUBLIC: &str = "64 lower-case hexadecimal digits of the public key";
const SIGNED: &str = "128 lower-case hexadecimal digits of an Ed25519 signature by its key";

impl Signer {
    pub(super) fn of(pair: KeyPair) -> Self {
        Self { key: PublicKey::from_bytes(*pair.pk), held: Held::Here(pair) }
    }

    /// One whose key a command holds: it prints the public key when it is run with `public-key`, and with `sign` the signature of what it reads.
    pub(super) fn of_command(line: &str) -> Result<Self, KeyError> {
        let mut key = [0; PublicKey::LEN];
        run(line, "public-key", b"", &mut key, PUBLIC)?;
        Ok(Self { key: PublicKey::from_bytes(key), held: Held::Command(line.to_owned()) })
    }

    /// Its public half.
    pub fn public_key(&self) -> PublicKey {
        self.key
    }

    /// Signs.
    ///
    /// # Errors
    /// Where a command holds the key: if it fails, or what it says is no signature of this message.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, KeyError> {
        let mut bytes = [0; Signature::LEN];
        match &self.held {
            Held::Here(pair) => bytes.copy_from_slice(&*pair.sk.sign(message, None)),
            Held::Command(line) => {
                run(line, "sign", message, &mut bytes, SIGNED)?;
                if !self.key.has_signed(message, &bytes) {
                    let reason = "found another signature".to_owned();
                    return Err(KeyError::Command { line: line.clone(), reason, expected: SIGNED });
                }
            }
        }
        Ok(Signature { key: self.key, bytes })
    }
}

/// Runs a command and reads the bytes whose digits it prints.
fn run(line: &str, argument: &str, input: &[u8], into: &mut [u8], expected: &'static str) -> Result<(), KeyError> {
    let failed = |reason: String| KeyError::Command { line: line.to_owned(), reason, expected };
    let mut command = shell::command(line, argument);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read shows by what it prints. What is signed is shorter than any pipe is wide.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(format!("{} with {argument}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    if hex::parse(text.trim(), into) {
        Ok(())
    } else {
        Err(failed(format!("found {} bytes of something else", text.len())))
    }
}
