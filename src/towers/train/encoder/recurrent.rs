//! Recurrent layers over a history, from the oldest to the newest item.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, tanh};
use rand_chacha::ChaCha8Rng;

use super::{Graph, Inputs, filled, fresh};
use crate::towers::train::optimizer::Weights;
use crate::towers::train::rows::{Rows, Token};

/// Which recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// `z, r = sigmoid(..); n = tanh(W x + b + r (U h + c)); h = (1 - z) n + z h`, gates in this order.
    Gru,
    /// `i, o, f = sigmoid(..), g = tanh(..); c = f c + i g; h = o tanh(c)`, gates in this order.
    Lstm,
}

impl Cell {
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}

/// One recurrent layer and a linear one. Where a history begins, the state of a GRU is a trained one, that of an LSTM zero.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recurrent {
    pub(crate) cell: Cell,
    pub(crate) dim: usize,
    pub(crate) hidden: usize,
    /// `W [dim, gates * hidden]`, `b [1, gates * hidden]`, `U [hidden, gates * hidden]`, `c [1, gates * hidden]`, the first state
    /// `[1, hidden]`, and the linear layer, `[hidden, dim]` and `[1, dim]`.
    pub(crate) weights: Vec<Weights>,
}

impl Recurrent {
    /// Fresh weights for `[dim, hidden]`.
    pub(crate) fn new(cell: Cell, [dim, hidden]: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let gates = cell.gates() * hidden;
        let mut of_states = filled("b_state", [1, gates], 0.0);
        if cell == Cell::Lstm {
            // A cell that forgets nothing at first (Jozefowicz et al. 2015).
            of_states.values[2 * hidden..3 * hidden].fill(1.0);
        }
        let weights = vec![
            fresh("w_item", [dim, gates], 1.0, rng),
            filled("b_item", [1, gates], 0.0),
            fresh("w_state", [hidden, gates], 1.0, rng),
            of_states,
            filled("start", [1, hidden], 0.0),
            fresh("w_out", [hidden, dim], 1.0, rng),
            filled("b_out", [1, dim], 0.0),
        ];
        Self { cell, dim, hidden, weights }
    }

    /// `weights` are the leaves of `self.weights`.
    pub(super) fn forward(
        &self,
        x: &[f32],
        rows: &Rows,
        weights: &[Tensor<2>],
        graph: &mut Graph,
    ) -> (Tensor<2>, Inputs) {
        let [w_item, b_item, w_state, b_state, start, w_out, b_out] = weights else {
            unreachable!("a recurrent layer has as many weights as `Recurrent::new` makes")
        };
        let (count, length) = (rows.rows(), rows.length);
        let zeros = graph.constant(vec![0.0; count * self.hidden], [count, self.hidden]);
        let mut state = [zeros.clone(), zeros];
        let (mut states, mut leaves) = (Vec::with_capacity(length), Vec::with_capacity(length));
        for place in 0..length {
            let tokens = || (0..count).map(|row| row * length + place);
            let vectors = tokens().flat_map(|at| &x[at * self.dim..][..self.dim]).copied().collect();
            let leaf = graph.constant(vectors, [count, self.dim]).require_grad();
            leaves.push(leaf.clone());
            // As for attention: numbers near 1.
            let item = graph.drop(leaf * (self.dim as f32).sqrt()).matmul(w_item.clone()) + b_item.clone();
            let next = self.next(item, &state, [w_state, b_state]);
            let begins = tokens().map(|at| f32::from(u8::from(rows.tokens[at] == Token::Start))).collect();
            let begins = graph.constant(begins, [count, 1]);
            let stays = -begins.clone() + 1.0;
            state = next.map(|value| value * stays.clone());
            if self.cell == Cell::Gru {
                state[0] = state[0].clone() + begins * start.clone();
            }
            states.push(state[0].clone());
        }
        let all = Tensor::stack::<3>(states, 1).reshape([count * length, self.hidden]);
        let all = graph.drop(all);
        (all.matmul(w_out.clone()) + b_out.clone(), Inputs::ByPlace(leaves))
    }

    /// State and cell after one item, given what the item brings to the gates.
    fn next(&self, item: Tensor<2>, [h, c]: &[Tensor<2>; 2], [w, b]: [&Tensor<2>; 2]) -> [Tensor<2>; 2] {
        let (rows, hidden) = (h.dims()[0], self.hidden);
        let of_state = h.clone().matmul(w.clone()) + b.clone();
        let gate = |from: &Tensor<2>, gate: usize| from.clone().slice([0..rows, gate * hidden..(gate + 1) * hidden]);
        match self.cell {
            Cell::Gru => {
                let z = sigmoid(gate(&item, 0) + gate(&of_state, 0));
                let r = sigmoid(gate(&item, 1) + gate(&of_state, 1));
                let n = tanh(gate(&item, 2) + r * gate(&of_state, 2));
                [n.clone() + z * (h.clone() - n), c.clone()]
            }
            Cell::Lstm => {
                let all = item + of_state;
                let [i, o, f] = [0, 1, 2].map(|at| sigmoid(gate(&all, at)));
                let c = f * c.clone() + i * tanh(gate(&all, 3));
                [o * tanh(c.clone()), c]
            }
        }
    }
}
