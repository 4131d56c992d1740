//! A trained ranker as [ONNX](crate::onnx).
//!
//! | input | holds |
//! |---|---|
//! | `features [batch, N]` | the numbers of [`FEATURES`], unscaled |
//! | `slot [batch, 1]` (int64) | 0 to serve: no slot; slot `p` of a logged impression is `p + 1` |
//!
//! The output is `probabilities [batch, tasks]`, each over all impressions.

use super::network::{Layer, Network};
use crate::onnx::{Axis, GraphBuilder};
use crate::rank::features::FEATURES;
use crate::towers::onnx::embed_flat;

/// The network as ONNX.
pub(super) fn ranker_onnx(network: &Network) -> Vec<u8> {
    let mut graph = GraphBuilder::new("ranker");
    let features = graph.float_input("features", &[Axis::Batch, Axis::Fixed(FEATURES.len())]);
    let slot = graph.index_input("slot", &[Axis::Batch, Axis::Fixed(1)]);
    let [shift, scale] = &network.scaling;
    let shift = graph.floats("shift", &[FEATURES.len()], shift);
    let scale = graph.floats("scale", &[FEATURES.len()], scale);
    let centred = graph.node("centred", "Sub", &[&features, &shift], &[]);
    let mut x = graph.node("scaled", "Mul", &[&centred, &scale], &[]);
    for (at, layer) in network.bottom.iter().enumerate() {
        let sums = gemm(&mut graph, &format!("bottom_{at}"), &x, layer);
        x = graph.node(&format!("bottom_{at}_relu"), "Relu", &[&sums], &[]);
    }
    let slots = graph.floats("slots", &network.slots.shape, &network.slots.values);
    let by_slot = embed_flat(&mut graph, "by_slot", &slots, &slot, 1);
    let mut tasks: Vec<String> = Vec::new();
    for (task, head) in network.heads.iter().enumerate() {
        let mut odds = x.clone();
        for (at, layer) in head.iter().enumerate() {
            odds = gemm(&mut graph, &format!("head_{task}_{at}"), &odds, layer);
            if at + 1 < head.len() {
                odds = graph.node(&format!("head_{task}_{at}_relu"), "Relu", &[&odds], &[]);
            }
        }
        if task == 0 {
            odds = graph.node("first_with_slot", "Add", &[&odds, &by_slot], &[]);
        }
        let mut probability = graph.node(&format!("step_{task}"), "Sigmoid", &[&odds], &[]);
        if let Some(before) = tasks.last() {
            probability = graph.node(&format!("task_{task}"), "Mul", &[before, &probability], &[]);
        }
        tasks.push(probability);
    }
    let parts: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let output = graph.node("probabilities", "Concat", &parts, &[("axis", 1)]);
    graph.finish(&output, &[Axis::Batch, Axis::Fixed(tasks.len())])
}

fn gemm(graph: &mut GraphBuilder, name: &str, x: &str, [w, b]: &Layer) -> String {
    let weights = graph.floats(&format!("{name}_w"), &w.shape, &w.values);
    let bias = graph.floats(&format!("{name}_b"), &[w.shape[1]], &b.values);
    graph.node(name, "Gemm", &[x, &weights, &bias], &[])
}
