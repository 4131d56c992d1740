//! The retrieval head: softmax over candidates, sampled with logQ correction or all of them, fused so that no query x candidate
//! matrix is ever held whole.
//!
//! `G` queries meet `C` candidates; `B` targets name, for each query, candidates that are right. The loss of target `t` of query `g`
//! is `-log(e^s_t / (e^s_t + N))` with `s_k = q_g . c_k / temperature - log Q_k`, where `N` sums `e^s_k` over the candidates that are
//! not masked for `g`, and `Q_k` is the probability that `k` is sampled (Yi et al., `RecSys` 2019, equation 5), 1 where all items
//! are candidates. Candidates that are right for `g` too ("accidental hits") are masked. Several targets share the work for
//! their query. `bonus` is added to the scores of some pairs. With label smoothing `e` (Szegedy et al. 2016) the target's score counts `1 - e`, the mean score of target and
//! negatives `e`.
//!
//! Queries are worked off in tiles, tiles in bands; the partial sums of the bands are added in their order, so that loss and
//! gradients do not depend on the number of threads.

use rayon::prelude::*;

use crate::kernels::gemm::{MatrixRef, gemm_f32, gemm_f32_add};
use crate::kernels::softmax::{self, exp};

/// Queries of a tile are a multiple of this.
const TILE: usize = 32;

/// Most queries of a tile, and most scores: each tile packs all candidates for the matrix products anew, so large tiles are better while
/// their scores stay in a cache. With 2,048 candidates, training is a tenth faster with 256 queries than with 32.
const LARGEST_TILE: usize = 256;
const TILE_SCORES: usize = 1 << 19;

/// Most bands: each holds a gradient by all candidates.
const BANDS: usize = 8;

/// One batch for the head: `G` queries, `C` candidates, `B` targets, `D` numbers per embedding.
#[derive(Debug, Clone, Copy)]
pub struct HeadInput<'a> {
    /// Query embeddings, `[G, D]`.
    pub queries: &'a [f32],
    /// Embeddings of the candidates, `[C, D]`.
    pub candidates: &'a [f32],
    /// Candidates that are targets, `[B]`; those of one query differ.
    pub targets: &'a [u32],
    /// The targets of query `g` are `targets[offsets[g]..offsets[g + 1]]`; `[G + 1]`, from 0 to `B`.
    pub offsets: &'a [usize],
    /// Candidates that are no negatives, per query; the query's own targets are among them.
    pub masked: &'a [Vec<u32>],
    /// Per query, candidates and what is added to their scores; empty without any.
    pub bonus: &'a [Vec<(u32, f32)>],
    /// Logarithm of each candidate's sampling probability, `[C]`; zeros switch the correction off.
    pub log_q: &'a [f32],
    /// Weight of each target's loss, `[B]`.
    pub weights: &'a [f32],
    /// Divides the inner products, above 0.
    pub temperature: f32,
    /// Label smoothing, 0 to below 1.
    pub smoothing: f32,
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
    /// Gradient of the loss by each candidate embedding, `[C, D]`.
    pub d_candidates: Vec<f32>,
    /// Gradient of the loss by each number of [`HeadInput::bonus`].
    pub d_bonus: Vec<Vec<f32>>,
}

/// The queries of a band.
struct Band {
    loss: f64,
    d_queries: Vec<f32>,
    d_candidates: Vec<f32>,
    d_bonus: Vec<Vec<f32>>,
}

/// Computes loss and gradients of one batch.
pub fn softmax_loss(input: HeadInput<'_>) -> HeadOutput {
    let total: f32 = input.weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    let queries = input.offsets.len() - 1;
    let width = queries.div_ceil(BANDS).next_multiple_of(TILE);
    let starts: Vec<usize> = (0..queries).step_by(width).collect();
    let bands: Vec<Band> =
        starts.into_par_iter().map(|start| band(input, start..queries.min(start + width), total)).collect();
    let mut output = HeadOutput { d_queries: Vec::with_capacity(input.queries.len()), ..HeadOutput::default() };
    output.d_candidates.resize(input.candidates.len(), 0.0);
    let mut loss = 0.0;
    for band in bands {
        loss += band.loss;
        output.d_queries.extend(band.d_queries);
        output.d_bonus.extend(band.d_bonus);
        for (sum, part) in output.d_candidates.iter_mut().zip(band.d_candidates) {
            *sum += part;
        }
    }
    output.loss = (loss / f64::from(total)) as f32;
    output
}

fn band(input: HeadInput<'_>, queries: std::ops::Range<usize>, total: f32) -> Band {
    let (columns, dim) = (input.log_q.len(), input.dim);
    let mut band = Band {
        loss: 0.0,
        d_queries: vec![0.0; queries.len() * dim],
        d_candidates: vec![0.0; input.candidates.len()],
        d_bonus: Vec::new(),
    };
    let scale = 1.0 / input.temperature;
    let candidate_rows = MatrixRef::row_major(input.candidates, dim);
    let tile = (TILE_SCORES / columns / TILE * TILE).clamp(TILE, LARGEST_TILE);
    let mut scores = vec![0.0; tile * columns];
    for (start, d_queries) in queries.clone().step_by(tile).zip(band.d_queries.chunks_mut(tile * dim)) {
        let rows = d_queries.len() / dim;
        let scores = &mut scores[..rows * columns];
        let query_rows = MatrixRef::row_major(&input.queries[start * dim..(start + rows) * dim], dim);
        gemm_f32([rows, columns, dim], scores, scale, query_rows, candidate_rows.transposed());
        for (row, scores) in scores.chunks_exact_mut(columns).enumerate() {
            let bonus = input.bonus.get(start + row).map_or(&[][..], Vec::as_slice);
            bonus.iter().for_each(|(column, bonus)| scores[*column as usize] += bonus);
            band.loss += softmax_row(input, start + row, scores, total);
            band.d_bonus.push(bonus.iter().map(|(column, _)| scores[*column as usize]).collect());
        }
        let gradient = MatrixRef::row_major(scores, columns);
        gemm_f32([rows, dim, columns], d_queries, scale, gradient, candidate_rows);
        gemm_f32_add([columns, dim, rows], &mut band.d_candidates, scale, gradient.transposed(), query_rows);
    }
    band
}

/// Turns the scores of one query into the gradient of the mean loss by them; the weighted sum of its targets' losses.
fn softmax_row(input: HeadInput<'_>, query: usize, scores: &mut [f32], total: f32) -> f64 {
    let own = input.offsets[query]..input.offsets[query + 1];
    if own.is_empty() {
        scores.fill(0.0);
        return 0.0;
    }
    let targets = &input.targets[own.clone()];
    let hit = |target: &u32| scores[*target as usize] - input.log_q[*target as usize];
    let hits: Vec<f32> = targets.iter().map(hit).collect();
    for masked in &input.masked[query] {
        scores[*masked as usize] = f32::NEG_INFINITY;
    }
    let largest = softmax::subtract_and_find_largest(scores, input.log_q);
    let largest = hits.iter().copied().fold(largest, f32::max);
    let mean = if input.smoothing > 0.0 { finite_sum(scores) } else { Sum::default() };
    let negatives = softmax::exp_and_sum(scores, largest);
    // Of far apart targets without a negative near the best one, the sum of a worse one would be nothing at all.
    let sum_with = |hit: f32| (negatives + exp(hit - largest)).max(f32::MIN_POSITIVE);
    let smoothing = input.smoothing;
    let pull: f32 = own.clone().zip(&hits).map(|(at, hit)| input.weights[at] / total / sum_with(*hit)).sum();
    let shared = smoothing / (mean.count + 1) as f32;
    let weight: f32 = input.weights[own.clone()].iter().sum::<f32>() / total;
    softmax::scale_and_subtract(scores, pull, weight * shared);
    for masked in &input.masked[query] {
        scores[*masked as usize] = 0.0;
    }
    let mut loss = 0.0;
    for ((at, hit), target) in own.zip(hits).zip(targets) {
        let (weight, sum) = (input.weights[at], sum_with(hit));
        let positive = exp(hit - largest) / sum;
        scores[*target as usize] = weight / total * (positive - (1.0 - smoothing) - shared);
        let log_sum = f64::from(sum.ln()) + f64::from(largest);
        let mean = (mean.sum + f64::from(hit)) / (mean.count + 1) as f64;
        let smoothing = f64::from(smoothing);
        loss += f64::from(weight) * (log_sum - (1.0 - smoothing) * f64::from(hit) - smoothing * mean);
    }
    loss
}

#[derive(Default)]
struct Sum {
    sum: f64,
    count: usize,
}

fn finite_sum(scores: &[f32]) -> Sum {
    let finite = scores.iter().filter(|score| score.is_finite());
    finite.fold(Sum::default(), |sum, score| Sum { sum: sum.sum + f64::from(*score), count: sum.count + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Batch {
        bonus: Vec<Vec<(u32, f32)>>,
        queries: Vec<f32>,
        candidates: Vec<f32>,
        targets: Vec<u32>,
        offsets: Vec<usize>,
        masked: Vec<Vec<u32>>,
        log_q: Vec<f32>,
        weights: Vec<f32>,
        smoothing: f32,
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

    /// `queries` queries with 0 to 3 targets each among `candidates`.
    fn batch(queries: usize, candidates: usize, smoothing: f32) -> Batch {
        let mut offsets = vec![0];
        offsets.extend((0..queries).scan(0, |end, query| {
            *end += query % 4;
            Some(*end)
        }));
        let target = |at: usize| ((at * 31) % candidates) as u32;
        let targets: Vec<u32> = (0..offsets[queries]).map(target).collect();
        let masked = (0..queries).map(|query| {
            let own = &targets[offsets[query]..offsets[query + 1]];
            let column_is_masked =
                |column: &usize| (query * candidates + column).is_multiple_of(13) || own.contains(&(*column as u32));
            (0..candidates).filter(column_is_masked).map(|column| column as u32).collect()
        });
        Batch {
            bonus: (0..queries)
                .map(|query| vec![((query * 7 % candidates) as u32, 0.3), (target(offsets[query]), -0.2)])
                .collect(),
            queries: numbers(1, queries * DIM),
            candidates: numbers(2, candidates * DIM),
            masked: masked.collect(),
            log_q: numbers(3, candidates),
            weights: numbers(4, targets.len()).iter().map(|w| w.abs() + 0.1).collect(),
            targets,
            offsets,
            smoothing,
        }
    }

    impl Batch {
        fn input(&self) -> HeadInput<'_> {
            HeadInput {
                queries: &self.queries,
                candidates: &self.candidates,
                targets: &self.targets,
                offsets: &self.offsets,
                masked: &self.masked,
                bonus: &self.bonus,
                log_q: &self.log_q,
                weights: &self.weights,
                temperature: 0.2,
                smoothing: self.smoothing,
                dim: DIM,
            }
        }

        /// The definition, in f64.
        fn naive(&self) -> f64 {
            let score = |query: usize, column: usize| {
                let pairs = self.queries[query * DIM..].iter().zip(&self.candidates[column * DIM..]).take(DIM);
                let product: f64 = pairs.map(|(q, c)| f64::from(*q) * f64::from(*c)).sum();
                let bonus = self.bonus[query].iter().filter(|(of, _)| *of as usize == column);
                let bonus: f64 = bonus.map(|(_, bonus)| f64::from(*bonus)).sum();
                product / 0.2_f32 as f64 + bonus - f64::from(self.log_q[column])
            };
            let smoothing = f64::from(self.smoothing);
            let mut loss = 0.0;
            for query in 0..self.offsets.len() - 1 {
                let negatives = (0..self.log_q.len()).filter(|column| !self.masked[query].contains(&(*column as u32)));
                let negatives: Vec<f64> = negatives.map(|column| score(query, column)).collect();
                let sum: f64 = negatives.iter().map(|score| score.exp()).sum();
                for at in self.offsets[query]..self.offsets[query + 1] {
                    let hit = score(query, self.targets[at] as usize);
                    let mean = (negatives.iter().sum::<f64>() + hit) / (negatives.len() + 1) as f64;
                    let loss_of_one = (sum + hit.exp()).ln() - (1.0 - smoothing) * hit - smoothing * mean;
                    loss += f64::from(self.weights[at]) * loss_of_one;
                }
            }
            loss / self.weights.iter().map(|w| f64::from(*w)).sum::<f64>()
        }
    }

    #[test]
    fn loss_and_gradients_agree_with_the_definition() {
        for smoothing in [0.0, 0.3] {
            check_against_definition(batch(150, 260, smoothing));
        }
    }

    fn check_against_definition(mut batch: Batch) {
        let output = softmax_loss(batch.input());
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
        for query in [0, 77, 149] {
            for place in 0..2 {
                let start = batch.bonus[query][place].1;
                let mut at = |bonus: f32| {
                    batch.bonus[query][place].1 = bonus;
                    batch.naive()
                };
                let expected = ((at(start + step) - at(start - step)) / f64::from(2.0 * step)) as f32;
                at(start);
                let found = output.d_bonus[query][place];
                assert!((found - expected).abs() < 1e-5, "{query} {place} {found} {expected}");
            }
        }
    }

    #[test]
    fn targets_that_are_far_apart_have_finite_gradients() {
        let mut batch = batch(4, 12, 0.0);
        // Query 3 has three targets: one is found at once, one never, and no negative is near either.
        let [best, worst] = [batch.targets[3] as usize, batch.targets[4] as usize];
        batch.log_q.fill(500.0);
        (batch.log_q[best], batch.log_q[worst]) = (-500.0, 300.0);
        let output = softmax_loss(batch.input());
        assert!(output.loss.is_finite() && output.d_queries.iter().all(|slope| slope.is_finite()), "{output:?}");
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let batch = batch(603, 310, 0.1);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| softmax_loss(batch.input()))
        };
        assert_eq!(with(1), with(3));
    }
}
