//! All weights of both towers, and one step of their training.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::graph::{Forward, Last, Mlp};
use super::head::{HeadInput, sampled_softmax};
use super::optimizer::{RowGradient, Weights};
use super::sampler::{Query, StreamingFrequency};
use crate::data::config::{ModelConfig, TrainConfig};
use crate::features::FeatureSchema;
use crate::features::items::{ItemFeatures, ItemSchema, NUMBERS};

/// Standard deviation of fresh table rows, before the towers normalise.
const TABLE_SCALE: f32 = 0.1;

/// Both towers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    /// One row per item, row 0 unknown.
    pub(crate) ids: Weights,
    /// One row per bucket of words.
    pub(crate) tokens: Weights,
    /// One row per category path and brand.
    pub(crate) labels: Weights,
    /// One row per value of the query's categorical features.
    pub(crate) contexts: Weights,
    /// The candidate tower's network.
    pub(crate) candidate: Mlp,
    /// The query tower's network.
    pub(crate) query: Mlp,
    /// One number per row of `ids`; without them embeddings are unit vectors. Counted, not trained.
    pub(crate) priors: Option<Vec<f32>>,
}

/// Rates of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) table: f32,
    /// The table of items' own vectors.
    pub(crate) ids: f32,
    pub(crate) dense: f32,
}

impl Model {
    pub(crate) fn new(
        config: &ModelConfig,
        schema: &FeatureSchema,
        items: &ItemSchema,
        count: usize,
        priors: Option<Vec<f32>>,
        seed: u64,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        let mut table = |name, rows: usize, width: usize, scale: f32| {
            let limit = scale * 3.0_f32.sqrt();
            let values = (0..rows * width).map(|_| rng.random_range(-limit..limit)).collect();
            Weights::new(name, [rows, width], values)
        };
        let ids = table("ids", count + 1, config.dim, TABLE_SCALE);
        let tokens = table("tokens", items.token_rows(), config.token_dim, TABLE_SCALE);
        let labels = table("labels", items.label_rows(), config.label_dim, TABLE_SCALE);
        let contexts = table("contexts", schema.category_rows().max(1) as usize, config.context_dim, TABLE_SCALE);
        let candidate_inputs = config.dim + config.token_dim + items.labels() * config.label_dim + NUMBERS;
        let candidate_inputs = candidate_inputs + usize::from(priors.is_some());
        let lasts = if priors.is_some() { [Last::Prior, Last::Affinity] } else { [Last::Unit; 2] };
        let query_inputs = config.dim + schema.categories.len() * config.context_dim;
        Self {
            ids,
            tokens,
            labels,
            contexts,
            candidate: Mlp::new([candidate_inputs, config.hidden, config.dim], lasts[0], &mut rng),
            query: Mlp::new([query_inputs, config.hidden, config.dim], lasts[1], &mut rng),
            priors,
        }
    }

    /// All weights with names that are unique among them.
    pub(crate) fn named(&self) -> Vec<(String, &Weights)> {
        let tables = [&self.ids, &self.tokens, &self.labels, &self.contexts];
        let mut named: Vec<_> = tables.into_iter().map(|table| (table.name.to_owned(), table)).collect();
        for (tower, mlp) in [("candidate", &self.candidate), ("query", &self.query)] {
            named.extend(mlp.weights.iter().map(|weights| (format!("{tower}.{}", weights.name), weights)));
        }
        named
    }

    /// As [`Model::named`], to be filled.
    pub(crate) fn named_mut(&mut self) -> Vec<(String, &mut Weights)> {
        let tables = [&mut self.ids, &mut self.tokens, &mut self.labels, &mut self.contexts];
        let mut named: Vec<_> = tables.into_iter().map(|table| (table.name.to_owned(), table)).collect();
        for (tower, mlp) in [("candidate", &mut self.candidate), ("query", &mut self.query)] {
            named.extend(mlp.weights.iter_mut().map(|weights| (format!("{tower}.{}", weights.name), weights)));
        }
        named
    }

    fn candidate_inputs(&self, features: &[ItemFeatures], batch: &Batch) -> Vec<f32> {
        let width = self.candidate.weights[0].shape[0];
        let mut inputs = vec![0.0; batch.items.len() * width];
        inputs.par_chunks_exact_mut(width).zip(&batch.items).zip(&batch.dropped).for_each(|((row, item), dropped)| {
            let features = &features[*item as usize];
            let id = if *dropped { 0 } else { features.id };
            let (base, rest) = row.split_at_mut(self.ids.shape[1]);
            base.copy_from_slice(self.ids.row(id));
            let (words, rest) = rest.split_at_mut(self.tokens.shape[1]);
            for token in &features.tokens {
                add(words, self.tokens.row(*token), 1.0 / features.tokens.len() as f32);
            }
            let (labels, numbers) = rest.split_at_mut(features.labels.len() * self.labels.shape[1]);
            for (slot, label) in labels.chunks_exact_mut(self.labels.shape[1]).zip(&features.labels) {
                slot.copy_from_slice(self.labels.row(*label));
            }
            let (numbers, prior) = numbers.split_at_mut(NUMBERS);
            numbers.copy_from_slice(&features.numbers);
            if let Some(priors) = &self.priors {
                prior[0] = priors[id as usize];
            }
        });
        inputs
    }

    fn query_inputs(&self, queries: &[Query], batch: &Batch, candidates: &[f32]) -> Vec<f32> {
        let (width, dim) = (self.query.weights[0].shape[0], self.ids.shape[1]);
        let mut inputs = vec![0.0; queries.len() * width];
        inputs.par_chunks_exact_mut(width).zip(queries).zip(&batch.histories).for_each(|((row, query), history)| {
            let (pooled, contexts) = row.split_at_mut(dim);
            for (slot, weight) in history {
                add(pooled, &candidates[*slot as usize * dim..][..dim], *weight);
            }
            for (slot, context) in contexts.chunks_exact_mut(self.contexts.shape[1]).zip(&query.context) {
                slot.copy_from_slice(self.contexts.row(*context));
            }
        });
        inputs
    }
}

fn add(sum: &mut [f32], values: &[f32], scale: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

/// The distinct items of a step, and where queries and targets find them.
struct Batch {
    /// Distinct items in order of first use.
    items: Vec<u32>,
    /// Whether an item is seen by content only.
    dropped: Vec<bool>,
    /// Per query: slots in `items` with weights that sum to 1.
    histories: Vec<Vec<(u32, f32)>>,
    /// Slot of each target.
    targets: Vec<u32>,
    offsets: Vec<usize>,
    log_q: Vec<f32>,
    masked: Vec<bool>,
}

/// Runs the steps of a training; keeps what they share.
pub(crate) struct Stepper<'d> {
    features: &'d [ItemFeatures],
    config: &'d TrainConfig,
    device: Device,
    /// Slot of each item plus one, 0 where it is not in the batch.
    slots: Vec<u32>,
    gradients: [RowGradient; 4],
}

impl<'d> Stepper<'d> {
    pub(crate) fn new(model: &Model, features: &'d [ItemFeatures], config: &'d TrainConfig) -> Self {
        let tables = [&model.ids, &model.tokens, &model.labels, &model.contexts];
        Self {
            features,
            config,
            device: Device::flex().autodiff(),
            slots: vec![0; features.len()],
            gradients: tables.map(|table| RowGradient::new(table.shape)),
        }
    }

    /// One optimizer step; the loss before it.
    pub(crate) fn step(
        &mut self,
        model: &mut Model,
        queries: &[Query],
        frequency: &StreamingFrequency,
        step: usize,
        rates: Rates,
    ) -> f32 {
        let batch = self.batch(queries, frequency, step);
        let dim = model.ids.shape[1];
        let candidate = model.candidate.forward(model.candidate_inputs(self.features, &batch), &self.device);
        let candidates = candidate.values();
        let query = model.query.forward(model.query_inputs(queries, &batch, &candidates), &self.device);
        let targets: Vec<f32> =
            batch.targets.iter().flat_map(|slot| &candidates[*slot as usize * dim..][..dim]).copied().collect();
        let head = sampled_softmax(HeadInput {
            queries: &query.values(),
            candidates: &targets,
            offsets: &batch.offsets,
            masked: &batch.masked,
            log_q: &batch.log_q,
            weights: &vec![1.0; batch.targets.len()],
            temperature: self.config.temperature,
            dim,
        });
        let d_pooled = self.query_backward(model, query, head.d_queries, queries, rates);
        let mut d_candidates = vec![0.0; candidates.len()];
        for (slot, gradient) in batch.targets.iter().zip(head.d_candidates.chunks_exact(dim)) {
            add(&mut d_candidates[*slot as usize * dim..][..dim], gradient, 1.0);
        }
        for (history, gradient) in batch.histories.iter().zip(d_pooled.chunks_exact(dim)) {
            for (slot, weight) in history {
                add(&mut d_candidates[*slot as usize * dim..][..dim], gradient, *weight);
            }
        }
        self.candidate_backward(model, candidate, d_candidates, &batch, rates);
        head.loss
    }

    /// Steps the query tower; the gradient by the pooled histories.
    fn query_backward(
        &mut self,
        model: &mut Model,
        forward: Forward,
        gradient: Vec<f32>,
        queries: &[Query],
        rates: Rates,
    ) -> Vec<f32> {
        let (d_inputs, d_weights) = forward.backward(gradient);
        let (width, dim) = (model.query.weights[0].shape[0], model.ids.shape[1]);
        let mut d_pooled = Vec::with_capacity(queries.len() * dim);
        for (row, query) in d_inputs.chunks_exact(width).zip(queries) {
            d_pooled.extend_from_slice(&row[..dim]);
            for (gradient, context) in row[dim..].chunks_exact(model.contexts.shape[1]).zip(&query.context) {
                self.gradients[3].add(*context, gradient, 1.0);
            }
        }
        model.contexts.step_rows(&mut self.gradients[3], rates.table);
        for (weights, gradient) in model.query.weights.iter_mut().zip(d_weights) {
            weights.step(&gradient, rates.dense);
        }
        d_pooled
    }

    fn candidate_backward(
        &mut self,
        model: &mut Model,
        forward: Forward,
        gradient: Vec<f32>,
        batch: &Batch,
        rates: Rates,
    ) {
        let (d_inputs, d_weights) = forward.backward(gradient);
        let width = model.candidate.weights[0].shape[0];
        let (dim, token_dim, label_dim) = (model.ids.shape[1], model.tokens.shape[1], model.labels.shape[1]);
        let [ids, tokens, labels, _] = &mut self.gradients;
        for ((row, item), dropped) in d_inputs.chunks_exact(width).zip(&batch.items).zip(&batch.dropped) {
            let features = &self.features[*item as usize];
            ids.add(if *dropped { 0 } else { features.id }, &row[..dim], 1.0);
            for token in &features.tokens {
                tokens.add(*token, &row[dim..dim + token_dim], 1.0 / features.tokens.len() as f32);
            }
            for (gradient, label) in row[dim + token_dim..].chunks_exact(label_dim).zip(&features.labels) {
                labels.add(*label, gradient, 1.0);
            }
        }
        model.ids.step_rows(ids, rates.ids);
        model.tokens.step_rows(tokens, rates.table);
        model.labels.step_rows(labels, rates.table);
        for (weights, gradient) in model.candidate.weights.iter_mut().zip(d_weights) {
            weights.step(&gradient, rates.dense);
        }
    }

    fn batch(&mut self, queries: &[Query], frequency: &StreamingFrequency, step: usize) -> Batch {
        let mut items = Vec::new();
        let slots = &mut self.slots;
        let mut slot_of = |item: u32| {
            let slot = &mut slots[item as usize];
            if *slot == 0 {
                items.push(item);
                *slot = items.len() as u32;
            }
            *slot - 1
        };
        let mut offsets = vec![0];
        let (mut histories, mut targets, mut log_q) = (vec![], vec![], vec![]);
        for query in queries {
            let total: f32 = query.history.iter().map(|(_, weight)| weight).sum();
            histories.push(query.history.iter().map(|(item, weight)| (slot_of(*item), weight / total)).collect());
            for item in &query.targets {
                targets.push(slot_of(*item));
                log_q.push(self.config.log_q * frequency.log_q(*item));
            }
            offsets.push(targets.len());
        }
        for item in &items {
            self.slots[*item as usize] = 0;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(u64::MAX - 1 - step as u64);
        let dropped = items.iter().map(|_| rng.random_bool(f64::from(self.config.id_dropout))).collect();
        let masked = masks(queries, &targets.iter().map(|slot| items[*slot as usize]).collect::<Vec<u32>>());
        Batch { items, dropped, histories, targets, offsets, log_q, masked }
    }
}

/// `[queries, targets]`: whether a target is no negative.
fn masks(queries: &[Query], targets: &[u32]) -> Vec<bool> {
    let mut masked = vec![false; queries.len() * targets.len()];
    masked.par_chunks_exact_mut(targets.len().max(1)).zip(queries).for_each(|(row, query)| {
        for (masked, target) in row.iter_mut().zip(targets) {
            *masked = query.known.binary_search(target).is_ok();
        }
    });
    masked
}
