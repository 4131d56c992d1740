//! The one type that browser, worker and origin all use: [`Recommender`].
//!
//! A recommendation has three stages: [`Recommender::embed`] looks the history up in the shards and runs the query tower,
//! [`Recommender::retrieve`] searches the shards, [`rank::best`] orders what they found. [`Recommender::recommend`] does all
//! of it; who wants to time the stages calls them one by one. The same release and request give the same list everywhere.

use std::collections::HashSet;
use std::sync::Arc;

use crate::features::Context;
use crate::index::{self, NodeId};
use crate::rank::{self, Candidate};
use crate::release::Release;
use crate::shard::{Shard, Verified};
use crate::towers::{self, QueryTower, TowerError};

/// Most items that one request may ask for.
pub const MAX_LIMIT: usize = 1000;

/// Candidates that retrieval finds for the second stage, at least.
pub const RETRIEVED: usize = 100;

/// An error of a recommendation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecommendError {
    /// A limit out of range.
    #[error("limit is {found}, expected 1 to {MAX_LIMIT}; ask for fewer items")]
    Limit {
        /// What was asked for.
        found: usize,
    },
    /// The query tower failed.
    #[error(transparent)]
    Tower(#[from] TowerError),
}

impl RecommendError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "request/limit",
            Self::Tower(_) => "towers/query",
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// How many items, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// Ids of the items of the shopper's events, oldest first, one entry per event. Unknown ids are passed over.
    pub history: Vec<String>,
    /// Ids of items that must not be recommended.
    pub exclude: HashSet<String>,
    /// The moment and the shopper.
    pub context: Context,
}

/// A request as the query tower sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The query embedding, `[dim]`.
    pub embedding: Vec<f32>,
    /// Ids of the distinct items that it was computed from, the newest first.
    pub history: Vec<String>,
}

/// Query tower and shards of one release, with the working memory of searches.
#[derive(Debug)]
pub struct Recommender {
    tower: Arc<QueryTower>,
    shards: Vec<Arc<Shard<Verified>>>,
    tower_scratch: towers::Scratch,
    search_scratch: index::Scratch,
}

impl Recommender {
    /// Recommends from a release. Its tower and shards are shared, not copied.
    pub fn of(release: &Release) -> Self {
        Self {
            tower: Arc::clone(release.query_tower()),
            shards: release.shards().to_vec(),
            tower_scratch: towers::Scratch::default(),
            search_scratch: index::Scratch::default(),
        }
    }

    /// The query tower.
    pub fn tower(&self) -> &QueryTower {
        &self.tower
    }

    /// Number of candidates in all shards.
    pub fn items(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Computes the query embedding of a shopper's moment. `history` holds ids, oldest first.
    ///
    /// # Errors
    /// [`RecommendError::Tower`].
    pub fn embed(&mut self, history: &[String], context: &Context) -> Result<Query, RecommendError> {
        let schema = self.tower.schema();
        let known = history.iter().rev().filter_map(|id| self.find(id));
        let distinct = schema.history.distinct(known);
        let dim = schema.dim;
        let mut rows = vec![0.0; distinct.len() * dim];
        for (((shard, node), _), row) in distinct.iter().zip(rows.chunks_exact_mut(dim)) {
            self.shards[*shard].vector_into(*node, row);
        }
        let counted = rows.chunks_exact(dim).zip(&distinct).map(|(row, (_, count))| (row, *count));
        let vector = schema.assemble(counted, context).map_err(TowerError::from)?;
        let ids = distinct.iter().map(|((shard, node), _)| self.shards[*shard].id(*node)).collect();
        let embedding = self.tower.embed(&vector, &mut self.tower_scratch)?.to_vec();
        Ok(Query { embedding, history: ids })
    }

    fn find(&self, id: &str) -> Option<(usize, NodeId)> {
        self.shards.iter().enumerate().find_map(|(position, shard)| Some((position, shard.node_of(id)?)))
    }

    /// The candidates nearest to a query: at least `limit` of every shard that are not in `exclude`, or all there are.
    ///
    /// # Errors
    /// [`RecommendError::Limit`].
    pub fn retrieve(
        &mut self,
        query: &Query,
        limit: usize,
        exclude: &HashSet<String>,
    ) -> Result<Vec<Candidate>, RecommendError> {
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(RecommendError::Limit { found: limit });
        }
        let mut candidates = Vec::new();
        for shard in &self.shards {
            let excluded: HashSet<NodeId> = exclude.iter().filter_map(|id| shard.node_of(id)).collect();
            let passes = |node: NodeId| !excluded.contains(&node);
            let filter: Option<&dyn Fn(NodeId) -> bool> = if excluded.is_empty() { None } else { Some(&passes) };
            let count = limit.max(RETRIEVED);
            let hits = shard.search(&query.embedding, count, None, &mut self.search_scratch, filter);
            candidates.extend(hits.iter().map(|hit| Candidate { id: shard.id(hit.node), score: hit.score.0 }));
        }
        Ok(candidates)
    }

    /// All three stages.
    ///
    /// # Errors
    /// As [`Recommender::embed`] and [`Recommender::retrieve`].
    pub fn recommend(&mut self, request: &Request) -> Result<Vec<Candidate>, RecommendError> {
        let query = self.embed(&request.history, &request.context)?;
        Ok(rank::best(self.retrieve(&query, request.limit, &request.exclude)?, request.limit))
    }
}
