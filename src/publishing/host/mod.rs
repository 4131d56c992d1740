//! Whether a host serves a release as clients need it.
//!
//! Everything is asked as a browser of another origin would ask, nothing is written. What would break clients or keep old files is *wrong*; what only costs time or
//! protection is *advice*.

mod checks;
mod report;
mod request;

pub use checks::check_host;
pub use report::{Finding, HostReport, Verdict};

use crate::release::RootPin;

/// What to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostQuestion {
    /// Where the folder of the release is.
    pub url: String,
    /// Whose signatures count, if they should be checked.
    pub pin: Option<RootPin>,
    /// The origin of the shop's pages.
    pub origin: String,
    /// Now, in seconds since 1970-01-01 UTC.
    pub now: u64,
}

#[cfg(test)]
mod tests;
