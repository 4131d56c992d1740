//! The one type that browser, worker and origin all use: [`Recommender`].
//!
//! A recommendation has three stages: [`Recommender::embed`] looks the history up in the shards and runs the query tower,
//! [`Recommender::retrieve`] searches the shards, [`Recommender::arrange`] orders what they found by the shop's rules. [`Recommender::recommend`] does all
//! of it; who wants to time the stages calls them one by one. The same release and request give the same list everywhere.

mod explain;
mod given;
mod ranked;
mod second;
mod selection;
mod stock;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::features::ranking::Shopper;
use crate::features::{Context, PastEvent};
use crate::index::{self, NodeId, Score};
use crate::rank::Candidate;
pub use crate::rank::RETRIEVED;
use crate::release::overlay::Overlay;
use crate::release::rules::Boost;
use crate::release::{Absent, Found, Part, Release};
use crate::shard::columns::{ColumnFilter, ColumnsError};
use crate::show;
use crate::towers::{self, QueryTower, TowerError};
pub use explain::{By, Explanation};
pub use given::MAX_GIVEN;
use selection::{Asked, Selection};

/// Most items that one request may ask for.
pub const MAX_LIMIT: usize = 1000;

/// Under a filter, clusters are visited until so many times as many candidates pass as were asked for: the best of few are
/// not the best of all.
const PASSING: usize = 4;

/// Most clusters that a filter makes a request visit, as a multiple of what it visits without one: each is fetched.
pub const MAX_WIDENING: usize = 8;

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
    /// A scenario that the release does not have.
    #[error(
        "scenario {name}: expected one of {names}; name one of the release's rules, or none",
        name = show::text(found), names = show::list(known)
    )]
    Scenario {
        /// What was named.
        found: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A filter that the columns of the release cannot answer.
    #[error(transparent)]
    Filter(#[from] ColumnsError),
}

impl RecommendError {
    /// A stable name for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "request/limit",
            Self::Scenario { .. } => "request/scenario",
            Self::Tower(_) => "towers/query",
            Self::Filter(ColumnsError::Unknown { .. }) => "request/column",
            Self::Filter(_) => "request/condition",
        }
    }
}

/// One event of a shopper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryEvent {
    /// The id of the item.
    pub id: String,
    /// What happened, as in training; unknown if empty.
    pub event_type: String,
    /// When, in milliseconds since 1970-01-01 of the shopper's local time.
    pub at_ms: Option<i64>,
}

impl From<&str> for HistoryEvent {
    /// An event of which nothing but the item is known.
    fn from(id: &str) -> Self {
        Self { id: id.to_owned(), ..Self::default() }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// How many items, 1 to [`MAX_LIMIT`].
    pub limit: usize,
    /// The shopper's events, oldest first. Those of unknown items are passed over.
    pub history: Vec<HistoryEvent>,
    /// Asks for what is like the item of this id, in place of what a shopper may like: the history then has no say.
    pub like: Option<String>,
    /// Candidates that are there already, of a list say, each once and with its score, up to [`MAX_GIVEN`], in place of what the towers find. What the release
    /// does not have is left out; history and moment then have no say.
    pub candidates: Option<Vec<(String, f32)>>,
    /// Ids of items that must not be recommended.
    pub exclude: Vec<String>,
    /// What the columns of an item must hold for it to be recommended.
    pub filter: ColumnFilter,
    /// Whose rules count; those of the scenario `default` where it names none.
    pub scenario: Option<String>,
    /// What is moved up or down beside what the scenario moves.
    pub boosts: Vec<Boost>,
    /// What the shopper did, where the history is of another: for rules.
    pub past: Vec<HistoryEvent>,
    /// How often the shopper has been shown an item since last doing something with it.
    pub shown: Vec<(String, u32)>,
    /// Whether the history is not the shopper's, so that no ranker orders by it.
    pub unranked: bool,
    /// How many items of the history, the newest first, are left out one by one to see which of them moved the score of what is shown
    /// most; 0 to give no such reasons.
    pub reasons: usize,
    /// What chance depends on where a scenario leaves something to it: one number for a visit.
    pub seed: u64,
    /// The moment and the shopper.
    pub context: Context,
}

impl Request {
    /// The items that the query is made of, the newest first.
    fn items(&self) -> impl Iterator<Item = &String> {
        let history = if self.like.is_some() || self.candidates.is_some() { &[] } else { &self.history[..] };
        self.like.iter().chain(history.iter().rev().map(|event| &event.id))
    }
}

/// A request as the query tower sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The query embedding, `[dim]`.
    pub embedding: Vec<f32>,
    /// Ids of the distinct items that it was computed from, the newest first.
    pub history: Vec<String>,
    /// Where these items are, and what is added to their scores; none where the towers add nothing.
    had: Vec<(Found, f32)>,
}

impl Query {
    /// What the towers add to the score of an item because the shopper had it.
    fn bonus(&self, item: Found) -> f32 {
        self.had.iter().find(|(of, _)| *of == item).map_or(0.0, |(_, bonus)| *bonus)
    }
}

/// One release, with the working memory of searches.
#[derive(Debug)]
pub struct Recommender {
    release: Release,
    tower_scratch: towers::Scratch,
    search_scratch: index::Scratch,
    selection: Selection,
    /// What passes the filters of boosts, by their places.
    boosted: Vec<Selection>,
    /// The shopper of a history, between retrieval and ranking.
    counted: Option<(Vec<HistoryEvent>, Shopper<Found>)>,
}

impl Recommender {
    /// Recommends from a release, which is shared, not copied.
    pub fn of(release: &Release) -> Self {
        let (tower_scratch, search_scratch, selection, boosted, counted) = Default::default();
        Self { release: release.clone(), tower_scratch, search_scratch, selection, boosted, counted }
    }

    /// Goes on with the same release after parts were added to it, or with another one.
    pub fn renew(&mut self, release: &Release) {
        let overlay = |release: &Release| release.overlay().map(Overlay::object);
        if self.release.digest() != release.digest() || overlay(&self.release) != overlay(release) {
            self.selection = Selection::default();
            self.boosted = Vec::new();
        }
        // What is held tells more or less of a history.
        self.counted = None;
        self.release = release.clone();
    }

    /// The query tower.
    pub fn tower(&self) -> &QueryTower {
        self.release.query_tower()
    }

    /// Number of candidates of the release.
    pub fn items(&self) -> usize {
        self.release.manifest().items as usize
    }

    /// What has to be fetched before this request can be answered as if everything were held: first what tells where the
    /// items of the history are and what their vectors are, and once that is there the clusters that the query visits.
    /// Nothing for a release that is held whole.
    ///
    /// # Errors
    /// [`RecommendError::Limit`], [`RecommendError::Tower`], [`RecommendError::Filter`].
    pub fn absent(&mut self, request: &Request) -> Result<Vec<Absent>, RecommendError> {
        self.start(request)?;
        let mut absent = self.absent_pins(request)?;
        if let Some(candidates) = &request.candidates {
            given::add(&mut absent, self.considered(candidates, request).1);
            return Ok(absent);
        }
        let ranked = self.ranker(request).map_or(0, |ranker| ranker.schema().history);
        let length = self.tower().schema().history.length.max(ranked);
        // Sorted: a hash table is some KB of code in a client.
        let mut distinct: Vec<&String> = Vec::new();
        let mut known = 0;
        for id in request.items() {
            let Err(place) = distinct.binary_search(&id) else { continue };
            distinct.insert(place, id);
            match self.release.find(id) {
                // Unknown items take no place in the query tower's history.
                Ok(None) => continue,
                Ok(Some(_)) => {}
                Err(parts) => given::add(&mut absent, parts),
            }
            known += 1;
            if known == length {
                break;
            }
        }
        if absent.is_empty() {
            let query = self.query(request)?;
            let visited = self.visited(&query, request)?;
            absent.extend(
                visited.into_iter().filter(|&at| self.release.shards()[at].is_none()).map(Part::Shard).map(Absent),
            );
        }
        Ok(absent)
    }

    /// What a request asks the shards for: the embedding of a shopper's moment, or that of the item that it names; nothing where
    /// its candidates are given.
    ///
    /// # Errors
    /// [`RecommendError::Tower`].
    pub fn query(&mut self, request: &Request) -> Result<Query, RecommendError> {
        let mut query = Query { embedding: vec![0.0; self.tower().schema().dim], history: Vec::new(), had: Vec::new() };
        if request.candidates.is_some() {
            return Ok(query);
        }
        let Some(id) = &request.like else { return self.embed(&request.history, &request.context) };
        if let Ok(Some(Found { shard: at, node })) = self.release.find(id)
            && let Some(shard) = &self.release.shards()[at]
        {
            shard.vector_into(node, &mut query.embedding);
            query.history.push(shard.id(node));
        }
        Ok(query)
    }

    /// Computes the query embedding of a shopper's moment. `history` is oldest first; items whose shard is not held are passed over,
    /// as unknown ones are.
    ///
    /// # Errors
    /// [`RecommendError::Tower`].
    pub fn embed(&mut self, history: &[HistoryEvent], context: &Context) -> Result<Query, RecommendError> {
        let tower = Arc::clone(self.release.query_tower());
        let (schema, moment) = (tower.schema(), context.moment());
        let known = history.iter().rev().filter_map(|event| {
            let item = self.release.find(&event.id).ok().flatten()?;
            Some(PastEvent { item, event_type: schema.history.type_mark(&event.event_type), at_ms: event.at_ms })
        });
        let distinct = schema.history.distinct(known);
        let dim = schema.dim;
        let mut rows = vec![0.0; distinct.len() * dim];
        let mut ids = Vec::with_capacity(distinct.len());
        let mut had = Vec::new();
        for (item, row) in distinct.iter().zip(rows.chunks_exact_mut(dim)) {
            // Where an item was found there is its shard.
            if let Some(shard) = &self.release.shards()[item.newest.item.shard] {
                shard.vector_into(item.newest.item.node, row);
                ids.push(shard.id(item.newest.item.node));
            }
            if schema.history.repeats.is_some() {
                had.push((item.newest.item, schema.history.bonus(item, moment)));
            }
        }
        let items = rows.chunks_exact(dim).zip(distinct.iter().copied());
        let vector = schema.assemble(items, context).map_err(TowerError::from)?;
        let embedding = tower.embed(&vector, &mut self.tower_scratch)?.to_vec();
        Ok(Query { embedding, history: ids, had })
    }

    /// Checks limit and filter of a request, and makes ready for it.
    fn start(&mut self, request: &Request) -> Result<(), RecommendError> {
        if !(1..=MAX_LIMIT).contains(&request.limit) {
            return Err(RecommendError::Limit { found: request.limit });
        }
        let manifest = self.release.manifest();
        request.filter.check(&|name| manifest.column(name), &manifest.columns)?;
        self.selection.start(&request.filter, manifest.shards.len());
        Ok(())
    }

    /// The shards that a request visits, by their places in the manifest. Under a filter, or where much is out of stock, it visits
    /// more and more clusters, until enough of what they hold passes; where one is not held, it goes no further.
    fn visited(&mut self, query: &Query, request: &Request) -> Result<Vec<usize>, RecommendError> {
        let enough = request.limit.saturating_mul(PASSING).saturating_add(request.exclude.len());
        let mut times = 1;
        loop {
            let visited = self.release.visited(&query.embedding, times, &mut self.search_scratch);
            let all = visited.len() == self.release.shards().len();
            if all || !self.asks_rows(request, &visited) || times >= MAX_WIDENING {
                return Ok(visited);
            }
            let mut passing = 0;
            for &at in &visited {
                let Some(shard) = &self.release.shards()[at] else { return Ok(visited) };
                let asked = Asked { at, shard, overlay: self.release.overlay() };
                passing += self.selection.passing(asked)?.count_ones();
            }
            if passing >= enough {
                return Ok(visited);
            }
            times *= 2;
        }
    }

    /// The candidates nearest to a query that a request lets pass: at least its limit of every shard that it visits and that is
    /// held, or all there are.
    ///
    /// # Errors
    /// [`RecommendError::Limit`], [`RecommendError::Filter`].
    pub fn retrieve(&mut self, query: &Query, request: &Request) -> Result<Vec<Candidate>, RecommendError> {
        self.start(request)?;
        if let Some(given) = &request.candidates {
            return self.passing(given, request);
        }
        let mut found: Vec<(Score, usize, NodeId)> = Vec::new();
        if request.like.is_some() && query.history.is_empty() {
            // Nothing is known of that item, so nothing is like it.
            return Ok(Vec::new());
        }
        let wanted = self.wanted(request);
        for at in self.visited(query, request)? {
            let Some(shard) = &self.release.shards()[at] else { continue };
            let rows = self.selection.rows(Asked { at, shard, overlay: self.release.overlay() }, &request.exclude)?;
            let hits = shard.search(&query.embedding, wanted, None, &mut self.search_scratch, rows.as_deref());
            found.extend(hits.iter().map(|hit| (hit.score, at, hit.node)));
        }
        self.add_had(query, request, &mut found)?;
        // What is not among the best of all shards is not worth reading its id; equal scores are ordered by id later.
        if found.len() > wanted {
            let last = Score(index::nth_best(found.iter().map(|(score, ..)| score.0), wanted - 1));
            found.retain(|(score, ..)| *score >= last);
        }
        self.add_own(query, request, &mut found)?;
        let candidate = |(score, at, node): (Score, usize, NodeId)| {
            let id = self.release.shards()[at].as_ref().map(|shard| shard.id(node)).unwrap_or_default();
            Candidate { id, score: score.0, found: Some(Found { shard: at, node }), ..Candidate::default() }
        };
        Ok(found.into_iter().map(candidate).collect())
    }

    /// Adds what the shopper has had, and what the towers add to its scores.
    fn add_had(
        &mut self,
        query: &Query,
        request: &Request,
        found: &mut Vec<(Score, usize, NodeId)>,
    ) -> Result<(), RecommendError> {
        for &(item @ Found { shard: at, node }, bonus) in &query.had {
            if let Some((score, ..)) = found.iter_mut().find(|(_, of, row)| (*of, *row) == (at, node)) {
                score.0 += bonus;
                continue;
            }
            self.add_item(query, request, (item, bonus), found)?;
        }
        Ok(())
    }

    /// Adds an item that the search did not find, if a request lets it pass and its shard is held.
    fn add_item(
        &mut self,
        query: &Query,
        request: &Request,
        (Found { shard: at, node }, bonus): (Found, f32),
        found: &mut Vec<(Score, usize, NodeId)>,
    ) -> Result<(), RecommendError> {
        let Some(shard) = &self.release.shards()[at] else { return Ok(()) };
        let rows = self.selection.rows(Asked { at, shard, overlay: self.release.overlay() }, &request.exclude)?;
        if rows.is_none_or(|rows| rows.contains(node)) {
            let mut vector = vec![0.0; query.embedding.len()];
            shard.vector_into(node, &mut vector);
            found.push((Score(product(&vector, &query.embedding) + bonus), at, node));
        }
        Ok(())
    }

    /// All stages, by the rules of the release.
    ///
    /// # Errors
    /// As [`Recommender::ruled`], [`Recommender::embed`] and [`Recommender::retrieve`].
    pub fn recommend(&mut self, request: &Request) -> Result<Vec<Candidate>, RecommendError> {
        let request = self.ruled(request.clone())?;
        let query = self.query(&request)?;
        let candidates = self.retrieve(&query, &request)?;
        self.arrange(candidates, (&query, &request))
    }
}

/// The inner product, summed in order: what it is of codes that were read differs in no bit between builds.
fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}
