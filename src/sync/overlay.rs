//! The overlay of a release that is fetched: beside everything else, and never waited for.

use std::sync::Arc;

use super::{Assembly, Fetch, SyncError};
use crate::Digest;
use crate::release::overlay::Overlay;
use crate::release::{ObjectKind, ObjectRef};

impl Assembly {
    /// The overlay that the head names.
    pub(super) fn named_overlay(&self) -> Option<ObjectRef> {
        self.trust.trusted()?.overlay
    }

    /// Whether this is the overlay that is held, and still the one that the head names.
    pub(super) fn holds_overlay(&self, digest: Digest) -> bool {
        self.named_overlay().is_some_and(|named| {
            named.digest == digest && self.overlay.as_ref().is_some_and(|held| held.object() == named)
        })
    }

    /// The overlay that the head names, where it is not held and there is the manifest to read it by.
    pub(super) fn missing_overlay(&self) -> Option<Fetch> {
        let named = self.named_overlay().filter(|named| !self.holds_overlay(named.digest))?;
        self.head_manifest().map(|_| Fetch::new(named, ObjectKind::Overlay))
    }

    /// Takes the overlay `object`. The last good one stays where it is not what it should be.
    #[inline(never)]
    pub(super) fn accept_overlay(
        &mut self,
        object: ObjectRef,
        bytes: Vec<u8>,
        computed: Digest,
    ) -> Result<(), SyncError> {
        let (Some(manifest), Some(named)) = (self.head_manifest(), self.trust.trusted()) else {
            return Err(SyncError::Unexpected { found: object.digest });
        };
        let overlay = Overlay::open(object, bytes, computed, (&manifest, named.manifest.digest))?;
        self.overlay = Some(Arc::new(overlay));
        self.apply_overlay();
        Ok(())
    }

    /// Gives the served release the last good overlay of it; none where its own head names none.
    pub(super) fn apply_overlay(&mut self) {
        let Some(serving) = &mut self.serving else { return };
        let is_named = self.trust.trusted().is_some_and(|named| named.manifest.digest == serving.digest());
        if is_named && self.trust.trusted().is_some_and(|named| named.overlay.is_none()) {
            self.overlay = None;
        }
        let is_its_own = self.overlay.as_ref().is_some_and(|overlay| overlay.manifest() == serving.digest());
        // While another release is on its way, the overlay may be for that one already.
        if is_its_own || is_named {
            serving.set_overlay(self.overlay.clone());
        }
    }
}
