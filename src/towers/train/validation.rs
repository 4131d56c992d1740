//! When to stop: what of the training events is held back, and how well a model finds it.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::long_term::LongTerm;
use super::model::Model;
use super::moments::{DAY_MS, Moments, context, weighted_items};
use super::sampler::Query;
use super::snapshot::{Catalogue, Snapshot};
use crate::data::config::{EarlyStopping, Targets, TrainConfig};
use crate::data::{Dataset, Event, Holdout};
use crate::features::{Context, FeatureSchema};
use crate::kernels::gemv_f32;
use crate::metrics::{RecallNorm, heldout_recall_at_k};
use crate::towers::TowerError;

/// Places of a list that is judged.
const PLACES: usize = 20;

/// What a model is judged by: shoppers before the events that are held back, and those.
pub(super) struct Validation {
    queries: Vec<Query>,
    /// What each query masks, sorted.
    masked: Vec<Vec<u32>>,
    config: EarlyStopping,
}

/// What training sees when some of its events are held back to judge it; `None` where nothing is.
pub(super) fn without_held_back(dataset: &Dataset, config: &TrainConfig) -> Option<Dataset> {
    let stop = config.early_stopping.as_ref()?;
    let mut earlier = dataset.clone();
    if dataset.holdout == Holdout::Time {
        let held_back = (f64::from(stop.days) * DAY_MS) as i64;
        earlier.hold_out(Holdout::Time, dataset.test_from_ms - held_back);
    }
    Some(earlier)
}

impl Validation {
    /// Of `whole`, what `trained` does not see.
    pub(super) fn new(
        whole: &Dataset,
        trained: &Dataset,
        schema: &FeatureSchema,
        config: (&TrainConfig, EarlyStopping),
        long_term: Option<&LongTerm>,
    ) -> Result<Self, TowerError> {
        let (train, stop) = config;
        // Nothing is hidden from a query that is judged.
        let open = TrainConfig { context_dropout: 0.0, user_dropout: 0.0, ..train.clone() };
        let moments = Moments::new(trained, schema, &open, long_term);
        let mut users: Vec<u32> = (0..whole.users.len() as u32).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(train.seed);
        users.shuffle(&mut rng);
        let asked =
            users.into_iter().filter_map(|user| asked(&moments, user, held_back(whole, trained, user), &mut rng));
        let (queries, masked): (Vec<Query>, Vec<Vec<u32>>) = asked.take(stop.users).unzip();
        if queries.is_empty() {
            return Err(TowerError::Train {
                what: "events to stop by",
                found: "none".to_owned(),
                expected: "shoppers who come again in what train.early_stopping holds back".to_owned(),
                remedy: "raise train.early_stopping.days, or delete train.early_stopping",
            });
        }
        Ok(Self { queries, masked, config: stop })
    }

    /// R@20 of what was held back.
    pub(super) fn judge(&self, model: &Model, schema: FeatureSchema, of: Catalogue<'_>) -> Result<f64, TowerError> {
        let snapshot = Snapshot::of(model, schema, of)?;
        let dim = snapshot.tower.schema().dim;
        let items = snapshot.embeddings.len() / dim;
        let embeddings = snapshot.embed(&self.queries)?;
        let recall = |scores: &mut Vec<f32>, ((query, masked), embedding): ((&Query, &Vec<u32>), &[f32])| {
            gemv_f32(&snapshot.embeddings, embedding, scores);
            query
                .repeats
                .iter()
                .for_each(|(item, rows)| scores[*item as usize] += model.temperature() * model.bonus(*rows));
            masked.iter().for_each(|item| scores[*item as usize] = f32::NEG_INFINITY);
            let mut list: Vec<u32> = (0..items as u32).collect();
            let best_first =
                |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then_with(|| a.cmp(b));
            if items > PLACES {
                list.select_nth_unstable_by(PLACES, best_first);
                list.truncate(PLACES);
            }
            list.sort_unstable_by(best_first);
            heldout_recall_at_k(&list, &query.targets, PLACES, RecallNorm::Achievable)
        };
        let asked = self.queries.par_iter().zip(&self.masked).zip(embeddings.par_chunks_exact(dim));
        let recalls: Vec<f64> = asked.map_init(|| vec![0.0; items], recall).collect();
        Ok(recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    /// Steps between two validations, and how many without a better one end the training.
    pub(super) fn rhythm(&self) -> [usize; 2] {
        [self.config.every, self.config.patience]
    }
}

/// The events of a user that are judged.
fn held_back<'d>(whole: &'d Dataset, trained: &Dataset, user: u32) -> &'d [Event] {
    let (before, events) = (trained.training_events(user).len(), whole.events_of(user));
    match whole.holdout {
        Holdout::Time => &events[before..whole.training_events(user).len()],
        // The next one, if the user is tested at all.
        Holdout::LeaveOneOut { .. } => &events[before..events.len().min(before + 1)],
    }
}

/// A user at the moment of the first event that is held back, and what is masked; `None` for one who is new, or does not come again.
fn asked(moments: &Moments<'_>, user: u32, held_back: &[Event], rng: &mut ChaCha8Rng) -> Option<(Query, Vec<u32>)> {
    let (before, first) = (moments.dataset.training_events(user), held_back.first()?);
    let items = moments.distinct(before);
    let is_new = moments.config.targets_of_basket == Targets::New || moments.dataset.holdout != Holdout::Time;
    let mut had: Vec<u32> = moments.bought(before).collect();
    had.sort_unstable();
    had.dedup();
    let masked = if is_new { had } else { Vec::new() };
    let targets = weighted_items(held_back, |event| moments.weight(event)).into_iter().map(|(item, _)| item);
    let targets: Vec<u32> = targets.filter(|item| masked.binary_search(item).is_err()).collect();
    if before.is_empty() || targets.is_empty() {
        return None;
    }
    // Nobody knows the hour of the next visit.
    let place = Context { now_ms: None, ..context(moments.dataset, user, before.last()?) };
    let query = Query {
        history: moments.past(&items, Some(first.time_ms)),
        place: 0,
        context: moments.schema.category_indices(&place),
        user: moments.user(before, rng),
        repeats: moments.repeats(&items, Some(first.time_ms)),
        targets,
        known: Vec::new(),
        hard: Vec::new(),
        weights: Vec::new(),
    };
    Some((query, masked))
}
