//! The network on a batch, with gradients by burn.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use super::network::{Network, Ops};
use crate::features::ranking::FEATURES;
use crate::towers::train::optimizer::{Rule, Weights};

/// Rows as the network takes them.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Batch {
    /// `[rows, N]` of [`FEATURES`].
    pub(super) numbers: Vec<f32>,
    /// `[rows, dim]`.
    pub(super) queries: Vec<f32>,
    /// `[rows, dim]`.
    pub(super) items: Vec<f32>,
    /// Rows of the tables of shelves and brands.
    pub(super) names: [Vec<u32>; 2],
    /// Rows of the table of slots.
    pub(super) slots: Vec<u32>,
}

/// What was computed, and can still be differentiated.
pub(super) struct Forward {
    /// Log odds of the steps, `[rows, tasks]`, with the slot.
    pub(super) log_odds: Vec<f32>,
    output: Tensor<2>,
    leaves: Vec<Tensor<2>>,
}

struct Burn<'n> {
    network: &'n Network,
    batch: &'n Batch,
    device: &'n Device,
    /// Of the layers, two each, then of the tables.
    leaves: Vec<Tensor<2>>,
}

impl Burn<'_> {
    fn input(&self, values: Vec<f32>) -> Tensor<2> {
        let rows = self.batch.slots.len();
        let width = values.len() / rows;
        Tensor::from_data(TensorData::new(values, [rows, width]), self.device)
    }
}

impl Ops for Burn<'_> {
    type Value = Tensor<2>;

    fn numbers(&mut self) -> Tensor<2> {
        let [shift, scale] = &self.network.scaling;
        let scaled = self.batch.numbers.iter().enumerate().map(|(at, number)| {
            let column = at % FEATURES.len();
            (number - shift[column]) * scale[column]
        });
        self.input(scaled.collect())
    }

    fn query(&mut self) -> Tensor<2> {
        self.input(self.batch.queries.clone())
    }

    fn item(&mut self) -> Tensor<2> {
        self.input(self.batch.items.clone())
    }

    fn vector_of(&mut self, table: usize) -> Tensor<2> {
        let rows: Vec<i64> = self.batch.names[table].iter().map(|row| i64::from(*row)).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [self.batch.slots.len()]), self.device);
        self.leaves[2 * self.network.layers.len() + table].clone().select(0, rows)
    }

    fn layer(&mut self, x: &Tensor<2>, at: usize) -> Tensor<2> {
        x.clone().matmul(self.leaves[2 * at].clone()) + self.leaves[2 * at + 1].clone()
    }

    fn relu(&mut self, x: &Tensor<2>) -> Tensor<2> {
        activation::relu(x.clone())
    }

    fn cat(&mut self, parts: &[Tensor<2>]) -> Tensor<2> {
        Tensor::cat(parts.to_vec(), 1)
    }

    fn products(&mut self, vectors: &[Tensor<2>], length: usize) -> Tensor<2> {
        let (rows, count) = (self.batch.slots.len(), vectors.len());
        let together = self.cat(vectors).reshape([rows, count, length]);
        together.clone().matmul(together.swap_dims(1, 2)).reshape([rows, count * count])
    }

    fn mixture(&mut self, gate: &Tensor<2>, parts: &[Tensor<2>], length: usize) -> Tensor<2> {
        let (rows, count) = (self.batch.slots.len(), parts.len());
        let shares = activation::softmax(gate.clone(), 1).reshape([rows, 1, count]);
        shares.matmul(self.cat(parts).reshape([rows, count, length])).reshape([rows, length])
    }
}

impl Network {
    /// Runs a batch.
    pub(super) fn forward(&self, batch: &Batch, device: &Device) -> Forward {
        let leaf = |weights: &Weights| {
            Tensor::<2>::from_data(TensorData::new(weights.values.clone(), weights.shape), device).require_grad()
        };
        let leaves: Vec<_> = self.layers.iter().flatten().chain(&self.tables).map(leaf).collect();
        let mut ops = Burn { network: self, batch, device, leaves };
        let output = Tensor::cat(self.log_odds(&mut ops), 1);
        let mut log_odds: Vec<f32> = output.clone().into_data().try_to_vec().expect("the backend computes in f32");
        let tasks = log_odds.len() / batch.slots.len().max(1);
        for (row, slot) in log_odds.chunks_exact_mut(tasks).zip(&batch.slots) {
            row[0] += self.slots.values[*slot as usize];
        }
        Forward { log_odds, output, leaves: ops.leaves }
    }

    /// One step of the optimizer, given the gradient by the log odds of what [`Network::forward`] computed.
    pub(super) fn step(&mut self, forward: Forward, batch: &Batch, gradient: Vec<f32>, rule: Rule) {
        let tasks = gradient.len() / batch.slots.len().max(1);
        let mut by_slot = vec![0.0; self.slots.values.len()];
        for (row, slot) in gradient.chunks_exact(tasks).zip(&batch.slots) {
            by_slot[*slot as usize] += row[0];
        }
        self.slots.step(&by_slot, rule);
        let shape = forward.output.dims();
        let gradient = Tensor::<2>::from_data(TensorData::new(gradient, shape), &forward.output.device());
        // The surrogate `sum(output * gradient)` has just these gradients.
        let mut gradients = (forward.output * gradient).sum().backward();
        for (weights, leaf) in self.layers.iter_mut().flatten().chain(&mut self.tables).zip(forward.leaves) {
            let slope = leaf.grad_remove(&mut gradients).expect("every weight is in the graph");
            weights.step(&slope.into_data().try_to_vec::<f32>().expect("the backend computes in f32"), rule);
        }
    }
}
