//! One step of a training: forward through both towers, the head, and back.

use burn::tensor::Device;
use rayon::prelude::*;

use super::batch::{Batch, Batcher, Content, Histories};
use super::dropout::Dropout;
use super::encoder::Encoded;
use super::head::{HeadInput, softmax_loss};
use super::mlp::Forward;
use super::model::{Model, Rates};
use super::moments::Marks;
use super::optimizer::RowGradient;
use super::rows::Token;
use super::sampler::{Drawn, Query, StreamingFrequency};
use super::sums::{add, scatter};
use crate::data::config::TrainConfig;
use crate::features::history::COUNTS;
use crate::features::items::ItemFeatures;
use crate::kernels::dot_f32;

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
        marks_per_item: usize,
    ) -> Self {
        let tables = [&model.ids, &model.tokens, &model.labels, &model.contexts];
        Self {
            features,
            content,
            config,
            device: Device::flex().autodiff(),
            batcher: Batcher::new(config, features, encoded, marks_per_item),
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
        let content = self.content.of_batch(&batch);
        let dim = model.ids.shape[1];
        let (inputs, of_paths) = model.candidate_inputs(self.features, &content, (&batch.items, &batch.dropped));
        let candidate = model.candidate.forward(inputs);
        let candidates = &candidate.output;
        let (histories, read) = self.histories(model, &batch, candidates, step);
        let query = model.query.forward(model.query_inputs(&drawn.queries, &histories));
        let queries = &query.output;
        let columns = batch.columns.as_deref().map(|slots| gathered(slots, candidates, dim));
        let bonus = bonus_of(model, &batch);
        let head = softmax_loss(HeadInput {
            queries,
            candidates: columns.as_deref().unwrap_or(candidates),
            targets: &batch.targets,
            offsets: &batch.offsets,
            masked: &batch.masked,
            bonus: &bonus,
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
        repeats_backward(model, &batch, &head.d_bonus, rates);
        let mut d_candidates = match &batch.columns {
            None => head.d_candidates,
            Some(slots) => {
                let mut sums = vec![0.0; candidates.len()];
                let rows = || slots.iter().zip(head.d_candidates.chunks_exact(dim));
                scatter(&mut sums, dim, || rows().map(|(slot, gradient)| (*slot, gradient, 1.0)));
                sums
            }
        };
        let d_histories = self.query_backward(model, query, head.d_queries, &drawn.queries, rates);
        histories_backward(model, &batch, (&candidate.output, read), &d_histories, &mut d_candidates, rates);
        self.candidate_backward(model, candidate, d_candidates, (&batch, &content, &of_paths), rates);
        head.loss
    }

    /// One vector per query, `[queries, dim]`, and what is needed to go back.
    fn histories(&self, model: &Model, batch: &Batch, candidates: &[f32], step: usize) -> (Vec<f32>, Read) {
        let dim = model.ids.shape[1];
        match (&batch.histories, &model.encoder) {
            (Histories::Encoded(rows, places), Some(encoder)) => {
                let mut x = vec![0.0; rows.tokens.len() * dim];
                for ((x, token), marks) in x.chunks_exact_mut(dim).zip(&rows.tokens).zip(&rows.marks) {
                    if let Token::Item(slot) = token {
                        x.copy_from_slice(&candidates[*slot as usize * dim..][..dim]);
                        self.marked(model, *marks).for_each(|row| add(x, row, 1.0));
                    }
                }
                let dropout = Dropout::new(self.config.dropout, self.config.seed, step);
                let encoded = encoder.forward(x, rows, dropout, &self.device);
                let values = encoded.values();
                let mut of_queries = Vec::with_capacity(places.len() * dim);
                places.iter().for_each(|place| of_queries.extend_from_slice(&values[place * dim..][..dim]));
                (of_queries, Read::Encoded(Box::new(encoded)))
            }
            (Histories::Pooled(histories), _) => {
                let mut pooled = vec![0.0; histories.len() * dim];
                let means = pooled.par_chunks_exact_mut(dim).zip(histories).map(|(sum, history)| {
                    let weights = history.iter().map(|past| {
                        let marks: f32 = self.marked(model, past.marks).map(|row| row[0]).sum();
                        if marks == 0.0 { past.weight } else { past.weight * marks.exp() }
                    });
                    let weights: Vec<f32> = weights.collect();
                    let total: f32 = weights.iter().sum();
                    let of_history: Vec<f32> = weights.iter().map(|weight| weight / total).collect();
                    for (past, share) in history.iter().zip(&of_history) {
                        add(sum, &candidates[past.item as usize * dim..][..dim], *share);
                    }
                    of_history
                });
                let shares = means.collect();
                (pooled.clone(), Read::Pooled { shares, pooled })
            }
            (Histories::Encoded(..), None) => unreachable!("rows are made for models with an encoder"),
        }
    }

    /// The rows of the table of marks.
    fn marked<'m>(&self, model: &'m Model, marks: Marks) -> impl Iterator<Item = &'m [f32]> + use<'m> {
        let of_item = self.batcher.marks_per_item;
        model.marks.iter().flat_map(move |table| marks.into_iter().take(of_item).map(|row| table.row(row)))
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
        let (d_inputs, d_weights) = forward.backward(&model.query, gradient);
        let (d_inputs, width, dim) = (d_inputs.own, model.query.own_inputs(), model.ids.shape[1]);
        let mut d_histories = Vec::with_capacity(queries.len() * dim);
        let rows = || d_inputs.chunks_exact(width).zip(queries);
        rows().for_each(|(row, _)| d_histories.extend_from_slice(&row[..dim]));
        let context_dim = model.contexts.shape[1];
        self.gradients[3].add(|| {
            rows().flat_map(|(row, query)| {
                let gradients = row[dim..].chunks_exact(context_dim).zip(&query.context);
                gradients.map(|(gradient, context)| (*context, gradient, 1.0))
            })
        });
        if let Some(default) = &mut model.user {
            let length = default.values.len();
            let mut sum = vec![0.0; length];
            let without = d_inputs.chunks_exact(width).zip(queries).filter(|(_, query)| query.user.is_empty());
            without.for_each(|(row, _)| add(&mut sum, &row[width - length..], 1.0));
            default.step(&sum, rates.dense);
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
        (batch, content, of_paths): (&Batch, &[f32], &[&ItemFeatures]),
        rates: Rates,
    ) {
        let (d_inputs, d_weights) = forward.backward(&model.candidate, gradient);
        let (width, path_width) = (model.candidate.own_inputs(), model.candidate.shared.len());
        let (dim, token_dim, label_dim) = (model.ids.shape[1], model.tokens.shape[1], model.labels.shape[1]);
        let [ids, tokens, labels, _] = &mut self.gradients;
        let features = self.features;
        let items = || batch.items.iter().map(|item| &features[*item as usize]);
        let rows = || d_inputs.own.chunks_exact(width).zip(items());
        ids.add(|| {
            rows()
                .zip(&batch.dropped)
                .map(|((row, features), dropped)| (if *dropped { 0 } else { features.id }, &row[..dim], 1.0))
        });
        tokens.add(|| {
            rows().flat_map(|(row, features)| {
                let (words, scale) = (&row[dim..dim + token_dim], 1.0 / features.tokens.len() as f32);
                features.tokens.iter().map(move |token| (*token, words, scale))
            })
        });
        labels.add(|| {
            let brands = rows().map(|(row, features)| (features.brand(), &row[dim + token_dim..][..label_dim], 1.0));
            let paths = of_paths.iter().zip(d_inputs.shared.chunks_exact(path_width.max(1)));
            brands.chain(paths.flat_map(|(item, row)| {
                let gradients = row.chunks_exact(label_dim).zip(item.path());
                gradients.map(|(gradient, label)| (*label, gradient, 1.0))
            }))
        });
        model.ids.step_rows(ids, rates.ids);
        model.tokens.step_rows(tokens, rates.table);
        model.labels.step_rows(labels, rates.table);
        let d_content = model.content_gradient(&d_inputs.own, content);
        if let (Some(map), Some(gradient)) = (&mut model.content, d_content) {
            map.step(&gradient, rates.dense);
        }
        for (weights, gradient) in model.candidate.weights.iter_mut().zip(d_weights) {
            weights.step(&gradient, rates.dense);
        }
    }
}

/// The rows of `slots`, one behind the other.
fn gathered(slots: &[u32], rows: &[f32], dim: usize) -> Vec<f32> {
    let mut gathered = vec![0.0; slots.len() * dim];
    let places = gathered.par_chunks_exact_mut(dim).zip(slots);
    places.for_each(|(place, slot)| place.copy_from_slice(&rows[*slot as usize * dim..][..dim]));
    gathered
}

/// What a pass through the histories leaves.
enum Read {
    /// Per query, the share of each item; and the weighted means, `[queries, dim]`.
    Pooled { shares: Vec<Vec<f32>>, pooled: Vec<f32> },
    /// The encoder's graph.
    Encoded(Box<Encoded>),
}

/// What is added to the scores of what shoppers have had.
fn bonus_of(model: &Model, batch: &Batch) -> Vec<Vec<(u32, f32)>> {
    if model.repeats.is_none() {
        return Vec::new();
    }
    let of_query =
        |repeats: &Vec<(u32, [u32; 2])>| repeats.iter().map(|(column, rows)| (*column, model.bonus(*rows))).collect();
    batch.repeats.iter().map(of_query).collect()
}

/// Steps the numbers on the scores of what shoppers have had.
fn repeats_backward(model: &mut Model, batch: &Batch, gradients: &[Vec<f32>], rates: Rates) {
    let Some(repeats) = &mut model.repeats else { return };
    let mut sums = vec![0.0; repeats.values.len()];
    for ((_, [count, age]), gradient) in batch.repeats.iter().flatten().zip(gradients.iter().flatten()) {
        sums[*count as usize] += gradient;
        sums[(COUNTS + age) as usize] += gradient;
    }
    repeats.step(&sums, rates.repeats);
}

/// Adds to the gradient of the candidates what comes through the histories; steps marks and encoder.
fn histories_backward(
    model: &mut Model,
    batch: &Batch,
    (candidates, read): (&[f32], Read),
    gradient: &[f32],
    d_candidates: &mut [f32],
    rates: Rates,
) {
    let dim = model.ids.shape[1];
    let width = model.marks.as_ref().map_or(0, |marks| marks.values.len());
    let mut d_marks = vec![0.0; width];
    match (&batch.histories, read) {
        (Histories::Pooled(histories), Read::Pooled { shares, pooled }) => {
            let histories = || histories.iter().zip(&shares).zip(gradient.chunks_exact(dim));
            scatter(d_candidates, dim, || {
                histories().flat_map(|((history, shares), gradient)| {
                    history.iter().zip(shares).map(move |(past, share)| (past.item, gradient, *share))
                })
            });
            if width > 0 {
                for (((history, shares), gradient), mean) in histories().zip(pooled.chunks_exact(dim)) {
                    let through_mean = dot_f32(gradient, mean);
                    for (past, share) in history.iter().zip(shares) {
                        // A share moves with the logarithm of its weight, all others against it.
                        let vector = &candidates[past.item as usize * dim..][..dim];
                        let slope = share * (dot_f32(gradient, vector) - through_mean);
                        past.marks.iter().take(batch.marks_per_item).for_each(|row| d_marks[*row as usize] += slope);
                    }
                }
            }
        }
        (Histories::Encoded(rows, places), Read::Encoded(encoded)) => {
            let mut by_token = vec![0.0; rows.tokens.len() * dim];
            for (place, gradient) in places.iter().zip(gradient.chunks_exact(dim)) {
                add(&mut by_token[place * dim..][..dim], gradient, 1.0);
            }
            let (d_x, d_weights) = encoded.backward(by_token);
            for ((token, marks), gradient) in rows.tokens.iter().zip(&rows.marks).zip(d_x.chunks_exact(dim)) {
                if let Token::Item(slot) = token {
                    add(&mut d_candidates[*slot as usize * dim..][..dim], gradient, 1.0);
                    if width > 0 {
                        let rows = marks.iter().take(batch.marks_per_item);
                        rows.for_each(|row| add(&mut d_marks[*row as usize * dim..][..dim], gradient, 1.0));
                    }
                }
            }
            if let Some(encoder) = &mut model.encoder {
                encoder.step(&d_weights, rates.dense);
            }
        }
        _ => unreachable!("histories are read as they were made"),
    }
    if let Some(marks) = &mut model.marks {
        marks.step(&d_marks, rates.table);
    }
}
