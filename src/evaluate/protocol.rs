//! The time split: whom to recommend to, what they did afterwards, and which items stand for choice.
//!
//! Training is all before [`Dataset::test_from_ms`], the test window all from then on. Every recommendation is asked for at
//! `test_from_ms`, from the history before it: what a user does inside the window never helps to predict the rest of it.
//!
//! Targets are the distinct items that a user bought in the window (events of type `purchase`; where a data set has no such
//! type, all events). Candidates are the items with training events. Users and items without any training event cannot be
//! judged by a model of the past: they are left out and counted as cold.

use serde::{Deserialize, Serialize};

use crate::data::Dataset;
use crate::factors::Interactions;

/// Whether items that the user has in the history count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Items of the user's history are neither candidates nor targets: discovery. Users without a target left are dropped.
    NewOnly,
    /// They are both: what the user will buy, known or not.
    Repeats,
}

impl Mode {
    /// Both, in the order of reports.
    pub const ALL: [Self; 2] = [Self::NewOnly, Self::Repeats];

    /// As reports write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NewOnly => "new only",
            Self::Repeats => "repeats",
        }
    }
}

/// One user of the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Index into [`Dataset::users`].
    pub user: u32,
    /// Distinct items, ascending; never empty.
    pub targets: Vec<u32>,
}

/// A data set cut in time.
#[derive(Debug, Clone)]
pub struct TimeSplit {
    /// Training events, users by items.
    pub history: Interactions,
    /// Items with training events, ascending.
    pub candidates: Vec<u32>,
    /// Users who bought in the window and had no training event.
    pub cold_users: usize,
    /// Items that were bought in the window, by whomever, and had no training event.
    pub cold_items: usize,
    /// The cases of [`Mode::Repeats`].
    cases: Vec<Case>,
}

impl TimeSplit {
    /// Cuts `dataset` at its [`Dataset::test_from_ms`].
    pub fn of(dataset: &Dataset) -> Self {
        let history = Interactions::of_training(dataset);
        let purchase = dataset.event_types.iter().position(|name| name == "purchase");
        let window = Interactions::of(dataset, |event| {
            event.time_ms >= dataset.test_from_ms && purchase.is_none_or(|kind| kind == event.event_type as usize)
        });
        let mut trained = vec![false; dataset.items.len()];
        for user in 0..history.rows() {
            history.row(user).0.iter().for_each(|&item| trained[item as usize] = true);
        }
        let mut bought_once = vec![false; dataset.items.len()];
        let (mut cases, mut cold_users) = (Vec::new(), 0);
        for user in 0..window.rows() {
            let (bought, _) = window.row(user);
            if bought.is_empty() {
                continue;
            }
            bought.iter().for_each(|&item| bought_once[item as usize] = true);
            if history.row(user).0.is_empty() {
                cold_users += 1;
                continue;
            }
            let targets: Vec<u32> = bought.iter().copied().filter(|&item| trained[item as usize]).collect();
            if !targets.is_empty() {
                cases.push(Case { user: user as u32, targets });
            }
        }
        let candidates = (0..dataset.items.len() as u32).filter(|&item| trained[item as usize]).collect();
        let cold_items = bought_once.iter().zip(&trained).filter(|&(&bought, &trained)| bought && !trained).count();
        Self { history, candidates, cold_users, cold_items, cases }
    }

    /// The cases of one mode, users ascending.
    pub fn cases(&self, mode: Mode) -> Vec<Case> {
        match mode {
            Mode::Repeats => self.cases.clone(),
            Mode::NewOnly => self
                .cases
                .iter()
                .map(|case| Case { user: case.user, targets: self.new_targets(case) })
                .filter(|case| !case.targets.is_empty())
                .collect(),
        }
    }

    /// The targets that are not in the user's history.
    fn new_targets(&self, case: &Case) -> Vec<u32> {
        let (known, _) = self.history.row(case.user as usize);
        case.targets.iter().copied().filter(|item| known.binary_search(item).is_err()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    const TEST: i64 = 100;

    #[test]
    fn keeps_known_users_and_items_and_counts_the_rest() {
        let purchases = [
            (0, 0, 1, 0),
            (0, 1, 99, 0),
            (0, 1, TEST, 0),
            (0, 2, 150, 0),
            (0, 2, 160, 0),
            (1, 2, 50, 0),
            (1, 2, 120, 0),
            (2, 0, 110, 0),
            (2, 3, 111, 0),
            (3, 0, 5, 0),
            (3, 3, 130, 0),
        ];
        let split = TimeSplit::of(&dataset(&purchases, TEST));
        assert_eq!(split.candidates, [0, 1, 2]);
        assert_eq!((split.cold_users, split.cold_items), (1, 1));
        let case = |user, targets: &[u32]| Case { user, targets: targets.to_vec() };
        assert_eq!(split.cases(Mode::Repeats), [case(0, &[1, 2]), case(1, &[2])]);
        assert_eq!(split.cases(Mode::NewOnly), [case(0, &[2])]);
    }

    #[test]
    fn views_are_history_but_no_targets() {
        let events = [(0, 0, 1, 1), (0, 1, 2, 1), (0, 0, TEST, 0), (0, 1, TEST, 1)];
        let split = TimeSplit::of(&dataset(&events, TEST));
        assert_eq!(split.cases(Mode::Repeats), [Case { user: 0, targets: vec![0] }]);
        assert_eq!(split.history.row(0).0, [0, 1]);
        assert!(split.cases(Mode::NewOnly).is_empty());
    }

    #[test]
    fn without_a_purchase_type_every_event_is_a_target() {
        let mut data = dataset(&[(0, 0, 1, 1), (0, 1, 2, 1), (0, 1, TEST, 1)], TEST);
        data.event_types = vec!["play".to_owned(), "like".to_owned()];
        assert_eq!(TimeSplit::of(&data).cases(Mode::Repeats), [Case { user: 0, targets: vec![1] }]);
    }
}
