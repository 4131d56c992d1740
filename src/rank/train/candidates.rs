//! What a ranker will rank: the candidates of retrieval as of a split, with what shoppers did afterwards.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::catalogue::Names;
use super::inputs::{History, Inputs, Row};
use super::{RankerError, Retrieval};
use crate::data::config::RankerConfig;
use crate::data::{Dataset, Holdout, Task};
use crate::features::ranking::{ItemFacts, Retrieved};
use crate::rank::RETRIEVED;

/// Share of the shoppers that a ranker is trained with.
const TRAINED: f64 = 0.8;

/// The candidates of a user: the best of retrieval and some of what the user had, by falling score, equal ones in order of items.
pub fn candidates(scores: &[f32], own: &[u32]) -> Vec<(u32, f32)> {
    let mut items: Vec<u32> =
        (0..scores.len() as u32).filter(|item| scores[*item as usize] > f32::NEG_INFINITY).collect();
    let by_score = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    if items.len() > RETRIEVED {
        items.select_nth_unstable_by(RETRIEVED - 1, by_score);
        items.truncate(RETRIEVED);
    }
    items.extend(own);
    items.sort_unstable_by(by_score);
    items.dedup();
    items.into_iter().map(|item| (item, scores[item as usize])).collect()
}

/// The candidates of all who came back after the split, each with what became of it; first those of the shoppers that are trained with.
pub(super) fn rows(
    dataset: &Dataset,
    facts: &[ItemFacts],
    retrieval: &Retrieval<'_>,
    config: &RankerConfig,
) -> Result<(Vec<Row>, usize), RankerError> {
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let mut users: Vec<(bool, u32)> =
        (0..dataset.users.len() as u32).map(|user| (!rng.random_bool(TRAINED), user)).collect();
    users.retain(|(_, user)| !dataset.test_events(*user).is_empty() && !dataset.query_events(*user).is_empty());
    users.sort_unstable();
    let task =
        |event_type: u16| dataset.event_types.get(usize::from(event_type)).map_or(Task::Purchase, |name| task(name));
    let of_user = |&(_, user): &(bool, u32)| {
        let mut scores = vec![0.0; dataset.items.len()];
        (retrieval.scores)(user, &mut scores);
        let asked = match dataset.holdout {
            Holdout::Time => dataset.test_from_ms,
            Holdout::LeaveOneOut { .. } => dataset.test_events(user).first().map_or(0, |event| event.time_ms),
        };
        let time_ms = asked.max(dataset.query_events(user).last().map_or(0, |event| event.time_ms + 1));
        let mut counted = History::of(dataset, facts, config.history);
        let own = counted.until(Some(user), time_ms).own(config.own);
        let row = |(place, (item, score)): (u32, (u32, f32))| {
            let after = dataset.test_events(user).iter().filter(|event| event.item == item);
            let furthest = after.map(|event| task(event.event_type)).max();
            Row { user: Some(user), item, time_ms, retrieved: Retrieved { score, place }, slot: 0, furthest }
        };
        (0..).zip(candidates(&scores, &own)).map(row).collect::<Vec<Row>>()
    };
    let of_users: Vec<Vec<Row>> = users.par_iter().map(of_user).collect();
    let trained =
        of_users.iter().zip(&users).filter(|(_, (is_judged, _))| !is_judged).map(|(rows, _)| rows.len()).sum();
    let rows = of_users.concat();
    if trained == 0 || trained == rows.len() {
        return Err(RankerError::Shoppers { found: users.len() });
    }
    Ok((rows, trained))
}

/// The step of the funnel that a type of event is; those without a known one are purchases.
fn task(name: &str) -> Task {
    match name {
        "view" | "click" => Task::Click,
        "cart" => Task::Cart,
        _ => Task::Purchase,
    }
}

/// Those tasks among `wanted` that the events of a data set tell apart.
pub(super) fn known(dataset: &Dataset, wanted: Vec<Task>) -> Vec<Task> {
    let known: Vec<Task> = dataset.event_types.iter().map(|name| task(name)).collect();
    let is_known = |wanted: &Task| known.contains(wanted) || known.is_empty() && *wanted == Task::Purchase;
    wanted.into_iter().filter(is_known).collect()
}

/// [`Inputs`] of the candidates of a split.
pub(super) fn inputs<'d>(
    dataset: &Dataset,
    names: &Names,
    retrieval: Retrieval<'d>,
    config: &RankerConfig,
) -> Result<Inputs<'d>, RankerError> {
    let facts = names.facts(dataset);
    let (rows, trained) = rows(dataset, &facts, &retrieval, config)?;
    Ok(Inputs::of_rows(&rows, trained, dataset, (names, Some(retrieval)), config.history))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shopper_had_is_a_candidate_once() {
        let mut scores: Vec<f32> = (0..300).map(|item| -(item as f32)).collect();
        scores[7] = f32::NEG_INFINITY;
        let found = candidates(&scores, &[250, 3]);
        assert_eq!(found.len(), RETRIEVED + 1);
        assert_eq!((found[0], found[99], found[100]), ((0, 0.0), (100, -100.0), (250, -250.0)));
        assert!(found.iter().all(|(item, _)| *item != 7));
    }
}
