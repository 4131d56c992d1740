//! `nearshelf train --ranker`.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use nearshelf::data::{Config, Dataset, Impressions, Truth};
use nearshelf::evaluate::{Scorer, TwoTower, train_ranker_on_candidates};
use nearshelf::rank::train::{Logged, Retrieval, files, train_ranker};
use nearshelf::towers::candidate::Towers;

use crate::{Outcome, Place, printed};

/// What a ranker is trained on.
#[derive(Args)]
pub(crate) struct RankerOptions {
    /// Train the ranker, not the towers: on what retrieval finds and shoppers then did, or on impressions
    #[arg(long)]
    pub(crate) ranker: bool,
    /// What shoppers were shown and did, as Parquet; without it, candidates as of the validation split, for which towers are trained
    #[arg(long, value_name = "FILE", requires = "ranker")]
    impressions: Option<PathBuf>,
    /// The true probabilities of a simulation's impressions, to judge the ranker by
    #[arg(long, value_name = "FILE", requires = "impressions")]
    truth: Option<PathBuf>,
    /// With impressions, also take the scores of the trained towers
    #[arg(long, requires = "impressions")]
    scores: bool,
}

/// Trains a ranker.
pub(crate) fn run(place: &Place, steps: Option<NonZeroUsize>, seed: Option<u64>, options: &RankerOptions) -> Outcome {
    let mut config = place.config()?;
    config.ranker.steps = steps.map_or(config.ranker.steps, NonZeroUsize::get);
    config.ranker.seed = seed.unwrap_or(config.ranker.seed);
    let dataset = place.dataset(&config)?;
    let report = if let Some(impressions) = &options.impressions {
        let impressions = Impressions::read(impressions, &dataset)?;
        let truth = options.truth.as_deref().map(|path| Truth::read(path, &impressions, &dataset)).transpose()?;
        on_impressions(place, (&dataset, &config), (&impressions, truth.as_ref()), options.scores)?
    } else {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;
        train_ranker_on_candidates(&dataset, &config, &place.run(), &stop)?
    };
    say_on!("{report}");
    say!("calibration: {}", place.run().join(files::CHART).display());
    Ok(())
}

fn on_impressions(
    place: &Place,
    (dataset, config): (&Dataset, &Config),
    (impressions, truth): (&Impressions, Option<&Truth>),
    scores: bool,
) -> Result<nearshelf::rank::train::RankerReport, Box<dyn std::error::Error>> {
    let train =
        |retrieval| train_ranker(Logged { dataset, impressions, truth, retrieval }, &config.ranker, &place.run());
    if !scores {
        return Ok(train(None)?);
    }
    let towers = Towers::of(config, &place.run())?;
    let two = TwoTower::new(dataset, &towers)?;
    let queries = two.all_queries()?;
    let (towers, dim, items) = (towers.query.towers(), two.dim(), two.embeddings());
    let scores = |user: u32, scores: &mut [f32]| two.score(user, scores);
    Ok(train(Some(Retrieval { towers, dim, queries: &queries, items, scores: &scores }))?)
}
