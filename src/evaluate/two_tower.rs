//! The trained towers as a [`Scorer`]: exact inner products in single precision, before coding and graph.

use std::cell::RefCell;

use super::Scorer;
use crate::Digest;
use crate::data::{Dataset, Event, Holdout};
use crate::features::{Context, PastItem};
use crate::kernels::gemv_f32;
use crate::towers::candidate::Towers;
use crate::towers::train::{context, past_event};
use crate::towers::{QueryTower, Scratch, TowerError};

/// Scores every item by the inner product of its candidate embedding with the user's query embedding as of the split.
pub struct TwoTower<'d> {
    dataset: &'d Dataset,
    query: QueryTower,
    /// `[items, dim]`.
    embeddings: Vec<f32>,
    /// By user; nothing where the query tower reads none.
    long_term: Vec<Option<Vec<f32>>>,
}

/// What is known of a user who is recommended to. Nobody shops at the moment of the split: hour and weekday are unknown, ages of
/// events are not. Where an event is left out, its own moment is the one.
pub(super) fn context_of(dataset: &Dataset, user: u32) -> Context {
    let nowhere = Event {
        user,
        item: 0,
        time_ms: 0,
        location: u32::MAX,
        device: u16::MAX,
        event_type: 0,
        quantity: 0.0,
        basket: 0,
    };
    let last = dataset.query_events(user).last().unwrap_or(&nowhere);
    let as_of_ms = match dataset.holdout {
        Holdout::Time => Some(dataset.test_from_ms),
        Holdout::LeaveOneOut { .. } => dataset.test_events(user).first().map(|event| event.time_ms),
    };
    Context { now_ms: None, as_of_ms, ..context(dataset, user, last) }
}

impl<'d> TwoTower<'d> {
    /// As reports call it.
    pub const NAME: &'static str = "nearshelf";

    /// Embeds the catalogue.
    ///
    /// # Errors
    /// [`TowerError::Input`] if the towers were trained on another catalogue.
    pub fn new(dataset: &'d Dataset, towers: &Towers) -> Result<Self, TowerError> {
        let embeddings = towers.embed(&dataset.items)?;
        let long_term = (0..dataset.users.len() as u32).map(|user| long_term_of(dataset, towers, user)).collect();
        Ok(Self { dataset, query: towers.query.clone(), embeddings, long_term })
    }

    /// Length of all embeddings.
    pub fn dim(&self) -> usize {
        self.query.schema().dim
    }

    /// Which towers these are.
    pub fn towers(&self) -> Digest {
        self.query.towers()
    }

    /// Candidate embeddings, `[items, dim]`.
    pub fn embeddings(&self) -> &[f32] {
        &self.embeddings
    }

    /// The query embeddings of all users with events to ask from, `[users, dim]`.
    ///
    /// # Errors
    /// As [`TwoTower::query`].
    pub fn queries(&self) -> Result<Vec<f32>, TowerError> {
        let mut scratch = Scratch::default();
        let mut queries = Vec::new();
        for user in 0..self.dataset.users.len() as u32 {
            if !self.dataset.query_events(user).is_empty() {
                queries.extend(self.query(user, &mut scratch)?);
            }
        }
        Ok(queries)
    }

    /// The query embeddings of all users, `[users, dim]`.
    ///
    /// # Errors
    /// As [`TwoTower::query`].
    pub fn all_queries(&self) -> Result<Vec<f32>, TowerError> {
        let mut scratch = Scratch::default();
        let mut queries = Vec::new();
        for user in 0..self.dataset.users.len() as u32 {
            queries.extend(self.query(user, &mut scratch)?);
        }
        Ok(queries)
    }

    /// The query embedding of a user as of the test, `[dim]`: from the [query events](Dataset::query_events), be it none.
    ///
    /// # Errors
    /// [`TowerError::Input`] if the query tower was trained on other data.
    pub fn query(&self, user: u32, scratch: &mut Scratch) -> Result<Vec<f32>, TowerError> {
        let schema = self.query.schema();
        let history = self.history(user);
        let rows = history
            .iter()
            .map(|item| (&self.embeddings[item.newest.item as usize * schema.dim..][..schema.dim], *item));
        let context = Context { user: self.long_term[user as usize].clone(), ..context_of(self.dataset, user) };
        let vector = schema.assemble(rows, &context)?;
        self.query.embed(&vector, scratch).map(<[f32]>::to_vec)
    }

    fn history(&self, user: u32) -> Vec<PastItem<u32>> {
        let (events, schema) = (self.dataset.query_events(user), self.query.schema());
        schema.history.distinct(events.iter().rev().map(|event| past_event(schema, event)))
    }
}

/// The long-term vector of a user as of the test.
pub(super) fn long_term_of(dataset: &Dataset, towers: &Towers, user: u32) -> Option<Vec<f32>> {
    let events = dataset.query_events(user).iter();
    towers.user_vector(events.map(|event| dataset.items[event.item as usize].id.as_str()))
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scorer for TwoTower<'_> {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        match SCRATCH.with_borrow_mut(|scratch| self.query(user, scratch)) {
            Ok(query) => {
                gemv_f32(&self.embeddings, &query, scores);
                let moment = context_of(self.dataset, user).moment();
                for item in self.history(user) {
                    scores[item.newest.item as usize] += self.query.schema().history.bonus(&item, moment);
                }
            }
            // The evaluation reports it as a score that is no number.
            Err(_) => scores.fill(f32::NAN),
        }
    }
}
