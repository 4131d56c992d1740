//! What a client believes: the cases of TUF's conformance suite (README.md), a poisoned host, and faults by chance.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as expected")]

mod conformance;
mod fixtures;
mod poisoned;
mod schedules;
mod world;
