//! How good a recommender is on what users did after it was trained, next to baselines that are worth beating.
//!
//! [`Split`] cuts a [`Dataset`] into histories and targets as its [`Protocol`] says, a [`Scorer`] gives every item a score for one
//! user, and [`evaluate`] turns lists of the best into a [`Report`] with a row for each scorer and [`Mode`]. All recall here is
//! against held-out events.
//!
//! Lists hold the candidates by falling score; **equal scores are ordered by item index**, which is the order of item ids. Where one
//! item is left out its rank counts instead, and **a tie counts half a rank**. A score of negative infinity keeps an item off the
//! list. Figures are means over users, summed in the order of users, so they do not depend on the number of threads.

mod baselines;
mod interval;
mod judge;
mod protocol;
mod ranked;
mod report;
mod shipped;
mod tune;
mod two_tower;

pub use baselines::{
    BaselineParams, EASE_MAX_ITEMS, Ease, EaseParams, ItemKnn, ItemKnnParams, OwnCounts, POPULARITY_WINDOW_MS,
    Popularity, SequentialRules, SequentialRulesParams, baselines,
};
pub use interval::{CONFIDENCE, Estimate, chi_squared};
pub use protocol::{Case, Group, Mode, Protocol, Split};
pub use ranked::{Ranked, train_ranker_on_candidates};
pub use report::{Figure, Report, Row};
pub use shipped::Shipped;
pub use tune::{Trial, VALIDATION_WINDOW_MS, tune, tune_baselines, validation_split};
pub use two_tower::TwoTower;

use judge::Arena;

use crate::data::Dataset;

/// Length of the lists of R@20, NDCG@20, coverage and Gini.
pub const SHORT_LIST: usize = 20;

/// Length of the lists of R@100.
pub const LONG_LIST: usize = 100;

/// Something that recommends.
pub trait Scorer: Sync {
    /// As the report calls it.
    fn name(&self) -> &str;

    /// Scores all items of the data set for one user, from the user's [query events](Dataset::query_events); larger is better.
    ///
    /// `scores` has one place per item and holds negative infinity everywhere: a place left alone is never recommended. The
    /// scores must not be NaN and must be the same on every call.
    fn score(&self, user: u32, scores: &mut [f32]);
}

/// What keeps an evaluation from giving figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The test holds no user and item that training has seen.
    #[error(
        "the test has no event of a user and an item with training events ({cold_users} users have none); \
         move split.test_from into the time that the events cover, or leave one out where users have three events"
    )]
    NoCases {
        /// Users of the window without training events.
        cold_users: usize,
    },
    /// The file of the baselines' knobs is not right.
    #[error("{}: {reason}; correct the file, or delete it to take the defaults", path.display())]
    Params {
        /// The file.
        path: std::path::PathBuf,
        /// Place, what was found and what is expected.
        reason: String,
    },
    /// The data were split for another protocol.
    #[error(
        "--protocol {} was asked for, and the data were split for {}; leave it out, or change [split] in the configuration and run \
         `nearshelf prepare` and `nearshelf train` again: towers must not have been trained with what they are judged on",
        asked.name(), found.name()
    )]
    Protocol {
        /// What was asked for.
        asked: Protocol,
        /// What the data set is split for.
        found: Protocol,
    },
    /// More items than the inverse of a matrix of them has memory for.
    #[error(
        "EASE: {found} items, expected at most {most}: it would hold two matrices of {found} x {found}; leave it out"
    )]
    TooManyItems {
        /// Items.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// A score is not a number.
    #[error("{scorer}: the score of item {item} for user {user} is NaN, expected a number; train the model again")]
    NotANumber {
        /// The scorer's name.
        scorer: String,
        /// Index of the user.
        user: u32,
        /// Index of the item.
        item: u32,
    },
}

/// Evaluates `scorers` on the split of `dataset`, one row per scorer and mode.
///
/// # Errors
/// [`EvaluateError::NoCases`] if there is nobody to recommend to, [`EvaluateError::NotANumber`] if a scorer gives a NaN.
pub fn evaluate(dataset: &Dataset, scorers: &[&dyn Scorer]) -> Result<Report, EvaluateError> {
    let split = Split::of(dataset);
    let main: Vec<&Group> = split.protocol.main_modes().iter().filter_map(|&mode| split.group(mode)).collect();
    if main.iter().all(|group| group.cases.is_empty()) {
        return Err(EvaluateError::NoCases { cold_users: split.cold_users });
    }
    let candidates = main.last().map_or(0, |group| group.candidates.len());
    let arena = Arena::new(dataset, &split);
    let mut rows = Vec::new();
    for scorer in scorers {
        rows.extend(arena.run(*scorer)?);
    }
    rows.sort_by_key(|row| row.mode);
    Ok(Report {
        protocol: split.protocol,
        test_from_ms: (split.protocol == Protocol::Time).then_some(dataset.test_from_ms),
        candidates,
        cold_users: split.cold_users,
        cold_items: split.cold_items,
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Holdout;
    use crate::factors::testing::dataset;

    struct Fixed(Vec<f32>);

    impl Scorer for Fixed {
        fn name(&self) -> &str {
            "fixed"
        }

        fn score(&self, _user: u32, scores: &mut [f32]) {
            scores.copy_from_slice(&self.0);
        }
    }

    /// Two users; item 3 is no candidate.
    fn small() -> Dataset {
        let events = [(0, 0, 1, 0), (0, 1, 1, 0), (0, 1, 9, 0), (0, 2, 9, 0), (1, 2, 1, 0), (1, 2, 9, 0), (1, 3, 9, 0)];
        dataset(&events, 5)
    }

    #[test]
    fn gives_the_figures_of_a_case_computed_by_hand() {
        let report = evaluate(&small(), &[&Fixed(vec![0.5, 0.2, 0.2, 0.9])]).unwrap();
        assert_eq!((report.candidates, report.cold_users, report.cold_items), (3, 0, 1));
        // Lists: 0, 1, 2 for both; user 0 wants 1 and 2, user 1 wants 2.
        let repeats = report.row("fixed", Mode::Repeats).unwrap();
        let log = |value: f64| value.log2();
        let ndcg = f64::midpoint((1.0 / log(3.0) + 0.5) / (1.0 + 1.0 / log(3.0)), 0.5);
        assert!((repeats.value("NDCG@20") - ndcg).abs() < 1e-12, "{repeats:?} {ndcg}");
        assert!((repeats.value("R@20") - 1.0).abs() < 1e-12 && repeats.users == 2);
        assert!((repeats.coverage_at_20 - 1.0).abs() < 1e-12 && repeats.gini_at_20.abs() < 1e-12);
        // Only user 0 has a new target, item 2, and only item 2 is new.
        let new_only = report.row("fixed", Mode::NewOnly).unwrap();
        assert!((new_only.value("NDCG@20") - 1.0).abs() < 1e-12 && new_only.users == 1);
        assert!((new_only.coverage_at_20 - 1.0 / 3.0).abs() < 1e-12);
        // One of two users has item 2: a bit.
        assert!((new_only.novelty_at_20 - 1.0).abs() < 1e-12 && new_only.diversity_at_20.is_none());
    }

    #[test]
    fn leaving_one_out_ranks_the_last_item_among_all_but_the_history() {
        // Both users have had items 0 and 1; user 0 is to get item 2, user 1 item 3.
        let events = [(0, 0, 1, 0), (0, 1, 2, 0), (0, 2, 3, 0), (1, 0, 1, 0), (1, 1, 2, 0), (1, 3, 3, 0), (2, 4, 1, 0)];
        let mut data = dataset(&events, 0);
        data.hold_out(Holdout::LeaveOneOut { untrained: 2 }, 0);
        let hits = |scores: Vec<f32>| evaluate(&data, &[&Fixed(scores)]).unwrap();
        let report = hits(vec![9.0, 8.0, 0.5, 0.4, 0.1]);
        assert_eq!((report.protocol, report.candidates, report.test_from_ms), (Protocol::LeaveOneOut, 5, None));
        let row = report.row("fixed", Mode::LeaveOneOut).unwrap();
        assert_eq!((row.users, row.value("HR@5")), (2, 1.0));
        let ndcg = f64::midpoint(1.0, 1.0 / 3.0_f64.log2());
        assert!((row.value("NDCG@10") - ndcg).abs() < 1e-12, "{row:?}");
        // Three equal scores: the rank is one behind the first for both.
        let tied = hits(vec![9.0, 8.0, 0.5, 0.5, 0.5]);
        let ndcg = 1.0 / 3.0_f64.log2();
        assert!((tied.row("fixed", Mode::LeaveOneOut).unwrap().value("NDCG@5") - ndcg).abs() < 1e-12);
    }

    #[test]
    fn an_item_that_a_scorer_leaves_out_is_not_recommended() {
        let report = evaluate(&small(), &[&Fixed(vec![1.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 2.0])]).unwrap();
        let main = [Mode::NewOnly, Mode::Repeats].map(|mode| report.row("fixed", mode).unwrap());
        assert!(main.iter().flat_map(|row| &row.figures).all(|figure| figure.mean == 0.0), "{main:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let nan = evaluate(&small(), &[&Fixed(vec![0.0, 0.0, f32::NAN, 0.0])]).unwrap_err();
        assert_eq!(nan, EvaluateError::NotANumber { scorer: "fixed".to_owned(), user: 0, item: 2 });
        let late = dataset(&[(0, 0, 9, 0)], 5);
        assert_eq!(evaluate(&late, &[]).unwrap_err(), EvaluateError::NoCases { cold_users: 1 });
    }
}
