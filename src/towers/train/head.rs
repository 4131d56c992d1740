//! The retrieval head: in-batch sampled softmax with logQ correction, fused so that no query x candidate matrix is
//! ever held whole.
//!
//! A batch has `G` queries and `B` targets, each the target of one query. The loss of target `j` of query `g` is
//! `-log(e^s_j / (e^s_j + N))` with `s_k = q_g . c_k / temperature - log Q_k`, where `N` sums `e^s_k` over the targets of
//! the other queries and `Q_k` is the probability that `k` is sampled (Yi et al., `RecSys` 2019, equation 5). Targets
//! that are right for `g` too ("accidental hits") are masked. With one target per query this is the usual in-batch
//! softmax; several targets share the work for their query.
//!
//! Queries are worked off in tiles; the partial sums of the tiles are added in tile order, so that loss and gradients
//! do not depend on the number of threads.

use rayon::prelude::*;

use crate::kernels::gemm::{MatrixRef, gemm_f32};

/// Queries of a tile: its scores (32 x 2048 numbers) stay in a core's cache.
const TILE: usize = 32;

/// One batch for the head: `G` queries, `B` targets, `D` numbers per embedding.
#[derive(Debug, Clone, Copy)]
pub struct HeadInput<'a> {
    /// Query embeddings, `[G, D]`.
    pub queries: &'a [f32],
    /// Embeddings of the targets, `[B, D]`.
    pub candidates: &'a [f32],
    /// The targets of query `g` are `offsets[g]..offsets[g + 1]`; `[G + 1]`, from 0 to `B`.
    pub offsets: &'a [usize],
    /// Whether target `b` is no negative for query `g`, `[G, B]`; it must be so for the query's own targets.
    pub masked: &'a [bool],
    /// Logarithm of each target's sampling probability, `[B]`; zeros switch the correction off.
    pub log_q: &'a [f32],
    /// Weight of each target's loss, `[B]`.
    pub weights: &'a [f32],
    /// Divides the inner products, above 0.
    pub temperature: f32,
    /// `D`.
    pub dim: usize,
}

/// Mean loss and its gradients.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeadOutput {
    /// Weighted mean of the targets' losses, in nats.
    pub loss: f32,
    /// Gradient of the loss by each query embedding, `[G, D]`.
    pub d_queries: Vec<f32>,
    /// Gradient of the loss by each candidate embedding, `[B, D]`.
    pub d_candidates: Vec<f32>,
}

struct Tile {
    loss: f64,
    d_queries: Vec<f32>,
    d_candidates: Vec<f32>,
}

/// Computes loss and gradients of one batch.
pub fn sampled_softmax(input: HeadInput<'_>) -> HeadOutput {
    let total: f32 = input.weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    let starts: Vec<usize> = (0..input.offsets.len() - 1).step_by(TILE).collect();
    let tiles: Vec<Tile> = starts.into_par_iter().map(|start| tile(input, start, total)).collect();
    let mut output = HeadOutput {
        loss: 0.0,
        d_queries: Vec::with_capacity(input.queries.len()),
        d_candidates: vec![0.0; input.candidates.len()],
    };
    let mut loss = 0.0;
    for tile in tiles {
        loss += tile.loss;
        output.d_queries.extend(tile.d_queries);
        for (sum, part) in output.d_candidates.iter_mut().zip(tile.d_candidates) {
            *sum += part;
        }
    }
    output.loss = (loss / f64::from(total)) as f32;
    output
}

fn tile(input: HeadInput<'_>, start: usize, total: f32) -> Tile {
    let (batch, dim) = (input.log_q.len(), input.dim);
    let rows = TILE.min(input.offsets.len() - 1 - start);
    let queries = &input.queries[start * dim..(start + rows) * dim];
    let mut scores = vec![0.0; rows * batch];
    let scale = 1.0 / input.temperature;
    let query_rows = MatrixRef::row_major(queries, dim);
    let candidate_rows = MatrixRef::row_major(input.candidates, dim);
    gemm_f32([rows, batch, dim], &mut scores, scale, query_rows, candidate_rows.transposed());
    let mut loss = 0.0;
    for (row, scores) in scores.chunks_exact_mut(batch).enumerate() {
        loss += softmax_row(input, start + row, scores, total);
    }
    let gradient = MatrixRef::row_major(&scores, batch);
    let mut d_queries = vec![0.0; rows * dim];
    gemm_f32([rows, dim, batch], &mut d_queries, scale, gradient, candidate_rows);
    let mut d_candidates = vec![0.0; batch * dim];
    gemm_f32([batch, dim, rows], &mut d_candidates, scale, gradient.transposed(), query_rows);
    Tile { loss, d_queries, d_candidates }
}

/// Turns the scores of one query into the gradient of the mean loss by them; the weighted sum of its targets' losses.
fn softmax_row(input: HeadInput<'_>, query: usize, scores: &mut [f32], total: f32) -> f64 {
    let own = input.offsets[query]..input.offsets[query + 1];
    let masked = &input.masked[query * scores.len()..][..scores.len()];
    for (score, log_q) in scores.iter_mut().zip(input.log_q) {
        *score -= log_q;
    }
    let hits: Vec<f32> = scores[own.clone()].to_vec();
    let mut largest = hits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for (score, masked) in scores.iter_mut().zip(masked) {
        *score = if *masked { f32::NEG_INFINITY } else { *score };
        largest = largest.max(*score);
    }
    if largest == f32::NEG_INFINITY {
        scores.fill(0.0);
        return 0.0;
    }
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    let negatives = lane_sum(scores);
    let sum_with = |hit: f32| negatives + exp(hit - largest);
    let pull: f32 = own.clone().zip(&hits).map(|(at, hit)| input.weights[at] / total / sum_with(*hit)).sum();
    for score in scores.iter_mut() {
        *score *= pull;
    }
    let mut loss = 0.0;
    for (at, hit) in own.zip(hits) {
        let (weight, sum) = (input.weights[at], sum_with(hit));
        scores[at] = -weight / total * negatives / sum;
        loss += f64::from(weight) * (f64::from(sum.ln()) + f64::from(largest) - f64::from(hit));
    }
    loss
}

fn lane_sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    for chunk in values.chunks(16) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum()
}

/// `exp(x)` for `x <= 0` within 2e-7 relative, 0 below -87: a polynomial that compilers turn into SIMD, unlike the
/// library's call (Cephes `expf`).
#[inline]
fn exp(x: f32) -> f32 {
    let clamped = x.max(-87.0);
    let n = (clamped * std::f32::consts::LOG2_E + 0.5).floor();
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let fraction = p * r * r + r + 1.0;
    let power = f32::from_bits(((n as i32 + 127) << 23) as u32);
    if x < -87.0 { 0.0 } else { fraction * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Batch {
        queries: Vec<f32>,
        candidates: Vec<f32>,
        offsets: Vec<usize>,
        masked: Vec<bool>,
        log_q: Vec<f32>,
        weights: Vec<f32>,
    }

    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    const DIM: usize = 8;

    /// `queries` queries with 0 to 3 targets each.
    fn batch(queries: usize) -> Batch {
        let mut offsets = vec![0];
        offsets.extend((0..queries).scan(0, |end, query| {
            *end += query % 4;
            Some(*end)
        }));
        let targets = offsets[queries];
        let owner = |target: usize| offsets.partition_point(|end| *end <= target) - 1;
        let masked = (0..queries * targets).map(|at| (at * 7919) % 13 == 0 || owner(at % targets) == at / targets);
        Batch {
            queries: numbers(1, queries * DIM),
            candidates: numbers(2, targets * DIM),
            masked: masked.collect(),
            log_q: numbers(3, targets),
            weights: numbers(4, targets).iter().map(|w| w.abs() + 0.1).collect(),
            offsets,
        }
    }

    impl Batch {
        fn input(&self) -> HeadInput<'_> {
            HeadInput {
                queries: &self.queries,
                candidates: &self.candidates,
                offsets: &self.offsets,
                masked: &self.masked,
                log_q: &self.log_q,
                weights: &self.weights,
                temperature: 0.2,
                dim: DIM,
            }
        }

        /// The definition, in f64.
        fn naive(&self) -> f64 {
            let targets = self.log_q.len();
            let score = |query: usize, target: usize| {
                let pairs = self.queries[query * DIM..].iter().zip(&self.candidates[target * DIM..]).take(DIM);
                let product: f64 = pairs.map(|(q, c)| f64::from(*q) * f64::from(*c)).sum();
                product / 0.2_f32 as f64 - f64::from(self.log_q[target])
            };
            let mut loss = 0.0;
            for query in 0..self.offsets.len() - 1 {
                let negatives = (0..targets).filter(|target| !self.masked[query * targets + target]);
                let sum: f64 = negatives.map(|target| score(query, target).exp()).sum();
                for target in self.offsets[query]..self.offsets[query + 1] {
                    let hit = score(query, target);
                    loss += f64::from(self.weights[target]) * ((sum + hit.exp()).ln() - hit);
                }
            }
            loss / self.weights.iter().map(|w| f64::from(*w)).sum::<f64>()
        }
    }

    #[test]
    fn loss_and_gradients_agree_with_the_definition() {
        let mut batch = batch(150);
        let output = sampled_softmax(batch.input());
        let expected = batch.naive();
        assert!((f64::from(output.loss) - expected).abs() < 1e-4, "{} {expected}", output.loss);
        let step = 1e-3;
        let slope = |batch: &mut Batch, pick: fn(&mut Batch) -> &mut Vec<f32>, at: usize| {
            let start = pick(batch)[at];
            pick(batch)[at] = start + step;
            let up = batch.naive();
            pick(batch)[at] = start - step;
            let down = batch.naive();
            pick(batch)[at] = start;
            ((up - down) / f64::from(2.0 * step)) as f32
        };
        for at in [0, 11, 500, 150 * DIM - 1] {
            let query = slope(&mut batch, |batch| &mut batch.queries, at);
            assert!((query - output.d_queries[at]).abs() < 1e-5, "{at} {query} {}", output.d_queries[at]);
            let candidate = slope(&mut batch, |batch| &mut batch.candidates, at);
            assert!((candidate - output.d_candidates[at]).abs() < 1e-5, "{at} {candidate}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let batch = batch(203);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sampled_softmax(batch.input()))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn the_polynomial_exponential_is_close_to_the_library() {
        for step in 0..=8_600 {
            let x = -0.01 * step as f32;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 3e-7 * expected, "{x} {found} {expected}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    }
}
