//! The second stage: what the shop's rules make of what was found.

use std::sync::Arc;

use super::given::add;
use super::selection::Asked;
use super::{HistoryEvent, Query, RecommendError, Recommender, Request};
use crate::index::NodeId;
use crate::rank::arrange::{Arranged, Arrangement, arrange, order, relevances, relevances_of_values};
use crate::rank::chance::{POOL, dithered, explored, rotated};
use crate::rank::{self, Candidate};
use crate::release::rules::{Boost, Cap, DEFAULT, Exclude, Scenario};
use crate::release::{Absent, Found};

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;
/// With caps or diversity, so many times as many candidates as are shown are looked at.
const WIDER: usize = 4;

impl Recommender {
    /// A request as the rules have it: with the filter of its scenario, and without what the shopper has or has seen. What
    /// [`Recommender::absent`], [`Recommender::query`], [`Recommender::retrieve`] and [`Recommender::arrange`] take.
    ///
    /// # Errors
    /// [`RecommendError::Scenario`], [`RecommendError::Filter`].
    pub fn ruled(&self, mut request: Request) -> Result<Request, RecommendError> {
        let manifest = self.release.manifest();
        for boost in &request.boosts {
            boost.filter.check(&|name| manifest.column(name), &manifest.columns)?;
        }
        let Some(scenario) = self.scenario(&request)? else { return Ok(request) };
        request.filter = request.filter.and(&scenario.filter);
        let left_out = left_out(&scenario.exclude, &request);
        request.exclude.extend(left_out);
        Ok(request)
    }

    /// The rules of a request: those of the scenario that it names or, where it names none, of the default one, if there is one.
    fn scenario(&self, request: &Request) -> Result<Option<Arc<Scenario>>, RecommendError> {
        let rules = self.release.rules();
        let named = request.scenario.as_deref();
        match (rules.and_then(|rules| rules.scenario(named.unwrap_or(DEFAULT))), named) {
            (Some(scenario), _) => Ok(Some(Arc::clone(scenario))),
            (None, None) => Ok(None),
            (None, Some(found)) => {
                let known = rules.into_iter().flat_map(|rules| rules.names().map(str::to_owned)).collect();
                Err(RecommendError::Scenario { found: found.to_owned(), known })
            }
        }
    }

    /// Whether something is asked of candidates that only their shards answer.
    pub(super) fn asks(&self, request: &Request) -> bool {
        let of_rules = |scenario: Arc<Scenario>| {
            !scenario.boosts.is_empty()
                || !scenario.caps.is_empty()
                || scenario.diversity > 0.0
                || scenario.popularity_penalty > 0.0
        };
        let rules = self.scenario(request).ok().flatten();
        !request.filter.is_empty() || !request.boosts.is_empty() || rules.is_some_and(of_rules)
    }

    /// What has to be held to show what is pinned.
    pub(super) fn absent_pins(&self, request: &Request) -> Result<Vec<Absent>, RecommendError> {
        let mut absent = Vec::new();
        let Some(scenario) = self.scenario(request)? else { return Ok(absent) };
        for pin in scenario.pins.iter().filter(|pin| pin.window.holds(request.context.now_ms)) {
            if let Err(parts) = self.release.find(&pin.item) {
                add(&mut absent, parts);
            }
        }
        Ok(absent)
    }

    /// How many candidates a request needs: more than it shows where some of them will be passed over.
    pub(super) fn wanted(&self, request: &Request) -> usize {
        let passes_over = |scenario: Arc<Scenario>| {
            !scenario.caps.is_empty() || scenario.diversity > 0.0 || scenario.exploration > 0.0
        };
        let times = if self.scenario(request).ok().flatten().is_some_and(passes_over) { WIDER } else { 1 };
        request.limit.saturating_mul(times).max(super::RETRIEVED)
    }

    /// What is shown of candidates, in order.
    ///
    /// # Errors
    /// [`RecommendError::Scenario`], [`RecommendError::Filter`], [`RecommendError::Tower`].
    pub fn arrange(
        &mut self,
        candidates: Vec<Candidate>,
        (query, request): (&Query, &Request),
    ) -> Result<Vec<Candidate>, RecommendError> {
        let scenario = self.scenario(request)?;
        let ranker = self.ranker(request);
        if scenario.is_none() && request.boosts.is_empty() && ranker.is_none() {
            return Ok(rank::best(candidates, request.limit));
        }
        let scenario = scenario.unwrap_or_default();
        let least = scenario.min_score.unwrap_or(f32::NEG_INFINITY);
        // Relevances depend on the candidates: the same number of them everywhere. Of a ranker they are those of retrieval, and what
        // the shopper had.
        let most = if ranker.is_some() { candidates.len() } else { self.wanted(request) };
        let mut candidates = rank::best(candidates, most);
        candidates.retain(|candidate| candidate.score >= least);
        let values = match ranker {
            Some(ranker) => {
                self.rank(&ranker, &mut candidates, (query, request))?;
                relevances_of_values(
                    &candidates.iter().map(|candidate| candidate.value.unwrap_or(0.0)).collect::<Vec<_>>(),
                )
            }
            None => relevances(&candidates.iter().map(|candidate| candidate.score).collect::<Vec<_>>()),
        };
        let mut arranged = Vec::with_capacity(candidates.len());
        for (candidate, value) in candidates.into_iter().zip(values) {
            let value = value + self.boost(&candidate, &scenario, request)?;
            let groups = scenario.caps.iter().map(|cap| self.group(&candidate, cap)).collect();
            let vector = if scenario.diversity > 0.0 { self.direction(&candidate) } else { Vec::new() };
            arranged.push(Arranged { candidate, value, groups, vector, slot: None, likeness: 0.0 });
        }
        self.penalize(&mut arranged, scenario.popularity_penalty);
        rotated(&mut arranged, scenario.rotation, &request.shown);
        order(&mut arranged);
        dithered(&mut arranged, scenario.dither, request.seed);
        self.pin(&mut arranged, &scenario, request);
        let at_most = scenario.caps.iter().map(|cap| cap.at_most).collect();
        let next = if scenario.exploration > 0.0 { request.limit.saturating_mul(POOL) } else { 0 };
        let how = Arrangement { limit: request.limit.saturating_add(next), diversity: scenario.diversity, at_most };
        let mut row = arrange(arranged, &how);
        explored(&mut row, request.limit, scenario.exploration, request.seed);
        Ok(row.into_iter().map(|arranged| arranged.candidate).collect())
    }

    /// What all boosts that hold add to a candidate's relevance.
    fn boost(&mut self, candidate: &Candidate, scenario: &Scenario, request: &Request) -> Result<f32, RecommendError> {
        let Some(Found { shard: at, node }) = candidate.found else { return Ok(0.0) };
        let mut sum = 0.0;
        for (rule, boost) in scenario.boosts.iter().chain(&request.boosts).enumerate() {
            if boost.window.holds(request.context.now_ms) && self.passes(rule, boost, at, node)? {
                sum += boost.by;
            }
        }
        Ok(sum.clamp(-scenario.boost_limit, scenario.boost_limit))
    }

    /// Takes `penalty` from the most popular of the candidates, and from the others by the logarithm of their events.
    fn penalize(&self, candidates: &mut [Arranged], penalty: f32) {
        if penalty <= 0.0 {
            return;
        }
        let events = |of: &Arranged| of.candidate.found.map_or(0, |found| self.facts(found).events);
        let logs: Vec<f32> = candidates.iter().map(|of| libm::logf(1.0 + events(of) as f32)).collect();
        let most = logs.iter().copied().fold(0.0, f32::max);
        if most > 0.0 {
            candidates.iter_mut().zip(logs).for_each(|(of, log)| of.value -= penalty * log / most);
        }
    }

    /// What the boosts of scenario and request come to for a candidate.
    pub(super) fn boosted_by(&mut self, candidate: &Candidate, request: &Request) -> Result<f32, RecommendError> {
        let scenario = self.scenario(request)?.unwrap_or_default();
        self.boost(candidate, &scenario, request)
    }

    fn passes(&mut self, rule: usize, boost: &Boost, at: usize, node: NodeId) -> Result<bool, RecommendError> {
        let Some(shard) = &self.release.shards()[at] else { return Ok(false) };
        let shards = self.release.shards().len();
        if self.boosted.len() <= rule {
            self.boosted.resize_with(rule + 1, Default::default);
        }
        let selection = &mut self.boosted[rule];
        selection.start(&boost.filter, shards);
        let asked = Asked { at, shard, overlay: self.release.overlay() };
        Ok(selection.passing(asked)?.contains(node))
    }

    /// What a cap counts a candidate as.
    fn group(&self, candidate: &Candidate, cap: &Cap) -> Option<String> {
        let Found { shard, node } = candidate.found?;
        let (segment, inner) = self.release.shards()[shard].as_ref()?.of(node);
        let columns = segment.columns()?;
        let column = columns.column(&cap.column)?;
        match column.path_at(inner) {
            Some(path) => Some(path.take(cap.depth).collect::<Vec<_>>().join("\u{1f}")),
            None => column.text_at(inner).map(str::to_owned),
        }
    }

    /// A candidate's embedding with length 1.
    fn direction(&self, candidate: &Candidate) -> Vec<f32> {
        let mut vector = vec![0.0; self.tower().schema().dim];
        if let Some(Found { shard, node }) = candidate.found
            && let Some(shard) = &self.release.shards()[shard]
        {
            shard.vector_into(node, &mut vector);
        }
        let length = crate::kernels::dot_f32(&vector, &vector).sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x /= length);
        }
        vector
    }

    /// Gives what is pinned its slot. What the release does not have, or what must not be shown, keeps none.
    fn pin(&self, arranged: &mut Vec<Arranged>, scenario: &Scenario, request: &Request) {
        for pin in scenario.pins.iter().filter(|pin| pin.window.holds(request.context.now_ms)) {
            if let Some(found) = arranged.iter_mut().find(|one| one.candidate.id == pin.item) {
                found.slot = Some(pin.slot);
                found.candidate.is_pinned = true;
                continue;
            }
            let Ok(Some(found)) = self.release.find(&pin.item) else { continue };
            if request.exclude.contains(&pin.item) || self.is_out(found) {
                continue;
            }
            let candidate =
                Candidate { id: pin.item.clone(), found: Some(found), is_pinned: true, ..Candidate::default() };
            let groups = scenario.caps.iter().map(|cap| self.group(&candidate, cap)).collect();
            let vector = if scenario.diversity > 0.0 { self.direction(&candidate) } else { Vec::new() };
            arranged.push(Arranged { candidate, value: 0.0, groups, vector, slot: Some(pin.slot), likeness: 0.0 });
        }
    }
}

/// Ids that rules leave out for what the shopper did.
fn left_out(exclude: &Exclude, request: &Request) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    let mut cart: Vec<&String> = Vec::new();
    for HistoryEvent { id, event_type, at_ms } in request.past.iter().chain(&request.history) {
        match event_type.as_str() {
            "cart" => cart.push(id),
            "purchase" => {
                cart.retain(|other| *other != id);
                let Some(days) = exclude.purchased_days else { continue };
                // Where it is not known how long ago it was, it counts.
                let ago = request.context.now_ms.zip(*at_ms).map_or(0.0, |(now, at)| now as f64 - at as f64);
                if ago <= f64::from(days) * DAY_MS {
                    ids.push(id.clone());
                }
            }
            _ => {}
        }
    }
    if exclude.in_cart {
        ids.extend(cart.into_iter().cloned());
    }
    if let Some(often) = exclude.seen {
        ids.extend(request.shown.iter().filter(|(_, times)| *times >= often).map(|(id, _)| id.clone()));
    }
    ids
}
