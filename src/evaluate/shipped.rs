//! A release as clients use it, as a [`Scorer`]: coded vectors, cells or clusters, and its own number of probes.

use std::path::Path;
use std::sync::Mutex;

use super::two_tower::{context_of, long_term_of};
use super::{LONG_LIST, SHORT_LIST, Scorer};
use crate::data::{Dataset, Event};
use crate::features::Context;
use crate::recommend::{HistoryEvent, MAX_LIMIT, Recommender, Request};
use crate::release::{self, Release, ReleaseError};
use crate::towers::candidate::Towers;

/// Recommends from the shards of a release.
pub struct Shipped<'d> {
    dataset: &'d Dataset,
    release: Release,
    name: String,
    scenario: Option<String>,
    /// By user; nothing where the query tower reads none.
    long_term: Vec<Option<Vec<f32>>>,
    /// Idle ones: each has working memory, and a search of its own needs one.
    recommenders: Mutex<Vec<Recommender>>,
}

impl<'d> Shipped<'d> {
    /// As reports call it.
    pub const NAME: &'static str = "nearshelf, as shipped";

    /// Opens the release in a folder; `towers` are what it was built with, and make the users' long-term vectors.
    ///
    /// # Errors
    /// The first thing that is wrong with the release; [`ReleaseError::Segment`] for one by column, which has lists for each of its
    /// values and none for all items.
    pub fn open(dataset: &'d Dataset, towers: &Towers, folder: &Path) -> Result<Self, ReleaseError> {
        let release = release::open(folder)?;
        release.manifest().check_segment(None)?;
        let long_term = (0..dataset.users.len() as u32).map(|user| long_term_of(dataset, towers, user)).collect();
        let recommenders = Mutex::default();
        Ok(Self { dataset, release, name: Self::NAME.to_owned(), scenario: None, long_term, recommenders })
    }

    /// The same by the rules of a scenario: rows of [`SHORT_LIST`], as pages show them, since rules depend on how many are shown. What a
    /// mode leaves out of such a row is not made up for.
    pub fn in_scenario(self, scenario: &str) -> Self {
        Self { name: format!("{}, {scenario}", Self::NAME), scenario: Some(scenario.to_owned()), ..self }
    }

    /// Lists as long as the longest that is judged, and by as much longer as the history, which some modes leave out.
    fn request(&self, user: u32) -> Request {
        let events = self.dataset.query_events(user);
        let event = |event: &Event| HistoryEvent {
            id: self.dataset.items[event.item as usize].id.clone(),
            event_type: self.dataset.event_types.get(usize::from(event.event_type)).cloned().unwrap_or_default(),
            at_ms: Some(event.time_ms),
        };
        let history: Vec<HistoryEvent> = events.iter().map(event).collect();
        let distinct = events.iter().map(|event| event.item).collect::<std::collections::HashSet<_>>().len();
        let context = Context { user: self.long_term[user as usize].clone(), ..context_of(self.dataset, user) };
        let limit = if self.scenario.is_some() { SHORT_LIST } else { (LONG_LIST + distinct).min(MAX_LIMIT) };
        Request { limit, history, context, scenario: self.scenario.clone(), ..Request::default() }
    }
}

impl Scorer for Shipped<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        let idle = || self.recommenders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let kept = idle().pop();
        let mut recommender = kept.unwrap_or_else(|| Recommender::of(&self.release));
        match recommender.recommend(&self.request(user)) {
            Ok(list) => {
                // By place: rankers and rules put a row into another order than that of the scores.
                for (place, candidate) in list.into_iter().enumerate() {
                    let known = self.dataset.items.binary_search_by(|item| item.id.cmp(&candidate.id));
                    // What the release has and the data set has not can be no target.
                    if let Ok(item) = known {
                        scores[item] = -(place as f32);
                    }
                }
            }
            // The evaluation reports it as a score that is no number.
            Err(_) => scores.fill(f32::NAN),
        }
        idle().push(recommender);
    }
}
