//! The dense part of both towers, with gradients by burn.
//!
//! Either tower is `normalise(x[.., ..D] + change)` with `change = relu(x W1 + b1) W2 + b2`: the first `D` inputs are an
//! embedding already (an item's own vector, or the pooled history), and the network adds what the other features change.
//! With a popularity prior the last number is no part of the unit vector ([`Last`]). Embedding tables and pooling stay
//! outside: no autograd library here has sparse gradients, so the gathered rows are a leaf and their gradient is
//! scattered afterwards.

use burn::tensor::{Device, Gradients, Tensor, TensorData, activation::relu};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::optimizer::Weights;

/// Keeps the norm of a zero vector from dividing by zero.
pub(crate) const NORM_FLOOR: f32 = 1e-6;

/// What the last number of an embedding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// A part of the unit vector as all others.
    Unit,
    /// The tower's last input as it is: the prior of a candidate.
    Prior,
    /// [`AFFINITY`]` + change`: how much the prior counts for a query.
    Affinity,
}

/// The last number of a query embedding before training. Priors are divided by it: as large as the other numbers of a
/// candidate, they cost these no precision when all are coded with one scale.
pub(crate) const AFFINITY: f32 = 4.0;

/// The dense weights of one tower.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mlp {
    /// `W1 [inputs, hidden]`, `b1 [1, hidden]`, `W2 [hidden, dim]`, `b2 [1, dim]`.
    pub(crate) weights: [Weights; 4],
    /// What the last output is.
    pub(crate) last: Last,
}

impl Mlp {
    /// He initialisation for the first layer; the second starts small, so that a fresh tower is nearly the identity.
    pub(crate) fn new([inputs, hidden, dim]: [usize; 3], last: Last, rng: &mut ChaCha8Rng) -> Self {
        let mut uniform = |name, shape: [usize; 2], limit: f32| {
            let values = (0..shape[0] * shape[1]).map(|_| rng.random_range(-limit..limit)).collect();
            Weights::new(name, shape, values)
        };
        let first = uniform("w1", [inputs, hidden], (6.0 / inputs as f32).sqrt());
        let second = uniform("w2", [hidden, dim], 0.1 * (6.0 / hidden as f32).sqrt());
        let zeros = |name, width| Weights::new(name, [1, width], vec![0.0; width]);
        Self { weights: [first, zeros("b1", hidden), second, zeros("b2", dim)], last }
    }

    /// Computes the tower for rows `x`, `[rows, inputs]`.
    pub(crate) fn forward(&self, x: Vec<f32>, device: &Device) -> Forward {
        let leaf = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, shape), device).require_grad()
        };
        let [w1, b1, w2, b2] = self.weights.each_ref().map(|w| leaf(w.values.clone(), w.shape));
        let (inputs, dim) = (self.weights[0].shape[0], self.weights[3].shape[1]);
        let rows = x.len() / inputs;
        let x = leaf(x, [rows, inputs]);
        let hidden = relu(x.clone().matmul(w1.clone()) + b1.clone());
        let change = hidden.matmul(w2.clone()) + b2.clone();
        let sum = x.clone().slice([0..rows, 0..dim]) + change.clone();
        let output = match self.last {
            Last::Unit => unit(sum),
            Last::Prior => {
                let prior = x.clone().slice([0..rows, inputs - 1..inputs]);
                unit(sum * only(0..dim - 1, dim, device)) + prior * only(dim - 1..dim, dim, device)
            }
            Last::Affinity => {
                let affinity = (change + AFFINITY) * only(dim - 1..dim, dim, device);
                unit(sum * only(0..dim - 1, dim, device)) + affinity
            }
        };
        Forward { output, leaves: [x, w1, b1, w2, b2], device: device.clone() }
    }
}

fn unit(rows: Tensor<2>) -> Tensor<2> {
    let norm = rows.clone().square().sum_dim(1).sqrt().clamp_min(NORM_FLOOR);
    rows / norm
}

/// `[1, dim]`, 1 in the given columns and 0 elsewhere.
fn only(columns: std::ops::Range<usize>, dim: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(mask(columns, dim), [1, dim]), device)
}

/// 1 in the given columns and 0 elsewhere.
pub(crate) fn mask(columns: std::ops::Range<usize>, dim: usize) -> Vec<f32> {
    (0..dim).map(|column| f32::from(u8::from(columns.contains(&column)))).collect()
}

/// A computed tower that can still be differentiated.
pub(crate) struct Forward {
    output: Tensor<2>,
    leaves: [Tensor<2>; 5],
    device: Device,
}

impl Forward {
    /// The embeddings, `[rows, dim]`.
    pub(crate) fn values(&self) -> Vec<f32> {
        numbers(self.output.clone())
    }

    /// Given the gradient of the loss by each output, its gradients by the inputs and by the four weights.
    ///
    /// The surrogate `sum(output * gradient)` has just these gradients.
    pub(crate) fn backward(self, gradient: Vec<f32>) -> (Vec<f32>, [Vec<f32>; 4]) {
        let shape = self.output.dims();
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, shape), &self.device);
        let mut gradients = (self.output * gradient).sum().backward();
        let [x, w1, b1, w2, b2] = self.leaves;
        let mut of = |leaf: Tensor<2>| taken(&leaf, &mut gradients);
        (of(x), [of(w1), of(b1), of(w2), of(b2)])
    }
}

fn taken(leaf: &Tensor<2>, gradients: &mut Gradients) -> Vec<f32> {
    let gradient = leaf.grad_remove(gradients).expect("every leaf of the graph has a gradient");
    numbers(gradient)
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("the backend computes in f32")
}
