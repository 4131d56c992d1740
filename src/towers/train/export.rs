//! Trained weights as ONNX files and schemas.

mod encoder;

use half::f16;

use super::mlp::Mlp;
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
    let of_item = schema.history.marks_per_item();
    let marks = model.marks.as_ref().map(|table| {
        let marks = graph.index_input("marks", &[Axis::Batch, Axis::Fixed(schema.history.length * of_item)]);
        marks_of(&mut graph, table, &marks, [schema.history.length, of_item])
    });
    let mut rest = Vec::new();
    if !schema.categories.is_empty() {
        let count = schema.categories.len();
        let categories = graph.index_input("categories", &[Axis::Batch, Axis::Fixed(count)]);
        let table = graph.floats("contexts", &model.contexts.shape, &halved(&model.contexts));
        rest.push(embed_flat(&mut graph, "context", &table, &categories, count * config.context_dim));
    }
    if let Some(user) = &schema.user {
        rest.push(graph.float_input("user", &[Axis::Batch, Axis::Fixed(user.default.len())]));
    }
    let pooled = match (&model.encoder, marks) {
        (None, None) => weighted_mean(&mut graph, "pooled", &history, &weights),
        (None, Some(marks)) => {
            let flat = graph.integers("marks_flat", &[-1, schema.history.length as i64]);
            graph.node("marks_column", "Reshape", &[&marks, &flat], &[]);
            graph.node("marks_factor", "Exp", &["marks_column"], &[]);
            let weights = graph.node("marked_weights", "Mul", &[&weights, "marks_factor"], &[]);
            weighted_mean(&mut graph, "pooled", &history, &weights)
        }
        (Some(of_history), marks) => {
            let history =
                marks.map_or(history.clone(), |marks| graph.node("marked_history", "Add", &[&history, &marks], &[]));
            let inputs = encoder::Inputs { history: &history, weights: &weights, length: schema.history.length };
            encoder::encoded(&mut graph, of_history, inputs)
        }
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let halves = model.query.weights.each_ref().map(halved);
    let halves = halves.each_ref().map(Vec::as_slice);
    finish_tower(graph, &pooled, &rest, network(&model.query, halves))
}

/// What the marks of each item add up to, `[batch, length, width]`.
fn marks_of(graph: &mut GraphBuilder, table: &Weights, marks: &str, [length, of_item]: [usize; 2]) -> String {
    let values = graph.floats("marks_table", &table.shape, &halved(table));
    let rows = graph.node("marks_rows", "Gather", &[&values, marks], &[("axis", 0)]);
    let axis = graph.integers("marks_axis", &[1]);
    let planes: Vec<String> = (0..of_item)
        .map(|kind| {
            let end = |name, at: usize| (format!("marks_{name}{kind}"), (at * length) as i64);
            let [from, to] = [end("from", kind), end("to", kind + 1)].map(|(name, at)| graph.integers(&name, &[at]));
            graph.node(&format!("marks_plane{kind}"), "Slice", &[&rows, &from, &to, &axis], &[])
        })
        .collect();
    match &planes[..] {
        [types, ages] => graph.node("marks_sum", "Add", &[types, ages], &[]),
        _ => planes.concat(),
    }
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

    use super::super::mlp::Inputs;
    use super::super::model::Shape;
    use super::super::moments::Past;
    use super::super::rows::{Token, one_per_history};
    use super::super::sums::add;
    use super::*;
    use crate::data::config::{EncoderConfig, TrainConfig};
    use crate::features::{Ages, HistorySchema, UserVector};
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

    /// A history, the newest item first: vectors, and marks of a type and an age.
    type History = Vec<(Vec<f32>, [u32; 2])>;

    fn history(count: usize, schema: &FeatureSchema, rng: &mut ChaCha8Rng) -> History {
        let mut item = || {
            let marks = [rng.random_range(0..=2), rng.random_range(3..schema.history.mark_rows())];
            ((0..DIM).map(|_| rng.random_range(-0.4..0.4)).collect(), marks)
        };
        (0..count).map(|_| item()).collect()
    }

    /// What training computes for a history.
    fn trained(model: &Model, history: &History, user: &[f32]) -> Vec<f32> {
        let device = Device::flex().autodiff();
        let items: Vec<Past> =
            (0..).zip(history).map(|(item, (_, marks))| Past { item, weight: 0.5, marks: *marks }).collect();
        let table = model.marks.as_ref().unwrap();
        let mut pooled = vec![0.0; DIM];
        if let Some(encoder) = &model.encoder {
            let rows = one_per_history([&items[..]].into_iter(), LENGTH);
            let vector = |(token, marks): (&Token, &[u32; 2])| match token {
                Token::Item(item) => {
                    let mut vector = history[*item as usize].0.clone();
                    marks.iter().for_each(|row| add(&mut vector, table.row(*row), 1.0));
                    vector
                }
                _ => vec![0.0; DIM],
            };
            let x = rows.tokens.iter().zip(&rows.marks).flat_map(vector).collect();
            let encoded = encoder.forward(x, &rows, None, &device).values();
            pooled.copy_from_slice(&encoded[encoded.len() - DIM..]);
        } else {
            let factor = |marks: &[u32; 2]| marks.iter().map(|row| table.row(*row)[0]).sum::<f32>().exp();
            let total: f32 = history.iter().map(|(_, marks)| factor(marks)).sum();
            history.iter().for_each(|(vector, marks)| add(&mut pooled, vector, factor(marks) / total));
        }
        model.query.forward(Inputs::of_rows([&pooled, user].concat(), 1)).output
    }

    #[test]
    fn the_program_of_a_query_tower_computes_what_was_trained() {
        let types = vec!["cart".to_owned(), "view".to_owned()];
        for encoder in [
            EncoderConfig::Mean,
            EncoderConfig::Attention { layers: 2, heads: 2, feed_forward: 24 },
            EncoderConfig::Attention { layers: 1, heads: 4, feed_forward: 8 },
            EncoderConfig::Gru { hidden: 12 },
            EncoderConfig::Lstm { hidden: 12 },
        ] {
            let plain = HistorySchema::of_items(LENGTH, 1.0, 0.0);
            let history_schema = HistorySchema { types: types.clone(), ages: Some(Ages::Next), ..plain };
            let user = Some(UserVector { default: vec![0.0; 3] });
            let schema = FeatureSchema { dim: DIM, history: history_schema, categories: vec![], user };
            let config = ModelConfig { dim: DIM, history: LENGTH, encoder, ..ModelConfig::default() };
            let model = model(&config, &schema);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("query.onnx");
            std::fs::write(&path, query_onnx(&model, &schema, &config)).unwrap();
            let program = lower::compile(&path).unwrap_or_else(|error| panic!("{encoder:?}: {error}"));
            let mut rng = ChaCha8Rng::seed_from_u64(6);
            for count in [0, 1, 4, LENGTH] {
                let items = history(count, &schema, &mut rng);
                let mut vectors: Vec<f32> = items.iter().flat_map(|(vector, _)| vector.clone()).collect();
                vectors.resize(LENGTH * DIM, 0.0);
                let weights: Vec<f32> = (0..LENGTH).map(|at| if at < count { 0.5 } else { 0.0 }).collect();
                let marks: Vec<[u32; 2]> = items.iter().map(|(_, marks)| *marks).collect();
                let marks = schema.history.planes(&marks);
                let user = [0.3, -0.2, count as f32 / 8.0];
                let mut scratch = Scratch::default();
                let inputs =
                    [Input::Float(&vectors), Input::Float(&weights), Input::Index(&marks), Input::Float(&user)];
                let found = program.run(&inputs, &mut scratch).unwrap();
                for (found, expected) in found.iter().zip(trained(&model, &items, &user)) {
                    assert!((found - expected).abs() < 1e-4, "{encoder:?}, {count} items: {found} {expected}");
                }
            }
        }
    }
}
