//! Choosing the baselines' knobs without looking at the test.
//!
//! By time, the last four weeks before the split play the test: models are fitted to what came before them and judged on them. What is
//! best there is fitted again to all of the training events. Where one is left out, the validation items play the test.

use super::{
    BaselineParams, EASE_MAX_ITEMS, Ease, EaseParams, EvaluateError, ItemKnn, ItemKnnParams, Report, Scorer,
    SequentialRules, SequentialRulesParams, evaluate,
};
use crate::data::{Dataset, Holdout};
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
    /// What trials are ranked by: the mean of R@20 over "new only" and "repeats", or HR@10 where one is left out.
    pub fn value(&self) -> f64 {
        let (modes, main) = (self.report.protocol.main_modes(), self.report.protocol.main_figure());
        let rows = modes.iter().filter_map(|&mode| self.report.rows.iter().find(|row| row.mode == mode));
        rows.map(|row| row.figures[main].mean).sum::<f64>() / modes.len() as f64
    }
}

/// `dataset` without its test: cut [`VALIDATION_WINDOW_MS`] before the window; or without the last event of each user, so that the
/// next one is left out. The latter has the same training events but for users who are not tested, so that towers trained for
/// the test are judged fairly on it.
#[must_use]
pub fn validation_split(dataset: &Dataset) -> Dataset {
    let mut earlier = dataset.clone();
    earlier.events.clear();
    earlier.user_offsets = vec![0];
    for user in 0..dataset.users.len() as u32 {
        let events = dataset.events_of(user);
        earlier.events.extend(match dataset.holdout {
            Holdout::Time => dataset.training_events(user),
            Holdout::LeaveOneOut { .. } => &events[..events.len().saturating_sub(1)],
        });
        earlier.user_offsets.push(earlier.events.len());
    }
    let holdout = match dataset.holdout {
        Holdout::LeaveOneOut { untrained } => Holdout::LeaveOneOut { untrained: untrained.saturating_sub(1) },
        Holdout::Time => Holdout::Time,
    };
    earlier.hold_out(holdout, dataset.test_from_ms - VALIDATION_WINDOW_MS);
    earlier
}

/// Tries every set of knobs on `validation` (see [`validation_split`]); the best first, equal ones in the order given.
///
/// # Errors
/// As [`evaluate`], and what `fit` gives.
pub fn tune<'d, P, S: Scorer + 'd>(
    validation: &'d Dataset,
    grid: impl IntoIterator<Item = P>,
    fit: impl Fn(&'d Dataset, &P) -> Result<S, EvaluateError>,
) -> Result<Vec<Trial<P>>, EvaluateError> {
    let mut trials = grid
        .into_iter()
        .map(|params| {
            let report = evaluate(validation, &[&fit(validation, &params)?])?;
            Ok(Trial { params, report })
        })
        .collect::<Result<Vec<_>, EvaluateError>>()?;
    trials.sort_by(|a, b| b.value().total_cmp(&a.value()));
    Ok(trials)
}

/// Tries some knobs of every baseline that has any, on the validation split of `dataset`; the best of each.
///
/// # Errors
/// As [`evaluate`].
pub fn tune_baselines(dataset: &Dataset) -> Result<BaselineParams, EvaluateError> {
    fn best<P: Default>(trials: Vec<Trial<P>>) -> P {
        trials.into_iter().next().map(|trial| trial.params).unwrap_or_default()
    }
    let validation = validation_split(dataset);
    let (history, queries) = (Interactions::of_training(&validation), Interactions::of_queries(&validation));
    let rules = tune(&validation, rules_grid(), |data, params| Ok(SequentialRules::fit(data, params)))?;
    let item_knn = tune(&validation, item_knn_grid(), |_, params| Ok(ItemKnn::fit(&history, &queries, params)))?;
    let als = tune(&validation, als_grid(), |_, params| Ok(Als::fit(&history, params).fold_in(&queries, params)))?;
    let fits = history.columns() <= EASE_MAX_ITEMS;
    let lambdas = if fits { ease_grid() } else { Vec::new() };
    let ease = tune(&validation, lambdas, |_, params| Ease::fit(&history, &queries, params))?;
    Ok(BaselineParams { item_knn: best(item_knn), als: best(als), ease: best(ease), sequential_rules: best(rules) })
}

fn ease_grid() -> Vec<EaseParams> {
    [30.0, 100.0, 300.0, 1000.0].map(|lambda| EaseParams { lambda }).to_vec()
}

fn rules_grid() -> Vec<SequentialRulesParams> {
    let mut grid = Vec::new();
    for (window, decay) in [(5, 0.8), (20, 0.9)] {
        for history_decay in [0.5, 0.7, 0.9] {
            for power in [0.5, 1.0] {
                grid.push(SequentialRulesParams { window, decay, history_decay, power, ..Default::default() });
            }
        }
    }
    grid
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

    #[test]
    fn the_validation_item_is_the_last_one_and_its_training_is_that_of_the_test() {
        let events = [(0, 0, 1, 0), (0, 1, 2, 0), (0, 2, 3, 0), (0, 3, 4, 0), (1, 0, 1, 0), (1, 1, 2, 0)];
        let mut data = dataset(&events, 0);
        data.hold_out(Holdout::LeaveOneOut { untrained: 2 }, 0);
        let validation = validation_split(&data);
        let items = |events: &[crate::data::Event]| events.iter().map(|event| event.item).collect::<Vec<_>>();
        assert_eq!(items(validation.training_events(0)), items(data.training_events(0)));
        assert_eq!((items(validation.query_events(0)), items(validation.test_events(0))), (vec![0, 1], vec![2]));
        // A user with two events is not tested, so it is not validated with.
        assert_eq!((validation.training_events(1).len(), validation.test_events(1).len()), (1, 0));
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
        let trials = tune(&data, [f32::NEG_INFINITY, 1.0], |_, &knob| Ok(Constant(knob))).unwrap();
        assert_eq!(trials.iter().map(|trial| trial.params).collect::<Vec<_>>(), [1.0, f32::NEG_INFINITY]);
        assert!((trials[0].value() - 1.0).abs() < 1e-12);
    }
}
