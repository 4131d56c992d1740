//! Whom to recommend to, what they did afterwards, and which items stand for choice.
//!
//! **Time.** Training is all before [`Dataset::test_from_ms`], the test window all from then on. Every recommendation is asked for
//! at `test_from_ms`, from the history before it: what a user does inside the window never helps to predict the rest of it.
//! Targets are the distinct items that a user bought in the window (events of type `purchase`; where a data set has no such
//! type, all events). Candidates are the items with training events. Users and items without any training event are cold: a model
//! of the past cannot know them, so they are left out of the main figures, counted, and judged apart. "New only" asks for what a user
//! had not bought, and masks what was bought; what was only looked at is history and can be found.
//!
//! **Leave one out.** The last event of each user is the target; the history holds all before it, the validation item too, and is
//! masked; a user whose target is in it is not asked. Candidates are all items.

use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Event, Holdout};
use crate::factors::Interactions;

/// How events are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// What happened from a moment on.
    Time,
    /// The last event of each user.
    LeaveOneOut,
}

impl Protocol {
    /// The one that a data set was split for.
    pub const fn of(dataset: &Dataset) -> Self {
        match dataset.holdout {
            Holdout::Time => Self::Time,
            Holdout::LeaveOneOut { .. } => Self::LeaveOneOut,
        }
    }

    /// As commands and messages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::LeaveOneOut => "leave-one-out",
        }
    }

    /// Names of its figures, in the order of reports.
    pub const fn figures(self) -> &'static [&'static str] {
        match self {
            Self::Time => &["R@20", "NDCG@20", "R@100"],
            Self::LeaveOneOut => &["HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@100"],
        }
    }

    /// The place among [`Protocol::figures`] of the one that knobs are chosen by.
    pub const fn main_figure(self) -> usize {
        match self {
            Self::Time => 0,
            Self::LeaveOneOut => 2,
        }
    }

    /// The modes that knobs are chosen by.
    pub const fn main_modes(self) -> &'static [Mode] {
        match self {
            Self::Time => &[Mode::NewOnly, Mode::Repeats],
            Self::LeaveOneOut => &[Mode::LeaveOneOut],
        }
    }
}

/// Which question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Items of the user's history are neither candidates nor targets: discovery. Users without a target left are dropped.
    NewOnly,
    /// They are both: what the user will buy, known or not.
    Repeats,
    /// Users without training events: what a scorer gives with an empty history.
    ColdUsers,
    /// Targets are items without training events only, among all items, those of the user's history left out. The data set has such
    /// items with `catalogue.min_events = 0`.
    ColdItems,
    /// The last event of each user, history masked.
    LeaveOneOut,
}

impl Mode {
    /// As reports write it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NewOnly => "new only",
            Self::Repeats => "repeats",
            Self::ColdUsers => "cold users",
            Self::ColdItems => "cold items",
            Self::LeaveOneOut => "leave one out",
        }
    }

    /// Whether items of the user's history are no candidates.
    pub(super) const fn masks_history(self) -> bool {
        matches!(self, Self::NewOnly | Self::ColdItems | Self::LeaveOneOut)
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

/// The cases of one mode.
#[derive(Debug, Clone)]
pub struct Group {
    /// Which question they are.
    pub mode: Mode,
    /// Items that may be recommended, ascending.
    pub candidates: Vec<u32>,
    /// Users ascending.
    pub cases: Vec<Case>,
}

/// A data set as a test.
#[derive(Debug, Clone)]
pub struct Split {
    /// How events were held out.
    pub protocol: Protocol,
    /// What the users had bought when they are recommended to, users by items: what a question for new items leaves out.
    pub had: Interactions,
    /// The questions, in the order of modes.
    pub groups: Vec<Group>,
    /// Users who bought in the window and had no training event.
    pub cold_users: usize,
    /// Items that were bought in the window, by whomever, and had no training event.
    pub cold_items: usize,
}

impl Split {
    /// Splits `dataset` as its [`Dataset::holdout`] says.
    pub fn of(dataset: &Dataset) -> Self {
        match Protocol::of(dataset) {
            Protocol::Time => Self::by_time(dataset),
            Protocol::LeaveOneOut => Self::leaving_one_out(dataset),
        }
    }

    /// The cases of one mode.
    pub fn group(&self, mode: Mode) -> Option<&Group> {
        self.groups.iter().find(|group| group.mode == mode)
    }

    fn leaving_one_out(dataset: &Dataset) -> Self {
        let tested = (0..dataset.users.len() as u32).filter_map(|user| {
            let target = dataset.test_events(user).last()?;
            let seen: &[Event] = dataset.query_events(user);
            // What is masked cannot be found: a purchase that was made before is no question.
            let is_new = seen.iter().all(|event| event.item != target.item);
            (!seen.is_empty() && is_new).then(|| Case { user, targets: vec![target.item] })
        });
        let candidates = (0..dataset.items.len() as u32).collect();
        let group = Group { mode: Mode::LeaveOneOut, candidates, cases: tested.collect() };
        let had = Interactions::of_queries(dataset);
        Self { protocol: Protocol::LeaveOneOut, had, groups: vec![group], cold_users: 0, cold_items: 0 }
    }

    fn by_time(dataset: &Dataset) -> Self {
        let history = Interactions::of_training(dataset);
        let purchase = dataset.event_types.iter().position(|name| name == "purchase");
        let is_purchase = |event: &Event| purchase.is_none_or(|kind| kind == event.event_type as usize);
        let had = Interactions::of(dataset, |event| event.time_ms < dataset.test_from_ms && is_purchase(event));
        let window = Interactions::of(dataset, |event| event.time_ms >= dataset.test_from_ms && is_purchase(event));
        let (trained, bought_once) = (is_column_used(&history), is_column_used(&window));
        let (mut repeats, mut new_only, mut of_cold_users, mut of_cold_items) =
            <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
        let mut cold_users = 0;
        for user in 0..window.rows() {
            let (bought, known, had) = (window.row(user).0, history.row(user).0, had.row(user).0);
            let (old, new): (Vec<u32>, Vec<u32>) = bought.iter().copied().partition(|&item| trained[item as usize]);
            let push = |cases: &mut Vec<Case>, targets: Vec<u32>| {
                if !targets.is_empty() {
                    cases.push(Case { user: user as u32, targets });
                }
            };
            if known.is_empty() {
                cold_users += usize::from(!bought.is_empty());
                push(&mut of_cold_users, old);
            } else {
                push(&mut of_cold_items, new);
                push(&mut new_only, old.iter().copied().filter(|item| had.binary_search(item).is_err()).collect());
                push(&mut repeats, old);
            }
        }
        let candidates: Vec<u32> = (0..dataset.items.len() as u32).filter(|&item| trained[item as usize]).collect();
        let all = (0..dataset.items.len() as u32).collect();
        let cold_items = bought_once.iter().zip(&trained).filter(|&(&bought, &trained)| bought && !trained).count();
        let group = |mode, cases| Group { mode, candidates: candidates.clone(), cases };
        let mut groups = vec![group(Mode::NewOnly, new_only), group(Mode::Repeats, repeats)];
        let of_cold_items = Group { mode: Mode::ColdItems, candidates: all, cases: of_cold_items };
        let cold = [group(Mode::ColdUsers, of_cold_users), of_cold_items];
        groups.extend(cold.into_iter().filter(|group| !group.cases.is_empty()));
        Self { protocol: Protocol::Time, had, groups, cold_users, cold_items }
    }
}

/// For every item, whether any user has it.
fn is_column_used(matrix: &Interactions) -> Vec<bool> {
    let mut used = vec![false; matrix.columns()];
    (0..matrix.rows()).for_each(|row| matrix.row(row).0.iter().for_each(|&item| used[item as usize] = true));
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;

    const TEST: i64 = 100;

    fn cases(split: &Split, mode: Mode) -> Vec<Case> {
        split.group(mode).map_or_else(Vec::new, |group| group.cases.clone())
    }

    fn case(user: u32, targets: &[u32]) -> Case {
        Case { user, targets: targets.to_vec() }
    }

    #[test]
    fn keeps_known_users_and_items_and_asks_for_the_rest_apart() {
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
        let split = Split::of(&dataset(&purchases, TEST));
        assert_eq!(split.group(Mode::Repeats).unwrap().candidates, [0, 1, 2]);
        assert_eq!((split.cold_users, split.cold_items), (1, 1));
        assert_eq!(cases(&split, Mode::Repeats), [case(0, &[1, 2]), case(1, &[2])]);
        assert_eq!(cases(&split, Mode::NewOnly), [case(0, &[2])]);
        // User 2 came in the window; item 3 too, and only user 3 is known.
        assert_eq!(cases(&split, Mode::ColdUsers), [case(2, &[0])]);
        assert_eq!(cases(&split, Mode::ColdItems), [case(3, &[3])]);
        assert_eq!(split.group(Mode::ColdItems).unwrap().candidates, [0, 1, 2, 3]);
    }

    #[test]
    fn views_are_history_but_no_targets() {
        let events = [(0, 0, 1, 1), (0, 1, 2, 1), (0, 0, TEST, 0), (0, 1, TEST, 1)];
        let split = Split::of(&dataset(&events, TEST));
        assert_eq!(cases(&split, Mode::Repeats), [case(0, &[0])]);
        assert!(split.had.row(0).0.is_empty());
        assert_eq!(cases(&split, Mode::NewOnly), [case(0, &[0])]);
        assert!(split.group(Mode::ColdUsers).is_none());
    }

    #[test]
    fn without_a_purchase_type_every_event_is_a_target() {
        let mut data = dataset(&[(0, 0, 1, 1), (0, 1, 2, 1), (0, 1, TEST, 1)], TEST);
        data.event_types = vec!["play".to_owned(), "like".to_owned()];
        assert_eq!(cases(&Split::of(&data), Mode::Repeats), [case(0, &[1])]);
    }

    #[test]
    fn the_last_event_is_left_out_and_the_one_before_it_is_seen_but_not_trained() {
        // User 2 comes back for item 0, which is masked.
        let again = [(2, 0, 1, 0), (2, 3, 2, 0), (2, 0, 3, 0)];
        let events = [(0, 2, 1, 0), (0, 0, 2, 0), (0, 1, 3, 0), (1, 0, 1, 0), (1, 3, 2, 0)];
        let mut data = dataset(&[&events[..], &again].concat(), 0);
        data.hold_out(Holdout::LeaveOneOut { untrained: 2 }, 0);
        let split = Split::of(&data);
        assert_eq!(cases(&split, Mode::LeaveOneOut), [case(0, &[1])]);
        assert_eq!(split.group(Mode::LeaveOneOut).unwrap().candidates, [0, 1, 2, 3]);
        assert_eq!(split.had.row(0).0, [0, 2]);
        assert_eq!(Interactions::of_training(&data).row(0).0, [2]);
    }
}
