//! `nearshelf publish` and `rollback`: from a build folder to where clients fetch from, and back.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use nearshelf::keys::{KeyFolder, KeySource, Passphrase};
use nearshelf::publishing::host::{HostQuestion, check_host};
use nearshelf::publishing::{self, Keyring, LEAST_DAYS, Limits, Publication, Store};
use nearshelf::release::{self, RootPin};

use crate::keys::now;
use crate::{Outcome, Place, named, printed};

/// With what heads are signed.
#[derive(Args)]
pub(crate) struct SigningOptions {
    /// Folder of the keys; its `root/` is published, too
    #[arg(long, value_name = "DIR", default_value = "keys")]
    keys: PathBuf,
    /// Private head keys, where they are not in that folder: a PEM file, env:NAME or command:LINE
    #[arg(long, value_name = "KEY")]
    key: Vec<KeySource>,
    /// Sign nothing: whoever can write to the host can then publish what clients take
    #[arg(long, conflicts_with = "key")]
    unsigned: bool,
    /// Days that a head counts; publish more often than that
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
}

impl SigningOptions {
    pub(crate) fn open(&self) -> Result<Option<Keyring>, Box<dyn std::error::Error>> {
        if self.unsigned {
            return Ok(None);
        }
        let folder = KeyFolder::new(&self.keys);
        Ok(Some(Keyring::open(&folder, &self.key, &Passphrase::from_environment())?))
    }

    pub(crate) fn days(&self) -> u64 {
        self.days
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Loss {
    Items,
    Recall,
}

#[derive(Args)]
pub(crate) struct PublishOptions {
    /// Where to: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Folder of the release; without it, `release` in the work folder
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
    #[command(flatten)]
    signing: SigningOptions,
    /// Refuse a release that lost more than this share of the published items
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = crate::overlay::share)]
    max_loss_items: f64,
    /// Refuse a release whose recall@100 is lower by more than this
    #[arg(long, value_name = "RECALL", default_value_t = 0.02, value_parser = crate::overlay::share)]
    max_loss_recall: f64,
    /// Publish all the same, whatever of this is lost; may be given twice
    #[arg(long, value_name = "WHAT")]
    force_loss: Vec<Loss>,
    /// Replace a published head that these keys have not signed, without a comparison
    #[arg(long, conflicts_with = "unsigned")]
    replace_head: bool,
    /// Then delete objects that no head of the last so many days names
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(LEAST_DAYS..))]
    collect: Option<u64>,
}

pub(crate) fn run(place: &Place, options: &PublishOptions) -> Outcome {
    let folder = options.release.clone().unwrap_or_else(|| place.work.join("release"));
    let (store, keys) = (publishing::open(&options.to)?, options.signing.open()?);
    let limit = |loss, most| (!options.force_loss.contains(&loss)).then_some(most);
    let limits = Limits {
        items: limit(Loss::Items, options.max_loss_items),
        recall: limit(Loss::Recall, options.max_loss_recall),
    };
    let (release, keys, days) = (&*folder, keys.as_ref(), options.signing.days);
    let replace_head = options.replace_head;
    publish(&*store, &Publication { release, keys, limits, days, now: now()?, only_overlay: false, replace_head })?;
    if let Some(days) = options.collect {
        say_on!("{}", publishing::collect(&*store, days, SystemTime::now())?);
    }
    Ok(())
}

/// Publishes, and says what was done.
pub(crate) fn publish(store: &dyn Store, what: &Publication<'_>) -> Outcome {
    say_on!("{}", publishing::publish(store, what)?);
    Ok(())
}

#[derive(Args)]
pub(crate) struct RollbackOptions {
    /// Where the release is published: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// The version to go back to, as in its folder heads/. Clients get it as a new version
    #[arg(long)]
    version: u64,
    #[command(flatten)]
    signing: SigningOptions,
}

pub(crate) fn run_rollback(options: &RollbackOptions) -> Outcome {
    let (store, keys) = (publishing::open(&options.to)?, options.signing.open()?);
    let done = publishing::rollback(&*store, options.version, keys.as_ref(), options.signing.days, now()?)?;
    say_on!("{done}");
    Ok(())
}

#[derive(Args)]
pub(crate) struct VerifyOptions {
    /// Folder of the release
    release: PathBuf,
    /// Also check that it has the same candidates as this one, such as a build anew, and finds the same
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Also check the signatures of head and roots, from the root that this pins
    #[arg(long, value_name = "PIN")]
    public_key: Option<RootPin>,
}

pub(crate) fn run_verify(options: &VerifyOptions) -> Outcome {
    let folder = &options.release;
    say_on!("{}", release::verify(folder).map_err(|error| named(folder, &error))?);
    if let Some(pin) = options.public_key {
        say_on!("{}", publishing::trusted_folder(folder, pin, now()?).map_err(|error| named(folder, &error))?);
    }
    if let Some(other) = &options.against {
        say_on!("{}", release::compare(folder, other).map_err(|error| named(folder, &error))?);
    }
    Ok(())
}

#[derive(Args)]
pub(crate) struct HostOptions {
    /// Where clients fetch the release from
    url: String,
    /// Check signatures, too, from the root that this pins
    #[arg(long, value_name = "PIN")]
    public_key: Option<RootPin>,
    /// The origin of the shop's pages
    #[arg(long, value_name = "ORIGIN", default_value = "https://shop.example")]
    origin: String,
    /// Also write what was found as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(crate) fn run_check_host(options: &HostOptions) -> Outcome {
    let HostOptions { url, public_key, origin, json } = options;
    let question = HostQuestion { url: url.clone(), pin: *public_key, origin: origin.clone(), now: now()? };
    let report = check_host(&question);
    say_on!("{report}");
    if let Some(file) = json {
        crate::write(file, report.to_json().as_bytes())?;
    }
    if report.is_wrong() {
        Err("the host does not serve the release as clients need it, see above".into())
    } else {
        Ok(())
    }
}
