//! The dense part of both towers.
//!
//! Either tower is `normalise(x[.., ..D] + change)` with `change = relu(x W1 + b1) W2 + b2`: the first `D` inputs are an
//! embedding already (an item's own vector, or the pooled history), and the network adds what the other features change.
//! With a popularity prior the last number is no part of the unit vector ([`Last`]). Embedding tables and pooling stay
//! outside: the gathered rows are an input, and their gradient is scattered afterwards.
//!
//! Gradients are written out by hand: half of a step's time were the copies that an autograd library makes of them. That library
//! is their oracle. Rows are worked off in bands whose sums are added in their order, so no bit depends on the number of threads.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::model::add;
use super::optimizer::Weights;
use crate::kernels::gemm::{MatrixRef, gemm_f32};

/// Most bands of rows: each holds gradients by all weights.
const BANDS: usize = 16;

/// Fewest rows of a band.
const BAND_ROWS: usize = 64;

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

    /// Inputs, numbers of the hidden layer, numbers of an embedding.
    fn widths(&self) -> [usize; 3] {
        let [first, _, second, _] = &self.weights;
        [first.shape[0], first.shape[1], second.shape[1]]
    }

    /// Computes the tower for rows `x`, `[rows, inputs]`.
    pub(crate) fn forward(&self, x: Vec<f32>) -> Forward {
        let [inputs, hidden, dim] = self.widths();
        let rows = x.len() / inputs;
        let band = rows.div_ceil(BANDS).max(BAND_ROWS);
        let [mut of_hidden, mut output, mut norms] = [hidden, dim, 1].map(|width| vec![0.0; rows * width]);
        let results = of_hidden.par_chunks_mut(band * hidden).zip(output.par_chunks_mut(band * dim));
        let results = results.zip(norms.par_chunks_mut(band)).zip(x.par_chunks(band * inputs));
        results.for_each(|(((hidden, output), norms), x)| self.forward_band(x, hidden, output, norms));
        Forward { x, hidden: of_hidden, output, norms, band }
    }

    fn forward_band(&self, x: &[f32], of_hidden: &mut [f32], output: &mut [f32], norms: &mut [f32]) {
        let [inputs, hidden, dim] = self.widths();
        let [w1, b1, w2, b2] = self.weights.each_ref().map(|weights| &weights.values[..]);
        let rows = norms.len();
        let x_rows = MatrixRef::row_major(x, inputs);
        gemm_f32([rows, hidden, inputs], of_hidden, 1.0, x_rows, MatrixRef::row_major(w1, hidden));
        for row in of_hidden.chunks_exact_mut(hidden) {
            row.iter_mut().zip(b1).for_each(|(number, bias)| *number = (*number + bias).max(0.0));
        }
        let hidden_rows = MatrixRef::row_major(of_hidden, hidden);
        gemm_f32([rows, dim, hidden], output, 1.0, hidden_rows, MatrixRef::row_major(w2, dim));
        let unit = self.unit(dim);
        for ((row, x), norm) in output.chunks_exact_mut(dim).zip(x.chunks_exact(inputs)).zip(norms) {
            add(row, b2, 1.0);
            let change = row[dim - 1];
            add(row, &x[..dim], 1.0);
            let row_unit = &mut row[..unit];
            *norm = lane_product(row_unit, row_unit).sqrt().max(NORM_FLOOR);
            row_unit.iter_mut().for_each(|number| *number /= *norm);
            match self.last {
                Last::Unit => {}
                Last::Prior => row[unit] = x[inputs - 1],
                Last::Affinity => row[unit] = change + AFFINITY,
            }
        }
    }

    /// Numbers of an embedding that are those of a unit vector.
    fn unit(&self, dim: usize) -> usize {
        if self.last == Last::Unit { dim } else { dim - 1 }
    }

    /// Turns the inputs of some rows into gradients by them, and the gradient by their embeddings into that by what is added to the
    /// first inputs; the gradients by the weights.
    fn backward_band(
        &self,
        x: &mut [f32],
        hidden_rows: &[f32],
        gradient: &mut [f32],
        of: (&[f32], &[f32]),
    ) -> [Vec<f32>; 4] {
        let ([inputs, hidden, dim], (output, norms)) = (self.widths(), of);
        let (rows, unit) = (norms.len(), self.unit(dim));
        let mut d_last = vec![0.0; rows];
        for (((gradient, output), norm), d_last) in
            gradient.chunks_exact_mut(dim).zip(output.chunks_exact(dim)).zip(norms).zip(&mut d_last)
        {
            let (gradient, last) = gradient.split_at_mut(unit);
            // Below the floor the norm is a constant.
            let along = if *norm > NORM_FLOOR { lane_product(gradient, &output[..unit]) } else { 0.0 };
            let pairs = gradient.iter_mut().zip(output);
            pairs.for_each(|(gradient, output)| *gradient = (*gradient - along * output) / norm);
            if let [last] = last {
                *d_last = *last;
                *last = if self.last == Last::Affinity { *last } else { 0.0 };
            }
        }
        let d_change = MatrixRef::row_major(gradient, dim);
        let mut d_w2 = vec![0.0; hidden * dim];
        gemm_f32([hidden, dim, rows], &mut d_w2, 1.0, MatrixRef::row_major(hidden_rows, hidden).transposed(), d_change);
        let mut d_hidden = vec![0.0; rows * hidden];
        let w2 = MatrixRef::row_major(&self.weights[2].values, dim);
        gemm_f32([rows, hidden, dim], &mut d_hidden, 1.0, d_change, w2.transposed());
        let pairs = d_hidden.iter_mut().zip(hidden_rows);
        pairs.for_each(|(gradient, hidden)| *gradient = if *hidden > 0.0 { *gradient } else { 0.0 });
        let d_pre = MatrixRef::row_major(&d_hidden, hidden);
        let mut d_w1 = vec![0.0; inputs * hidden];
        gemm_f32([inputs, hidden, rows], &mut d_w1, 1.0, MatrixRef::row_major(x, inputs).transposed(), d_pre);
        let w1 = MatrixRef::row_major(&self.weights[0].values, hidden);
        gemm_f32([rows, inputs, hidden], x, 1.0, d_pre, w1.transposed());
        for ((x, gradient), d_last) in x.chunks_exact_mut(inputs).zip(gradient.chunks_exact(dim)).zip(&d_last) {
            add(&mut x[..unit], &gradient[..unit], 1.0);
            if self.last == Last::Prior {
                x[inputs - 1] += d_last;
            }
        }
        [d_w1, column_sums(&d_hidden, hidden), d_w2, column_sums(gradient, dim)]
    }
}

/// `a . b`, in lanes that compilers turn into SIMD.
fn lane_product(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

fn column_sums(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    rows.chunks_exact(width).for_each(|row| add(&mut sums, row, 1.0));
    sums
}

/// 1 in the given columns and 0 elsewhere.
pub(crate) fn mask(columns: std::ops::Range<usize>, dim: usize) -> Vec<f32> {
    (0..dim).map(|column| f32::from(u8::from(columns.contains(&column)))).collect()
}

/// A computed tower that can still be differentiated.
#[derive(Debug)]
pub(crate) struct Forward {
    x: Vec<f32>,
    /// The hidden layer, `[rows, hidden]`.
    hidden: Vec<f32>,
    /// The embeddings, `[rows, dim]`.
    pub(crate) output: Vec<f32>,
    /// What each row was divided by.
    norms: Vec<f32>,
    /// Rows of a band.
    band: usize,
}

impl Forward {
    /// Given the gradient of the loss by each output of the network, its gradients by the inputs and by the four weights.
    pub(crate) fn backward(self, mlp: &Mlp, mut gradient: Vec<f32>) -> (Vec<f32>, [Vec<f32>; 4]) {
        let Self { mut x, hidden: of_hidden, output, norms, band } = self;
        let [inputs, hidden, dim] = mlp.widths();
        let changed = x.par_chunks_mut(band * inputs).zip(gradient.par_chunks_mut(band * dim));
        let read = of_hidden.par_chunks(band * hidden).zip(output.par_chunks(band * dim)).zip(norms.par_chunks(band));
        let of_band =
            |((x, gradient), ((hidden, output), norms))| mlp.backward_band(x, hidden, gradient, (output, norms));
        let bands: Vec<[Vec<f32>; 4]> = changed.zip(read).map(of_band).collect();
        let mut sums = mlp.weights.each_ref().map(|weights| vec![0.0; weights.values.len()]);
        for band in &bands {
            sums.iter_mut().zip(band).for_each(|(sum, part)| add(sum, part, 1.0));
        }
        (x, sums)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData, activation::relu};
    use rand::SeedableRng;

    use super::*;

    const SHAPE: [usize; 3] = [11, 16, 6];

    /// Output and gradients as burn has them: the surrogate `sum(output * gradient)` has just these gradients.
    fn by_autograd(mlp: &Mlp, x: &[f32], gradient: &[f32]) -> Vec<Vec<f32>> {
        let device = Device::flex().autodiff();
        let [inputs, _, dim] = SHAPE;
        let tensor = |values: &[f32], shape| Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device);
        let rows = x.len() / inputs;
        let leaves = mlp.weights.each_ref().map(|w| tensor(&w.values, w.shape).require_grad());
        let leaf_x = tensor(x, [rows, inputs]).require_grad();
        let [w1, b1, w2, b2] = leaves.clone();
        let change = relu(leaf_x.clone().matmul(w1) + b1).matmul(w2) + b2;
        let sum = leaf_x.clone().slice([0..rows, 0..dim]) + change.clone();
        let unit = |rows: Tensor<2>| {
            let norm = rows.clone().square().sum_dim(1).sqrt().clamp_min(NORM_FLOOR);
            rows / norm
        };
        let only = |columns| tensor(&mask(columns, dim), [1, dim]);
        let output = match mlp.last {
            Last::Unit => unit(sum),
            Last::Prior => {
                let prior = leaf_x.clone().slice([0..rows, inputs - 1..inputs]);
                unit(sum * only(0..dim - 1)) + prior * only(dim - 1..dim)
            }
            Last::Affinity => unit(sum * only(0..dim - 1)) + (change + AFFINITY) * only(dim - 1..dim),
        };
        let numbers = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
        let mut gradients = (output.clone() * tensor(gradient, [rows, dim])).sum().backward();
        let of_leaves =
            [leaf_x].into_iter().chain(leaves).map(|leaf| numbers(leaf.grad_remove(&mut gradients).unwrap()));
        [numbers(output)].into_iter().chain(of_leaves.collect::<Vec<_>>()).collect()
    }

    #[test]
    fn outputs_and_gradients_are_those_of_an_autograd_library() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // More rows than one band has, and a last band that is not full.
        let rows = BAND_ROWS * 2 + 7;
        for last in [Last::Unit, Last::Prior, Last::Affinity] {
            let mut mlp = Mlp::new(SHAPE, last, &mut rng);
            let biases = [1, 3].map(|at| mlp.weights[at].values.len());
            mlp.weights[1].values = (0..biases[0]).map(|_| rng.random_range(-0.5..0.5)).collect();
            mlp.weights[3].values = (0..biases[1]).map(|_| rng.random_range(-0.5..0.5)).collect();
            let x: Vec<f32> = (0..rows * SHAPE[0]).map(|_| rng.random_range(-1.0..1.0)).collect();
            let gradient: Vec<f32> = (0..rows * SHAPE[2]).map(|_| rng.random_range(-1.0..1.0)).collect();
            let expected = by_autograd(&mlp, &x, &gradient);
            let forward = mlp.forward(x);
            let output = forward.output.clone();
            let (d_x, d_weights) = forward.backward(&mlp, gradient);
            let found: Vec<Vec<f32>> = [output, d_x].into_iter().chain(d_weights).collect();
            for (part, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 2e-4, "{last:?}, part {part}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_zero_vector_has_a_gradient() {
        let mut mlp = Mlp::new(SHAPE, Last::Unit, &mut ChaCha8Rng::seed_from_u64(1));
        mlp.weights[2].values.fill(0.0);
        let (d_x, d_weights) = mlp.forward(vec![0.0; SHAPE[0]]).backward(&mlp, vec![1.0; SHAPE[2]]);
        assert!(d_x.iter().chain(d_weights.iter().flatten()).all(|slope| slope.is_finite()));
    }
}
