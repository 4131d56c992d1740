//! Arguments: `--name value`, `--build-only`, and words.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::str::FromStr;

use crate::Outcome;

/// The one option without a value.
const FLAG: &str = "--build-only";

pub(crate) struct Arguments {
    options: BTreeMap<String, String>,
    free: VecDeque<String>,
    flag: bool,
}

impl Arguments {
    pub(crate) fn new(mut words: impl Iterator<Item = String>) -> Self {
        let mut arguments = Self { options: BTreeMap::new(), free: VecDeque::new(), flag: false };
        while let Some(word) = words.next() {
            if word == FLAG {
                arguments.flag = true;
            } else if word.starts_with("--") {
                arguments.options.insert(word, words.next().unwrap_or_default());
            } else {
                arguments.free.push_back(word);
            }
        }
        arguments
    }

    pub(crate) fn next_free(&mut self) -> Option<String> {
        self.free.pop_front()
    }

    pub(crate) fn free(&self) -> impl Iterator<Item = &String> {
        self.free.iter()
    }

    pub(crate) fn build_only(&self) -> bool {
        self.flag
    }

    pub(crate) fn given(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    pub(crate) fn text(&self, name: &str) -> Outcome<&str> {
        let value = self.options.get(name).filter(|value| !value.is_empty());
        Ok(value.ok_or_else(|| format!("{name} is absent or has no value"))?)
    }

    pub(crate) fn path(&self, name: &str) -> Outcome<PathBuf> {
        Ok(self.text(name)?.into())
    }

    pub(crate) fn number<N: FromStr>(&self, name: &str) -> Outcome<N> {
        let text = self.text(name)?;
        Ok(text.parse().map_err(|_| format!("{name} {text}: found no whole number that fits"))?)
    }
}
