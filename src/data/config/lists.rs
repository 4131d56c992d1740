//! `[lists]`: what a release lists beside what its towers recommend.

use serde::{Deserialize, Serialize};

/// Lists that pages ask for by name: what is bought together, and what sells better than it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListsConfig {
    /// Items that are listed as bought together with one, at most; 0 for no such lists. 0 to 1,000.
    pub together: usize,
    /// Items in the list of what sells better than it did, and in that of each category, at most; 0 for none. 0 to 1,000.
    pub trending: usize,
    /// Days at the end of the training events that are compared with the four times as many before. 1 to 366.
    pub days: u32,
    /// Shoppers who stand behind an entry, at least: fewer say little, and would say it of somebody. 1 and up.
    pub min_shoppers: u32,
}

impl Default for ListsConfig {
    fn default() -> Self {
        Self { together: 24, trending: 50, days: 7, min_shoppers: 3 }
    }
}
