//! Causal self-attention over a history.

use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use super::{Graph, Inputs, filled, fresh};
use crate::towers::train::optimizer::Weights;
use crate::towers::train::rows::{HIDDEN, Rows, Token};

/// Keeps a row of equal numbers from dividing by zero; what ONNX takes where a file says nothing.
const LAYER_NORM_EPSILON: f32 = 1e-5;

/// Added to the score of what a token does not see.
const UNSEEN: f32 = -1e9;

/// Blocks of `x += attention(norm(x)); x += feed_forward(norm(x))`, and a last norm.
///
/// The vectors that enter are candidate embeddings times the square root of `dim`, so that their numbers are near 1; where a history
/// begins stands a trained vector. Scores get a trained bias by distance, one for the start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attention {
    pub(crate) dim: usize,
    pub(crate) heads: usize,
    pub(crate) layers: Vec<Layer>,
    /// What stands where a history begins, `[1, dim]`.
    pub(crate) start: Weights,
    /// Gain and bias of the last norm, `[1, dim]` each.
    pub(crate) norm: [Weights; 2],
}

/// One block.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    /// Norm, query, key, value and what mixes the heads, bias by distance, norm, and the two layers of the network; see [`Layer::new`].
    pub(crate) weights: Vec<Weights>,
}

impl Layer {
    fn new([dim, heads, hidden, history]: [usize; 4], rng: &mut ChaCha8Rng) -> Self {
        // What is added to the residual starts small, so that a fresh block is nearly the identity.
        let weights = vec![
            filled("gain1", [1, dim], 1.0),
            filled("bias1", [1, dim], 0.0),
            fresh("query", [dim, dim], 1.0, rng),
            fresh("key", [dim, dim], 1.0, rng),
            fresh("value", [dim, dim], 1.0, rng),
            fresh("mixed", [dim, dim], 0.15, rng),
            filled("distance", [history + 1, heads], 0.0),
            filled("gain2", [1, dim], 1.0),
            filled("bias2", [1, dim], 0.0),
            fresh("w1", [dim, hidden], 1.0, rng),
            filled("b1", [1, hidden], 0.0),
            fresh("w2", [hidden, dim], 0.15, rng),
            filled("b2", [1, dim], 0.0),
        ];
        Self { weights }
    }
}

impl Attention {
    /// Fresh weights for `[dim, heads, hidden, history]`.
    pub(crate) fn new(shape: [usize; 4], layers: usize, rng: &mut ChaCha8Rng) -> Self {
        let [dim, heads, ..] = shape;
        let layers = (0..layers).map(|_| Layer::new(shape, rng)).collect();
        let start = fresh("start", [1, dim], 0.02, rng);
        Self { dim, heads, layers, start, norm: [filled("gain", [1, dim], 1.0), filled("bias", [1, dim], 0.0)] }
    }

    pub(crate) fn named(&self) -> Vec<(String, &Weights)> {
        let last = [&self.start, &self.norm[0], &self.norm[1]].map(|weights| (weights.name.to_owned(), weights));
        let of_layers = self.layers.iter().enumerate().flat_map(|(layer, of)| {
            of.weights.iter().map(move |weights| (format!("{layer}.{}", weights.name), weights))
        });
        of_layers.chain(last).collect()
    }

    pub(crate) fn named_mut(&mut self) -> Vec<(String, &mut Weights)> {
        let [gain, bias] = &mut self.norm;
        let last = [&mut self.start, gain, bias].map(|weights| (weights.name.to_owned(), weights));
        let of_layers = self.layers.iter_mut().enumerate().flat_map(|(layer, of)| {
            of.weights.iter_mut().map(move |weights| (format!("{layer}.{}", weights.name), weights))
        });
        of_layers.chain(last).collect()
    }

    /// `weights` are the leaves of [`Attention::named`].
    pub(super) fn forward(
        &self,
        x: Vec<f32>,
        rows: &Rows,
        weights: &[Tensor<2>],
        graph: &mut Graph,
    ) -> (Tensor<2>, Inputs) {
        let (of_layers, last) = weights.split_at(weights.len() - 3);
        let shape = [rows.rows(), rows.length];
        let leaf = graph.constant(x, [rows.tokens.len(), self.dim]).require_grad();
        let begins = rows.tokens.iter().map(|token| f32::from(u8::from(*token == Token::Start))).collect();
        let begins = graph.constant(begins, [rows.tokens.len(), 1]);
        let mut x = graph.drop(leaf.clone() * (self.dim as f32).sqrt() + begins * last[0].clone());
        let seen = Seen::of(rows, self.heads, graph);
        for weights in of_layers.chunks_exact(of_layers.len() / self.layers.len()) {
            let [gain1, bias1, query, key, value, mixed, distance, gain2, bias2, w1, b1, w2, b2] = weights else {
                unreachable!("a block has as many weights as `Layer::new` makes")
            };
            let normed = layer_norm(x.clone(), gain1, bias1);
            let heads = |weights: &Tensor<2>| {
                let split = [shape[0], shape[1], self.heads, self.dim / self.heads];
                normed.clone().matmul(weights.clone()).reshape(split).swap_dims(1, 2)
            };
            let scale = ((self.dim / self.heads) as f32).sqrt().recip();
            let scores = heads(query).matmul(heads(key).swap_dims(2, 3)) * scale + seen.bias(distance);
            let shares = graph.drop(softmax(scores, 3));
            let together = shares.matmul(heads(value)).swap_dims(1, 2).reshape([shape[0] * shape[1], self.dim]);
            x = x + graph.drop(together.matmul(mixed.clone()));
            let hidden = gelu(layer_norm(x.clone(), gain2, bias2).matmul(w1.clone()) + b1.clone());
            x = x + graph.drop(hidden.matmul(w2.clone()) + b2.clone());
        }
        (layer_norm(x, &last[1], &last[2]), Inputs::Whole(Box::new(leaf)))
    }
}

/// Normalises rows to mean 0 and variance 1 (Ba, Kiros, Hinton 2016).
fn layer_norm(x: Tensor<2>, gain: &Tensor<2>, bias: &Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean_dim(1);
    let variance = centred.clone().square().mean_dim(1);
    centred / (variance + LAYER_NORM_EPSILON).sqrt() * gain.clone() + bias.clone()
}

/// What tokens see of each other.
struct Seen {
    /// Distance of each pair, `[rows * length * length]`.
    distances: Tensor<1, Int>,
    /// 0 or [`UNSEEN`], `[rows, 1, length, length]`.
    hidden: Tensor<4>,
    shape: [usize; 4],
}

impl Seen {
    fn of(rows: &Rows, heads: usize, graph: &Graph) -> Self {
        let distances =
            rows.distances.iter().map(|distance| if *distance == HIDDEN { 0 } else { i64::from(*distance) });
        let distances: Vec<i64> = distances.collect();
        let hidden = rows.distances.iter().map(|distance| if *distance == HIDDEN { UNSEEN } else { 0.0 }).collect();
        let count = distances.len();
        Self {
            distances: Tensor::from_data(TensorData::new(distances, [count]), &graph.device),
            hidden: graph.constant(hidden, [rows.rows(), 1, rows.length, rows.length]),
            shape: [rows.rows(), rows.length, rows.length, heads],
        }
    }

    fn bias(&self, distance: &Tensor<2>) -> Tensor<4> {
        let by_pair = distance.clone().select(0, self.distances.clone()).reshape(self.shape);
        by_pair.permute([0, 3, 1, 2]) + self.hidden.clone()
    }
}
