//! Towers as [ONNX](crate::onnx).
//!
//! | tower     | inputs                                                                                              |
//! |-----------|-----------------------------------------------------------------------------------------------------|
//! | query     | `history [batch, length, dim]`, `weights [batch, length]`, and where the schema has them `marks [batch, length * marks]`, `categories [batch, C]` (int64) and `user [batch, U]` |
//! | candidate | `item [batch, 1]`, `tokens [batch, T]`, `labels [batch, L]` (int64), `token_weights [batch, T]`, `numbers [batch, N]` |
//!
//! The output of either is `embedding [batch, dim]`: of unit length, or a unit vector and a popularity number.

use super::train::{AFFINITY, Last, NORM_FLOOR, mask};
pub use crate::onnx::{Axis, GraphBuilder, OPSET};

/// The weights of a tower's network, as `train::mlp` defines it: `normalise(x[.., ..dim] + relu(x W1 + b1) W2 + b2)`.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    /// `W1 [inputs, hidden]`, `b1 [hidden]`, `W2 [hidden, dim]`, `b2 [dim]`, row by row.
    pub weights: [&'a [f32]; 4],
    /// `inputs`, `hidden`, `dim`.
    pub sizes: [usize; 3],
    /// What the last output is.
    pub(crate) last: Last,
}

/// Adds a tower's network behind `base` (`[batch, dim]`) and `rest` (`[batch, ...]` each), and finishes the graph.
pub fn finish_tower(mut graph: GraphBuilder, base: &str, rest: &[&str], network: Network<'_>) -> Vec<u8> {
    let [inputs, hidden, dim] = network.sizes;
    let shapes: [&[usize]; 4] = [&[inputs, hidden], &[hidden], &[hidden, dim], &[dim]];
    let names = ["w1", "b1", "w2", "b2"];
    for ((name, shape), values) in names.iter().zip(shapes).zip(network.weights) {
        graph.floats(name, shape, values);
    }
    let parts: Vec<&str> = std::iter::once(base).chain(rest.iter().copied()).collect();
    graph.node("x", "Concat", &parts, &[("axis", 1)]);
    graph.node("hidden", "Gemm", &["x", "w1", "b1"], &[]);
    graph.node("activated", "Relu", &["hidden"], &[]);
    graph.node("change", "Gemm", &["activated", "w2", "b2"], &[]);
    let mut sum = graph.node("sum", "Add", &["change", base], &[]);
    if network.last != Last::Unit {
        graph.floats("unit_part", &[dim], &mask(0..dim - 1, dim));
        sum = graph.node("unit_sum", "Mul", &["sum", "unit_part"], &[]);
    }
    graph.integers("last_axis", &[1]);
    graph.floats("norm_floor", &[], &[NORM_FLOOR]);
    graph.node("squares", "Mul", &[&sum, &sum], &[]);
    graph.node("norm_squared", "ReduceSum", &["squares", "last_axis"], &[("keepdims", 1)]);
    graph.node("norm", "Sqrt", &["norm_squared"], &[]);
    graph.node("norm_safe", "Max", &["norm", "norm_floor"], &[]);
    let unit = graph.node("unit", "Div", &[&sum, "norm_safe"], &[]);
    let last_number = match network.last {
        Last::Unit => None,
        Last::Prior => rest.last().copied(),
        Last::Affinity => {
            graph.floats("affinity_start", &[], &[AFFINITY]);
            graph.node("affinity", "Add", &["change", "affinity_start"], &[]);
            Some("affinity")
        }
    };
    let embedding = last_number.map_or(unit, |number| {
        graph.floats("last_part", &[dim], &mask(dim - 1..dim, dim));
        graph.node("last_number", "Mul", &[number, "last_part"], &[]);
        graph.node("embedding", "Add", &["unit", "last_number"], &[])
    });
    graph.finish(&embedding, &[Axis::Batch, Axis::Fixed(dim)])
}

/// Adds the weighted mean of the middle axis of `rows` (`[batch, length, width]`) with `weights` (`[batch, length]`);
/// zero where all weights are zero.
pub fn weighted_mean(graph: &mut GraphBuilder, name: &str, rows: &str, weights: &str) -> String {
    let at = |part: &str| format!("{name}_{part}");
    let axis = graph.integers(&at("axis"), &[1]);
    let last = graph.integers(&at("last"), &[2]);
    let floor = graph.floats(&at("floor"), &[], &[NORM_FLOOR]);
    let column = graph.node(&at("column"), "Unsqueeze", &[weights, &last], &[]);
    let weighted = graph.node(&at("weighted"), "Mul", &[rows, &column], &[]);
    let sum = graph.node(&at("sum"), "ReduceSum", &[&weighted, &axis], &[("keepdims", 0)]);
    let total = graph.node(&at("total"), "ReduceSum", &[weights, &axis], &[("keepdims", 1)]);
    let safe = graph.node(&at("total_safe"), "Max", &[&total, &floor], &[]);
    graph.node(name, "Div", &[&sum, &safe], &[])
}

/// Adds the rows of `table` (`[rows, width]`) that `indices` (`[batch, count]`) name, one behind the other:
/// `[batch, count * width]`.
pub fn embed_flat(graph: &mut GraphBuilder, name: &str, table: &str, indices: &str, flat: usize) -> String {
    let rows = graph.node(&format!("{name}_rows"), "Gather", &[table, indices], &[("axis", 0)]);
    let shape = graph.integers(&format!("{name}_shape"), &[-1, flat as i64]);
    graph.node(name, "Reshape", &[&rows, &shape], &[])
}
