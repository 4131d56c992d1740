//! Whether a head is the shop's, and nothing else: what checking that adds to a client, with the JSON and the digests that a client has anyway.

use nearshelf::sync::{DEFAULT_HARD_LIMIT, Trust};
use wasm_bindgen::prelude::*;

/// The version of a head that the pinned root's keys signed, and that has not ended at `now`; nothing for any other.
#[wasm_bindgen]
pub fn check(pin: &str, root: &[u8], head: &[u8], now: f64) -> Option<f64> {
    let mut trust = Trust::pinned(pin.parse().ok()?, DEFAULT_HARD_LIMIT);
    trust.add_root(root).ok()?;
    let checked = trust.check(head, now as u64).ok()?;
    Some(checked.version() as f64)
}
