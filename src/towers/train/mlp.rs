//! The dense part of both towers.
//!
//! Either tower is `normalise(x[.., ..D] + change)` with `change = relu(x W1 + b1) W2 + b2`: the first `D` inputs are an
//! embedding already (an item's own vector, or the pooled history), and the network adds what the other features change.
//! With a popularity prior the last number is no part of the unit vector ([`Last`]). Embedding tables and pooling stay
//! outside: the gathered rows are an input, and their gradient is scattered afterwards.
//!
//! What many rows have in common, as items have their category, comes once for all of them ([`Inputs`]): `x W1` is the sum of what a
//! row's own columns give and of what the shared ones do, and so are the gradients.
//!
//! Gradients are written out by hand: half of a step's time were the copies that an autograd library makes of them. That library
//! is their oracle. Rows are worked off in bands whose sums are added in their order, so no bit depends on the number of threads.

use std::borrow::Cow;
use std::ops::Range;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::optimizer::Weights;
use super::sums::{add, column_sums, scatter};
use crate::kernels::dot_f32;
use crate::kernels::gemm::{MatrixRef, gemm_f32, gemm_f32_add};

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
    /// The inputs that rows share, behind the first `dim`; empty where there are none.
    pub(crate) shared: Range<usize>,
    /// What the last output is.
    pub(crate) last: Last,
}

/// What a tower reads for some rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inputs {
    /// All but the shared columns, `[rows, inputs - shared]`.
    pub(crate) own: Vec<f32>,
    /// The shared ones, `[groups, shared]`.
    pub(crate) shared: Vec<f32>,
    /// The group of each row.
    pub(crate) groups: Vec<u32>,
}

impl Inputs {
    /// Rows that share nothing.
    pub(crate) fn of_rows(own: Vec<f32>, rows: usize) -> Self {
        Self { own, shared: Vec::new(), groups: vec![0; rows] }
    }
}

impl Mlp {
    /// He initialisation for the first layer; the second starts small, so that a fresh tower is nearly the identity.
    pub(crate) fn new(
        [inputs, hidden, dim]: [usize; 3],
        shared: Range<usize>,
        last: Last,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let mut uniform = |name, shape: [usize; 2], limit: f32| {
            let values = (0..shape[0] * shape[1]).map(|_| rng.random_range(-limit..limit)).collect();
            Weights::new(name, shape, values)
        };
        let first = uniform("w1", [inputs, hidden], (6.0 / inputs as f32).sqrt());
        let second = uniform("w2", [hidden, dim], 0.1 * (6.0 / hidden as f32).sqrt());
        let zeros = |name, width| Weights::new(name, [1, width], vec![0.0; width]);
        Self { weights: [first, zeros("b1", hidden), second, zeros("b2", dim)], shared, last }
    }

    /// Own inputs of a row, numbers of the hidden layer, numbers of an embedding.
    fn widths(&self) -> [usize; 3] {
        let [first, _, second, _] = &self.weights;
        [self.own_inputs(), first.shape[1], second.shape[1]]
    }

    /// Inputs that rows do not share.
    pub(crate) fn own_inputs(&self) -> usize {
        self.weights[0].shape[0] - self.shared.len()
    }

    /// The rows of `W1` for shared inputs, in `W1`.
    fn shared_w1(&self) -> Range<usize> {
        let hidden = self.weights[0].shape[1];
        self.shared.start * hidden..self.shared.end * hidden
    }

    /// The rows of `W1` for own inputs.
    fn own_w1(&self) -> Cow<'_, [f32]> {
        let (w1, shared) = (&self.weights[0].values, self.shared_w1());
        if shared.is_empty() {
            Cow::Borrowed(w1)
        } else {
            Cow::Owned([&w1[..shared.start], &w1[shared.end..]].concat())
        }
    }

    /// Computes the tower.
    pub(crate) fn forward(&self, inputs: Inputs) -> Forward {
        let [width, hidden, dim] = self.widths();
        let rows = inputs.groups.len();
        let band = rows.div_ceil(BANDS).max(BAND_ROWS);
        let (w1, of_groups) = (self.own_w1(), self.of_groups(&inputs.shared));
        let [mut of_hidden, mut output, mut norms] = [hidden, dim, 1].map(|width| vec![0.0; rows * width]);
        let results = of_hidden.par_chunks_mut(band * hidden).zip(output.par_chunks_mut(band * dim));
        let results = results.zip(norms.par_chunks_mut(band));
        let read = inputs.own.par_chunks(band * width).zip(inputs.groups.par_chunks(band));
        results.zip(read).for_each(|(((hidden_rows, output), norms), (x, groups))| {
            let x_rows = MatrixRef::row_major(x, width);
            gemm_f32([groups.len(), hidden, width], hidden_rows, 1.0, x_rows, MatrixRef::row_major(&w1, hidden));
            for (row, group) in hidden_rows.chunks_exact_mut(hidden).zip(groups) {
                let of_group = &of_groups[*group as usize * hidden..][..hidden];
                row.iter_mut().zip(of_group).for_each(|(number, more)| *number = (*number + more).max(0.0));
            }
            self.outputs(x, hidden_rows, output, norms);
        });
        Forward { inputs, hidden: of_hidden, output, norms, band }
    }

    /// What the shared columns of each group give to the hidden layer, biases included.
    fn of_groups(&self, shared: &[f32]) -> Vec<f32> {
        let (bias, width) = (&self.weights[1].values, self.shared.len());
        let Some(groups) = shared.len().checked_div(width) else { return bias.clone() };
        let hidden = bias.len();
        let mut sums = bias.repeat(groups);
        let w1 = MatrixRef::row_major(&self.weights[0].values[self.shared_w1()], hidden);
        gemm_f32_add([groups, hidden, width], &mut sums, 1.0, MatrixRef::row_major(shared, width), w1);
        sums
    }

    /// The embeddings of some rows and their norms, given the hidden layer.
    fn outputs(&self, x: &[f32], hidden_rows: &[f32], output: &mut [f32], norms: &mut [f32]) {
        let [inputs, hidden, dim] = self.widths();
        let [.., w2, b2] = self.weights.each_ref().map(|weights| &weights.values[..]);
        let hidden_rows = MatrixRef::row_major(hidden_rows, hidden);
        gemm_f32([norms.len(), dim, hidden], output, 1.0, hidden_rows, MatrixRef::row_major(w2, dim));
        let unit = self.unit(dim);
        for ((row, x), norm) in output.chunks_exact_mut(dim).zip(x.chunks_exact(inputs)).zip(norms) {
            add(row, b2, 1.0);
            let change = row[dim - 1];
            add(row, &x[..dim], 1.0);
            let row_unit = &mut row[..unit];
            *norm = dot_f32(row_unit, row_unit).sqrt().max(NORM_FLOOR);
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

    /// Turns inputs, hidden layer and the gradient by the embeddings of some rows into the gradients by them, the last by what is added
    /// to the first inputs; the gradients by the weights of own inputs and of the second layer.
    fn backward_band(
        &self,
        w1: &[f32],
        [x, hidden_rows, gradient]: [&mut [f32]; 3],
        (output, norms): (&[f32], &[f32]),
    ) -> [Vec<f32>; 3] {
        let [inputs, hidden, dim] = self.widths();
        let (rows, unit) = (norms.len(), self.unit(dim));
        let mut d_last = vec![0.0; rows];
        for (((gradient, output), norm), d_last) in
            gradient.chunks_exact_mut(dim).zip(output.chunks_exact(dim)).zip(norms).zip(&mut d_last)
        {
            let (gradient, last) = gradient.split_at_mut(unit);
            // Below the floor the norm is a constant.
            let along = if *norm > NORM_FLOOR { dot_f32(gradient, &output[..unit]) } else { 0.0 };
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
        let pairs = hidden_rows.iter_mut().zip(&d_hidden);
        pairs.for_each(|(hidden, gradient)| *hidden = if *hidden > 0.0 { *gradient } else { 0.0 });
        let d_pre = MatrixRef::row_major(hidden_rows, hidden);
        let mut d_w1 = vec![0.0; inputs * hidden];
        gemm_f32([inputs, hidden, rows], &mut d_w1, 1.0, MatrixRef::row_major(x, inputs).transposed(), d_pre);
        gemm_f32([rows, inputs, hidden], x, 1.0, d_pre, MatrixRef::row_major(w1, hidden).transposed());
        for ((x, gradient), d_last) in x.chunks_exact_mut(inputs).zip(gradient.chunks_exact(dim)).zip(&d_last) {
            add(&mut x[..unit], &gradient[..unit], 1.0);
            if self.last == Last::Prior {
                x[inputs - 1] += d_last;
            }
        }
        [d_w1, d_w2, column_sums(gradient, dim)]
    }

    /// Turns shared inputs into the gradients by them; the gradients by their rows of `W1`.
    fn shared_backward(&self, shared: &mut [f32], d_groups: &[f32]) -> Vec<f32> {
        let (width, hidden) = (self.shared.len(), self.weights[0].shape[1]);
        let Some(groups) = shared.len().checked_div(width) else { return Vec::new() };
        let mut d_w1 = vec![0.0; width * hidden];
        let d_rows = MatrixRef::row_major(d_groups, hidden);
        let shared_rows = MatrixRef::row_major(shared, width).transposed();
        gemm_f32([width, hidden, groups], &mut d_w1, 1.0, shared_rows, d_rows);
        let w1 = MatrixRef::row_major(&self.weights[0].values[self.shared_w1()], hidden);
        gemm_f32([groups, width, hidden], shared, 1.0, d_rows, w1.transposed());
        d_w1
    }
}

/// 1 in the given columns and 0 elsewhere.
pub(crate) fn mask(columns: Range<usize>, dim: usize) -> Vec<f32> {
    (0..dim).map(|column| f32::from(u8::from(columns.contains(&column)))).collect()
}

/// A computed tower that can still be differentiated.
#[derive(Debug)]
pub(crate) struct Forward {
    inputs: Inputs,
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
    pub(crate) fn backward(self, mlp: &Mlp, mut gradient: Vec<f32>) -> (Inputs, [Vec<f32>; 4]) {
        let Self { mut inputs, hidden: mut of_hidden, output, norms, band } = self;
        let [width, hidden, dim] = mlp.widths();
        let w1 = mlp.own_w1();
        let changed = inputs.own.par_chunks_mut(band * width).zip(of_hidden.par_chunks_mut(band * hidden));
        let changed = changed.zip(gradient.par_chunks_mut(band * dim));
        let read = output.par_chunks(band * dim).zip(norms.par_chunks(band));
        let of_band = |(((x, hidden), gradient), of)| mlp.backward_band(&w1, [x, hidden, gradient], of);
        let bands: Vec<[Vec<f32>; 3]> = changed.zip(read).map(of_band).collect();
        let mut sums = [width * hidden, hidden * dim, dim].map(|length| vec![0.0; length]);
        for band in &bands {
            sums.iter_mut().zip(band).for_each(|(sum, part)| add(sum, part, 1.0));
        }
        let [mut d_w1, d_w2, d_b2] = sums;
        let mut d_groups = vec![0.0; inputs.shared.len().checked_div(mlp.shared.len()).unwrap_or(1) * hidden];
        scatter(&mut d_groups, hidden, || {
            inputs.groups.iter().zip(of_hidden.chunks_exact(hidden)).map(|(group, row)| (*group, row, 1.0))
        });
        let d_shared_w1 = mlp.shared_backward(&mut inputs.shared, &d_groups);
        let start = mlp.shared_w1().start;
        d_w1.splice(start..start, d_shared_w1);
        (inputs, [d_w1, column_sums(&d_groups, hidden), d_w2, d_b2])
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

    /// Inputs that share columns, as rows of all columns.
    fn whole(inputs: &Inputs, shared: &Range<usize>) -> Vec<f32> {
        let own = inputs.own.chunks_exact(SHAPE[0] - shared.len()).zip(&inputs.groups);
        own.flat_map(|(own, group)| {
            let of_group = &inputs.shared[*group as usize * shared.len()..][..shared.len()];
            [&own[..shared.start], of_group, &own[shared.start..]].concat()
        })
        .collect()
    }

    #[test]
    fn outputs_and_gradients_are_those_of_an_autograd_library() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // More rows than one band has, and a last band that is not full.
        let rows = BAND_ROWS * 2 + 7;
        for (last, shared) in [(Last::Unit, 11..11), (Last::Prior, 7..10), (Last::Affinity, 6..8)] {
            let mut mlp = Mlp::new(SHAPE, shared.clone(), last, &mut rng);
            let mut numbers =
                |count: usize, limit: f32| (0..count).map(|_| rng.random_range(-limit..limit)).collect::<Vec<f32>>();
            for bias in [1, 3] {
                mlp.weights[bias].values = numbers(mlp.weights[bias].values.len(), 0.5);
            }
            let groups = if shared.is_empty() { 1 } else { 5 };
            let inputs = Inputs {
                own: numbers(rows * mlp.own_inputs(), 1.0),
                shared: numbers(groups * shared.len(), 1.0),
                groups: (0..rows).map(|row| (row * 7 % groups) as u32).collect(),
            };
            let gradient = numbers(rows * SHAPE[2], 1.0);
            let mut expected = by_autograd(&mlp, &whole(&inputs, &shared), &gradient);
            let forward = mlp.forward(inputs);
            let output = forward.output.clone();
            let (d_inputs, d_weights) = forward.backward(&mlp, gradient);
            // The gradient of a shared number is the sum over the rows that share it.
            let mut d_shared = vec![0.0; groups * shared.len()];
            for (row, group) in expected[1].chunks_exact(SHAPE[0]).zip(&d_inputs.groups) {
                add(&mut d_shared[*group as usize * shared.len()..][..shared.len()], &row[shared.clone()], 1.0);
            }
            let own =
                expected[1].chunks_exact(SHAPE[0]).flat_map(|row| [&row[..shared.start], &row[shared.end..]].concat());
            expected[1] = own.collect();
            expected.push(d_shared);
            let found = [output, d_inputs.own].into_iter().chain(d_weights).chain([d_inputs.shared]);
            for (part, (found, expected)) in found.zip(&expected).enumerate() {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 2e-4, "{last:?}, part {part}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn below_the_floor_the_norm_is_a_constant() {
        let mut mlp = Mlp::new(SHAPE, SHAPE[0]..SHAPE[0], Last::Unit, &mut ChaCha8Rng::seed_from_u64(1));
        mlp.weights[0].values.fill(0.0);
        let x = |size: f32| (0..SHAPE[0]).map(|at| size * (at as f32 + 1.0)).collect::<Vec<f32>>();
        let gradient: Vec<f32> = (0..SHAPE[2]).map(|at| at as f32).collect();
        let slopes = |x| mlp.forward(Inputs::of_rows(x, 1)).backward(&mlp, gradient.clone()).0.own;
        for tiny in [0.0, 1e-9] {
            let expected = (0..SHAPE[0]).map(|at| if at < SHAPE[2] { at as f32 / NORM_FLOOR } else { 0.0 });
            assert_eq!(slopes(x(tiny)), expected.collect::<Vec<_>>(), "{tiny}");
        }
        let along: f32 = slopes(x(1.0)).iter().zip(x(1.0)).map(|(slope, x)| slope * x).sum();
        assert!(along.abs() < 1e-5, "{along}");
    }
}
