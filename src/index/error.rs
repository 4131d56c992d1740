//! What can go wrong between embeddings and an index.

/// An error of the index stage.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// An embedding holds NaN or an infinity.
    #[error(
        "embedding in row {row}, column {column}: found {found}, expected a finite number; the towers diverged: train again \
         with a lower learning rate, or check the features of this item"
    )]
    NotFinite {
        /// Row of the embeddings.
        row: usize,
        /// Column of the embeddings.
        column: usize,
        /// What stood there.
        found: f32,
    },
    /// The embeddings are not a matrix of the stated width.
    #[error(
        "embeddings: found {found} values, expected a multiple of dim = {dim}; check the export of the candidate tower"
    )]
    Shape {
        /// How many values there are.
        found: usize,
        /// The stated width.
        dim: usize,
    },
    /// A number lies outside what an index can hold.
    #[error("index: {what} is {found}, expected {low}..={high}; change the configuration's [index] or [model] section")]
    Limit {
        /// Which number.
        what: &'static str,
        /// Its value.
        found: u64,
        /// The smallest allowed value.
        low: u64,
        /// The largest allowed value.
        high: u64,
    },
    /// The graph that the builder gave is not one.
    #[error("index: the builder's graph has no {what}; this is a defect of the builder, please report it")]
    Builder {
        /// What was looked for.
        what: &'static str,
    },
}

impl IndexError {
    /// Checks that `found` lies in `low..=high`.
    pub(crate) fn check(what: &'static str, found: usize, low: usize, high: usize) -> Result<(), Self> {
        if (low..=high).contains(&found) {
            return Ok(());
        }
        Err(Self::Limit { what, found: found as u64, low: low as u64, high: high as u64 })
    }
}
