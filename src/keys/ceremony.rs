//! How one set of keys follows another.

use std::fmt;
use std::path::{Path, PathBuf};

use super::folder::read;
use super::{KeyError, KeyFolder, KeySource, NamedKey, Passphrase, Signer};
use crate::platform::files::{locked, write_atomically};
use crate::release::{MAX_KEYS, PublicKey, Role, Root, RootPin};

/// A role of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// Signs roots.
    Root,
    /// Signs heads.
    Head,
}

impl RoleName {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Head => "head",
        }
    }
}

/// What the first root says.
#[derive(Debug, Clone)]
pub struct Init {
    /// The name of the release.
    pub name: String,
    /// Root keys that are there; as many are made as then lack.
    pub root: Vec<NamedKey>,
    /// How many root keys there are to be.
    pub root_keys: usize,
    /// How many of them must sign.
    pub threshold: usize,
    /// Head keys that are there; without any, one is made.
    pub head: Vec<NamedKey>,
}

/// Who signs the next root, and until when it counts.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'a> {
    /// Private keys, beside those in the folder.
    pub keys: &'a [KeySource],
    /// Opens and encrypts their files.
    pub passphrase: &'a Passphrase,
    /// When the root ends, in seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// What became of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextRoot {
    /// Its file.
    pub path: PathBuf,
    /// Its version, and the digest that pins it.
    pub pin: RootPin,
    /// Files of private keys that were made.
    pub made: Vec<PathBuf>,
    /// If it is not signed by enough keys yet: for the root before and for itself, keys that have, how many it takes, and which could.
    pub lacks: Vec<Lack>,
}

/// Signatures that a root lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The version of the root whose keys must sign.
    pub of: u64,
    /// Keys that have.
    pub found: usize,
    /// How many it takes.
    pub expected: usize,
    /// Keys that have not.
    pub others: Vec<PublicKey>,
}

impl fmt::Display for NextRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in &self.made {
            writeln!(f, "private key  {}", path.display())?;
        }
        let whole = if self.lacks.is_empty() { "signed" } else { "not signed by enough keys yet" };
        writeln!(f, "root         version {}, {whole}: {}", self.pin.version, self.path.display())?;
        for Lack { of, found, expected, others } in &self.lacks {
            writeln!(f, "             {found} of {expected} keys of root {of} have signed; these have not:")?;
            others.iter().try_for_each(|key| writeln!(f, "             {key}"))?;
        }
        if self.lacks.is_empty() {
            return writeln!(f, "publicKey    \"{}\"", self.pin);
        }
        writeln!(f, "next         nearshelf keys sign {} --key KEY, where the other keys are", self.path.display())
    }
}

/// Keys of a role, and those of them that can sign.
#[derive(Default)]
struct Keys {
    public: Vec<PublicKey>,
    signers: Vec<Signer>,
    made: Vec<PathBuf>,
}

impl Keys {
    fn open(named: &[NamedKey], passphrase: &Passphrase) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for one in named {
            match one {
                NamedKey::Public(key) => keys.public.push(*key),
                NamedKey::Private(source) => keys.add(source.open(passphrase)?),
            }
        }
        Ok(keys)
    }

    fn add(&mut self, signer: Signer) {
        self.public.push(signer.public_key());
        self.signers.push(signer);
    }

    /// Makes keys until there are so many.
    fn fill(&mut self, to: usize, folder: &KeyFolder, role: RoleName, passphrase: &Passphrase) -> Result<(), KeyError> {
        if self.public.len() >= to {
            return Ok(());
        }
        let text = passphrase.new_one()?;
        while self.public.len() < to {
            let (signer, path) = folder.make(role, &text)?;
            self.made.push(path);
            self.add(signer);
        }
        Ok(())
    }
}

fn check_role(role: &'static str, found: usize, threshold: usize) -> Result<(), KeyError> {
    if (1..=MAX_KEYS).contains(&found) && (1..=found).contains(&threshold) {
        return Ok(());
    }
    Err(KeyError::Role { role, found, threshold, most: MAX_KEYS })
}

impl KeyFolder {
    /// Makes the keys that were not given, and the first root.
    ///
    /// # Errors
    /// If there is a root, or a key cannot be opened or written.
    pub fn init(&self, init: &Init, signing: &Signing<'_>) -> Result<NextRoot, KeyError> {
        for path in [self.root_path(1), self.pending_path(1)] {
            if path.exists() {
                return Err(KeyError::Exists { path, remedy: "use nearshelf keys rotate, or another --dir" });
            }
        }
        let Signing { passphrase, expires, .. } = *signing;
        check_role("root", init.root_keys.max(init.root.len()), init.threshold)?;
        check_role("head", init.head.len().max(1), 1)?;
        let (mut root, mut head) = (Keys::open(&init.root, passphrase)?, Keys::open(&init.head, passphrase)?);
        root.fill(init.root_keys, self, RoleName::Root, passphrase)?;
        head.fill(1, self, RoleName::Head, passphrase)?;
        let roles = [&Role { keys: root.public, threshold: init.threshold }, &Role { keys: head.public, threshold: 1 }];
        let mut first = Root::new(&init.name, 1, expires, roles)?;
        sign(&mut first, &root.signers)?;
        let next = self.keep(&first, None)?;
        Ok(NextRoot { made: [root.made, head.made].concat(), ..next })
    }

    /// The next root, with new keys in place of one of a role, or of all of them.
    ///
    /// # Errors
    /// If the folder has no root or one that waits for signatures, `old` is no key of the role, or a key cannot be opened or written.
    pub fn rotate(
        &self,
        role: RoleName,
        old: Option<&str>,
        new: &[NamedKey],
        signing: &Signing<'_>,
    ) -> Result<NextRoot, KeyError> {
        let before = self.newest()?;
        let current = role_of(&before, role);
        let mut kept = current.keys.clone();
        match old {
            Some(old) => {
                let key = find(old, &current.keys)?;
                kept.retain(|other| *other != key);
            }
            None => kept.clear(),
        }
        let wanted = current.keys.len();
        let mut keys = Keys::open(new, signing.passphrase)?;
        keys.fill(wanted.saturating_sub(kept.len()), self, role, signing.passphrase)?;
        let changed = Role { keys: [kept, keys.public.clone()].concat(), threshold: current.threshold };
        let roles = match role {
            RoleName::Root => [changed, before.head.clone()],
            RoleName::Head => [before.root.clone(), changed],
        };
        self.follow(&before, roles, keys, signing)
    }

    /// The next root, without a key. Where the others of its role could not sign by themselves any more, a new one takes its place.
    ///
    /// # Errors
    /// As [`KeyFolder::rotate`].
    pub fn revoke(&self, key: &str, new: &[NamedKey], signing: &Signing<'_>) -> Result<NextRoot, KeyError> {
        let before = self.newest()?;
        let all = [before.root.keys.clone(), before.head.keys.clone()].concat();
        let gone = find(key, &all)?;
        let mut keys = Keys::default();
        let mut roles = [before.root.clone(), before.head.clone()];
        for (name, role) in [RoleName::Root, RoleName::Head].into_iter().zip(&mut roles) {
            if !role.keys.contains(&gone) {
                continue;
            }
            role.keys.retain(|other| *other != gone);
            let mut added = Keys::open(new, signing.passphrase)?;
            added.fill(role.threshold.saturating_sub(role.keys.len()), self, name, signing.passphrase)?;
            role.keys.extend(&added.public);
            keys.signers.extend(added.signers);
            keys.made.extend(added.made);
        }
        self.follow(&before, roles, keys, signing)
    }

    /// The next root, with the same keys and another end.
    ///
    /// # Errors
    /// As [`KeyFolder::rotate`].
    pub fn renew(&self, signing: &Signing<'_>) -> Result<NextRoot, KeyError> {
        let before = self.newest()?;
        let roles = [before.root.clone(), before.head.clone()];
        self.follow(&before, roles, Keys::default(), signing)
    }

    /// Adds signatures to a root that has too few. Where the root before it is beside it and they are enough then, it becomes the newest.
    ///
    /// # Errors
    /// If it is damaged, or a key is in neither role that counts.
    pub fn sign(file: &Path, keys: &[KeySource], passphrase: &Passphrase) -> Result<NextRoot, KeyError> {
        let damaged = |source| KeyError::File { path: file.to_owned(), source: Box::new(source) };
        let mut root = Root::parse_unsigned(&read(file)?).map_err(damaged)?;
        let folder = file.parent().and_then(Path::parent).map_or_else(|| PathBuf::from(".."), Path::to_owned);
        let folder = Self::new(folder);
        let is_pending = file.file_name() == folder.pending_path(root.version).file_name();
        let before =
            if is_pending && root.version > 1 { folder.roots().ok().and_then(|mut roots| roots.pop()) } else { None };
        let before = before.filter(|before| before.version + 1 == root.version);
        let signers = keys.iter().map(|source| source.open(passphrase)).collect::<Result<Vec<_>, _>>()?;
        let known: Vec<PublicKey> =
            before.iter().flat_map(|before| &before.root.keys).chain(&root.root.keys).copied().collect();
        // Without the root before, its keys are not known.
        if let Some(other) = signers.iter().find(|signer| !known.contains(&signer.public_key()))
            && (before.is_some() || root.version == 1)
        {
            return Err(KeyError::Unknown { found: other.public_key().to_string(), known });
        }
        sign(&mut root, &signers)?;
        if before.is_some() || (root.version == 1 && is_pending) {
            return folder.keep(&root, before.as_ref());
        }
        write_atomically(file, &root.to_bytes()).map_err(KeyError::io(file))?;
        let lacks = vec![lack(&root, root.version, &root.root)];
        Ok(NextRoot { path: file.to_owned(), pin: RootPin::of(&root), made: Vec::new(), lacks })
    }

    /// The root after `before`, signed by what is at hand.
    fn follow(
        &self,
        before: &Root,
        [root, head]: [Role; 2],
        keys: Keys,
        signing: &Signing<'_>,
    ) -> Result<NextRoot, KeyError> {
        let pending = self.pending_path(before.version + 1);
        if pending.exists() {
            let remedy = "sign it with nearshelf keys sign, or delete it to give it up";
            return Err(KeyError::Exists { path: pending, remedy });
        }
        check_role("root", root.keys.len(), root.threshold)?;
        check_role("head", head.keys.len(), head.threshold)?;
        let mut next = Root::new(&before.name, before.version + 1, signing.expires, [&root, &head])?;
        let all = Role { keys: [before.root.keys.clone(), root.keys].concat(), threshold: usize::MAX };
        for source in signing.keys {
            let signer = source.open(signing.passphrase)?;
            if !all.keys.contains(&signer.public_key()) {
                return Err(KeyError::Unknown { found: signer.public_key().to_string(), known: all.keys });
            }
            sign(&mut next, &[signer])?;
        }
        sign(&mut next, &keys.signers)?;
        let signed: Vec<PublicKey> = next.signatures().iter().map(|signature| signature.key).collect();
        let others = Role { keys: all.keys.into_iter().filter(|key| !signed.contains(key)).collect(), ..all };
        sign(&mut next, &self.signers((RoleName::Root, &others), &[], signing.passphrase)?)?;
        let next = self.keep(&next, Some(before))?;
        Ok(NextRoot { made: keys.made, ..next })
    }

    /// Writes a root: as the newest one where enough keys have signed it, else beside them.
    fn keep(&self, root: &Root, before: Option<&Root>) -> Result<NextRoot, KeyError> {
        let _lock = locked(&self.dir);
        let (pin, pending) = (RootPin::of(root), self.pending_path(root.version));
        let by_before = before.map(|before| lack(root, before.version, &before.root));
        let lacks: Vec<Lack> = by_before.into_iter().chain([lack(root, root.version, &root.root)]).collect();
        let lacks: Vec<Lack> = lacks.into_iter().filter(|lack| lack.found < lack.expected).collect();
        if lacks.is_empty() {
            let path = self.put(root)?;
            // It says no more than the root does.
            let _ = std::fs::remove_file(pending);
            return Ok(NextRoot { path, pin, made: Vec::new(), lacks });
        }
        write_atomically(&pending, &root.to_bytes()).map_err(KeyError::io(&pending))?;
        Ok(NextRoot { path: pending, pin, made: Vec::new(), lacks })
    }
}

fn role_of(root: &Root, role: RoleName) -> &Role {
    match role {
        RoleName::Root => &root.root,
        RoleName::Head => &root.head,
    }
}

fn sign(root: &mut Root, signers: &[Signer]) -> Result<(), KeyError> {
    for signer in signers {
        let signature = signer.sign(root.message())?;
        root.sign(signature);
    }
    Ok(())
}

fn lack(root: &Root, of: u64, role: &Role) -> Lack {
    let (signed, others): (Vec<_>, Vec<_>) = role.keys.iter().partition(|key| root.is_signed_by(key));
    Lack { of, found: signed.len(), expected: role.threshold, others }
}

/// The only one of these keys that begins so.
fn find(text: &str, keys: &[PublicKey]) -> Result<PublicKey, KeyError> {
    let mut found: Vec<PublicKey> =
        keys.iter().filter(|key| text.len() >= 8 && key.to_string().starts_with(text)).copied().collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [key] => Ok(key),
        _ => Err(KeyError::Unknown { found: text.to_owned(), known: keys.to_vec() }),
    }
}
