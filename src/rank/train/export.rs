//! A trained ranker as [ONNX](crate::onnx).
//!
//! | input | holds |
//! |---|---|
//! | `features [batch, N]` | the numbers of [`FEATURES`], unscaled |
//! | `query [batch, dim]`, `item [batch, dim]` | query and candidate embedding; only with vectors and towers |
//! | `shelf [batch, 1]`, `brand [batch, 1]` (int64) | 1 and the number of the name, 0 for none; only with vectors |
//! | `slot [batch, 1]` (int64) | 0 to serve: no slot; slot `p` of a logged impression is `p + 1` |
//!
//! The output is `probabilities [batch, tasks]`, each over all impressions.

use super::network::{Network, Ops};
use crate::features::ranking::FEATURES;
use crate::onnx::{Axis, GraphBuilder};
use crate::towers::onnx::embed_flat;

/// The network as ONNX.
pub(super) fn ranker_onnx(network: &Network) -> Vec<u8> {
    let mut graph = GraphBuilder::new("ranker");
    graph.float_input("features", &[Axis::Batch, Axis::Fixed(FEATURES.len())]);
    if network.vector > 0 {
        if network.sizes.dim > 0 {
            graph.float_input("query", &[Axis::Batch, Axis::Fixed(network.sizes.dim)]);
            graph.float_input("item", &[Axis::Batch, Axis::Fixed(network.sizes.dim)]);
        }
        graph.index_input("shelf", &[Axis::Batch, Axis::Fixed(1)]);
        graph.index_input("brand", &[Axis::Batch, Axis::Fixed(1)]);
    }
    let slot = graph.index_input("slot", &[Axis::Batch, Axis::Fixed(1)]);
    let mut ops = Onnx { network, graph, made: 0 };
    let log_odds = network.log_odds(&mut ops);
    let Onnx { mut graph, .. } = ops;
    let slots = graph.floats("slots", &network.slots.shape, &network.slots.values);
    let by_slot = embed_flat(&mut graph, "by_slot", &slots, &slot, 1);
    let mut tasks: Vec<String> = Vec::new();
    for (task, mut odds) in log_odds.into_iter().enumerate() {
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

struct Onnx<'n> {
    network: &'n Network,
    graph: GraphBuilder,
    /// Values that have a name.
    made: usize,
}

impl Onnx<'_> {
    fn name(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}_{}", self.made)
    }

    fn node(&mut self, what: &str, inputs: &[&str], attributes: &[(&str, i64)]) -> String {
        let name = self.name(what);
        self.graph.node(&name, what, inputs, attributes)
    }

    fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let name = self.name("shape");
        let shape = self.graph.integers(&name, shape);
        self.node("Reshape", &[x, &shape], &[])
    }
}

impl Ops for Onnx<'_> {
    type Value = String;

    fn numbers(&mut self) -> String {
        let [shift, scale] = &self.network.scaling;
        let shift = self.graph.floats("shift", &[FEATURES.len()], shift);
        let scale = self.graph.floats("scale", &[FEATURES.len()], scale);
        let centred = self.node("Sub", &["features", &shift], &[]);
        self.node("Mul", &[&centred, &scale], &[])
    }

    fn query(&mut self) -> String {
        "query".to_owned()
    }

    fn item(&mut self) -> String {
        "item".to_owned()
    }

    fn vector_of(&mut self, table: usize) -> String {
        let (name, rows) = (["shelf", "brand"][table], &self.network.tables[table]);
        let values = self.graph.floats(&format!("{name}_vectors"), &rows.shape, &rows.values);
        embed_flat(&mut self.graph, &format!("{name}_vector"), &values, name, rows.shape[1])
    }

    fn layer(&mut self, x: &String, at: usize) -> String {
        let [w, b] = &self.network.layers[at];
        let weights = self.graph.floats(&format!("layer_{at}_w"), &w.shape, &w.values);
        let bias = self.graph.floats(&format!("layer_{at}_b"), &[w.shape[1]], &b.values);
        self.node("Gemm", &[x, &weights, &bias], &[])
    }

    fn relu(&mut self, x: &String) -> String {
        self.node("Relu", &[x], &[])
    }

    fn cat(&mut self, parts: &[String]) -> String {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node("Concat", &parts, &[("axis", 1)])
    }

    fn products(&mut self, vectors: &[String], length: usize) -> String {
        let count = vectors.len() as i64;
        let together = self.cat(vectors);
        let together = self.reshape(&together, &[-1, count, length as i64]);
        let name = self.name("turned");
        let turned = self.graph.transpose(&name, &together, &[0, 2, 1]);
        let products = self.node("MatMul", &[&together, &turned], &[]);
        self.reshape(&products, &[-1, count * count])
    }

    fn mixture(&mut self, gate: &String, parts: &[String], length: usize) -> String {
        let count = parts.len() as i64;
        let shares = self.node("Softmax", &[gate], &[("axis", 1)]);
        let shares = self.reshape(&shares, &[-1, 1, count]);
        let together = self.cat(parts);
        let together = self.reshape(&together, &[-1, count, length as i64]);
        let mixed = self.node("MatMul", &[&shares, &together], &[]);
        self.reshape(&mixed, &[-1, length as i64])
    }
}
