//! What the ranker makes of what was found.

use std::sync::Arc;

use super::{Query, RecommendError, Recommender, Request};
use crate::features::ranking::{ItemFacts, Retrieved, Shopper, is_purchase, price_rank};
use crate::index::{NodeId, Score};
use crate::rank::Candidate;
use crate::release::overlay::PRICE;
use crate::release::{BRAND, Found, POPULARITY, PRICE_STEP, RECENT, SHELF};
use crate::shard::columns::ColumnsView;
use crate::towers::ranker::Embeddings;
use crate::towers::{Ranker, TowerError};

impl Recommender {
    /// What orders the candidates of a request: only of one that goes by the shopper's history.
    pub(super) fn ranker(&self, request: &Request) -> Option<Arc<Ranker>> {
        let is_own = !request.unranked && request.like.is_none() && request.candidates.is_none();
        let ranker = self.release.ranker().filter(|_| is_own);
        ranker.map(Arc::clone)
    }

    /// What the shopper of a request did, as the ranker counts it: with the items that were had last. Others are passed over, as those
    /// whose shard is not held are.
    fn shopper(&self, ranker: &Ranker, request: &Request) -> Shopper<Found> {
        let mut latest: Vec<Found> = Vec::new();
        let mut events = Vec::new();
        for event in request.history.iter().rev() {
            let Some(found) = self.held(&event.id) else { continue };
            if !latest.contains(&found) {
                if latest.len() == ranker.schema().history {
                    continue;
                }
                latest.push(found);
            }
            events.push((found, event));
        }
        let mut shopper = Shopper::default();
        for (found, event) in events.into_iter().rev() {
            shopper.count(found, &self.facts(found), is_purchase(&event.event_type), event.at_ms);
        }
        shopper
    }

    /// [`Recommender::shopper`], as it was counted for the same history a moment ago.
    fn counted(&mut self, ranker: &Ranker, request: &Request) -> Shopper<Found> {
        let before = self.counted.take().filter(|(history, _)| *history == request.history);
        before.map_or_else(|| self.shopper(ranker, request), |(_, shopper)| shopper)
    }

    fn held(&self, id: &str) -> Option<Found> {
        let found = self.release.find(id).ok().flatten()?;
        self.release.shards()[found.shard].as_ref().map(|_| found)
    }

    fn columns(&self, Found { shard, node }: Found) -> Option<(ColumnsView<'_>, NodeId)> {
        let (segment, inner) = self.release.shards()[shard].as_ref()?.of(node);
        Some((segment.columns()?, inner))
    }

    /// What the columns say of an item.
    pub(super) fn facts(&self, found: Found) -> ItemFacts {
        let mut facts = ItemFacts::default();
        let Some((columns, node)) = self.columns(found) else { return facts };
        // One walk over the columns: this is asked for hundreds of items of every row.
        for column in columns.iter() {
            let number = || column.u64_at(node);
            match column.name() {
                SHELF => facts.shelf = number().map(|number| number as u32),
                BRAND => facts.brand = number().map(|number| number as u32),
                PRICE_STEP => facts.price_rank = number().map_or(0.0, |step| price_rank(step as u8)),
                POPULARITY => facts.events = number().unwrap_or(0),
                RECENT => facts.recent = number().unwrap_or(0),
                _ => {}
            }
        }
        facts
    }

    /// Adds what the shopper had to the candidates, as far as a request lets it pass.
    pub(super) fn add_own(
        &mut self,
        query: &Query,
        request: &Request,
        found: &mut Vec<(Score, usize, NodeId)>,
    ) -> Result<(), RecommendError> {
        let Some(ranker) = self.ranker(request) else { return Ok(()) };
        let shopper = self.counted(&ranker, request);
        let own = shopper.own(ranker.schema().own);
        self.counted = Some((request.history.clone(), shopper));
        for item in own {
            if found.iter().all(|(_, of, row)| (*of, *row) != (item.shard, item.node)) {
                self.add_item(query, request, (item, query.bonus(item)), found)?;
            }
        }
        Ok(())
    }

    /// Gives candidates, by falling score, the value that the ranker's objective has for them.
    pub(super) fn rank(
        &mut self,
        ranker: &Ranker,
        candidates: &mut [Candidate],
        (query, request): (&Query, &Request),
    ) -> Result<(), RecommendError> {
        let (shopper, schema) = (self.counted(ranker, request), ranker.schema());
        let moment = request.context.moment();
        let mut vector = vec![0.0; query.embedding.len()];
        for (place, candidate) in (0..).zip(candidates) {
            let Some(found) = candidate.found else { continue };
            let facts = self.facts(found);
            let retrieved = Retrieved { score: candidate.score, place };
            let numbers = shopper.numbers((found, &facts), retrieved, moment, &schema.usual);
            let mut embeddings = Embeddings { query: &[], item: &[] };
            if schema.dim > 0
                && let Some(shard) = &self.release.shards()[found.shard]
            {
                shard.vector_into(found.node, &mut vector);
                embeddings = Embeddings { query: &query.embedding, item: &vector };
            }
            let mut scratch = std::mem::take(&mut self.tower_scratch);
            let probabilities = ranker.probabilities(&numbers, embeddings, &facts, &mut scratch);
            let value = probabilities.map(|probabilities| {
                let column = |name: &str| {
                    let overlay = self.release.overlay().filter(|_| name == PRICE);
                    if let Some(price) = overlay.and_then(|overlay| overlay.price(found.shard, found.node)) {
                        return Some(price as f32);
                    }
                    let (columns, node) = self.columns(found)?;
                    let column = columns.column(name)?;
                    column.f32_at(node).or_else(|| column.u64_at(node).map(|number| number as f32))
                };
                schema.objective.value(probabilities, &column)
            });
            self.tower_scratch = scratch;
            candidate.value = Some(value.map_err(|error: TowerError| RecommendError::Tower(error))?);
        }
        Ok(())
    }
}
