//! What can be wrong with a simulation.

use crate::data::ImpressionsError;
use crate::experiments::ExperimentsError;
use crate::recommend::RecommendError;

/// An error of the simulation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// Shoppers are modelled on users.
    #[error(
        "simulation: found {found} shoppers, expected 1 to {most}, the users with training events; ask for so many, or prepare more data"
    )]
    Shoppers {
        /// Asked for.
        found: usize,
        /// Users.
        most: usize,
    },
    /// Too few items to fill a slate.
    #[error("simulation: found {found} items with training events, expected {least} at least; prepare more data")]
    Items {
        /// Items.
        found: usize,
        /// Twice a slate.
        least: usize,
    },
    /// What was simulated could not be written.
    #[error(transparent)]
    Impressions(#[from] ImpressionsError),
    /// A release did not answer.
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    /// What was simulated could not be reported on.
    #[error(transparent)]
    Experiments(#[from] ExperimentsError),
    /// A share of the items that is none.
    #[error("simulation: found {found} as the share of items out of stock, expected 0 to less than 1; change the call")]
    OutOfStock {
        /// What was asked.
        found: f64,
    },
    /// A file could not be written.
    #[error("{}: {source}; check the folder", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
