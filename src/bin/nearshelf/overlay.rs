//! `nearshelf overlay`: what is out of stock right now, beside a release.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use nearshelf::publishing::{self, Limits, Publication};
use nearshelf::release::OverlayPublisher;
use nearshelf::stock::Source;

use crate::publish::{SigningOptions, publish};
use crate::{Outcome, Place, printed};

/// Clients look every 30 seconds at most.
const SHORTEST: u64 = 5;

#[derive(Args)]
pub(crate) struct OverlayOptions {
    /// Folder of the release; without it, `release` in the work folder
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
    /// A CSV file or http(s) address with the columns item, stock and price, or a redis address with the hashes stock and price
    #[arg(long, value_name = "FEED")]
    from: String,
    /// Publish nothing where more than this share of the catalogue would be out of stock
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, value_parser = share)]
    most: f64,
    /// Go on, and look again after so many seconds; what fails is said, and tried again
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(SHORTEST..))]
    watch: Option<u64>,
    /// Each time also publish it to this place, where the release of the folder has to be published: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX
    #[arg(long, value_name = "PLACE")]
    publish: Option<String>,
    #[command(flatten)]
    signing: SigningOptions,
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to 1".to_owned()),
    }
}

pub(crate) fn run(place: &Place, options: &OverlayOptions) -> Outcome {
    let source = Source::parse(&options.from)?;
    let folder = options.release.clone().unwrap_or_else(|| place.work.join("release"));
    let mut publisher = OverlayPublisher::new(&folder, options.most);
    let store = options.publish.as_deref().map(publishing::open).transpose()?;
    let keys = if store.is_some() { options.signing.open()? } else { None };
    let mut once = || -> Outcome {
        let stock = source.read()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        say_on!("{}", publisher.publish(&stock, now)?);
        match &store {
            Some(store) => {
                let days = options.signing.days();
                let (release, keys, limits) = (&*folder, keys.as_ref(), Limits::default());
                let (only_overlay, replace_head, now) = (true, false, crate::keys::now()?);
                publish(&**store, &Publication { release, keys, limits, days, now, only_overlay, replace_head })
            }
            None => Ok(()),
        }
    };
    let Some(seconds) = options.watch else { return once() };
    loop {
        if let Err(error) = once() {
            eprintln!("error: {error}");
        }
        std::thread::sleep(Duration::from_secs(seconds));
    }
}
