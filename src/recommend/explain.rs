//! Why an item is shown, or is not: what every stage decided of it, and which of the shopper's events moved its score.

use super::selection::{Asked, Selection};
use super::{Query, RecommendError, Recommender, Request, product};
use crate::rank;
use crate::release::Found;
use crate::shard::columns::ColumnFilter;

/// What every stage decided of one item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    /// Whether the release has it, and what of it is needed is held. Where not, nothing else is known.
    pub known: bool,
    /// What leaves it out: the request, or a rule for what the shopper did.
    pub excluded: Option<By>,
    /// Whose filter it does not pass.
    pub filtered: Option<By>,
    /// Whether it is out of stock.
    pub out_of_stock: bool,
    /// Its place among the candidates of retrieval, from 1, and its score.
    pub retrieved: Option<(usize, f32)>,
    /// Candidates of retrieval.
    pub candidates: usize,
    /// Its place by the ranker's objective, from 1, and the value of that.
    pub ranked: Option<(usize, f32)>,
    /// What boosts add to its relevance, or take from it.
    pub boost: f32,
    /// How often it was shown.
    pub shown: u32,
    /// Its slot, from 1.
    pub slot: Option<usize>,
    /// Whether a rule gave it that.
    pub is_pinned: bool,
    /// Ids of the events without which its score would be lower, and by how much: the largest first.
    pub because: Vec<(String, f32)>,
}

/// Who wants something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The request.
    Request,
    /// The release's rules.
    Rules,
}

impl By {
    /// The name in an answer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Rules => "rules",
        }
    }
}

impl Recommender {
    /// Says what every stage decides of an item when it answers a request, which is as it came, not yet
    /// [ruled](Recommender::ruled). `events` is how many items of the history, the newest first, are left out one by one to see what
    /// moves its score.
    ///
    /// # Errors
    /// As [`Recommender::recommend`].
    pub fn explain(&mut self, asked: &Request, id: &str, events: usize) -> Result<Explanation, RecommendError> {
        let request = self.ruled(asked.clone())?;
        let query = self.query(&request)?;
        let mut found = Explanation::default();
        let place = self.release.find(id).ok().flatten().filter(|found| self.release.shards()[found.shard].is_some());
        let Some(place) = place else { return Ok(found) };
        found.known = true;
        found.excluded =
            by(asked.exclude.iter().any(|other| other == id), request.exclude.iter().any(|other| other == id));
        let own = self.lets_pass(&asked.filter, place)?;
        found.filtered = by(!own, !self.lets_pass(&request.filter, place)?);
        found.out_of_stock = self.is_out(place);
        found.shown = asked.shown.iter().find(|(shown, _)| shown == id).map_or(0, |(_, times)| *times);
        let candidates = self.retrieve(&query, &request)?;
        found.candidates = candidates.len();
        let row = self.arrange(candidates.clone(), (&query, &request))?;
        let mut ordered = rank::best(candidates, usize::MAX);
        let at = ordered.iter().position(|candidate| candidate.id == id);
        if let Some(at) = at {
            found.retrieved = Some((at + 1, ordered[at].score));
            found.boost = self.boosted_by(&ordered[at], &request)?;
            if let Some(ranker) = self.ranker(&request) {
                self.rank(&ranker, &mut ordered, (&query, &request))?;
                let value = |candidate: &rank::Candidate| candidate.value.unwrap_or(0.0);
                let own = value(&ordered[at]);
                let better = ordered.iter().filter(|other| value(other) > own).count();
                found.ranked = Some((better + 1, own));
            }
        }
        found.slot = row.iter().position(|candidate| candidate.id == id).map(|at| at + 1);
        found.is_pinned = row.iter().any(|candidate| candidate.is_pinned && candidate.id == id);
        let without = self.without_each(&query, &request, events)?;
        found.because = self.because(&query, &without, place);
        Ok(found)
    }

    /// Whether a filter alone lets an item pass.
    fn lets_pass(&self, filter: &ColumnFilter, Found { shard: at, node }: Found) -> Result<bool, RecommendError> {
        let Some(shard) = &self.release.shards()[at] else { return Ok(false) };
        let mut selection = Selection::default();
        selection.start(filter, self.release.shards().len());
        Ok(selection.passing(Asked { at, shard, overlay: None })?.contains(node))
    }

    /// The query embeddings that a request had without one of the items of its history, of the newest ones each.
    pub(super) fn without_each(
        &mut self,
        query: &Query,
        request: &Request,
        events: usize,
    ) -> Result<Vec<(String, Vec<f32>)>, RecommendError> {
        if request.like.is_some() || request.candidates.is_some() {
            return Ok(Vec::new());
        }
        let mut without = Vec::new();
        for id in query.history.iter().take(events) {
            let mut history = request.history.clone();
            // No older item takes its place: whether that is held is chance.
            history.retain(|event| event.id != *id && query.history.contains(&event.id));
            without.push((id.clone(), self.embed(&history, &request.context)?.embedding));
        }
        Ok(without)
    }

    /// The events without which the score of an item would be lower, and by how much, the largest first.
    pub(super) fn because(&self, query: &Query, without: &[(String, Vec<f32>)], item: Found) -> Vec<(String, f32)> {
        let Some(shard) = &self.release.shards()[item.shard] else { return Vec::new() };
        let mut vector = vec![0.0; query.embedding.len()];
        shard.vector_into(item.node, &mut vector);
        let score = |embedding: &[f32]| product(&vector, embedding);
        let whole = score(&query.embedding);
        let bonus = query.bonus(item);
        let own = shard.id(item.node);
        let mut because: Vec<(String, f32)> = Vec::new();
        for (id, embedding) in without {
            // With the item itself goes what the towers add to it.
            let falls = whole - score(embedding) + if *id == own { bonus } else { 0.0 };
            if falls > 0.0 {
                // By insertion: there are a few, and a sort is more code than a client needs here.
                let at = because.iter().position(|(_, other)| *other < falls).unwrap_or(because.len());
                because.insert(at, (id.clone(), falls));
            }
        }
        because
    }

    /// For each candidate of a row the item of the history without which its score would fall most, if it falls: of the newest
    /// `events` of them.
    ///
    /// # Errors
    /// As [`Recommender::query`].
    pub fn reasons(
        &mut self,
        row: &[rank::Candidate],
        (query, request): (&Query, &Request),
        events: usize,
    ) -> Result<Vec<Option<String>>, RecommendError> {
        let without = self.without_each(query, request, events)?;
        let of = |candidate: &rank::Candidate| {
            let because = self.because(query, &without, candidate.found?);
            because.into_iter().next().map(|(id, _)| id)
        };
        Ok(row.iter().map(of).collect())
    }
}

/// Who of the two it is.
fn by(request: bool, any: bool) -> Option<By> {
    match (request, any) {
        (true, _) => Some(By::Request),
        (_, true) => Some(By::Rules),
        _ => None,
    }
}
