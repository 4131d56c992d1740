//! The metric of the queries: two vectors are near if queries score them alike.
//!
//! With `M` the second moment of the queries, `(x - y)ᵀ M (x - y)` is the mean over the queries `q` of `(q·x - q·y)²`. Cells of
//! vectors that are near in it hold rows of like scores, so that the score of a centroid says how good its rows are. That
//! matters where queries share a direction, such as that of a popularity prior: by plain distance the bestsellers lie
//! scattered over all cells.

use super::random::shuffled;

/// Share of a plain metric that is mixed in, so that no direction that the queries lack is lost.
const PLAIN: f64 = 0.05;
/// Queries that the moment is taken of, at most.
const SAMPLE: usize = 4096;

/// Vectors, row-major with `dim` columns, turned so that their plain distance is that of the metric of `queries`, which are
/// finite and not none.
pub(super) fn in_metric_of(queries: &[f32], vectors: &[f32], dim: usize) -> Vec<f32> {
    let factor = factor(queries, dim);
    let mut turned = vec![0.0; vectors.len()];
    for (row, out) in vectors.chunks_exact(dim).zip(turned.chunks_exact_mut(dim)) {
        for (column, out) in out.iter_mut().enumerate() {
            // Row `column` of the upper triangle begins at the diagonal.
            let upper = &factor[column * dim..][column..dim];
            *out = upper.iter().zip(&row[column..]).map(|(a, x)| a * x).sum();
        }
    }
    turned
}

/// The upper triangle `U` of the moment `UᵀU` of unit-length queries (Cholesky), row-major: `|Ux|² = xᵀ M x`.
fn factor(queries: &[f32], dim: usize) -> Vec<f32> {
    let mut moment = moment(queries, dim);
    let scale = moment.iter().step_by(dim + 1).sum::<f64>() / dim as f64;
    for at in 0..dim {
        moment[at * dim + at] += PLAIN * if scale > 0.0 { scale } else { 1.0 };
    }
    let mut upper = vec![0.0f64; dim * dim];
    for row in 0..dim {
        for column in row..dim {
            let done: f64 = (0..row).map(|above| upper[above * dim + row] * upper[above * dim + column]).sum();
            let rest = moment[row * dim + column] - done;
            // The mixed-in part keeps the diagonal above zero.
            upper[row * dim + column] =
                if column == row { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / upper[row * dim + row] };
        }
    }
    upper.into_iter().map(|x| x as f32).collect()
}

/// The mean of `q qᵀ` over queries scaled to unit length, row-major.
fn moment(queries: &[f32], dim: usize) -> Vec<f64> {
    let mut sample = shuffled(queries.len() / dim, 1);
    sample.truncate(SAMPLE);
    let mut moment = vec![0.0f64; dim * dim];
    for &row in &sample {
        let query = &queries[row as usize * dim..][..dim];
        let square = query.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        let weight = 1.0 / square.max(f64::MIN_POSITIVE);
        for (a, out) in query.iter().zip(moment.chunks_exact_mut(dim)) {
            let a = f64::from(*a) * weight;
            out.iter_mut().zip(query).for_each(|(out, &b)| *out += a * f64::from(b));
        }
    }
    moment
}

#[cfg(test)]
mod tests {
    use super::super::testing::Random;
    use super::*;

    #[test]
    fn distances_are_mean_squares_of_score_differences() {
        let seed = 11;
        let mut random = Random::new(seed);
        let (queries, vectors) = (random.vector(50 * 6), random.vector(2 * 6));
        let turned = in_metric_of(&queries, &vectors, 6);
        let difference = |rows: &[f32]| -> Vec<f64> { (0..6).map(|i| f64::from(rows[i] - rows[6 + i])).collect() };
        let square: f64 = difference(&turned).iter().map(|x| x * x).sum();
        let (plain, mut scores) = (difference(&vectors), 0.0);
        let mut trace = 0.0;
        for query in queries.chunks_exact(6) {
            let norm: f64 = query.iter().map(|&x| f64::from(x).powi(2)).sum();
            let score: f64 = query.iter().zip(&plain).map(|(&q, x)| f64::from(q) * x).sum();
            scores += score * score / norm;
            trace += 1.0;
        }
        let expected = scores + PLAIN * trace / 6.0 * plain.iter().map(|x| x * x).sum::<f64>();
        assert!((square - expected).abs() <= 1e-4 * expected, "seed {seed}: {square}, expected {expected}");
    }
}
