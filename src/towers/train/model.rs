//! All weights of both towers, and how features become the inputs of their networks.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::encoder::Encoder;
use super::mlp::{Inputs, Last, Mlp};
use super::optimizer::{Rule, Weights};
use super::sampler::Query;
use super::sums::add;
use crate::data::config::{EncoderConfig, ModelConfig, TrainConfig};
use crate::features::FeatureSchema;
use crate::features::history::{AGES, COUNTS};
use crate::features::items::{ItemFeatures, ItemSchema, NUMBERS};
use crate::kernels::gemm::{MatrixRef, gemm_f32};

/// Standard deviation of fresh table rows, before the towers normalise.
const TABLE_SCALE: f32 = 0.1;

/// The same of items' own vectors beside content: an item begins where its content says, and learns what that does not say.
const IDS_BESIDE_CONTENT: f32 = 0.02;

/// Rows of a matrix product that one thread works off.
const PRODUCT_ROWS: usize = 512;

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
    /// A linear map of items' content to what it adds to their own vectors, `[width, dim]`.
    pub(crate) content: Option<Weights>,
    /// What the marks of an event add to its item's vector, or with a mean to the logarithm of its weight, `[mark rows, dim or 1]`.
    pub(crate) marks: Option<Weights>,
    /// What is added to the scores of what the shopper has had, in nats: by count, then by age, `[1, COUNTS + AGES]`.
    pub(crate) repeats: Option<Weights>,
    /// What stands for a missing long-term vector, `[1, its length]`.
    pub(crate) user: Option<Weights>,
    /// What reads histories; without it, their weighted mean.
    pub(crate) encoder: Option<Encoder>,
    /// The query tower's network.
    pub(crate) query: Mlp,
    /// Logarithm of what inner products are multiplied with, `[1, 1]`.
    pub(crate) log_scale: Weights,
    /// One number per row of `ids`; without them embeddings are unit vectors. Counted, not trained.
    pub(crate) priors: Option<Vec<f32>>,
}

/// How the parts of a model move in one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) table: Rule,
    /// The table of items' own vectors.
    pub(crate) ids: Rule,
    /// The numbers on what shoppers have had.
    pub(crate) repeats: Rule,
    pub(crate) dense: Rule,
}

/// What a model is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'s> {
    pub(crate) query: &'s FeatureSchema,
    pub(crate) items: &'s ItemSchema,
    /// Items of the catalogue.
    pub(crate) count: usize,
    /// Numbers of an item's content, 0 without any.
    pub(crate) content: usize,
}

impl Model {
    pub(crate) fn new(config: &ModelConfig, shape: Shape<'_>, priors: Option<Vec<f32>>, train: &TrainConfig) -> Self {
        let Shape { query, items, count, content } = shape;
        let mut rng = ChaCha8Rng::seed_from_u64(train.seed);
        rng.set_stream(u64::MAX);
        let mut table = |name, rows: usize, width: usize, scale: f32| {
            let limit = scale * 3.0_f32.sqrt();
            let values = (0..rows * width).map(|_| rng.random_range(-limit..limit)).collect();
            Weights::new(name, [rows, width], values)
        };
        let ids = table("ids", count + 1, config.dim, if content > 0 { IDS_BESIDE_CONTENT } else { TABLE_SCALE });
        let tokens = table("tokens", items.token_rows(), config.token_dim, TABLE_SCALE);
        let labels = table("labels", items.label_rows(), config.label_dim, TABLE_SCALE);
        let contexts = table("contexts", query.category_rows().max(1) as usize, config.context_dim, TABLE_SCALE);
        let map = (content > 0).then(|| table("content", content, config.dim, (content as f32).sqrt().recip()));
        let path = config.dim + config.token_dim..config.dim + config.token_dim + items.levels * config.label_dim;
        let candidate_inputs = path.end + config.label_dim + NUMBERS + usize::from(priors.is_some());
        let lasts = if priors.is_some() { [Last::Prior, Last::Affinity] } else { [Last::Unit; 2] };
        let user = query.user.as_ref().map_or(0, |user| user.default.len());
        let query_inputs = config.dim + query.categories.len() * config.context_dim + user;
        let encoder_width = if config.encoder == EncoderConfig::Mean { 1 } else { config.dim };
        let zeros =
            |name, rows: u32, width| Weights::new(name, [rows as usize, width], vec![0.0; rows as usize * width]);
        let mark_rows = query.history.mark_rows();
        Self {
            ids,
            tokens,
            labels,
            contexts,
            candidate: Mlp::new([candidate_inputs, config.hidden, config.dim], path, lasts[0], &mut rng),
            query: Mlp::new([query_inputs, config.hidden, config.dim], query_inputs..query_inputs, lasts[1], &mut rng),
            content: map,
            // From zero on, so that towers without these inputs are where they begin.
            marks: (mark_rows > 0).then(|| zeros("marks", mark_rows, encoder_width)),
            repeats: query.history.repeats.is_some().then(|| zeros("repeats", 1, (COUNTS + AGES) as usize)),
            user: (user > 0).then(|| zeros("user", 1, user)),
            encoder: Encoder::new(config, &mut rng),
            log_scale: Weights::new("log_scale", [1, 1], vec![-train.temperature.ln()]),
            priors,
        }
    }

    /// What inner products are divided by.
    pub(crate) fn temperature(&self) -> f32 {
        (-self.log_scale.values[0]).exp()
    }

    /// All weights with names that are unique among them.
    pub(crate) fn named(&self) -> Vec<(String, &Weights)> {
        let tables = [&self.ids, &self.tokens, &self.labels, &self.contexts, &self.log_scale];
        let tables = tables.into_iter().chain(&self.content).chain(&self.marks).chain(&self.repeats).chain(&self.user);
        let mut named: Vec<_> = tables.map(|table| (table.name.to_owned(), table)).collect();
        for (tower, mlp) in [("candidate", &self.candidate), ("query", &self.query)] {
            named.extend(mlp.weights.iter().map(|weights| (format!("{tower}.{}", weights.name), weights)));
        }
        let encoder = self.encoder.iter().flat_map(Encoder::named);
        named.extend(encoder.map(|(name, weights)| (format!("encoder.{name}"), weights)));
        named
    }

    /// As [`Model::named`], to be filled.
    pub(crate) fn named_mut(&mut self) -> Vec<(String, &mut Weights)> {
        let tables = [&mut self.ids, &mut self.tokens, &mut self.labels, &mut self.contexts, &mut self.log_scale];
        let tables = tables.into_iter().chain(&mut self.content).chain(&mut self.marks);
        let tables = tables.chain(&mut self.repeats).chain(&mut self.user);
        let mut named: Vec<_> = tables.map(|table| (table.name.to_owned(), table)).collect();
        for (tower, mlp) in [("candidate", &mut self.candidate), ("query", &mut self.query)] {
            named.extend(mlp.weights.iter_mut().map(|weights| (format!("{tower}.{}", weights.name), weights)));
        }
        let encoder = self.encoder.iter_mut().flat_map(Encoder::named_mut);
        named.extend(encoder.map(|(name, weights)| (format!("encoder.{name}"), weights)));
        named
    }

    /// The candidate network's inputs for some items, given all items' features and the content of these; `dropped` ones are
    /// seen by content only. Items of one category path share its labels; also, an item of each path.
    pub(crate) fn candidate_inputs<'f>(
        &self,
        features: &'f [ItemFeatures],
        content: &[f32],
        (items, dropped): (&[u32], &[bool]),
    ) -> (Inputs, Vec<&'f ItemFeatures>) {
        let width = self.candidate.own_inputs();
        let mut own = vec![0.0; items.len() * width];
        own.par_chunks_exact_mut(width).zip(items).zip(dropped).for_each(|((row, item), dropped)| {
            let features = &features[*item as usize];
            let id = if *dropped { 0 } else { features.id };
            let (base, rest) = row.split_at_mut(self.ids.shape[1]);
            base.copy_from_slice(self.ids.row(id));
            let (words, rest) = rest.split_at_mut(self.tokens.shape[1]);
            for token in &features.tokens {
                add(words, self.tokens.row(*token), 1.0 / features.tokens.len() as f32);
            }
            let (brand, numbers) = rest.split_at_mut(self.labels.shape[1]);
            brand.copy_from_slice(self.labels.row(features.brand()));
            let (numbers, prior) = numbers.split_at_mut(NUMBERS);
            numbers.copy_from_slice(&features.numbers);
            if let Some(priors) = &self.priors {
                prior[0] = priors[id as usize];
            }
        });
        self.add_content(&mut own, content);
        let (groups, of_paths) = by_path(features, items);
        let labels = of_paths.iter().flat_map(|item| item.path());
        let shared = labels.flat_map(|label| self.labels.row(*label)).copied().collect();
        (Inputs { own, shared, groups }, of_paths)
    }

    /// Adds what content (`[rows, its width]`) says to the first `dim` inputs of each row.
    fn add_content(&self, inputs: &mut [f32], content: &[f32]) {
        let Some(map) = &self.content else { return };
        let (width, [from, dim]) = (self.candidate.own_inputs(), map.shape);
        let map = MatrixRef::row_major(&map.values, dim);
        inputs.par_chunks_mut(PRODUCT_ROWS * width).zip(content.par_chunks(PRODUCT_ROWS * from)).for_each(
            |(inputs, content)| {
                let rows = content.len() / from;
                let mut added = vec![0.0; rows * dim];
                gemm_f32([rows, dim, from], &mut added, 1.0, MatrixRef::row_major(content, from), map);
                for (row, added) in inputs.chunks_exact_mut(width).zip(added.chunks_exact(dim)) {
                    add(&mut row[..dim], added, 1.0);
                }
            },
        );
    }

    /// The gradient of the map of content, given those of the candidate network's own inputs.
    pub(crate) fn content_gradient(&self, d_inputs: &[f32], content: &[f32]) -> Option<Vec<f32>> {
        let [from, dim] = self.content.as_ref()?.shape;
        let width = self.candidate.own_inputs();
        let pieces = d_inputs.par_chunks(PRODUCT_ROWS * width).zip(content.par_chunks(PRODUCT_ROWS * from));
        let of_pieces: Vec<Vec<f32>> = pieces
            .map(|(d_inputs, content)| {
                let rows = content.len() / from;
                let of_base = MatrixRef { values: d_inputs, row_stride: width, column_stride: 1 };
                let mut gradient = vec![0.0; from * dim];
                let content = MatrixRef::row_major(content, from).transposed();
                gemm_f32([from, dim, rows], &mut gradient, 1.0, content, of_base);
                gradient
            })
            .collect();
        let mut sum = vec![0.0; from * dim];
        of_pieces.iter().for_each(|piece| add(&mut sum, piece, 1.0));
        Some(sum)
    }

    /// What the numbers of [`Model::repeats`] add to a score of the softmax.
    pub(crate) fn bonus(&self, rows: [u32; 2]) -> f32 {
        let of = |repeats: &Weights| repeats.values[rows[0] as usize] + repeats.values[(COUNTS + rows[1]) as usize];
        self.repeats.as_ref().map_or(0.0, of)
    }

    /// The query network's inputs, given one vector per history, `[queries, dim]`.
    pub(crate) fn query_inputs(&self, queries: &[Query], histories: &[f32]) -> Inputs {
        let (width, dim) = (self.query.weights[0].shape[0], self.ids.shape[1]);
        let mut inputs = vec![0.0; queries.len() * width];
        let rows = inputs.par_chunks_exact_mut(width).zip(queries).zip(histories.par_chunks_exact(dim));
        rows.for_each(|((row, query), history)| {
            let (pooled, rest) = row.split_at_mut(dim);
            let (contexts, user) = rest.split_at_mut(query.context.len() * self.contexts.shape[1]);
            pooled.copy_from_slice(history);
            if let Some(default) = &self.user {
                user.copy_from_slice(if query.user.is_empty() { &default.values } else { &query.user });
            }
            for (slot, context) in contexts.chunks_exact_mut(self.contexts.shape[1]).zip(&query.context) {
                slot.copy_from_slice(self.contexts.row(*context));
            }
        });
        Inputs::of_rows(inputs, queries.len())
    }
}

/// The group of each item among those with its category path, and an item of each group.
fn by_path<'f>(features: &'f [ItemFeatures], items: &[u32]) -> (Vec<u32>, Vec<&'f ItemFeatures>) {
    let mut known = HashMap::new();
    let mut of_paths = Vec::new();
    let group = |item: &u32| {
        let item = &features[*item as usize];
        *known.entry(item.deepest_label()).or_insert_with(|| {
            of_paths.push(item);
            of_paths.len() as u32 - 1
        })
    };
    let groups = items.iter().map(group).collect();
    (groups, of_paths)
}
