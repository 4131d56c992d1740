//! Encoders as parts of an ONNX graph: what they make of a history that a client gives, the newest item first.

use std::f32::consts::FRAC_1_SQRT_2;

use super::halved;
use crate::towers::onnx::GraphBuilder;
use crate::towers::train::encoder::{Attention, Cell, Encoder, Recurrent};
use crate::towers::train::optimizer::Weights;

/// Added to the score of what an item does not see.
const UNSEEN: f32 = -1e9;

/// Opens or closes a gate whatever else enters it: from 17 on the sigmoid is 1 in single precision.
const SHUT: f32 = 40.0;

/// The graph's inputs that make a history.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'n> {
    /// `[batch, length, dim]`, the newest item first.
    pub(super) history: &'n str,
    /// `[batch, length]`, 0 where there is no item.
    pub(super) weights: &'n str,
    pub(super) length: usize,
}

/// Adds an encoder; its output is `[batch, dim]`.
pub(super) fn encoded(graph: &mut GraphBuilder, encoder: &Encoder, inputs: Inputs<'_>) -> String {
    graph.floats("encoder_zero", &[], &[0.0]);
    graph.integers("encoder_last_axis", &[2]);
    // [batch, length, 1]
    let column = graph.node("encoder_column", "Unsqueeze", &[inputs.weights, "encoder_last_axis"], &[]);
    graph.node("encoder_is_item", "Greater", &[&column, "encoder_zero"], &[]);
    match encoder {
        Encoder::Attention(attention) => attend(graph, attention, inputs),
        Encoder::Recurrent(recurrent) => recur(graph, recurrent, inputs),
    }
}

fn constant(graph: &mut GraphBuilder, name: &str, weights: &Weights) -> String {
    graph.floats(name, &weights.shape, &halved(weights))
}

/// A row of numbers as `[1, ..]` and as wide as `weights`.
fn row(graph: &mut GraphBuilder, name: &str, weights: &Weights) -> String {
    graph.floats(name, &[weights.shape[1]], &halved(weights))
}

/// `[batch, length, dim]`: the items' numbers near 1, `start` where there is no item.
fn scaled(graph: &mut GraphBuilder, history: &str, dim: usize, start: &str) -> String {
    graph.floats("encoder_scale", &[], &[(dim as f32).sqrt()]);
    graph.node("encoder_scaled", "Mul", &[history, "encoder_scale"], &[]);
    graph.node("encoder_items", "Where", &["encoder_is_item", "encoder_scaled", start], &[])
}

/// `values` (`[1, ..]`) once per row of the batch, in front of as many more axes.
fn per_batch(graph: &mut GraphBuilder, name: &str, values: &str, history: &str, rest: &[i64]) -> String {
    let at = |part: &str| format!("{name}_{part}");
    let shape = graph.node(&at("shape"), "Shape", &[history], &[("end", 1)]);
    let rest = graph.integers(&at("rest"), rest);
    let shape = graph.node(&at("whole_shape"), "Concat", &[&shape, &rest], &[("axis", 0)]);
    graph.node(name, "Expand", &[values, &shape], &[])
}

/// Of the last block only the newest item's answer is asked for, so only that is computed.
fn attend(graph: &mut GraphBuilder, attention: &Attention, inputs: Inputs<'_>) -> String {
    let dim = attention.dim;
    let start = row(graph, "encoder_start", &attention.start);
    let items = scaled(graph, inputs.history, dim, &start);
    // Behind the oldest item, where the history began.
    let began = per_batch(graph, "encoder_began", &start, inputs.history, &[1, dim as i64]);
    let mut x = graph.node("encoder_x", "Concat", &[&items, &began], &[("axis", 1)]);
    graph.floats("encoder_unseen", &[], &[UNSEEN]);
    graph.node("encoder_padding", "Where", &["encoder_is_item", "encoder_zero", "encoder_unseen"], &[]);
    graph.floats("encoder_one_zero", &[1, 1, 1], &[0.0]);
    let seen = per_batch(graph, "encoder_start_seen", "encoder_one_zero", inputs.history, &[1, 1]);
    // [batch, length + 1, 1] -> [batch, 1, 1, length + 1]
    graph.node("encoder_seen", "Concat", &["encoder_padding", &seen], &[("axis", 1)]);
    let wide = graph.integers("encoder_keys_shape", &[-1, 1, 1, inputs.length as i64 + 1]);
    let keys = graph.node("encoder_keys", "Reshape", &["encoder_seen", &wide], &[]);
    for layer in 0..attention.layers.len() {
        let rows = if layer + 1 == attention.layers.len() { 1 } else { inputs.length + 1 };
        x = block(graph, attention, layer, [&x, &keys], [inputs.length, rows]);
    }
    let flat = graph.integers("encoder_flat", &[-1, dim as i64]);
    let newest = graph.node("encoder_newest", "Reshape", &[&x, &flat], &[]);
    let [gain, bias] = &attention.norm;
    let (gain, bias) = (row(graph, "encoder_gain", gain), row(graph, "encoder_bias", bias));
    graph.node("encoded", "LayerNormalization", &[&newest, &gain, &bias], &[])
}

/// One block for the first `rows` of `x` (`[batch, length + 1, dim]`).
fn block(
    graph: &mut GraphBuilder,
    attention: &Attention,
    layer: usize,
    [x, keys]: [&str; 2],
    [length, rows]: [usize; 2],
) -> String {
    let at = |part: &str| format!("block{layer}_{part}");
    let weights = &attention.layers[layer].weights;
    let named: Vec<String> = weights
        .iter()
        .filter(|weights| weights.name != "distance")
        .map(|weights| {
            let name = at(weights.name);
            match (weights.name, weights.shape[0]) {
                ("w2", _) => {
                    // The half of GELU: exact, and an operation less for a client.
                    let values: Vec<f32> = halved(weights).iter().map(|value| value / 2.0).collect();
                    graph.floats(&name, &weights.shape, &values)
                }
                (_, 1) => row(graph, &name, weights),
                _ => constant(graph, &name, weights),
            }
        })
        .collect();
    let [gain1, bias1, query, key, value, mixed, gain2, bias2, w1, b1, w2, b2] = &named[..] else {
        unreachable!("a block has as many weights as `Layer::new` makes")
    };
    let distance = weights.iter().find(|weights| weights.name == "distance");
    let bias = distance.map(|distance| biases(distance, attention.heads, [length, rows])).unwrap_or_default();
    let bias = graph.floats(&at("by_distance"), &[attention.heads, rows, length + 1], &bias);

    let (heads, of_head) = (attention.heads as i64, (attention.dim / attention.heads) as i64);
    let norm = |graph: &mut GraphBuilder, name: &str, x: &str, gain: &str, bias: &str| {
        graph.node(&at(name), "LayerNormalization", &[x, gain, bias], &[])
    };
    let normed = norm(graph, "normed", x, gain1, bias1);
    let queries_of = first(graph, &at("asking"), &normed, [length + 1, rows]);
    let split = |graph: &mut GraphBuilder, name: &str, x: &str, weights: &str, count: usize, order: &[i64]| {
        let product = graph.node(&at(&format!("{name}_all")), "MatMul", &[x, weights], &[]);
        let shape = graph.integers(&at(&format!("{name}_shape")), &[-1, count as i64, heads, of_head]);
        let parts = graph.node(&at(&format!("{name}_parts")), "Reshape", &[&product, &shape], &[]);
        graph.transpose(&at(&format!("{name}_heads")), &parts, order)
    };
    let q = split(graph, "q", &queries_of, query, rows, &[0, 2, 1, 3]);
    let k = split(graph, "k", &normed, key, length + 1, &[0, 2, 3, 1]);
    let v = split(graph, "v", &normed, value, length + 1, &[0, 2, 1, 3]);
    let products = graph.node(&at("products"), "MatMul", &[&q, &k], &[]);
    let scale = graph.floats(&at("scale"), &[], &[(of_head as f32).sqrt().recip()]);
    let scores = graph.node(&at("scaled"), "Mul", &[&products, &scale], &[]);
    let scores = graph.node(&at("biased"), "Add", &[&scores, &bias], &[]);
    let scores = graph.node(&at("scores"), "Add", &[&scores, keys], &[]);
    let shares = graph.node(&at("shares"), "Softmax", &[&scores], &[("axis", 3)]);
    let together = graph.node(&at("together"), "MatMul", &[&shares, &v], &[]);
    let together = graph.transpose(&at("by_item"), &together, &[0, 2, 1, 3]);
    let shape = graph.integers(&at("shape"), &[-1, rows as i64, attention.dim as i64]);
    let together = graph.node(&at("joined"), "Reshape", &[&together, &shape], &[]);
    let change = graph.node(&at("change"), "MatMul", &[&together, mixed], &[]);
    let x = first(graph, &at("base"), x, [length + 1, rows]);
    let x = graph.node(&at("attended"), "Add", &[&x, &change], &[]);

    let normed = norm(graph, "normed_again", &x, gain2, bias2);
    let hidden = graph.node(&at("hidden_product"), "MatMul", &[&normed, w1], &[]);
    let hidden = graph.node(&at("hidden"), "Add", &[&hidden, b1], &[]);
    let hidden = twice_gelu(graph, &at("gelu"), &hidden);
    let change = graph.node(&at("fed_product"), "MatMul", &[&hidden, w2], &[]);
    let change = graph.node(&at("fed"), "Add", &[&change, b2], &[]);
    graph.node(&at("out"), "Add", &[&x, &change], &[])
}

/// The first `count` of `all` rows.
fn first(graph: &mut GraphBuilder, name: &str, x: &str, [all, count]: [usize; 2]) -> String {
    if all == count {
        return x.to_owned();
    }
    let at = |part: &str| format!("{name}_{part}");
    let from = graph.integers(&at("from"), &[0]);
    let to = graph.integers(&at("to"), &[count as i64]);
    let axis = graph.integers(&at("axis"), &[1]);
    graph.node(name, "Slice", &[x, &from, &to, &axis], &[])
}

/// `[heads, rows, length + 1]`: what a pair's score gets for its distance; the last key is where the history began.
fn biases(distance: &Weights, heads: usize, [length, rows]: [usize; 2]) -> Vec<f32> {
    let distance = halved(distance);
    let of = |head: usize, query: usize, key: usize| {
        let place = if key == length { Some(length) } else { key.checked_sub(query) };
        place.map_or(UNSEEN, |place| distance[place * heads + head])
    };
    let pairs = |head| (0..rows).flat_map(move |query| (0..=length).map(move |key| (head, query, key)));
    (0..heads).flat_map(pairs).map(|(head, query, key)| of(head, query, key)).collect()
}

/// `x * (1 + erf(x / sqrt 2))`, twice the GELU (Hendrycks and Gimpel 2016).
fn twice_gelu(graph: &mut GraphBuilder, name: &str, x: &str) -> String {
    let at = |part: &str| format!("{name}_{part}");
    let root = graph.floats(&at("root"), &[], &[FRAC_1_SQRT_2]);
    let one = graph.floats(&at("one"), &[], &[1.0]);
    let inner = graph.node(&at("inner"), "Mul", &[x, &root], &[]);
    let inner = graph.node(&at("erf"), "Erf", &[&inner], &[]);
    let inner = graph.node(&at("shifted"), "Add", &[&inner, &one], &[]);
    graph.node(name, "Mul", &[x, &inner], &[])
}

/// A layer from the oldest item on. Where there is no item, one more input shuts the gates, so that the first state stays.
fn recur(graph: &mut GraphBuilder, layer: &Recurrent, inputs: Inputs<'_>) -> String {
    let (dim, hidden, gates) = (layer.dim, layer.hidden, layer.cell.gates());
    let [w_item, b_item, w_state, b_state, start, w_out, b_out] = &layer.weights[..] else {
        unreachable!("a recurrent layer has as many weights as `Recurrent::new` makes")
    };
    let zeros = graph.floats("encoder_zeros", &[dim], &vec![0.0; dim]);
    let items = scaled(graph, inputs.history, dim, &zeros);
    graph.floats("encoder_flag", &[], &[1.0]);
    graph.node("encoder_padding", "Where", &["encoder_is_item", "encoder_zero", "encoder_flag"], &[]);
    graph.node("encoder_flagged", "Concat", &[&items, "encoder_padding"], &[("axis", 2)]);
    let (from, to) = (graph.integers("encoder_from", &[-1]), graph.integers("encoder_to", &[i64::MIN + 1]));
    let (axis, back) = (graph.integers("encoder_axis", &[1]), graph.integers("encoder_back", &[-1]));
    graph.node("encoder_oldest_first", "Slice", &["encoder_flagged", &from, &to, &axis, &back], &[]);
    let x = graph.transpose("encoder_sequence", "encoder_oldest_first", &[1, 0, 2]);

    // ONNX has a row per gate and unit.
    let mut w = transposed(w_item);
    for (place, row) in w.iter_mut().enumerate() {
        row.push(shut(layer.cell, place / hidden));
    }
    let w = graph.floats("encoder_w", &[1, gates * hidden, dim + 1], &w.concat());
    let r = graph.floats("encoder_r", &[1, gates * hidden, hidden], &transposed(w_state).concat());
    let b = graph.floats("encoder_b", &[1, 2 * gates * hidden], &[halved(b_item), halved(b_state)].concat());
    // An LSTM's output is nothing where its cell holds nothing, so zeros stay through missing items.
    let first = if layer.cell == Cell::Gru { halved(start) } else { vec![0.0; hidden] };
    let values = graph.floats("encoder_first_values", &[1, 1, hidden], &first);
    let state = first_state(graph, "encoder_first", &values, inputs.history, hidden);
    let size = ("hidden_size", hidden as i64);
    let all = match layer.cell {
        Cell::Gru => {
            let inputs = [&x, &w, &r, &b, "", &state];
            graph.node("encoder_states", "GRU", &inputs, &[size, ("linear_before_reset", 1)])
        }
        Cell::Lstm => graph.node("encoder_states", "LSTM", &[&x, &w, &r, &b, "", &state, &state], &[size]),
    };
    // [length, 1, batch, hidden]
    let last = graph.integers("encoder_last", &[inputs.length as i64 - 1]);
    let newest = graph.node("encoder_newest_state", "Gather", &[&all, &last], &[("axis", 0)]);
    let flat = graph.integers("encoder_flat", &[-1, hidden as i64]);
    let newest = graph.node("encoder_newest", "Reshape", &[&newest, &flat], &[]);
    let (w, b) = (constant(graph, "encoder_w_out", w_out), row(graph, "encoder_b_out", b_out));
    graph.node("encoded", "Gemm", &[&newest, &w, &b], &[])
}

/// `values` (`[1, 1, hidden]`) once per row of the batch, `[1, batch, hidden]`.
fn first_state(graph: &mut GraphBuilder, name: &str, values: &str, history: &str, hidden: usize) -> String {
    let per_row = per_batch(graph, &format!("{name}_rows"), values, history, &[1, hidden as i64]);
    graph.transpose(name, &per_row, &[1, 0, 2])
}

/// What the flag of a missing item weighs in a gate, so that state and cell stay as they were.
fn shut(cell: Cell, gate: usize) -> f32 {
    match (cell, gate) {
        // The update gate takes all of the old state; the forget gate forgets nothing.
        (Cell::Gru, 0) | (Cell::Lstm, 2) => SHUT,
        // Nothing goes in.
        (Cell::Lstm, 0) => -SHUT,
        _ => 0.0,
    }
}

/// The columns of a matrix as rows.
fn transposed(weights: &Weights) -> Vec<Vec<f32>> {
    let values = halved(weights);
    let [rows, columns] = weights.shape;
    (0..columns).map(|column| (0..rows).map(|row| values[row * columns + column]).collect()).collect()
}
