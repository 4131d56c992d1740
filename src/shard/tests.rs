//! Shards from outside: round trips and damage.
