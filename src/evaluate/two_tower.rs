//! The trained towers as a [`Scorer`]: exact inner products in single precision, before coding and graph.

use std::cell::RefCell;

use super::Scorer;
use crate::data::{Dataset, Event};
use crate::features::Context;
use crate::kernels::gemv_f32;
use crate::towers::candidate::Towers;
use crate::towers::train::context;
use crate::towers::{QueryTower, Scratch, TowerError};

/// Scores every item by the inner product of its candidate embedding with the user's query embedding as of the split.
pub struct TwoTower<'d> {
    dataset: &'d Dataset,
    query: QueryTower,
    /// `[items, dim]`.
    embeddings: Vec<f32>,
}

/// What is known of a user who is recommended to. Nobody shops at the moment of the split: hour and weekday are unknown.
pub(super) fn context_of(dataset: &Dataset, user: u32) -> Context {
    let nowhere = Event { user, item: 0, time_ms: 0, location: u32::MAX, event_type: 0, quantity: 0.0, basket: 0 };
    let last = dataset.query_events(user).last().unwrap_or(&nowhere);
    Context { now_ms: None, ..context(dataset, user, last) }
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
        Ok(Self { dataset, query: towers.query.clone(), embeddings })
    }

    /// Length of all embeddings.
    pub fn dim(&self) -> usize {
        self.query.schema().dim
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

    /// The query embedding of a user as of the test, `[dim]`: from the [query events](Dataset::query_events), be it none.
    ///
    /// # Errors
    /// [`TowerError::Input`] if the query tower was trained on other data.
    pub fn query(&self, user: u32, scratch: &mut Scratch) -> Result<Vec<f32>, TowerError> {
        let events = self.dataset.query_events(user);
        let schema = self.query.schema();
        let history = schema.history.distinct(events.iter().rev().map(|event| event.item as usize));
        let rows = history.iter().map(|(item, count)| (&self.embeddings[item * schema.dim..][..schema.dim], *count));
        let vector = schema.assemble(rows, &context_of(self.dataset, user))?;
        self.query.embed(&vector, scratch).map(<[f32]>::to_vec)
    }
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
            Ok(query) => gemv_f32(&self.embeddings, &query, scores),
            // The evaluation reports it as a score that is no number.
            Err(_) => scores.fill(f32::NAN),
        }
    }
}
