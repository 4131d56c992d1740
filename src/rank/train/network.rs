//! The network: layers that all tasks share, and a head per task (Caruana 1997), with gradients by burn.
//!
//! The slot adds to the log odds of the first task alone, from a table of its own (the "shallow tower" of Zhao et al. 2019): what stands
//! high up is seen more, and liked no better. Row 0 of that table is for no slot. It is trained on impressions whose slot is hidden, so
//! that served probabilities are those of a slot as slots come.

use burn::tensor::{Device, Tensor, TensorData, activation::relu};
use half::f16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::data::config::RankerConfig;
use crate::rank::features::FEATURES;
use crate::towers::train::optimizer::{Rule, Weights};

/// A layer: `W [inputs, outputs]` and `b [1, outputs]`.
pub(super) type Layer = [Weights; 2];

/// All weights of a ranker.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    /// What is taken from each number, and what the rest is multiplied with: numbers of mean 0 and deviation 1.
    pub(super) scaling: [Vec<f32>; 2],
    /// What all tasks share; behind each layer negative numbers become 0.
    pub(super) bottom: Vec<Layer>,
    /// Layers of each task; the last one gives the log odds.
    pub(super) heads: Vec<Vec<Layer>>,
    /// Log odds of the first task by slot, `[1 + slots, 1]`.
    pub(super) slots: Weights,
}

impl Network {
    /// A fresh network that predicts for every row the shares of the steps, each among those that took the step before.
    pub(super) fn new(config: &RankerConfig, scaling: [Vec<f32>; 2], shares: &[f64], rng: &mut ChaCha8Rng) -> Self {
        let mut width = FEATURES.len();
        let mut bottom = Vec::new();
        for to in &config.bottom {
            bottom.push(fresh([width, *to], rng));
            width = *to;
        }
        let head = |share: &f64| {
            let mut layers = Vec::new();
            let mut from = width;
            if config.head > 0 {
                layers.push(fresh([from, config.head], rng));
                from = config.head;
            }
            let mut last = fresh([from, 1], rng);
            last[0].values.iter_mut().for_each(|weight| *weight *= 0.1);
            let share = share.clamp(1e-6, 1.0 - 1e-6);
            last[1].values = vec![(share / (1.0 - share)).ln() as f32];
            layers.push(last);
            layers
        };
        let heads = shares.iter().map(head).collect();
        let rows = config.positions + 1;
        Self { scaling, bottom, heads, slots: Weights::new("slots", [rows, 1], vec![0.0; rows]) }
    }

    fn weights(&self) -> impl Iterator<Item = &Weights> {
        self.bottom.iter().chain(self.heads.iter().flatten()).flatten()
    }

    fn weights_mut(&mut self) -> impl Iterator<Item = &mut Weights> {
        self.bottom.iter_mut().chain(self.heads.iter_mut().flatten()).flatten()
    }

    /// Rounds what is stored to half precision, so that what is judged, written and run is the same.
    pub(super) fn halve(&mut self) {
        for weights in self.weights_mut() {
            weights.values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        }
        self.slots.values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
    }

    /// Log odds of the steps, `[rows, tasks]`, for rows of [`FEATURES`] and the row of the table of slots for each.
    pub(super) fn forward(&self, numbers: &[f32], slots: &[u32], device: &Device) -> Forward {
        let [shift, scale] = &self.scaling;
        let scaled = numbers.iter().enumerate().map(|(at, number)| {
            let column = at % shift.len();
            (number - shift[column]) * scale[column]
        });
        let shape = [slots.len(), FEATURES.len()];
        let mut x = Tensor::<2>::from_data(TensorData::new(scaled.collect::<Vec<f32>>(), shape), device);
        let leaf = |weights: &Weights| {
            Tensor::<2>::from_data(TensorData::new(weights.values.clone(), weights.shape), device).require_grad()
        };
        let leaves: Vec<Tensor<2>> = self.weights().map(leaf).collect();
        let mut layers = leaves.chunks_exact(2);
        let mut next = |x: Tensor<2>| {
            let layer = layers.next().expect("every layer has its weights");
            x.matmul(layer[0].clone()) + layer[1].clone()
        };
        for _ in &self.bottom {
            x = relu(next(x));
        }
        let outputs = self.heads.iter().map(|head| {
            let mut of_head = x.clone();
            for at in 0..head.len() {
                of_head = next(of_head);
                if at + 1 < head.len() {
                    of_head = relu(of_head);
                }
            }
            of_head
        });
        let output = Tensor::cat(outputs.collect(), 1);
        let mut log_odds: Vec<f32> = output.clone().into_data().try_to_vec().expect("the backend computes in f32");
        for (row, slot) in log_odds.chunks_exact_mut(self.heads.len()).zip(slots) {
            row[0] += self.slots.values[*slot as usize];
        }
        Forward { log_odds, output, leaves }
    }

    /// One step of the optimizer, given the gradient by the log odds of what [`Network::forward`] computed.
    pub(super) fn step(&mut self, forward: Forward, slots: &[u32], gradient: Vec<f32>, rule: Rule) {
        let mut by_slot = vec![0.0; self.slots.values.len()];
        for (row, slot) in gradient.chunks_exact(self.heads.len()).zip(slots) {
            by_slot[*slot as usize] += row[0];
        }
        self.slots.step(&by_slot, rule);
        let shape = forward.output.dims();
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, shape), &forward.output.device());
        // The surrogate `sum(output * gradient)` has just these gradients.
        let mut gradients = (forward.output * gradient).sum().backward();
        for (weights, leaf) in self.weights_mut().zip(forward.leaves) {
            let slope = leaf.grad_remove(&mut gradients).expect("every weight is in the graph");
            weights.step(&slope.into_data().try_to_vec::<f32>().expect("the backend computes in f32"), rule);
        }
    }
}

/// What was computed, and can still be differentiated.
pub(super) struct Forward {
    pub(super) log_odds: Vec<f32>,
    output: Tensor<2>,
    leaves: Vec<Tensor<2>>,
}

/// He initialisation.
fn fresh([inputs, outputs]: [usize; 2], rng: &mut ChaCha8Rng) -> Layer {
    let limit = (6.0 / inputs as f32).sqrt();
    let values = (0..inputs * outputs).map(|_| rng.random_range(-limit..limit)).collect();
    [Weights::new("w", [inputs, outputs], values), Weights::new("b", [1, outputs], vec![0.0; outputs])]
}
