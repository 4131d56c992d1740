//! One step of a training: forward through both towers, the head, and back.

use burn::tensor::Device;

use super::batch::{Batch, Batcher, Content, Histories};
use super::dropout::Dropout;
use super::encoder::Encoded;
use super::graph::Forward;
use super::head::{HeadInput, softmax_loss};
use super::model::{Model, Rates, add};
use super::optimizer::RowGradient;
use super::rows::Token;
use super::sampler::{Drawn, Query, StreamingFrequency};
use crate::data::config::TrainConfig;
use crate::features::items::ItemFeatures;

/// Runs the steps of a training; keeps what they share.
pub(crate) struct Stepper<'d> {
    features: &'d [ItemFeatures],
    content: Content<'d>,
    config: &'d TrainConfig,
    device: Device,
    batcher: Batcher<'d>,
    /// Of ids, tokens, labels and contexts.
    gradients: [RowGradient; 4],
}

impl<'d> Stepper<'d> {
    /// `encoded`: tokens of a row and most items of a history, where the model has an encoder.
    pub(crate) fn new(
        model: &Model,
        features: &'d [ItemFeatures],
        content: Content<'d>,
        config: &'d TrainConfig,
        encoded: Option<[usize; 2]>,
    ) -> Self {
        let tables = [&model.ids, &model.tokens, &model.labels, &model.contexts];
        Self {
            features,
            content,
            config,
            device: Device::flex().autodiff(),
            batcher: Batcher::new(config, features.len(), encoded),
            gradients: tables.map(|table| RowGradient::new(table.shape)),
        }
    }

    /// One optimizer step; the loss before it.
    pub(crate) fn step(
        &mut self,
        model: &mut Model,
        drawn: &Drawn,
        frequency: &StreamingFrequency,
        step: usize,
        rates: Rates,
    ) -> f32 {
        let batch = self.batcher.batch(drawn, frequency, step);
        let content = batch.content(self.content);
        let dim = model.ids.shape[1];
        let candidate = model.candidate.forward(model.candidate_inputs(self.features, &content, &batch), &self.device);
        let candidates = candidate.values();
        let (histories, encoded) = self.histories(model, &batch, &candidates, step);
        let query = model.query.forward(model.query_inputs(&drawn.queries, &histories), &self.device);
        let queries = query.values();
        let columns = batch.columns.as_deref().map(|slots| gathered(slots, &candidates, dim));
        let head = softmax_loss(HeadInput {
            queries: &queries,
            candidates: columns.as_deref().unwrap_or(&candidates),
            targets: &batch.targets,
            offsets: &batch.offsets,
            masked: &batch.masked,
            log_q: &batch.log_q,
            weights: &batch.weights,
            temperature: model.temperature(),
            smoothing: self.config.label_smoothing,
            dim,
        });
        if self.config.learn_temperature {
            // Scores are proportional to the scale, and to the query.
            let slope = queries.iter().zip(&head.d_queries).map(|(query, gradient)| query * gradient).sum();
            model.log_scale.step(&[slope], rates.dense);
        }
        let mut d_candidates = match &batch.columns {
            None => head.d_candidates,
            Some(slots) => {
                let mut sums = vec![0.0; candidates.len()];
                for (slot, gradient) in slots.iter().zip(head.d_candidates.chunks_exact(dim)) {
                    add(&mut sums[*slot as usize * dim..][..dim], gradient, 1.0);
                }
                sums
            }
        };
        let d_histories = self.query_backward(model, query, head.d_queries, &drawn.queries, rates);
        histories_backward(model, &batch, encoded, &d_histories, &mut d_candidates, rates);
        self.candidate_backward(model, candidate, d_candidates, (&batch, &content), rates);
        head.loss
    }

    /// One vector per query, `[queries, dim]`, and what an encoder remembers of its work.
    fn histories(&self, model: &Model, batch: &Batch, candidates: &[f32], step: usize) -> (Vec<f32>, Option<Encoded>) {
        let dim = model.ids.shape[1];
        match (&batch.histories, &model.encoder) {
            (Histories::Encoded(rows, places), Some(encoder)) => {
                let mut x = vec![0.0; rows.tokens.len() * dim];
                for (x, token) in x.chunks_exact_mut(dim).zip(&rows.tokens) {
                    if let Token::Item(slot) = token {
                        x.copy_from_slice(&candidates[*slot as usize * dim..][..dim]);
                    }
                }
                let dropout = Dropout::new(self.config.dropout, self.config.seed, step);
                let encoded = encoder.forward(x, rows, dropout, &self.device);
                let values = encoded.values();
                let of_queries = places.iter().flat_map(|place| &values[place * dim..][..dim]);
                (of_queries.copied().collect(), Some(encoded))
            }
            (Histories::Pooled(histories), _) => {
                let mut pooled = vec![0.0; histories.len() * dim];
                for (sum, history) in pooled.chunks_exact_mut(dim).zip(histories) {
                    for (slot, weight) in history {
                        add(sum, &candidates[*slot as usize * dim..][..dim], *weight);
                    }
                }
                (pooled, None)
            }
            (Histories::Encoded(..), None) => unreachable!("rows are made for models with an encoder"),
        }
    }

    /// Steps the query tower's network; the gradient by the vectors of the histories.
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
        let mut d_histories = Vec::with_capacity(queries.len() * dim);
        for (row, query) in d_inputs.chunks_exact(width).zip(queries) {
            d_histories.extend_from_slice(&row[..dim]);
            for (gradient, context) in row[dim..].chunks_exact(model.contexts.shape[1]).zip(&query.context) {
                self.gradients[3].add(*context, gradient, 1.0);
            }
        }
        model.contexts.step_rows(&mut self.gradients[3], rates.table);
        for (weights, gradient) in model.query.weights.iter_mut().zip(d_weights) {
            weights.step(&gradient, rates.dense);
        }
        d_histories
    }

    fn candidate_backward(
        &mut self,
        model: &mut Model,
        forward: Forward,
        gradient: Vec<f32>,
        (batch, content): (&Batch, &[f32]),
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
        let d_content = model.content_gradient(&d_inputs, content);
        if let (Some(map), Some(gradient)) = (&mut model.content, d_content) {
            map.step(&gradient, rates.dense);
        }
        model.ids.step_rows(ids, rates.ids);
        model.tokens.step_rows(tokens, rates.table);
        model.labels.step_rows(labels, rates.table);
        for (weights, gradient) in model.candidate.weights.iter_mut().zip(d_weights) {
            weights.step(&gradient, rates.dense);
        }
    }
}

/// The rows of `slots`, one behind the other.
fn gathered(slots: &[u32], rows: &[f32], dim: usize) -> Vec<f32> {
    slots.iter().flat_map(|slot| &rows[*slot as usize * dim..][..dim]).copied().collect()
}

/// Adds to the gradient of the candidates what comes through the histories, and steps the encoder.
fn histories_backward(
    model: &mut Model,
    batch: &Batch,
    encoded: Option<Encoded>,
    gradient: &[f32],
    d_candidates: &mut [f32],
    rates: Rates,
) {
    let dim = model.ids.shape[1];
    match (&batch.histories, encoded, &mut model.encoder) {
        (Histories::Pooled(histories), ..) => {
            for (history, gradient) in histories.iter().zip(gradient.chunks_exact(dim)) {
                for (slot, weight) in history {
                    add(&mut d_candidates[*slot as usize * dim..][..dim], gradient, *weight);
                }
            }
        }
        (Histories::Encoded(rows, places), Some(encoded), Some(encoder)) => {
            let mut by_token = vec![0.0; rows.tokens.len() * dim];
            for (place, gradient) in places.iter().zip(gradient.chunks_exact(dim)) {
                add(&mut by_token[place * dim..][..dim], gradient, 1.0);
            }
            let (d_x, d_weights) = encoded.backward(by_token);
            for (token, gradient) in rows.tokens.iter().zip(d_x.chunks_exact(dim)) {
                if let Token::Item(slot) = token {
                    add(&mut d_candidates[*slot as usize * dim..][..dim], gradient, 1.0);
                }
            }
            encoder.step(&d_weights, rates.dense);
        }
        (Histories::Encoded(..), ..) => unreachable!("rows are made for models with an encoder"),
    }
}
