//! What private keys on a disk are encrypted with.

use std::fmt;
use std::path::Path;

use console::Term;

use super::KeyError;

/// Fewest characters of a new one: what scrypt makes of fewer is guessed by whoever has the file.
const LEAST: usize = 8;
const VARIABLE: &str = "NEARSHELF_PASSPHRASE";

/// Where passphrases come from.
#[derive(Clone, Default)]
pub struct Passphrase(Option<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

impl Passphrase {
    /// This one.
    pub fn given(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }

    /// The variable `NEARSHELF_PASSPHRASE` of the environment, or, without it, whoever sits at the terminal.
    pub fn from_environment() -> Self {
        Self(std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()))
    }

    /// The one of a file that is there.
    pub(super) fn of(&self, file: &Path) -> Result<String, KeyError> {
        match &self.0 {
            Some(text) => Ok(text.clone()),
            None => ask(&format!("Passphrase of {}: ", file.display()), &file.display().to_string()),
        }
    }

    /// One for files that are made; asked twice.
    pub(super) fn new_one(&self) -> Result<String, KeyError> {
        let bad = |found| Err(KeyError::BadPassphrase { found, least: LEAST });
        let text = if let Some(text) = &self.0 {
            text.clone()
        } else {
            let text = ask("Passphrase for the new private keys: ", "new private keys")?;
            if ask("The same again: ", "new private keys")? != text {
                return bad("found two different texts");
            }
            text
        };
        if text.chars().count() < LEAST { bad("it is too short") } else { Ok(text) }
    }
}

/// Asks on the terminal, without showing what is typed.
fn ask(prompt: &str, place: &str) -> Result<String, KeyError> {
    let none = || KeyError::NoPassphrase { place: place.to_owned() };
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(none());
    }
    terminal.write_str(prompt).map_err(|_| none())?;
    terminal.read_secure_line().map_err(|_| none())
}
