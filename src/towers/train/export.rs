//! Trained weights as ONNX files and schemas.

use half::f16;

use super::graph::Mlp;
use super::model::Model;
use super::optimizer::Weights;
use crate::data::config::ModelConfig;
use crate::features::FeatureSchema;
use crate::features::items::{ItemSchema, NUMBERS};
use crate::towers::onnx::{Axis, GraphBuilder, Network, embed_flat, finish_tower, weighted_mean};

/// The query tower as ONNX. Its weights are rounded to half precision, so that the compact program, which stores them
/// so, computes just what the file says.
pub(super) fn query_onnx(model: &Model, schema: &FeatureSchema, config: &ModelConfig) -> Vec<u8> {
    let mut graph = GraphBuilder::new("query tower");
    let length = Axis::Fixed(schema.history.length);
    let history = graph.float_input("history", &[Axis::Batch, length, Axis::Fixed(schema.dim)]);
    let weights = graph.float_input("weights", &[Axis::Batch, length]);
    let mut rest = Vec::new();
    if !schema.categories.is_empty() {
        let count = schema.categories.len();
        let categories = graph.index_input("categories", &[Axis::Batch, Axis::Fixed(count)]);
        let table = graph.floats("contexts", &model.contexts.shape, &halved(&model.contexts));
        rest.push(embed_flat(&mut graph, "context", &table, &categories, count * config.context_dim));
    }
    let pooled = weighted_mean(&mut graph, "pooled", &history, &weights);
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let halves = model.query.weights.each_ref().map(halved);
    let halves = halves.each_ref().map(Vec::as_slice);
    finish_tower(graph, &pooled, &rest, network(&model.query, halves))
}

/// The candidate tower as ONNX.
pub(super) fn candidate_onnx(model: &Model, schema: &ItemSchema, config: &ModelConfig) -> Vec<u8> {
    let mut graph = GraphBuilder::new("candidate tower");
    let item = graph.index_input("item", &[Axis::Batch, Axis::Fixed(1)]);
    let words = Axis::Fixed(schema.max_tokens);
    let tokens = graph.index_input("tokens", &[Axis::Batch, words]);
    let token_weights = graph.float_input("token_weights", &[Axis::Batch, words]);
    let labels = graph.index_input("labels", &[Axis::Batch, Axis::Fixed(schema.labels())]);
    let numbers = graph.float_input("numbers", &[Axis::Batch, Axis::Fixed(NUMBERS)]);
    let ids = graph.floats("ids", &model.ids.shape, &model.ids.values);
    let token_table = graph.floats("token_table", &model.tokens.shape, &model.tokens.values);
    let label_table = graph.floats("label_table", &model.labels.shape, &model.labels.values);
    let id = embed_flat(&mut graph, "id", &ids, &item, config.dim);
    let token_rows = graph.node("token_rows", "Gather", &[&token_table, &tokens], &[("axis", 0)]);
    let words = weighted_mean(&mut graph, "words", &token_rows, &token_weights);
    let flat = schema.labels() * config.label_dim;
    let label = embed_flat(&mut graph, "label", &label_table, &labels, flat);
    let mut rest = vec![words, label, numbers];
    if let Some(priors) = &model.priors {
        let table = graph.floats("priors", &[priors.len(), 1], priors);
        rest.push(embed_flat(&mut graph, "prior", &table, &item, 1));
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let weights = model.candidate.weights.each_ref().map(|weights| weights.values.as_slice());
    finish_tower(graph, &id, &rest, network(&model.candidate, weights))
}

fn network<'a>(tower: &Mlp, weights: [&'a [f32]; 4]) -> Network<'a> {
    let [inputs, hidden] = tower.weights[0].shape;
    Network { weights, sizes: [inputs, hidden, tower.weights[3].shape[1]], last: tower.last }
}

fn halved(weights: &Weights) -> Vec<f32> {
    weights.values.iter().map(|value| f16::from_f32(*value).to_f32()).collect()
}
