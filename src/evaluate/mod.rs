//! How good a recommender is on what users did after it was trained, next to baselines that are worth beating.
//!
//! [`TimeSplit`] cuts a [`Dataset`] into histories and targets, a [`Scorer`] gives every item a score for one user, and
//! [`evaluate`] turns lists of the best into a [`Report`] in both [`Mode`]s. All recall here is against held-out events.
//!
//! Lists hold the candidates by falling score; **equal scores are ordered by item index**, which is the order of item ids.
//! A score of negative infinity keeps an item off the list. Figures are means over users, summed in the order of users, so
//! they do not depend on the number of threads.

mod baselines;
mod protocol;
mod report;
mod tune;
mod two_tower;

use rayon::prelude::*;

pub use baselines::{BaselineParams, ItemKnn, ItemKnnParams, OwnCounts, POPULARITY_WINDOW_MS, Popularity, baselines};
pub use protocol::{Case, Mode, TimeSplit};
pub use report::{Report, Row};
pub use tune::{Trial, VALIDATION_WINDOW_MS, tune, tune_baselines, validation_split};
pub use two_tower::TwoTower;

use crate::data::Dataset;
use crate::factors::progress;
use crate::metrics::{RecallNorm, coverage, gini, heldout_recall_at_k, ndcg_at_k};

/// Length of the lists of R@20, NDCG@20, coverage and Gini.
pub const SHORT_LIST: usize = 20;

/// Length of the lists of R@100.
pub const LONG_LIST: usize = 100;

/// Something that recommends.
pub trait Scorer: Sync {
    /// As the report calls it.
    fn name(&self) -> &str;

    /// Scores all items of the data set for one user, as of [`Dataset::test_from_ms`]; larger is better.
    ///
    /// `scores` has one place per item and holds negative infinity everywhere: a place left alone is never recommended. The
    /// scores must not be NaN and must be the same on every call.
    fn score(&self, user: u32, scores: &mut [f32]);
}

/// What keeps an evaluation from giving figures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The test window holds no user and item that training has seen.
    #[error(
        "the test window has no event of a user and an item with training events ({cold_users} users have none); \
         move split.test_from into the time that the events cover"
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

/// Evaluates `scorers` on the time split of `dataset`, one row per scorer and mode.
///
/// # Errors
/// [`EvaluateError::NoCases`] if there is nobody to recommend to, [`EvaluateError::NotANumber`] if a scorer gives a NaN.
pub fn evaluate(dataset: &Dataset, scorers: &[&dyn Scorer]) -> Result<Report, EvaluateError> {
    let split = TimeSplit::of(dataset);
    let cases = split.cases(Mode::Repeats);
    if cases.is_empty() {
        return Err(EvaluateError::NoCases { cold_users: split.cold_users });
    }
    let trial =
        Arena { split: &split, cases: &cases, new_only: &split.cases(Mode::NewOnly), items: dataset.items.len() };
    let mut rows = Vec::new();
    for scorer in scorers {
        rows.extend(trial.run(*scorer)?);
    }
    rows.sort_by_key(|row| row.mode);
    Ok(Report {
        test_from_ms: dataset.test_from_ms,
        candidates: split.candidates.len(),
        cold_users: split.cold_users,
        cold_items: split.cold_items,
        rows,
    })
}

/// What one list is worth.
struct Outcome {
    recall_at_20: f64,
    ndcg_at_20: f64,
    recall_at_100: f64,
    short_list: Vec<u32>,
}

impl Outcome {
    fn of(mut list: Vec<u32>, targets: &[u32]) -> Self {
        let recall_at_100 = heldout_recall_at_k(&list, targets, LONG_LIST, RecallNorm::Targets);
        list.truncate(SHORT_LIST);
        Self {
            recall_at_20: heldout_recall_at_k(&list, targets, SHORT_LIST, RecallNorm::Achievable),
            ndcg_at_20: ndcg_at_k(&list, targets, SHORT_LIST),
            recall_at_100,
            short_list: list,
        }
    }
}

/// Everything that is the same for all scorers.
struct Arena<'a> {
    split: &'a TimeSplit,
    cases: &'a [Case],
    new_only: &'a [Case],
    items: usize,
}

impl Arena<'_> {
    fn run(&self, scorer: &dyn Scorer) -> Result<[Row; 2], EvaluateError> {
        let bar = progress(scorer.name(), self.cases.len());
        let outcomes: Vec<Result<_, EvaluateError>> = self
            .cases
            .par_iter()
            .map_init(
                || (vec![0.0; self.items], Vec::new()),
                |(scores, buffer), case| {
                    bar.inc(1);
                    self.judge(scorer, case, scores, buffer)
                },
            )
            .collect();
        bar.finish_and_clear();
        let (mut repeats, mut new_only) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            let (all, new) = outcome?;
            repeats.push(all);
            new_only.extend(new);
        }
        Ok([self.summarise(scorer, Mode::NewOnly, &new_only), self.summarise(scorer, Mode::Repeats, &repeats)])
    }

    /// One user in both modes; `None` where the new-only mode drops the user.
    fn judge(
        &self,
        scorer: &dyn Scorer,
        case: &Case,
        scores: &mut [f32],
        buffer: &mut Vec<u32>,
    ) -> Result<(Outcome, Option<Outcome>), EvaluateError> {
        scores.fill(f32::NEG_INFINITY);
        scorer.score(case.user, scores);
        if let Some(item) = scores.iter().position(|score| score.is_nan()) {
            return Err(EvaluateError::NotANumber {
                scorer: scorer.name().to_owned(),
                user: case.user,
                item: item as u32,
            });
        }
        let all = Outcome::of(top(scores, &self.split.candidates, LONG_LIST, buffer), &case.targets);
        let new = self.new_only.binary_search_by_key(&case.user, |new| new.user).ok().map(|place| {
            for &item in self.split.history.row(case.user as usize).0 {
                scores[item as usize] = f32::NEG_INFINITY;
            }
            Outcome::of(top(scores, &self.split.candidates, LONG_LIST, buffer), &self.new_only[place].targets)
        });
        Ok((all, new))
    }

    fn summarise(&self, scorer: &dyn Scorer, mode: Mode, outcomes: &[Outcome]) -> Row {
        let mut frequencies = vec![0_u64; self.items];
        outcomes.iter().flat_map(|outcome| &outcome.short_list).for_each(|&item| frequencies[item as usize] += 1);
        let frequencies: Vec<u64> = self.split.candidates.iter().map(|&item| frequencies[item as usize]).collect();
        let mean = |figure: fn(&Outcome) -> f64| match outcomes.len() {
            0 => 0.0,
            users => outcomes.iter().map(figure).sum::<f64>() / users as f64,
        };
        Row {
            scorer: scorer.name().to_owned(),
            mode,
            recall_at_20: mean(|outcome| outcome.recall_at_20),
            ndcg_at_20: mean(|outcome| outcome.ndcg_at_20),
            recall_at_100: mean(|outcome| outcome.recall_at_100),
            coverage_at_20: coverage(&frequencies),
            gini_at_20: gini(&frequencies),
            users: outcomes.len(),
        }
    }
}

/// The best `k` of `candidates`, best first, equal scores by index, negative infinity left out.
fn top(scores: &[f32], candidates: &[u32], k: usize, buffer: &mut Vec<u32>) -> Vec<u32> {
    let order = |a: &u32, b: &u32| {
        let (left, right) = (scores[*a as usize], scores[*b as usize]);
        // Not `total_cmp`: it would put 0 before -0, which are equal scores.
        right.partial_cmp(&left).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b))
    };
    buffer.clear();
    buffer.extend(candidates.iter().filter(|&&item| scores[item as usize] > f32::NEG_INFINITY));
    if buffer.len() > k {
        buffer.select_nth_unstable_by(k, order);
        buffer.truncate(k);
    }
    buffer.sort_unstable_by(order);
    buffer.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert!((repeats.ndcg_at_20 - ndcg).abs() < 1e-12, "{} {ndcg}", repeats.ndcg_at_20);
        assert!((repeats.recall_at_20 - 1.0).abs() < 1e-12 && repeats.users == 2);
        assert!((repeats.coverage_at_20 - 1.0).abs() < 1e-12 && repeats.gini_at_20.abs() < 1e-12);
        // Only user 0 has a new target, item 2, and only item 2 is new.
        let new_only = report.row("fixed", Mode::NewOnly).unwrap();
        assert!((new_only.ndcg_at_20 - 1.0).abs() < 1e-12 && new_only.users == 1);
        assert!((new_only.coverage_at_20 - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn an_item_that_a_scorer_leaves_out_is_not_recommended() {
        let report = evaluate(&small(), &[&Fixed(vec![1.0, f32::NEG_INFINITY, f32::NEG_INFINITY, 2.0])]).unwrap();
        assert!(report.rows.iter().all(|row| row.recall_at_100 == 0.0 && row.ndcg_at_20 == 0.0));
    }

    #[test]
    fn equal_scores_are_ordered_by_index() {
        let candidates: Vec<u32> = (0..300).filter(|item| item % 3 != 0).collect();
        let scores: Vec<f32> = (0..300).map(|item| if item % 2 == 0 { 0.0 } else { -0.0 }).collect();
        assert_eq!(top(&scores, &candidates, 4, &mut Vec::new()), [1, 2, 4, 5]);
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let nan = evaluate(&small(), &[&Fixed(vec![0.0, 0.0, f32::NAN, 0.0])]).unwrap_err();
        assert_eq!(nan, EvaluateError::NotANumber { scorer: "fixed".to_owned(), user: 0, item: 2 });
        let late = dataset(&[(0, 0, 9, 0)], 5);
        assert_eq!(evaluate(&late, &[]).unwrap_err(), EvaluateError::NoCases { cold_users: 1 });
    }
}
