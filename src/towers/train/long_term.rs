//! Long-term vectors of shoppers: what all that somebody ever did says, in a few dozen numbers.
//!
//! A device knows the latest events; the origin knows all of them. It makes the vector by folding a history into a factorisation of the
//! training events (Hu, Koren, Volinsky 2008): one small system of equations per shopper, of any shopper, also a new one, and again
//! whenever there are more events. The factorisation is a part of the towers: vectors of two trainings never mix.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use crate::data::config::{TrainConfig, UserVectorConfig};
use crate::data::{Dataset, Event};
use crate::factors::{Als, AlsParams, FoldIn, Interactions};
use crate::towers::TowerError;

const ITEMS: &str = "items";
const KNOBS: &str = "knobs";

/// Makes long-term vectors.
#[derive(Debug)]
pub struct LongTerm {
    fold_in: FoldIn,
}

impl LongTerm {
    /// Factorises the training events.
    pub(crate) fn fit(dataset: &Dataset, config: &UserVectorConfig, train: &TrainConfig) -> Self {
        let UserVectorConfig { factors, alpha, regularization, frequency_exponent } = *config;
        let params = AlsParams::for_training(factors, [alpha, regularization, frequency_exponent], train.seed);
        let als = Als::fit(&Interactions::of_training(dataset), &params);
        Self { fold_in: FoldIn::new(als.item_factors().to_vec(), params) }
    }

    /// Numbers of a vector.
    pub fn len(&self) -> usize {
        self.fold_in.params().factors
    }

    /// Never: a vector has a number at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The vector of a shopper with these events, of unit length; zeros without any. The events are of the data set of the training.
    pub(crate) fn vector(&self, events: &[Event]) -> Vec<f32> {
        self.vector_of(events.iter().map(|event| event.item))
    }

    /// The same for items, by their places among the items of the training, one for each event.
    pub fn vector_of(&self, items: impl Iterator<Item = u32>) -> Vec<f32> {
        let mut counts: HashMap<u32, f32> = HashMap::new();
        let known = (self.fold_in.items().len() / self.len()) as u32;
        items.filter(|item| *item < known).for_each(|item| *counts.entry(item).or_insert(0.0) += 1.0);
        let mut counts: Vec<(u32, f32)> = counts.into_iter().collect();
        counts.sort_unstable_by_key(|(item, _)| *item);
        let (items, strengths): (Vec<u32>, Vec<f32>) =
            counts.into_iter().map(|(item, count)| (item, count.ln_1p())).unzip();
        let mut vector = self.fold_in.vector(&items, &strengths);
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value /= length);
        }
        vector
    }

    /// The factorisation as safetensors.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, TowerError> {
        let failed = |found: String| TowerError::Train {
            what: "user factors",
            found,
            expected: "a file in the safetensors format".to_owned(),
            remedy: "report this as a defect",
        };
        let (items, knobs) = (self.fold_in.items(), self.fold_in.params());
        let shape = vec![items.len() / self.len(), self.len()];
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(items));
        let view = view.map_err(|error| failed(error.to_string()))?;
        let knobs = serde_json::to_string(knobs).map_err(|error| failed(error.to_string()))?;
        serialize([(ITEMS, view)], Some(HashMap::from([(KNOBS.to_owned(), knobs)])))
            .map_err(|error| failed(error.to_string()))
    }

    /// Reads what [`LongTerm::to_bytes`] wrote.
    pub(crate) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, TowerError> {
        let damaged = |found: String| TowerError::Train {
            what: "user factors",
            found: format!("{found} in {}", path.display()),
            expected: "the factorisation of a training".to_owned(),
            remedy: "run `nearshelf train` again",
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
        let knobs = header.metadata().as_ref().and_then(|entries| entries.get(KNOBS));
        let knobs = knobs.ok_or_else(|| damaged("no knobs".to_owned()))?;
        let params: AlsParams = serde_json::from_str(knobs).map_err(|error| damaged(error.to_string()))?;
        let tensor = tensors.tensor(ITEMS).map_err(|error| damaged(error.to_string()))?;
        let items: Vec<f32> = bytemuck::pod_collect_to_vec(tensor.data());
        let fits = params.factors > 0 && items.len().is_multiple_of(params.factors);
        if !fits || items.iter().any(|value| !value.is_finite()) {
            return Err(damaged(format!("{} numbers for vectors of {}", items.len(), params.factors)));
        }
        Ok(Self { fold_in: FoldIn::new(items, params) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::planted;

    #[test]
    fn shoppers_of_one_group_are_alike_and_a_file_gives_the_same_vectors() {
        let dataset = planted(3, 12, 10);
        let config = UserVectorConfig { factors: 8, alpha: 1.0, regularization: 0.1, frequency_exponent: 0.0 };
        let long_term = LongTerm::fit(&dataset, &config, &TrainConfig::default());
        let vector = |user| long_term.vector(dataset.events_of(user));
        let product = |a: u32, b: u32| vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum::<f32>();
        assert!(product(0, 5) > 0.8 && product(0, 5) > product(0, 20) + 0.5, "{} {}", product(0, 5), product(0, 20));
        assert_eq!(long_term.vector(&[]), [0.0; 8]);
        let bytes = long_term.to_bytes().unwrap();
        let read = |bytes: &[u8]| LongTerm::from_bytes(Path::new("f"), bytes);
        assert_eq!(read(&bytes).unwrap().vector(dataset.events_of(7)), vector(7));
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert!(read(&bytes[..cut]).is_err());
        }
    }
}
