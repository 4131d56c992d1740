//! The trained towers as a [`Scorer`]: exact inner products in single precision, before coding and graph.

use std::cell::RefCell;

use super::Scorer;
use crate::data::Dataset;
use crate::features::Context;
use crate::kernels::gemv_f32;
use crate::towers::candidate::Towers;
use crate::towers::train::{context, training_events};
use crate::towers::{QueryTower, Scratch, TowerError};

/// As reports call it.
const NAME: &str = "nearshelf";

/// Scores every item by the inner product of its candidate embedding with the user's query embedding as of the split.
pub struct TwoTower<'d> {
    dataset: &'d Dataset,
    query: QueryTower,
    /// `[items, dim]`.
    embeddings: Vec<f32>,
}

impl<'d> TwoTower<'d> {
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

    /// The query embeddings of all users with training events, `[users, dim]`.
    ///
    /// # Errors
    /// As [`TwoTower::query`].
    pub fn queries(&self) -> Result<Vec<f32>, TowerError> {
        let mut scratch = Scratch::default();
        let mut queries = Vec::new();
        for user in 0..self.dataset.users.len() as u32 {
            queries.extend(self.query(user, &mut scratch)?.unwrap_or_default());
        }
        Ok(queries)
    }

    /// The query embedding of a user at the end of the training events, `[dim]`; `None` without such events.
    ///
    /// # Errors
    /// [`TowerError::Input`] if the query tower was trained on other data.
    pub fn query(&self, user: u32, scratch: &mut Scratch) -> Result<Option<Vec<f32>>, TowerError> {
        let events = training_events(self.dataset, user);
        let Some(last) = events.last() else { return Ok(None) };
        let schema = self.query.schema();
        let history = schema.history.distinct(events.iter().rev().map(|event| event.item as usize));
        let rows = history.iter().map(|(item, count)| (&self.embeddings[item * schema.dim..][..schema.dim], *count));
        // Nobody shops at the moment of the split: hour and weekday are unknown.
        let context = Context { now_ms: None, ..context(self.dataset, user, last) };
        let vector = schema.assemble(rows, &context)?;
        self.query.embed(&vector, scratch).map(|embedding| Some(embedding.to_vec()))
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scorer for TwoTower<'_> {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, user: u32, scores: &mut [f32]) {
        match SCRATCH.with_borrow_mut(|scratch| self.query(user, scratch)) {
            Ok(Some(query)) => gemv_f32(&self.embeddings, &query, scores),
            Ok(None) => {}
            // The evaluation reports it as a score that is no number.
            Err(_) => scores.fill(f32::NAN),
        }
    }
}
