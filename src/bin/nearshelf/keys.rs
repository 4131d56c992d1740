//! `nearshelf keys`: the keys that sign what is published.

use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand, ValueEnum};
use nearshelf::keys::{Init, KeyFolder, KeySource, NamedKey, NextRoot, Passphrase, RoleName, Signing};
use nearshelf::release::{PublicKey, Role, RootPin};

use crate::{Outcome, printed};

/// Seconds of a day.
pub(crate) const DAY: u64 = 24 * 60 * 60;

#[derive(Args)]
pub(crate) struct KeysOptions {
    /// Folder of the keys
    #[arg(long, global = true, value_name = "DIR", default_value = "keys")]
    dir: PathBuf,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make the keys of a shop, and the root that names them
    Init {
        /// What the shop calls the release: heads are signed for this name
        #[arg(long)]
        name: String,
        /// How many keys sign roots
        #[arg(long, value_name = "COUNT", default_value_t = 2)]
        root_keys: usize,
        /// How many of them must sign
        #[arg(long, value_name = "COUNT", default_value_t = 2)]
        threshold: usize,
        /// A root key that there is: 64 digits of a public one, a PEM file, env:NAME or command:LINE; may be given several times
        #[arg(long, value_name = "KEY")]
        root: Vec<NamedKey>,
        /// A head key that there is; may be given several times, and each of them may sign
        #[arg(long, value_name = "KEY")]
        head: Vec<NamedKey>,
        #[command(flatten)]
        end: End,
    },
    /// Put new keys in place of the old ones of a role
    Rotate {
        /// Which keys
        role: RoleArgument,
        /// Only this key of the role, by its first digits
        #[arg(long, value_name = "DIGITS")]
        old: Option<String>,
        #[command(flatten)]
        next: Next,
    },
    /// Take a key out, by its first digits: what it signs counts no more. A new one is made where the others would not suffice
    Revoke {
        /// At least eight digits of the public key
        key: String,
        #[command(flatten)]
        next: Next,
    },
    /// Let the same keys count for longer
    Renew {
        /// Private root keys, where they are not in the folder
        #[arg(long, value_name = "KEY")]
        key: Vec<KeySource>,
        #[command(flatten)]
        end: End,
    },
    /// Add signatures to a root that lacks some
    Sign {
        /// The root, as `root/2.pending.json`
        file: PathBuf,
        /// Private root keys
        #[arg(long, value_name = "KEY")]
        key: Vec<KeySource>,
    },
    /// Print all roots, their keys, and until when they count
    Show,
}

/// What makes the next root.
#[derive(Args)]
struct Next {
    /// A key to take in place of one that is made: 64 digits of a public one, a PEM file, env:NAME or command:LINE
    #[arg(long, value_name = "KEY")]
    new: Vec<NamedKey>,
    /// Private root keys, where they are not in the folder
    #[arg(long, value_name = "KEY")]
    key: Vec<KeySource>,
    #[command(flatten)]
    end: End,
}

#[derive(Args)]
struct End {
    /// Days until the root ends; pages of a shop whose root has ended show nothing new
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    root_days: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleArgument {
    Root,
    Head,
}

/// Now, in seconds since 1970-01-01 UTC.
pub(crate) fn now() -> Result<u64, Box<dyn std::error::Error>> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

pub(crate) fn run(options: &KeysOptions) -> Outcome {
    let (folder, passphrase) = (KeyFolder::new(&options.dir), Passphrase::from_environment());
    let now = now()?;
    let signing = |keys, end: &End| Signing { keys, passphrase: &passphrase, expires: now + end.root_days * DAY };
    let next = match &options.command {
        KeysCommand::Init { name, root_keys, threshold, root, head, end } => {
            let (name, root, head) = (name.clone(), root.clone(), head.clone());
            let init = Init { name, root, root_keys: *root_keys, threshold: *threshold, head };
            let next = folder.init(&init, &signing(&[], end))?;
            say_on!("{next}{}", advice(&next));
            return Ok(());
        }
        KeysCommand::Rotate { role, old, next } => {
            let role = match role {
                RoleArgument::Root => RoleName::Root,
                RoleArgument::Head => RoleName::Head,
            };
            folder.rotate(role, old.as_deref(), &next.new, &signing(&next.key, &next.end))?
        }
        KeysCommand::Revoke { key, next } => folder.revoke(key, &next.new, &signing(&next.key, &next.end))?,
        KeysCommand::Renew { key, end } => folder.renew(&signing(key, end))?,
        KeysCommand::Sign { file, key } => KeyFolder::sign(file, key, &passphrase)?,
        KeysCommand::Show => return show(&folder, now),
    };
    say_on!("{next}");
    if next.lacks.is_empty() {
        say!(
            "next         nearshelf publish, which puts the root beside the release; pins of earlier versions stay good"
        );
    }
    Ok(())
}

/// What to do with what was made.
fn advice(next: &NextRoot) -> String {
    let is_root = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("root-"));
    let offline: Vec<String> = next.made.iter().filter(is_root).map(|path| path.display().to_string()).collect();
    let public = "public       the folder root/ holds no secret: keep it with the shop's code\n";
    if offline.is_empty() {
        return public.to_owned();
    }
    format!("offline      move {} to media that lie apart, and delete them here\n{public}", offline.join(" and "))
}

fn show(folder: &KeyFolder, now: u64) -> Outcome {
    for root in folder.roots()? {
        let left = root.expires as i64 - now as i64;
        let end = match left {
            ..0 => format!("ended {} days ago", -left / DAY as i64),
            _ => format!("ends in {} days", left / DAY as i64),
        };
        say!("root         version {} of {:?}, {end}", root.version, root.name);
        for (name, role) in [(RoleName::Root, &root.root), (RoleName::Head, &root.head)] {
            let Role { keys, threshold } = role;
            say!("{:<12} {threshold} of {} must sign", name.name(), keys.len());
            keys.iter().for_each(|key| say!("             {key}{}", place(folder, name, key)));
        }
        say!("publicKey    \"{}\"", RootPin::of(&root));
    }
    Ok(())
}

/// Where the private half of a key is, if it is in the folder.
fn place(folder: &KeyFolder, role: RoleName, key: &PublicKey) -> String {
    let path = folder.private_path(role, key);
    if path.exists() { format!("  {}", path.display()) } else { String::new() }
}
