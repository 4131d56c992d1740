//! Items' own vectors from a factorisation, where training starts.
//!
//! Alternating least squares (Hu, Koren, Volinsky 2008) has all pairs of shopper and item in every pass; a training of some
//! hundred steps sees most items a few times. Only directions are kept, because popularity is the prior's part; the query
//! tower learns its map from pooled items by itself. On Complete Journey's validation window, seed 1, R@20 of new items is .0468
//! from a random start at temperature .6 (.0464 at .4), .0495 from a factorisation at .3 with a rate of 0.2, and .0499
//! with one of 0.03.

use super::model::Model;
use crate::data::Dataset;
use crate::data::config::{TrainConfig, WarmStartConfig};
use crate::factors::{Als, AlsParams, Interactions};

/// Length of the vectors: what a fresh network adds to one is small beside it, and a step of Adagrad turns it by little.
const LENGTH: f32 = 3.0;

/// Replaces the vectors of all items with training events.
pub(super) fn warm_start(model: &mut Model, dataset: &Dataset, config: &WarmStartConfig, train: &TrainConfig) {
    let dim = model.ids.shape[1];
    // The last number of an embedding with a prior is the prior.
    let factors = dim - usize::from(model.priors.is_some());
    let WarmStartConfig { alpha, regularization, frequency_exponent, .. } = *config;
    let params = AlsParams::for_training(factors, [alpha, regularization, frequency_exponent], train.seed);
    let als = Als::fit(&Interactions::of_training(dataset), &params);
    // Row 0 is the unknown item.
    for (row, vector) in model.ids.values[dim..].chunks_exact_mut(dim).zip(als.item_factors().chunks_exact(factors)) {
        let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 && length.is_finite() {
            row.iter_mut().zip(vector).for_each(|(to, from)| *to = LENGTH * from / length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Shape;
    use super::*;
    use crate::data::config::{ModelConfig, PriorConfig};
    use crate::factors::testing::planted;
    use crate::features::items::ItemSchema;
    use crate::features::{FeatureSchema, HistorySchema};

    const DIM: usize = 8;
    const GROUP: usize = 10;

    fn started(seed: u64) -> Model {
        let dataset = planted(4, 12, GROUP as u32);
        let prior = PriorConfig { strength: 1.0, recent_days: 30.0, recent_weight: 0.5 };
        let config = ModelConfig { dim: DIM, prior: Some(prior), ..ModelConfig::default() };
        let history = HistorySchema::of_items(10, 1.0, 0.0);
        let schema = FeatureSchema { dim: DIM, history, categories: vec![], user: None };
        let items = ItemSchema::of(&dataset.items, config.token_buckets, config.max_tokens);
        let priors = Some(vec![0.0; dataset.items.len() + 1]);
        let shape = Shape { query: &schema, items: &items, count: dataset.items.len(), content: 0 };
        let train = TrainConfig { seed, ..TrainConfig::default() };
        let mut model = Model::new(&config, shape, priors, &train);
        let unknown = model.ids.row(0).to_vec();
        let warm = WarmStartConfig { alpha: 1.0, regularization: 0.1, frequency_exponent: 0.0, rate: 0.1 };
        warm_start(&mut model, &dataset, &warm, &train);
        assert_eq!(model.ids.row(0), unknown);
        model
    }

    #[test]
    fn items_start_beside_what_is_bought_with_them() {
        let model = started(3);
        assert_eq!(model, started(3));
        // The last number takes no part in a tower with a prior.
        let vector = |item: usize| &model.ids.row(item as u32 + 1)[..DIM - 1];
        let product = |a: usize, b: usize| vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum::<f32>();
        for item in 0..4 * GROUP {
            assert!((product(item, item) - LENGTH * LENGTH).abs() < 1e-3, "item {item}");
            let mean = |inside: bool| {
                let others: Vec<usize> = (0..4 * GROUP)
                    .filter(|&other| other != item && (other / GROUP == item / GROUP) == inside)
                    .collect();
                others.iter().map(|&other| product(item, other)).sum::<f32>() / others.len() as f32
            };
            assert!(mean(true) > mean(false) + 1.0, "item {item}: {} inside, {} outside", mean(true), mean(false));
        }
    }
}
