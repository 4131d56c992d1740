//! Trained weights as ONNX files and schemas.

mod encoder;

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
    let pooled = match &model.encoder {
        None => weighted_mean(&mut graph, "pooled", &history, &weights),
        Some(of_history) => {
            let inputs = encoder::Inputs { history: &history, weights: &weights, length: schema.history.length };
            encoder::encoded(&mut graph, of_history, inputs)
        }
    };
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
    let mut id = embed_flat(&mut graph, "id", &ids, &item, config.dim);
    if let Some(map) = &model.content {
        let content = graph.float_input("content", &[Axis::Batch, Axis::Fixed(map.shape[0])]);
        let map = graph.floats("content_map", &map.shape, &map.values);
        let added = graph.node("content_part", "MatMul", &[&content, &map], &[]);
        id = graph.node("id_and_content", "Add", &[&id, &added], &[]);
    }
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::model::Shape;
    use super::super::rows::{Token, one_per_history};
    use super::*;
    use crate::data::config::{EncoderConfig, TrainConfig};
    use crate::features::HistorySchema;
    use crate::towers::{Input, Scratch, lower};

    const DIM: usize = 16;
    const LENGTH: usize = 7;

    fn model(config: &ModelConfig, schema: &FeatureSchema) -> Model {
        let items = ItemSchema::of(&[], 4, 2);
        let shape = Shape { query: schema, items: &items, count: 0, content: 0 };
        let mut model = Model::new(config, shape, None, &TrainConfig::default());
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for (_, weights) in model.named_mut() {
            weights.values.iter_mut().for_each(|value| *value += rng.random_range(-0.2..0.2));
            weights.values = halved(weights);
        }
        model
    }

    /// What training computes for a history, the newest item first.
    fn trained(model: &Model, history: &[Vec<f32>]) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let items: Vec<(u32, f32)> = (0..history.len() as u32).map(|item| (item, 1.0)).collect();
        let rows = one_per_history([&items[..]].into_iter(), LENGTH);
        let vector = |token: &Token| match token {
            Token::Item(item) => history[*item as usize].clone(),
            _ => vec![0.0; DIM],
        };
        let x = rows.tokens.iter().flat_map(vector).collect();
        let encoded = model.encoder.as_ref().unwrap().forward(x, &rows, None, &device).values();
        let last = encoded[encoded.len() - DIM..].to_vec();
        model.query.forward(last, &device).values()
    }

    #[test]
    fn the_program_of_an_encoder_computes_what_was_trained() {
        let history = HistorySchema { length: LENGTH, decay: 1.0, count_power: 0.0 };
        let schema = FeatureSchema { dim: DIM, history, categories: vec![] };
        for encoder in [
            EncoderConfig::Attention { layers: 2, heads: 2, feed_forward: 24 },
            EncoderConfig::Attention { layers: 1, heads: 4, feed_forward: 8 },
            EncoderConfig::Gru { hidden: 12 },
            EncoderConfig::Lstm { hidden: 12 },
        ] {
            let config = ModelConfig { dim: DIM, history: LENGTH, encoder, ..ModelConfig::default() };
            let model = model(&config, &schema);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("query.onnx");
            std::fs::write(&path, query_onnx(&model, &schema, &config)).unwrap();
            let program = lower::compile(&path).unwrap_or_else(|error| panic!("{encoder:?}: {error}"));
            let mut rng = ChaCha8Rng::seed_from_u64(6);
            for count in [0, 1, 4, LENGTH] {
                let items: Vec<Vec<f32>> =
                    (0..count).map(|_| (0..DIM).map(|_| rng.random_range(-0.4..0.4)).collect()).collect();
                let mut vectors = items.concat();
                vectors.resize(LENGTH * DIM, 0.0);
                let weights: Vec<f32> = (0..LENGTH).map(|at| f32::from(u8::from(at < count))).collect();
                let mut scratch = Scratch::default();
                let found = program.run(&[Input::Float(&vectors), Input::Float(&weights)], &mut scratch).unwrap();
                for (found, expected) in found.iter().zip(trained(&model, &items)) {
                    assert!((found - expected).abs() < 1e-4, "{encoder:?}, {count} items: {found} {expected}");
                }
            }
        }
    }
}
