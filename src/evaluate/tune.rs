//! Choosing the baselines' knobs without looking at the test.
//!
//! The last four weeks before the split play the test: models are fitted to what came before them and judged on them.
//! What is best there is fitted again to all of the training events.

use super::{BaselineParams, EvaluateError, ItemKnn, ItemKnnParams, Mode, Report, Scorer, evaluate};
use crate::data::Dataset;
use crate::factors::{Als, AlsParams, Interactions, Weighting};

/// Milliseconds of the validation window: four weeks.
pub const VALIDATION_WINDOW_MS: i64 = 28 * 24 * 3600 * 1000;

/// One set of knobs, judged on the validation window.
#[derive(Debug, Clone)]
pub struct Trial<P> {
    /// The knobs.
    pub params: P,
    /// How they did.
    pub report: Report,
}

impl<P> Trial<P> {
    /// What trials are ranked by: the mean of R@20 over both modes.
    pub fn value(&self) -> f64 {
        let rows = Mode::ALL.iter().filter_map(|&mode| self.report.rows.iter().find(|row| row.mode == mode));
        rows.map(|row| row.recall_at_20).sum::<f64>() / Mode::ALL.len() as f64
    }
}

/// `dataset` without its test window, cut [`VALIDATION_WINDOW_MS`] before it.
#[must_use]
pub fn validation_split(dataset: &Dataset) -> Dataset {
    let mut earlier = dataset.clone();
    earlier.events.clear();
    earlier.user_offsets = vec![0];
    for user in 0..dataset.users.len() {
        let events = dataset.events_of(user as u32);
        earlier.events.extend(events.iter().filter(|event| event.time_ms < dataset.test_from_ms));
        earlier.user_offsets.push(earlier.events.len());
    }
    earlier.test_from_ms = dataset.test_from_ms - VALIDATION_WINDOW_MS;
    for item in &mut earlier.items {
        item.events = 0;
    }
    for event in earlier.events.iter().filter(|event| event.time_ms < earlier.test_from_ms) {
        earlier.items[event.item as usize].events += 1;
    }
    earlier
}

/// Tries every set of knobs on `validation` (see [`validation_split`]); the best first, equal ones in the order given.
///
/// # Errors
/// As [`evaluate`].
pub fn tune<P, S: Scorer>(
    validation: &Dataset,
    grid: impl IntoIterator<Item = P>,
    fit: impl Fn(&Dataset, &P) -> S,
) -> Result<Vec<Trial<P>>, EvaluateError> {
    let mut trials = grid
        .into_iter()
        .map(|params| {
            let report = evaluate(validation, &[&fit(validation, &params)])?;
            Ok(Trial { params, report })
        })
        .collect::<Result<Vec<_>, EvaluateError>>()?;
    trials.sort_by(|a, b| b.value().total_cmp(&a.value()));
    Ok(trials)
}

/// Tries some knobs of every baseline that has any, on the validation window of `dataset`; the best of each.
///
/// # Errors
/// As [`evaluate`].
pub fn tune_baselines(dataset: &Dataset) -> Result<BaselineParams, EvaluateError> {
    let validation = validation_split(dataset);
    let item_knn =
        tune(&validation, item_knn_grid(), |data, params| ItemKnn::fit(&Interactions::of_training(data), params))?;
    let als = tune(&validation, als_grid(), |data, params| Als::fit(&Interactions::of_training(data), params))?;
    let (item_knn, als) = (item_knn.into_iter().next(), als.into_iter().next());
    Ok(BaselineParams {
        item_knn: item_knn.map(|trial| trial.params).unwrap_or_default(),
        als: als.map(|trial| trial.params).unwrap_or_default(),
    })
}

fn item_knn_grid() -> Vec<ItemKnnParams> {
    let mut grid = Vec::new();
    for weighting in [Weighting::Binary, Weighting::Log, Weighting::Bm25] {
        for neighbours in [20, 100, 500] {
            for shrinkage in [10.0, 100.0] {
                grid.push(ItemKnnParams { neighbours, shrinkage, weighting });
            }
        }
    }
    grid
}

fn als_grid() -> Vec<AlsParams> {
    let mut grid = Vec::new();
    for weighting in [Weighting::Binary, Weighting::Log] {
        for alpha in [1.0, 5.0, 20.0] {
            for (regularization, frequency_exponent) in [(10.0, 0.0), (50.0, 0.0), (1.0, 0.5)] {
                grid.push(AlsParams { weighting, alpha, regularization, frequency_exponent, ..AlsParams::default() });
            }
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    #[test]
    fn validation_never_sees_the_test() {
        let test = 2 * VALIDATION_WINDOW_MS;
        let early = test - VALIDATION_WINDOW_MS;
        let data = dataset(&[(0, 0, early - 1, 0), (0, 1, early, 0), (1, 0, 5, 0), (1, 2, test, 0)], test);
        let validation = validation_split(&data);
        assert_eq!(validation.test_from_ms, early);
        assert!(validation.events.iter().all(|event| event.time_ms < test));
        assert_eq!(validation.events_of(1).len(), 1);
        assert_eq!(validation.items.iter().map(|item| item.events).collect::<Vec<_>>(), [2, 0, 0]);
    }

    struct Constant(f32);

    impl Scorer for Constant {
        fn name(&self) -> &str {
            "constant"
        }

        fn score(&self, _user: u32, scores: &mut [f32]) {
            scores[1] = self.0;
        }
    }

    #[test]
    fn the_best_knob_comes_first() {
        let data = dataset(&[(0, 0, 1, 0), (1, 1, 1, 0), (0, 1, 5, 0)], 5);
        let trials = tune(&data, [f32::NEG_INFINITY, 1.0], |_, &knob| Constant(knob)).unwrap();
        assert_eq!(trials.iter().map(|trial| trial.params).collect::<Vec<_>>(), [1.0, f32::NEG_INFINITY]);
        assert!((trials[0].value() - 1.0).abs() < 1e-12);
    }
}
