//! How much worse than the published one a release may be.

use super::{Published, PublishingError, Store};
use crate::release::{Manifest, ObjectKind};

/// The most that may be lost; what is none is not compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Share of the items.
    pub items: Option<f64>,
    /// Recall@100 of the default search against exact search, as the builds measured it. Where one of them did not, it is not compared.
    pub recall: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { items: Some(0.2), recall: Some(0.02) }
    }
}

impl Limits {
    /// Compares a release with the published one.
    pub(super) fn check(
        &self,
        store: &dyn Store,
        before: &Published,
        release: &Manifest,
    ) -> Result<(), PublishingError> {
        if self.items.is_none() && self.recall.is_none() {
            return Ok(());
        }
        let published = manifest_of(store, before)?;
        if let Some(most) = self.items {
            let share = 1.0 - release.items as f64 / published.items.max(1) as f64;
            if published.items > 0 && share > most {
                let (found, published) = (release.items, published.items);
                return Err(PublishingError::FewerItems { found, published, share: 100.0 * share, most: 100.0 * most });
            }
        }
        let recalls = release.recall.zip(published.recall).map(|(now, then)| (f64::from(now), f64::from(then)));
        match (self.recall, recalls) {
            (Some(most), Some((found, published))) if published - found > most * Manifest::RECALL_UNIT => {
                let (found, published) = (found / Manifest::RECALL_UNIT, published / Manifest::RECALL_UNIT);
                Err(PublishingError::LessRecall { found, published, most })
            }
            _ => Ok(()),
        }
    }
}

/// The published manifest.
pub(super) fn manifest_of(store: &dyn Store, before: &Published) -> Result<Manifest, PublishingError> {
    let object = before.head.manifest;
    let none = |reason: String| PublishingError::NoComparison { manifest: object.digest, reason };
    let Some((bytes, _)) = store.get(&object.path(), ObjectKind::Manifest.limit())? else {
        return Err(none("it is missing".to_owned()));
    };
    let read = object.check(ObjectKind::Manifest, &bytes).and_then(|()| Manifest::parse(&bytes));
    read.map_err(|error| none(error.to_string()))
}
