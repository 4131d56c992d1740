//! The methods that a recommender has to beat, each tuned to be a real opponent.

mod item_knn;
mod popularity;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use item_knn::{ItemKnn, ItemKnnParams};
pub use popularity::{OwnCounts, POPULARITY_WINDOW_MS, Popularity};

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
/// matrix factorisation.
pub fn baselines(dataset: &Dataset, params: &BaselineParams) -> Vec<Box<dyn Scorer>> {
    let history = Interactions::of_training(dataset);
    vec![
        Box::new(Popularity::fit(dataset)),
        Box::new(OwnCounts::fit(dataset, &history)),
        Box::new(ItemKnn::fit(&history, &params.item_knn)),
        Box::new(Als::fit(&history, &params.als)),
    ]
}
