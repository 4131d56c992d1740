//! The cards of a release: what a page shows of each candidate.
//!
//! The page reads them; here only the ids are, to check that they are those of the shards. The file is JSON,
//! `{"format": 1, "items": [[id, …], …], …}`: the first value of a row is an id, the rest is between the writer and the
//! page.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};

use super::manifest::check_format;
use super::{ObjectKind, ReleaseError};

const WHAT: &str = "cards";

/// What says whether the rest can be read.
#[derive(Deserialize)]
struct Probe {
    format: u64,
}

#[derive(Deserialize)]
struct File {
    items: Vec<Row>,
}

/// The id of a row.
struct Row(String);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row that begins with an id")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<Row, A::Error> {
                let id = row.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                while row.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Row(id))
            }
        }
        deserializer.deserialize_seq(First)
    }
}

/// The ids of the cards, in their order.
///
/// # Errors
/// If the bytes are too many, not such JSON, or of a format that this build does not know.
pub fn card_ids(bytes: &[u8]) -> Result<Vec<String>, ReleaseError> {
    let limit = ObjectKind::Cards.limit();
    if bytes.len() as u64 > limit {
        return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit });
    }
    let json = |error| ReleaseError::json(WHAT, &error);
    let Probe { format } = serde_json::from_slice(bytes).map_err(json)?;
    check_format(WHAT, format)?;
    let File { items } = serde_json::from_slice(bytes).map_err(json)?;
    Ok(items.into_iter().map(|Row(id)| id).collect())
}
