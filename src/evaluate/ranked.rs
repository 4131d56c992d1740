//! The trained towers with the trained ranker behind them, as a [`Scorer`], and how that ranker is trained.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::two_tower::context_of;
use super::{Scorer, TwoTower, validation_split};
use crate::data::{Attribute, Config, Dataset};
use crate::features::ranking::{ItemFacts, Retrieved};
use crate::rank::arrange::relevances_of_values;
use crate::rank::train::{
    History, RankerError, RankerReport, Retrieval, TrainedRanker, candidates, train_on_candidates,
};
use crate::release::POPULARITY;
use crate::towers::candidate::Towers;
use crate::towers::ranker::Embeddings;
use crate::towers::train::train;
use crate::towers::{Scratch, TowerError};

/// The folders, in that of the run, of the towers whose candidates the ranker is trained with: of the latest window, and of those before.
const EARLIER: &str = "ranker-towers";

/// Trains the ranker of a run on what its kind of towers retrieves: towers that are trained on what was before the validation window say
/// what they would have shown at its start, and what shoppers did in it says what of that was right. Towers from elsewhere are taken as
/// they are: they may have seen the window, and their scores then promise too much.
///
/// # Errors
/// What the training of towers or ranker gives.
pub fn train_ranker_on_candidates(
    dataset: &Dataset,
    config: &Config,
    run: &Path,
    stop: &AtomicBool,
) -> Result<RankerReport, RankerError> {
    let mut windows = vec![validation_split(dataset)];
    while windows.len() < config.ranker.windows {
        windows.push(validation_split(&windows[windows.len() - 1]));
    }
    let mut towers = Vec::new();
    for (at, window) in windows.iter().enumerate() {
        let mut folder: PathBuf = run.to_owned();
        if config.towers.is_none() {
            folder.push(if at == 0 { EARLIER.to_owned() } else { format!("{EARLIER}-{}", at + 1) });
            train(window, config, &folder, stop)?;
            if stop.load(Ordering::Relaxed) {
                return Err(RankerError::Stopped);
            }
        }
        let towers_of = Towers::of(config, &folder)?;
        let two = TwoTower::new(window, &towers_of)?;
        let queries = two.all_queries()?;
        towers.push((two, queries));
    }
    let scores: Vec<_> =
        towers.iter().map(|(two, _)| move |user: u32, scores: &mut [f32]| two.score(user, scores)).collect();
    let splits = windows.iter().zip(&towers).zip(&scores).map(|((window, (two, queries)), scores)| {
        // The embeddings of towers that are trained anew mean something else, and those of a later query know what came after an earlier
        // window; scores are of their own window.
        let dim = if config.towers.is_some() && config.ranker.windows == 1 { two.dim() } else { 0 };
        (window, Retrieval { towers: two.towers(), dim, queries, items: two.embeddings(), scores })
    });
    train_on_candidates(&splits.collect::<Vec<_>>(), &config.ranker, run)
}

/// What a place of retrieval counts between equal relevances, which are 0 to 1.
const TIE: f32 = 1e-7;

/// Orders the candidates of the towers by the ranker; what is no candidate comes behind, in the order of retrieval.
pub struct Ranked<'d> {
    dataset: &'d Dataset,
    two: &'d TwoTower<'d>,
    trained: TrainedRanker,
    facts: Vec<ItemFacts>,
    /// Names of the attributes of items.
    attributes: Vec<String>,
}

impl<'d> Ranked<'d> {
    /// As reports call it.
    pub const NAME: &'static str = "nearshelf, ranked";

    /// Towers with the ranker of a run folder; nothing where there is none.
    ///
    /// # Errors
    /// [`RankerError`] for a ranker that cannot be read.
    pub fn of(
        dataset: &'d Dataset,
        two: &'d TwoTower<'d>,
        config: &Config,
        run: &Path,
    ) -> Result<Option<Self>, RankerError> {
        let Some(trained) = TrainedRanker::read(run, &config.ranker, two.towers())? else { return Ok(None) };
        let facts = trained.names.facts(dataset);
        let attributes = config.catalogue.columns.attributes.keys().cloned().collect();
        Ok(Some(Self { dataset, two, trained, facts, attributes }))
    }

    fn rank(&self, user: u32, scores: &mut [f32], scratch: &mut Scratch) -> Result<(), TowerError> {
        self.two.score(user, scores);
        let query = self.two.query(user, scratch)?;
        let moment = context_of(self.dataset, user).moment();
        let mut history = History::of(self.dataset, &self.facts, self.trained.ranker.schema().history);
        let shopper = history.until(Some(user), i64::MAX);
        let (ranker, dim) = (&self.trained.ranker, self.two.dim());
        let schema = ranker.schema();
        let found = candidates(scores, &shopper.own(schema.own));
        let (mut values, mut items) = (Vec::new(), Vec::new());
        scores.iter_mut().for_each(|score| *score = -1.0 - 1.0 / (1.0 + score.exp()));
        for (place, (item, score)) in (0..).zip(found) {
            let facts = &self.facts[item as usize];
            let numbers = shopper.numbers((item, facts), Retrieved { score, place }, moment, &schema.usual);
            let embeddings = match schema.dim {
                0 => Embeddings { query: &[], item: &[] },
                _ => Embeddings { query: &query, item: &self.two.embeddings()[item as usize * dim..][..dim] },
            };
            let probabilities = ranker.probabilities(&numbers, embeddings, facts, scratch)?;
            values.push(schema.objective.value(probabilities, &|name| self.column(item, name)));
            items.push(item);
        }
        // As clients do, equal ones in the order of retrieval.
        for (place, (item, relevance)) in items.into_iter().zip(relevances_of_values(&values)).enumerate() {
            scores[item as usize] = relevance - place as f32 * TIE;
        }
        Ok(())
    }

    /// What the column of this name holds for an item, where it is of numbers.
    fn column(&self, item: u32, name: &str) -> Option<f32> {
        let found = &self.dataset.items[item as usize];
        match name {
            "price" => found.price.map(|price| (price * 100.0).round() as f32),
            POPULARITY => Some(self.facts[item as usize].events as f32),
            _ => match found.attributes.get(self.attributes.iter().position(|attribute| attribute == name)?)? {
                Some(Attribute::Number(number)) => Some(*number as f32),
                _ => None,
            },
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scorer for Ranked<'_> {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        if SCRATCH.with_borrow_mut(|scratch| self.rank(user, scores, scratch)).is_err() {
            // The evaluation reports it as a score that is no number.
            scores.fill(f32::NAN);
        }
    }
}
