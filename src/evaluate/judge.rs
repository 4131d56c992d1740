//! From scores to rows: every user is scored once, and judged in every mode that asks about the user.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::interval::intervals;
use super::protocol::{Case, Group, Protocol, Split};
use super::report::{Figure, Row};
use super::{EvaluateError, LONG_LIST, SHORT_LIST, Scorer};
use crate::data::Dataset;
use crate::factors::{Interactions, progress};
use crate::metrics::{
    RecallNorm, coverage, gini, heldout_recall_at_k, hit_rate_of_rank, intra_list_diversity, ndcg_at_k, ndcg_of_rank,
    rank_with_ties, self_information,
};

/// The most that a protocol has.
const FIGURES: usize = 5;

/// What one list is worth.
struct Outcome {
    /// As [`Protocol::figures`] names them, then zeros.
    figures: [f64; FIGURES],
    novelty: f64,
    diversity: f64,
    short_list: Vec<u32>,
}

/// What the items of a list say beside being hits.
struct Catalogue {
    /// Self-information of every item.
    information: Vec<f64>,
    /// The numbers of the prefixes of every item's category path; `None` where no item has one.
    paths: Option<Vec<Vec<u32>>>,
}

impl Catalogue {
    fn of(dataset: &Dataset) -> Self {
        let by_item = Interactions::of_training(dataset).transpose();
        let users = (0..dataset.users.len() as u32).filter(|&user| !dataset.training_events(user).is_empty()).count();
        let information =
            (0..by_item.rows()).map(|item| self_information(by_item.row(item).0.len() as u64, users as u64));
        let mut numbers = HashMap::new();
        let mut number = |prefix: &[String]| {
            let next = numbers.len() as u32;
            *numbers.entry(prefix.to_vec()).or_insert(next)
        };
        let prefixes = |path: &[String]| (1..=path.len()).map(|levels| number(&path[..levels])).collect();
        let paths: Vec<Vec<u32>> = dataset.items.iter().map(|item| &item.category[..]).map(prefixes).collect();
        let paths = paths.iter().any(|path| !path.is_empty()).then_some(paths);
        Self { information: information.collect(), paths }
    }

    fn novelty(&self, list: &[u32]) -> f64 {
        list.iter().map(|&item| self.information[item as usize]).sum::<f64>() / list.len().max(1) as f64
    }

    fn diversity(&self, list: &[u32]) -> f64 {
        let Some(paths) = &self.paths else { return 0.0 };
        intra_list_diversity(&list.iter().map(|&item| &paths[item as usize][..]).collect::<Vec<_>>())
    }
}

/// A question about a user: the place of a group, and of a case in it.
type Question = (usize, usize);

/// Everything that is the same for all scorers.
pub(super) struct Arena<'a> {
    split: &'a Split,
    catalogue: Catalogue,
    /// Per user, ascending: the questions, those that mask the history last.
    users: Vec<(u32, Vec<Question>)>,
    items: usize,
}

impl<'a> Arena<'a> {
    pub(super) fn new(dataset: &Dataset, split: &'a Split) -> Self {
        let mut users: BTreeMap<u32, Vec<Question>> = BTreeMap::new();
        for (at, group) in split.groups.iter().enumerate() {
            for (place, case) in group.cases.iter().enumerate() {
                users.entry(case.user).or_default().push((at, place));
            }
        }
        for questions in users.values_mut() {
            questions.sort_by_key(|&(at, _)| split.groups[at].mode.masks_history());
        }
        Self {
            split,
            catalogue: Catalogue::of(dataset),
            users: users.into_iter().collect(),
            items: dataset.items.len(),
        }
    }

    /// One row per mode.
    pub(super) fn run(&self, scorer: &dyn Scorer) -> Result<Vec<Row>, EvaluateError> {
        let bar = progress(scorer.name(), self.users.len());
        let judged: Vec<Result<_, EvaluateError>> = self
            .users
            .par_iter()
            .map_init(
                || (vec![0.0; self.items], Vec::new()),
                |(scores, buffer), (user, questions)| {
                    bar.inc(1);
                    self.judge(scorer, *user, questions, scores, buffer)
                },
            )
            .collect();
        bar.finish_and_clear();
        let mut by_group: Vec<Vec<Outcome>> = self.split.groups.iter().map(|_| Vec::new()).collect();
        for outcomes in judged {
            outcomes?.into_iter().for_each(|(group, outcome)| by_group[group].push(outcome));
        }
        let rows = self.split.groups.iter().zip(&by_group);
        Ok(rows.map(|(group, outcomes)| self.summarise(scorer, group, outcomes)).collect())
    }

    /// All questions about one user.
    fn judge(
        &self,
        scorer: &dyn Scorer,
        user: u32,
        questions: &[Question],
        scores: &mut [f32],
        buffer: &mut Vec<u32>,
    ) -> Result<Vec<(usize, Outcome)>, EvaluateError> {
        scores.fill(f32::NEG_INFINITY);
        scorer.score(user, scores);
        if let Some(item) = scores.iter().position(|score| score.is_nan()) {
            return Err(EvaluateError::NotANumber { scorer: scorer.name().to_owned(), user, item: item as u32 });
        }
        let outcomes = questions.iter().map(|&(at, place)| {
            let group = &self.split.groups[at];
            if group.mode.masks_history() {
                for &item in self.split.had.row(user as usize).0 {
                    scores[item as usize] = f32::NEG_INFINITY;
                }
            }
            (at, self.outcome(group, &group.cases[place], scores, buffer))
        });
        Ok(outcomes.collect())
    }

    fn outcome(&self, group: &Group, case: &Case, scores: &[f32], buffer: &mut Vec<u32>) -> Outcome {
        let (figures, mut list) = match self.split.protocol {
            Protocol::Time => {
                let list = top(scores, &group.candidates, LONG_LIST, buffer);
                let recall = |k, norm| heldout_recall_at_k(&list, &case.targets, k, norm);
                let ndcg = ndcg_at_k(&list, &case.targets, SHORT_LIST);
                let (short, long) =
                    (recall(SHORT_LIST, RecallNorm::Achievable), recall(LONG_LIST, RecallNorm::Targets));
                ([short, ndcg, long, 0.0, 0.0], list)
            }
            Protocol::LeaveOneOut => {
                let target = scores[case.targets[0] as usize];
                let rank = rank_with_ties(group.candidates.iter().map(|&item| scores[item as usize]), target);
                let (hit, ndcg) = (|k| hit_rate_of_rank(rank, k), |k| ndcg_of_rank(rank, k));
                let list = top(scores, &group.candidates, SHORT_LIST, buffer);
                ([hit(5), ndcg(5), hit(10), ndcg(10), hit(100)], list)
            }
        };
        list.truncate(SHORT_LIST);
        let (novelty, diversity) = (self.catalogue.novelty(&list), self.catalogue.diversity(&list));
        Outcome { figures, novelty, diversity, short_list: list }
    }

    fn summarise(&self, scorer: &dyn Scorer, group: &Group, outcomes: &[Outcome]) -> Row {
        let mut frequencies = vec![0_u64; self.items];
        outcomes.iter().flat_map(|outcome| &outcome.short_list).for_each(|&item| frequencies[item as usize] += 1);
        let frequencies: Vec<u64> = group.candidates.iter().map(|&item| frequencies[item as usize]).collect();
        let mean = |figure: &dyn Fn(&Outcome) -> f64| match outcomes.len() {
            0 => 0.0,
            users => outcomes.iter().map(figure).sum::<f64>() / users as f64,
        };
        let intervals = intervals(&outcomes.iter().map(|outcome| outcome.figures).collect::<Vec<_>>());
        let names = self.split.protocol.figures().iter();
        let figures = names.zip(intervals).enumerate().map(|(at, (name, (low, high)))| Figure {
            name: (*name).to_owned(),
            mean: mean(&|outcome| outcome.figures[at]),
            low,
            high,
        });
        Row {
            scorer: scorer.name().to_owned(),
            mode: group.mode,
            figures: figures.collect(),
            coverage_at_20: coverage(&frequencies),
            gini_at_20: gini(&frequencies),
            novelty_at_20: mean(&|outcome| outcome.novelty),
            diversity_at_20: self.catalogue.paths.as_ref().map(|_| mean(&|outcome| outcome.diversity)),
            users: outcomes.len(),
        }
    }
}

/// The best `k` of `candidates`, best first, equal scores by index, negative infinity left out.
pub(super) fn top(scores: &[f32], candidates: &[u32], k: usize, buffer: &mut Vec<u32>) -> Vec<u32> {
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

    #[test]
    fn equal_scores_are_ordered_by_index() {
        let candidates: Vec<u32> = (0..300).filter(|item| item % 3 != 0).collect();
        let scores: Vec<f32> = (0..300).map(|item| if item % 2 == 0 { 0.0 } else { -0.0 }).collect();
        assert_eq!(top(&scores, &candidates, 4, &mut Vec::new()), [1, 2, 4, 5]);
    }
}
