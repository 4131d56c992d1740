//! The folder of a shop's keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ed25519_compact::{KeyPair, Seed};
use pkcs8::der::zeroize::Zeroizing;
use rand::TryRng;
use rand::rngs::SysRng;

use super::{KeyError, KeySource, Passphrase, RoleName, Signer, pem};
use crate::platform::files::{write_atomically, write_private};
use crate::release::{PublicKey, ROOT_LIMIT, Role, Root, RootPin};
use crate::sync::Trust;

/// Digits of a public key in the name of its private half's file.
const DIGITS: usize = 16;

/// A folder of keys.
#[derive(Debug, Clone)]
pub struct KeyFolder {
    pub(super) dir: PathBuf,
}

impl KeyFolder {
    /// The folder at this path.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The roots, oldest first, each of which was checked to follow the one before.
    ///
    /// # Errors
    /// If there is none, one is damaged, missing, or not signed by enough keys.
    pub fn roots(&self) -> Result<Vec<Root>, KeyError> {
        let folder = self.dir.join("root");
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.map_err(KeyError::io(&folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
            if let Some(version) = name.and_then(|name| name.parse::<u64>().ok()) {
                files.insert(version, path);
            }
        }
        let mut roots: Vec<Root> = Vec::new();
        for (version, path) in files {
            let root = Root::parse(&read(&path)?)
                .map_err(|source| KeyError::File { path: path.clone(), source: Box::new(source) })?;
            let expected = roots.last().map_or(version, |before| before.version + 1);
            if root.version != version || version != expected {
                return Err(KeyError::Gap { path, found: root.version, expected });
            }
            roots.push(root);
        }
        if roots.is_empty() {
            return Err(KeyError::NoRoot { path: self.dir.clone() });
        }
        check_chain(&roots)?;
        Ok(roots)
    }

    /// The newest root.
    ///
    /// # Errors
    /// As [`KeyFolder::roots`].
    pub fn newest(&self) -> Result<Root, KeyError> {
        self.roots()?.pop().ok_or_else(|| KeyError::NoRoot { path: self.dir.clone() })
    }

    /// Opens the keys of a role that are named, or else those whose files are in this folder, no more than are needed.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn signers(
        &self,
        (name, role): (RoleName, &Role),
        named: &[KeySource],
        passphrase: &Passphrase,
    ) -> Result<Vec<Signer>, KeyError> {
        if !named.is_empty() {
            return named.iter().map(|source| source.open(passphrase)).collect();
        }
        let files = role.keys.iter().map(|key| self.private_path(name, key)).filter(|path| path.exists());
        files.take(role.threshold).map(|path| KeySource::File(path).open(passphrase)).collect()
    }

    /// Where the private half of a key of a role is, if it is here.
    pub fn private_path(&self, role: RoleName, key: &PublicKey) -> PathBuf {
        self.dir.join(format!("{}-{}.pem", role.name(), &key.to_string()[..DIGITS]))
    }

    pub(super) fn root_path(&self, version: u64) -> PathBuf {
        self.dir.join(Root::path(version))
    }

    pub(super) fn pending_path(&self, version: u64) -> PathBuf {
        self.dir.join(format!("root/{version}.pending.json"))
    }

    /// Makes a key, and writes its private half.
    pub(super) fn make(&self, role: RoleName, passphrase: &str) -> Result<(Signer, PathBuf), KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *seed).map_err(|error| KeyError::Private {
            place: "new private key".to_owned(),
            reason: format!("the system gives no random bytes: {error}"),
        })?;
        let signer = Signer::of(KeyPair::from_seed(Seed::new(*seed)));
        let path = self.private_path(role, &signer.public_key());
        write_private(&path, pem::write(&seed, passphrase)?.as_bytes()).map_err(KeyError::io(&path))?;
        Ok((signer, path))
    }

    /// Writes a root that enough keys have signed. One that is there says the same, or is not replaced.
    pub(super) fn put(&self, root: &Root) -> Result<PathBuf, KeyError> {
        let path = self.root_path(root.version);
        if path.exists() {
            let there = Root::parse(&read(&path)?)
                .map_err(|source| KeyError::File { path: path.clone(), source: Box::new(source) })?;
            if RootPin::of(&there) != RootPin::of(root) {
                return Err(KeyError::Exists { path, remedy: "sign one of the next version" });
            }
            return Ok(path);
        }
        write_atomically(&path, &root.to_bytes()).map_err(KeyError::io(&path))?;
        Ok(path)
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    crate::platform::files::read_limited(path, ROOT_LIMIT as u64).map_err(KeyError::io(path))
}

/// That each root follows the one before, by the rules of clients.
fn check_chain(roots: &[Root]) -> Result<(), KeyError> {
    let Some(first) = roots.first() else { return Ok(()) };
    let mut trust = Trust::pinned(RootPin::of(first), 0);
    roots.iter().try_for_each(|root| {
        let wrong = |source| KeyError::Chain { version: root.version, source: Box::new(source) };
        trust.add_root(&root.to_bytes()).map_err(wrong)
    })
}
