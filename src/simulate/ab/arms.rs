//! What fills the rows of a simulated test.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::data::{Dataset, Event};
use crate::evaluate::Scorer;
use crate::features::Context;
use crate::recommend::{HistoryEvent, RecommendError, Recommender, Request};
use crate::release::Release;

/// A visit that asks for a row.
pub struct Asked<'a> {
    /// The user that the shopper is modelled on, with a history up to the split.
    pub user: u32,
    /// The moment.
    pub time_ms: i64,
    /// What the shopper bought since the split, items and times.
    pub bought: &'a [(u32, i64)],
    /// Whether an item is out of stock on this day.
    pub is_out: &'a dyn Fn(u32) -> bool,
    /// Slots of the row.
    pub slots: usize,
    /// What chance depends on in this visit.
    pub seed: u64,
}

/// A product of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its place in the catalogue.
    pub item: u32,
    /// Under exploration, how probable it was in this row.
    pub propensity: Option<f64>,
    /// Whose slot exploration gave it.
    pub instead_of: Option<String>,
}

/// Something that fills rows.
pub trait Arm: Sync {
    /// The products of a row, best first.
    ///
    /// # Errors
    /// If it does not answer.
    fn row(&self, asked: &Asked<'_>) -> Result<Vec<Shown>, RecommendError>;

    /// The rules that it goes by.
    fn scenario(&self) -> Option<&str> {
        None
    }
}

/// A recommender that computes lists in a batch, as of the split: it knows neither stock nor what was bought since.
pub struct Batch<'s> {
    scorer: &'s dyn Scorer,
    items: usize,
    /// By user, when first asked for.
    rows: Vec<OnceLock<Vec<u32>>>,
}

impl<'s> Batch<'s> {
    /// The best by a scorer of this data set.
    pub fn new(dataset: &Dataset, scorer: &'s dyn Scorer) -> Self {
        let rows = dataset.users.iter().map(|_| OnceLock::new()).collect();
        Self { scorer, items: dataset.items.len(), rows }
    }

    fn best(&self, user: u32, slots: usize) -> Vec<u32> {
        let mut scores = vec![f32::NEG_INFINITY; self.items];
        self.scorer.score(user, &mut scores);
        let mut items: Vec<u32> = (0..self.items as u32).collect();
        items.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b)));
        items.truncate(slots);
        items.retain(|item| scores[*item as usize] > f32::NEG_INFINITY);
        items
    }
}

impl Arm for Batch<'_> {
    fn row(&self, asked: &Asked<'_>) -> Result<Vec<Shown>, RecommendError> {
        let items = self.rows[asked.user as usize].get_or_init(|| self.best(asked.user, asked.slots));
        Ok(items.iter().map(|&item| Shown { item, propensity: None, instead_of: None }).collect())
    }
}

/// A release, asked as a page asks it: with the history as of the visit, the shopper's clock, and without what is out of stock. Long-term vectors
/// have no part in it.
pub struct OfRelease<'d> {
    dataset: &'d Dataset,
    release: Release,
    scenario: Option<String>,
    /// Idle ones: each has working memory, and a search of its own needs one.
    recommenders: Mutex<Vec<Recommender>>,
}

impl<'d> OfRelease<'d> {
    /// Fills rows from a release by the rules of a scenario, or of the default one.
    pub fn new(dataset: &'d Dataset, release: Release, scenario: Option<String>) -> Self {
        Self { dataset, release, scenario, recommenders: Mutex::default() }
    }

    fn request(&self, asked: &Asked<'_>) -> Request {
        let past = self.dataset.query_events(asked.user);
        let known = |event: &Event| HistoryEvent {
            id: self.dataset.items[event.item as usize].id.clone(),
            event_type: self.dataset.event_types.get(usize::from(event.event_type)).cloned().unwrap_or_default(),
            at_ms: Some(event.time_ms),
        };
        let bought = asked.bought.iter().map(|(item, at)| HistoryEvent {
            id: self.dataset.items[*item as usize].id.clone(),
            event_type: "purchase".to_owned(),
            at_ms: Some(*at),
        });
        let attributes = self.dataset.attributes.iter().zip(&self.dataset.users[asked.user as usize].attributes);
        let location = past.last().and_then(|event| self.dataset.locations.get(event.location as usize)).cloned();
        let out = (0..self.dataset.items.len() as u32).filter(|item| (asked.is_out)(*item));
        Request {
            limit: asked.slots,
            history: past.iter().map(known).chain(bought).collect(),
            exclude: out.map(|item| self.dataset.items[item as usize].id.clone()).collect(),
            scenario: self.scenario.clone(),
            seed: asked.seed,
            context: Context {
                now_ms: Some(asked.time_ms),
                as_of_ms: None,
                location,
                attributes: attributes.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect(),
                user: None,
            },
            ..Request::default()
        }
    }
}

impl Arm for OfRelease<'_> {
    fn row(&self, asked: &Asked<'_>) -> Result<Vec<Shown>, RecommendError> {
        let idle = || self.recommenders.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut recommender = kept.unwrap_or_else(|| Recommender::of(&self.release));
        let found = recommender.recommend(&self.request(asked))?;
        idle().push(recommender);
        // What the release has and the data set has not has no truth.
        let shown = found.into_iter().filter_map(|candidate| {
            let item = self.dataset.items.binary_search_by(|item| item.id.cmp(&candidate.id)).ok()?;
            let propensity = candidate.propensity.map(f64::from);
            Some(Shown { item: item as u32, propensity, instead_of: candidate.instead_of })
        });
        Ok(shown.collect())
    }

    fn scenario(&self) -> Option<&str> {
        self.scenario.as_deref()
    }
}
