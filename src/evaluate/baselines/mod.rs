//! The methods that a recommender has to beat, each tuned to be a real opponent.

mod ease;
mod item_knn;
mod popularity;
mod sequential_rules;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use ease::{EASE_MAX_ITEMS, Ease, EaseParams};
pub use item_knn::{ItemKnn, ItemKnnParams};
pub use popularity::{OwnCounts, POPULARITY_WINDOW_MS, Popularity};
pub use sequential_rules::{SequentialRules, SequentialRulesParams};

use super::{EvaluateError, Scorer};
use crate::data::Dataset;
use crate::factors::{Als, AlsParams, Interactions};

/// Knobs of the baselines that have some.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BaselineParams {
    /// Item neighbours.
    pub item_knn: ItemKnnParams,
    /// Matrix factorisation.
    pub als: AlsParams,
    /// Linear model of items by items.
    pub ease: EaseParams,
    /// Counter of ordered pairs.
    pub sequential_rules: SequentialRulesParams,
}

impl BaselineParams {
    /// Reads the knobs of a data set, as tuned on its validation window; without the file they are the defaults.
    ///
    /// # Errors
    /// [`EvaluateError::Params`] naming the file and the place.
    pub fn read(path: &Path) -> Result<Self, EvaluateError> {
        let wrong = |reason: String| EvaluateError::Params { path: path.to_owned(), reason };
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| wrong(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

impl Scorer for Als {
    fn name(&self) -> &str {
        "implicit ALS"
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        Self::score(self, user, scores);
    }
}

/// Fits all baselines to the training events of `dataset`, in the order of reports: popularity, own counts, item neighbours,
/// matrix factorisation, linear model, sequential rules. A catalogue that is too large for the linear model goes without it, and
/// that is said on the error output.
pub fn baselines<'d>(dataset: &'d Dataset, params: &BaselineParams) -> Vec<Box<dyn Scorer + 'd>> {
    let (history, queries) = (Interactions::of_training(dataset), Interactions::of_queries(dataset));
    let mut baselines: Vec<Box<dyn Scorer + 'd>> = vec![
        Box::new(Popularity::fit(dataset)),
        Box::new(OwnCounts::fit(dataset, &queries)),
        Box::new(ItemKnn::fit(&history, &queries, &params.item_knn)),
        Box::new(Als::fit(&history, &params.als).fold_in(&queries, &params.als)),
    ];
    match Ease::fit(&history, &queries, &params.ease) {
        Ok(ease) => baselines.push(Box::new(ease)),
        Err(reason) => eprintln!("skipped: {reason}"),
    }
    baselines.push(Box::new(SequentialRules::fit(dataset, &params.sequential_rules)));
    baselines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Holdout;
    use crate::factors::testing::planted;

    /// Every event of a user at a time of its own, the last two held out.
    fn sequences() -> Dataset {
        let mut data = planted(3, 9, 10);
        let by_user: Vec<_> = data.user_offsets.windows(2).map(|ends| ends[0]..ends[1]).collect();
        for range in by_user {
            data.events[range].iter_mut().zip(0..).for_each(|(event, time)| event.time_ms = time);
        }
        data.hold_out(Holdout::LeaveOneOut { untrained: 2 }, 0);
        data
    }

    /// What every baseline says to every one of `users`.
    fn scores(data: &Dataset, users: &[u32]) -> Vec<Vec<f32>> {
        let params =
            BaselineParams { als: AlsParams { factors: 8, ..AlsParams::default() }, ..BaselineParams::default() };
        let of = |scorer: &dyn Scorer, user| {
            let mut scores = vec![f32::NEG_INFINITY; data.items.len()];
            scorer.score(user, &mut scores);
            scores
        };
        baselines(data, &params).iter().flat_map(|scorer| users.iter().map(|&user| of(&**scorer, user))).collect()
    }

    #[test]
    fn neither_the_test_item_nor_others_validation_items_change_a_score() {
        let data = sequences();
        let before = scores(&data, &[4]);
        let mut other = data.clone();
        let items = data.items.len() as u32;
        for user in 0..data.users.len() {
            let end = data.user_offsets[user + 1];
            let held_out = if user == 4 { 1 } else { 2 };
            for event in &mut other.events[end - held_out..end] {
                event.item = (event.item + 7) % items;
            }
        }
        assert_ne!(other.events, data.events);
        assert_eq!(scores(&other, &[4]), before);
        // But the own validation item does.
        let own = data.user_offsets[5] - 2;
        other.events[own].item = (other.events[own].item + 7) % items;
        assert_ne!(scores(&other, &[4]), before);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let data = sequences();
        let users: Vec<u32> = (0..data.users.len() as u32).collect();
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| scores(&data, &users))
        };
        assert_eq!(of(1), of(3));
    }
}
