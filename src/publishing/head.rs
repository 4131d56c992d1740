//! The head that takes the place of another one.

use super::{Cached, HEADS, OBJECTS, PublishingError, Revision, Store};
use crate::keys::{KeyError, KeyFolder, KeySource, Passphrase, RoleName, Signer};
use crate::release::{
    HEAD_FILE, HEAD_LIMIT, Head, MAX_VERSION, ObjectRef, PublicKey, ROOT_LIMIT, Root, RootPin, Terms,
};

/// Seconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60;
/// How often a head is tried to replace that others replace at the same time.
const TRIES: usize = 20;

/// The keys that sign heads, and the roots that name them.
#[derive(Debug)]
pub struct Keyring {
    roots: Vec<Root>,
    signers: Vec<Signer>,
}

impl Keyring {
    /// Opens the keys that are named, or those of the folder, as the newest root of the folder demands.
    ///
    /// # Errors
    /// If the folder has no root, a key cannot be opened or is not in the newest root, or they are too few.
    pub fn open(folder: &KeyFolder, named: &[KeySource], passphrase: &Passphrase) -> Result<Self, PublishingError> {
        let roots = folder.roots()?;
        let newest = roots.last().ok_or_else(|| KeyError::NoRoot { path: folder.path().to_owned() })?;
        let signers = folder.signers((RoleName::Head, &newest.head), named, passphrase)?;
        Self::new(roots, signers)
    }

    /// Of roots that follow each other, and of keys of the newest.
    ///
    /// # Errors
    /// If a key is not in the newest root, or they are too few.
    pub fn new(roots: Vec<Root>, signers: Vec<Signer>) -> Result<Self, PublishingError> {
        let keyring = Self { roots, signers };
        let Some(newest) = keyring.newest() else {
            return Err(PublishingError::TooFewKeys { found: 0, expected: 1, known: Vec::new() });
        };
        let known = newest.head.keys.clone();
        let mut keys: Vec<PublicKey> = keyring.signers.iter().map(Signer::public_key).collect();
        if let Some(found) = keys.iter().find(|key| !known.contains(key)) {
            return Err(PublishingError::OtherKey { found: *found, root: newest.version, known });
        }
        keys.sort_unstable();
        keys.dedup();
        if keys.len() < newest.head.threshold {
            return Err(PublishingError::TooFewKeys { found: keys.len(), expected: newest.head.threshold, known });
        }
        Ok(keyring)
    }

    /// When the newest root ends, in seconds since 1970-01-01 UTC: no head counts for longer.
    pub fn ends(&self) -> Option<u64> {
        self.newest().map(|root| root.expires)
    }

    fn newest(&self) -> Option<&Root> {
        self.roots.last()
    }
}

/// A head that is published.
#[derive(Debug, Clone)]
pub struct Published {
    /// What it says.
    pub head: Head,
    /// Its bytes.
    pub bytes: Vec<u8>,
    pub(super) revision: Revision,
}

impl Published {
    /// Reads the head of a store; none where nothing is published yet.
    ///
    /// # Errors
    /// If the store does not answer, or the head is damaged.
    pub fn read(store: &dyn Store) -> Result<Option<Self>, PublishingError> {
        let Some((bytes, revision)) = store.get(HEAD_FILE, HEAD_LIMIT as u64)? else { return Ok(None) };
        let head = Head::parse(&bytes)
            .map_err(|source| PublishingError::Head { place: store.name(), source: Box::new(source) })?;
        Ok(Some(Self { head, bytes, revision }))
    }
}

/// Who signs, when, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signing<'a> {
    /// Nobody, where it is none.
    pub(super) keys: Option<&'a Keyring>,
    /// Now, in seconds since 1970-01-01 UTC.
    pub(super) now: u64,
    /// Days that a head counts.
    pub(super) days: u64,
}

/// What a head is to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) manifest: ObjectRef,
    pub(super) overlay: Option<ObjectRef>,
    /// The least version.
    pub(super) least: u64,
}

/// A head that was replaced, or is as it should be.
#[derive(Debug, Clone)]
pub(super) struct Replaced {
    pub(super) head: Head,
    pub(super) before: Option<Published>,
    pub(super) changed: bool,
}

/// Replaces the head of a store by one of the content that `decide` chooses, and has put, each time that another one is published.
pub(super) fn replace(
    store: &dyn Store,
    signing: &Signing<'_>,
    mut decide: impl FnMut(Option<&Published>) -> Result<Content, PublishingError>,
) -> Result<Replaced, PublishingError> {
    for _ in 0..TRIES {
        let before = Published::read(store)?;
        signing.check(before.as_ref())?;
        let content = decide(before.as_ref())?;
        if let Some(before) = &before {
            keep(store, before.head.version, &before.bytes)?;
            if signing.is_fresh(before, &content) {
                return Ok(Replaced { head: before.head.clone(), before: Some(before.clone()), changed: false });
            }
        }
        put_roots(store, signing)?;
        let head = signing.next(store, before.as_ref(), &content)?;
        let bytes = head.to_bytes()?;
        let revision = before.as_ref().map(|before| &before.revision);
        let is_done = store.replace(HEAD_FILE, bytes.clone(), revision)?;
        // A store may have done it and the answer was lost: then it was tried again, and found itself.
        if is_done || Published::read(store)?.is_some_and(|now| now.bytes == bytes) {
            keep(store, head.version, &bytes)?;
            return Ok(Replaced { head, before, changed: true });
        }
    }
    Err(PublishingError::Contended { tries: TRIES })
}

impl Signing<'_> {
    /// That the keys are those that count for what is published.
    fn check(&self, before: Option<&Published>) -> Result<(), PublishingError> {
        let terms = before.and_then(|before| before.head.terms.as_ref());
        let Some(newest) = self.keys.and_then(Keyring::newest) else {
            return if terms.is_some() { Err(PublishingError::WasSigned) } else { Ok(()) };
        };
        if newest.expires <= self.now {
            let (version, days) = (newest.version, (self.now - newest.expires) / DAY);
            return Err(PublishingError::RootEnded { version, days });
        }
        match terms {
            Some(terms) if terms.root > newest.version => {
                Err(PublishingError::OldKeys { found: terms.root, newest: newest.version })
            }
            _ => Ok(()),
        }
    }

    /// Whether a head says this, and counts for more than half of its time yet.
    fn is_fresh(&self, before: &Published, content: &Content) -> bool {
        let Head { manifest, overlay, terms, .. } = &before.head;
        if (*manifest, *overlay) != (content.manifest, content.overlay) {
            return false;
        }
        let (Some(newest), Some(Terms { root, made, expires, .. })) = (self.keys.and_then(Keyring::newest), terms)
        else {
            return self.keys.is_none() && terms.is_none();
        };
        let left = newest.expires.min(*expires).saturating_sub(self.now);
        let is_signed = *root == newest.version && Head::parse_signed(&before.bytes, newest).is_ok();
        is_signed && left > expires.saturating_sub(*made) / 2
    }

    /// The head after another one.
    fn next(&self, store: &dyn Store, before: Option<&Published>, content: &Content) -> Result<Head, PublishingError> {
        let published = match before {
            Some(before) => before.head.version,
            // Somebody deleted the head: clients still know the highest version.
            None => versions(store)?.last().copied().unwrap_or_default(),
        };
        if published >= MAX_VERSION {
            return Err(PublishingError::LastVersion { found: published });
        }
        let version = (published + 1).max(content.least);
        let head = Head::unsigned(version, content.manifest, content.overlay);
        let Some((keys, newest)) = self.keys.and_then(|keys| Some((keys, keys.newest()?))) else { return Ok(head) };
        let made = self.now;
        let terms = Terms { name: newest.name.clone(), root: newest.version, made, expires: made + self.days * DAY };
        let mut head = Head { terms: Some(terms), ..head };
        let message = head.message()?;
        for signer in keys.signers.iter().take(newest.head.threshold) {
            head.signatures.push(signer.sign(&message)?);
        }
        // What clients would refuse is not published.
        Head::parse_signed(&head.to_bytes()?, newest)?;
        Ok(head)
    }
}

/// Puts the roots that are not there; one that says something else is of another shop.
fn put_roots(store: &dyn Store, signing: &Signing<'_>) -> Result<(), PublishingError> {
    for root in signing.keys.iter().flat_map(|keys| &keys.roots) {
        let path = Root::path(root.version);
        let there = store.get(&path, ROOT_LIMIT as u64)?.map(|(bytes, _)| bytes);
        match there.map(|bytes| Root::parse(&bytes)) {
            Some(Ok(there)) if RootPin::of(&there) == RootPin::of(root) => {}
            Some(Ok(_)) => return Err(PublishingError::OtherRoot { path }),
            Some(Err(_)) | None => store.put(&path, root.to_bytes(), Cached::Json)?,
        }
    }
    Ok(())
}

pub(super) fn copy_path(version: u64) -> String {
    format!("{HEADS}/{version}.json")
}

/// Keeps a copy of a head. Only one that was published has its version.
fn keep(store: &dyn Store, version: u64, bytes: &[u8]) -> Result<(), PublishingError> {
    let path = copy_path(version);
    if store.entry(&path)?.is_none_or(|entry| entry.size != bytes.len() as u64) {
        store.put(&path, bytes.to_vec(), Cached::Json)?;
    }
    Ok(())
}

/// The versions that there are copies of, in order.
pub(super) fn versions(store: &dyn Store) -> Result<Vec<u64>, PublishingError> {
    let version =
        |name: &str| name.strip_suffix(".json")?.parse::<u64>().ok().filter(|version| *version <= MAX_VERSION);
    let mut versions: Vec<u64> = store.list(HEADS)?.iter().filter_map(|entry| version(&entry.name)).collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Where an object is in a store.
pub(super) fn object_path(name: &str) -> String {
    format!("{OBJECTS}/{name}")
}
