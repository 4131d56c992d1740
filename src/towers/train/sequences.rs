//! Draws training sequences: many shoppers' events in each row, every event a query for its own item.
//!
//! An epoch takes sequences in an order of its own, each at most once, packed into rows of equal length with hardly a gap; less than a
//! step's rows are left over. Step `s` of seed `x` is
//! the same whatever came before.

use std::sync::{Arc, Mutex, PoisonError};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::moments::{Marks, Moments, past_event};
use super::rows::Token;
use super::sampler::{Drawn, Query};
use crate::data::config::Targets;
use crate::features::history::age;

/// Shortest row: shorter ones leave gaps that no sequence fits.
const SHORTEST_ROW: usize = 64;

/// One place of a packed row: a token, and the event that follows it where that is a target.
#[derive(Debug, Clone, Copy)]
struct Place {
    token: Token,
    marks: Marks,
    /// User and position among the user's events.
    target: Option<(u32, u32)>,
}

type Row = Vec<Place>;

/// The training sequences.
#[derive(Debug)]
pub(crate) struct Sequences<'d> {
    moments: Moments<'d>,
    /// Users with training events.
    users: Vec<u32>,
    /// Tokens of a row.
    length: usize,
    /// Rows of a step.
    rows: usize,
    steps_per_epoch: usize,
    /// The rows of the epoch that was drawn from last.
    epoch: Mutex<Option<(usize, Arc<Vec<Row>>)>>,
}

impl<'d> Sequences<'d> {
    /// Collects the users before the test; `None` without any event that can be a target.
    pub(crate) fn new(moments: Moments<'d>) -> Option<Self> {
        let Moments { dataset, schema, config, .. } = moments;
        let events = |user: &u32| dataset.training_events(*user).len();
        let users: Vec<u32> = (0..dataset.users.len() as u32).filter(|user| events(user) > 0).collect();
        let tokens: usize = users.iter().map(events).sum();
        let has_target = users.iter().any(|user| moments.bought(dataset.training_events(*user)).next().is_some());
        let length = SHORTEST_ROW.max((schema.history.length + 1).next_multiple_of(8));
        let rows = (config.queries / length).max(1);
        let steps_per_epoch = (tokens / (rows * length)).max(1);
        let epoch = Mutex::new(None);
        has_target.then_some(Self { moments, users, length, rows, steps_per_epoch, epoch })
    }

    /// Tokens of a row.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// All queries of one step.
    pub(crate) fn step(&self, step: usize) -> Drawn {
        let rows = self.epoch(step / self.steps_per_epoch);
        let from = step % self.steps_per_epoch * self.rows;
        let mut rng = ChaCha8Rng::seed_from_u64(self.moments.config.seed);
        rng.set_stream(2 * step as u64 + 1);
        let mut tokens = Vec::with_capacity(self.rows * self.length);
        let mut marks = Vec::with_capacity(tokens.capacity());
        let mut queries = Vec::with_capacity(tokens.capacity());
        for row in rows.iter().skip(from).take(self.rows) {
            for place in row {
                if let Some((user, at)) = place.target {
                    queries.extend(self.query(user, at as usize, tokens.len(), &mut rng));
                }
                tokens.push(place.token);
                marks.push(place.marks);
            }
            let gap = tokens.len().next_multiple_of(self.length) - tokens.len();
            tokens.extend((0..gap).map(|_| Token::Padding));
            marks.resize(tokens.len(), [0, 0]);
        }
        Drawn { queries, tokens: Some((tokens, marks)) }
    }

    fn query(&self, user: u32, at: usize, place: usize, rng: &mut ChaCha8Rng) -> Option<Query> {
        let Self { moments, .. } = self;
        let events = moments.dataset.training_events(user);
        let (before, event) = (&events[..at], &events[at]);
        let weight = moments.weight(event) * moments.recency(event) as f32;
        let mut known = vec![event.item];
        if moments.config.targets_of_basket == Targets::New {
            if moments.bought(before).any(|item| item == event.item) {
                return None;
            }
            known.extend(moments.bought(before));
            known.sort_unstable();
            known.dedup();
        }
        if weight == 0.0 {
            return None;
        }
        let context = moments.context(user, event, rng);
        let mut repeats = Vec::new();
        if moments.schema.history.repeats.is_some() {
            let now = moments.now(event, rng);
            repeats = moments.repeats(&moments.distinct(before), now);
        }
        let user = moments.user(before, rng);
        let (history, hard, targets) = (Vec::new(), Vec::new(), vec![event.item]);
        Some(Query { history, place, context, user, repeats, targets, known, hard, weights: vec![weight] })
    }

    fn epoch(&self, epoch: usize) -> Arc<Vec<Row>> {
        let mut kept = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((of, rows)) if *of == epoch => Arc::clone(rows),
            _ => {
                let rows = Arc::new(self.pack(epoch));
                *kept = Some((epoch, Arc::clone(&rows)));
                rows
            }
        }
    }

    /// Packs all sequences: each into the row with the smallest gap that it fits.
    fn pack(&self, epoch: usize) -> Vec<Row> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.moments.config.seed);
        rng.set_stream(2 * epoch as u64);
        let mut users = self.users.clone();
        users.shuffle(&mut rng);
        let mut rows: Vec<Row> = Vec::new();
        // By the size of their gap, rows that are not full.
        let mut open: Vec<Vec<usize>> = vec![Vec::new(); self.length + 1];
        for user in users {
            for piece in self.pieces(user, &mut rng) {
                let gap = (piece.len()..=self.length).find(|gap| !open[*gap].is_empty());
                let row = gap.and_then(|gap| open[gap].pop()).unwrap_or_else(|| {
                    rows.push(Row::with_capacity(self.length));
                    rows.len() - 1
                });
                rows[row].extend(piece);
                open[self.length - rows[row].len()].push(row);
            }
        }
        rows.shuffle(&mut rng);
        rows
    }

    /// A user's events in pieces of at most a row. A later piece begins somewhere else in every epoch; what its first events follow is
    /// then not seen, so its start is no query.
    fn pieces(&self, user: u32, rng: &mut ChaCha8Rng) -> Vec<Row> {
        let (dataset, schema) = (self.moments.dataset, self.moments.schema);
        let events = dataset.training_events(user);
        // What a client's tower reads of an event, at the moment of the next one.
        let mark = |at: usize| {
            let until = age(Some(events[at].time_ms), Some(events[at + 1].time_ms));
            schema.history.marks(past_event(schema, &events[at]).event_type, until)
        };
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < events.len() {
            let left = events.len() - start;
            let is_cut = left > self.length;
            let count = if is_cut && start == 0 { rng.random_range(2..=self.length) } else { left.min(self.length) };
            let piece = (0..count).map(|at| {
                let (token, marks) = match at {
                    0 => (Token::Start, [0, 0]),
                    _ => (Token::Item(events[start + at - 1].item), mark(start + at - 1)),
                };
                let target = (at > 0 || start == 0).then_some((user, (start + at) as u32));
                Place { token, marks, target }
            });
            pieces.push(piece.collect());
            // The first item of a later piece is an event that the piece before has asked for.
            start = if start + count == events.len() { events.len() } else { start + count - 1 };
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::data::config::TrainConfig;
    use crate::factors::testing::dataset;
    use crate::features::{Ages, FeatureSchema, HistorySchema};

    #[test]
    fn an_epoch_asks_once_for_every_training_event_after_what_came_before_it() {
        // Users of 1 to 200 events; item `i` of user `u` is unique.
        let purchases: Vec<_> = (0..40_u32)
            .flat_map(|user| (0..=user * 5).map(move |at| (user, user * 1000 + at, i64::from(at), 0)))
            .collect();
        let data = dataset(&purchases, 1_000_000);
        let history = HistorySchema { ages: Some(Ages::Next), ..HistorySchema::of_items(50, 1.0, 0.0) };
        let schema = FeatureSchema { dim: 8, history, categories: vec![], user: None };
        let config = TrainConfig { queries: 128, seed: 9, half_life_days: 0.0, ..TrainConfig::default() };
        let sequences = Sequences::new(Moments::new(&data, &schema, &config, None)).unwrap();
        let mut asked = HashMap::new();
        for row in sequences.pack(3) {
            assert!(row.len() <= sequences.length());
            for pair in row.windows(2) {
                let Some((user, at)) = pair[1].target else { continue };
                let before = &data.events_of(user)[..at as usize];
                let expected = before.last().map_or(Token::Start, |event| Token::Item(event.item));
                assert_eq!(pair[1].token, expected);
                // Events follow each other at once, which is bucket 1 of the ages; bucket 0 is "unknown".
                assert_eq!(pair[1].marks, [u32::from(!before.is_empty()), 0]);
            }
            row.iter().filter_map(|place| place.target).for_each(|target| *asked.entry(target).or_insert(0) += 1);
        }
        assert_eq!(asked.len(), data.events.len());
        assert!(asked.values().all(|count| *count == 1));
        assert_eq!(sequences.step(5), sequences.step(5));
        assert_ne!(sequences.step(5), sequences.step(6));
        let drawn = sequences.step(1);
        let (tokens, marks) = drawn.tokens.unwrap();
        assert_eq!((tokens.len(), marks.len()), (2 * sequences.length(), 2 * sequences.length()));
        for query in &drawn.queries {
            assert!(tokens[query.place] != Token::Padding && query.targets == query.known);
        }
    }
}
