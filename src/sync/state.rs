//! The release that is served, and the one that is on its way.

use std::sync::Arc;

use serde::Serialize;

use super::held::{Held, HeldObjects, Object};
use super::plan::{Wants, plan, within};
use super::{Fetch, Freshness, SyncError, Trust};
use crate::Digest;
use crate::release::overlay::Overlay;
use crate::release::{Absent, Manifest, ManifestDelta, Named, ObjectKind, ObjectRef, Part, Release, ReleaseError};
use crate::shard::delta::Chain;
use crate::shard::directory::{DirectoryBucket, bucket_of};

/// Brings a release together from a head and the objects that it names. Copies share them.
#[derive(Debug, Clone, Default)]
pub struct Assembly {
    pub(super) trust: Trust,
    segment: Option<String>,
    /// Most bytes that may be held.
    budget: Option<u64>,
    pub(super) serving: Option<Release>,
    /// The newest head that names it.
    serving_head: Option<Named>,
    next: Option<Arriving>,
    /// The last good overlay, of the served release or of the next one.
    pub(super) overlay: Option<Arc<Overlay>>,
    /// The objects of `serving` and `next` that are held, checked.
    pub(super) held: HeldObjects,
}

/// A release that is not whole yet.
#[derive(Debug, Clone)]
struct Arriving {
    head: Named,
    manifest: Option<Arc<Manifest>>,
}

/// What is served, and what is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The release that answers queries.
    pub serving: Option<Serving>,
    /// The release that will.
    pub next: Option<Next>,
}

/// The release that answers queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serving {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The digest of the towers.
    pub towers: Digest,
    /// Candidates.
    pub items: u64,
    /// Dimensions of the embeddings.
    pub dim: usize,
    /// Shards.
    pub shards: usize,
    /// Bytes of what is held: the query tower, the shards, and what finds them.
    pub bytes: u64,
    /// What is out of stock, where that is known.
    pub overlay: Option<Stock>,
}

/// What the served release knows of stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// The moment that it is of, in milliseconds since 1970-01-01 UTC.
    pub made_ms: u64,
    /// Items out of stock.
    pub out: u64,
    /// Items with another price than the catalogue's.
    pub priced: usize,
}

/// A release that is not whole yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Its version.
    pub version: u64,
    /// Files that are missing. While the manifest is, it is the only one known.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Assembly {
    /// Says which shards of a release by column are wanted: those of this value. Before the first head.
    pub fn set_segment(&mut self, segment: Option<String>) {
        self.segment = segment;
    }

    /// Says how many bytes of releases may be held, before the first head; without a limit where nobody says. A release that needs more at once is refused, and
    /// clusters beyond it are not fetched.
    pub fn set_budget(&mut self, bytes: u64) {
        self.budget = Some(bytes);
    }

    /// Says whose signatures count, before the first head.
    pub fn set_trust(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// Whose signatures count, and how old what is served is.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// How old the served release is at the moment `now`, and when its head or its root ends; none without one. A newer head whose release is not whole yet makes it
    /// no younger.
    pub fn freshness(&self, now: u64) -> Option<(Freshness, u64)> {
        let head = self.serving_head.as_ref()?;
        Some((self.trust.freshness(head, now), self.trust.ends(head)))
    }

    /// Takes the root that [`Trust::root_before`] asks for.
    ///
    /// # Errors
    /// As [`Trust::add_root`]. Then nothing has changed.
    pub fn add_root(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        self.trust.add_root(bytes)?;
        // What the new keys did not sign is not brought to its end.
        if self.trust.trusted().is_none() {
            self.next = None;
            self.forget_others();
        }
        Ok(())
    }

    /// Takes up what an earlier visit had seen, before the first head: see [`Trust::restore`].
    pub fn restore(&mut self, head: &[u8]) {
        self.trust.restore(head);
    }

    /// [`Assembly::set_head_at`] a moment that nothing ends by: where no signatures count.
    ///
    /// # Errors
    /// As [`Assembly::set_head_at`].
    pub fn set_head(&mut self, bytes: &[u8]) -> Result<Vec<Fetch>, SyncError> {
        self.set_head_at(bytes, 0)
    }

    /// Takes a head at the moment `now`, in seconds since 1970-01-01 UTC, and says what to fetch for it: nothing if its release is served already, with its
    /// overlay.
    ///
    /// # Errors
    /// If the head is damaged or of another format, its version goes back, or, where signatures count, as [`Trust`] says. Then nothing has changed.
    pub fn set_head_at(&mut self, bytes: &[u8], now: u64) -> Result<Vec<Fetch>, SyncError> {
        let checked = self.trust.check(bytes, now)?;
        self.trust.take(checked, bytes);
        let Named { version, manifest, .. } = checked.named();
        match self.serving.take() {
            Some(serving) if serving.digest() == manifest.digest => {
                self.serving = Some(serving.with_version(version));
                self.serving_head = Some(checked.named());
                self.next = None;
                self.forget_others();
            }
            serving => {
                self.serving = serving;
                let known =
                    self.next.take().filter(|next| next.head.manifest == manifest).and_then(|next| next.manifest);
                self.next = Some(Arriving { head: checked.named(), manifest: known });
            }
        }
        self.apply_overlay();
        Ok(self.missing())
    }

    /// Takes an object that was fetched, and says what is still missing. The release is served as soon as nothing but its
    /// cards is.
    ///
    /// An object that is held already is skipped, so that two fetches of it do no harm; of cards and lists the bytes are checked all the same.
    ///
    /// # Errors
    /// [`SyncError::Unexpected`] for an object that is not missing, else what is wrong with the bytes: first their size and
    /// digest are checked, then their content. Then nothing has changed.
    pub fn accept(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<Vec<Fetch>, SyncError> {
        let computed = Digest::of(&bytes);
        self.accept_digested(digest, bytes, computed)
    }

    /// As [`Assembly::accept`], where the host computes SHA-256 faster than this library: `digest` is what the object is named
    /// by, `computed` what the host computed. They are compared here, but the caller vouches for the latter having been
    /// computed over exactly these bytes, and for SHA-256: nothing else tells damaged bytes from good ones.
    ///
    /// # Errors
    /// As [`Assembly::accept`].
    pub fn accept_digested(
        &mut self,
        digest: Digest,
        bytes: Vec<u8>,
        computed: Digest,
    ) -> Result<Vec<Fetch>, SyncError> {
        if self.holds(digest) {
            // These are not kept here: who fetches them again relies on their being checked again.
            if let Some((manifest, part @ (Part::Cards(_) | Part::Lists(_)))) = self.place_of(digest) {
                open(&manifest, part, bytes, computed)?;
            }
            return Ok(self.missing());
        }
        if let Some((manifest, part)) = self.place_of(digest) {
            let size = bytes.len() as u64;
            let object = open(&manifest, part, bytes, computed)?;
            self.held.insert(digest, Held { size, object });
            self.add_to_serving(digest);
        } else if let Some(object) =
            self.next.as_ref().map(|next| next.head.manifest).filter(|next| next.digest == digest)
        {
            object.check_digested(ObjectKind::Manifest, &bytes, computed)?;
            let manifest = Arc::new(Manifest::parse(&bytes)?);
            manifest.check_segment(self.segment.as_deref())?;
            check_held(&manifest, &self.held)?;
            self.wants(&|at| self.shows(&manifest, at)).check(&manifest)?;
            self.next.iter_mut().for_each(|next| next.manifest = Some(Arc::clone(&manifest)));
            self.forget_others();
        } else if let Some(object) = self.named_overlay().filter(|object| object.digest == digest) {
            self.accept_overlay(object, bytes, computed)?;
        } else {
            return Err(SyncError::Unexpected { found: digest });
        }
        self.swap_if_whole();
        Ok(self.missing())
    }

    /// The release to answer queries with.
    pub fn ready(&self) -> Option<&Release> {
        self.serving.as_ref()
    }

    /// What is to be fetched, what is needed first at the front.
    pub fn missing(&self) -> Vec<Fetch> {
        let held = |digest: &Digest| self.held.contains(*digest);
        let mut missing = match (&self.next, &self.serving, &self.trust.trusted()) {
            (Some(next), _, _) => {
                let manifest = next.manifest.as_deref();
                let is_shown = |at| manifest.is_some_and(|manifest| self.shows(manifest, at));
                plan(&next.head.manifest, manifest, &self.wants(&is_shown), held)
            }
            (None, Some(serving), Some(Named { manifest, .. })) => {
                plan(manifest, Some(serving.manifest()), &self.wants(&|_| false), held)
            }
            _ => Vec::new(),
        };
        missing.extend(self.missing_overlay());
        missing
    }

    /// What is served, and what is on its way.
    pub fn status(&self) -> Status {
        let serving = self.serving.as_ref().map(|release| {
            let manifest = release.manifest();
            let computed = manifest
                .parts()
                .filter(|(part, object)| !is_for_page(part.kind()) && self.held.contains(object.digest));
            Serving {
                name: manifest.name.clone(),
                version: release.version(),
                towers: manifest.towers,
                items: manifest.items,
                dim: manifest.dim,
                shards: manifest.shards.len(),
                bytes: computed.map(|(_, object)| object.size).sum(),
                overlay: release.overlay().map(|overlay| Stock {
                    made_ms: overlay.made_ms(),
                    out: overlay.out(),
                    priced: overlay.priced(),
                }),
            }
        });
        let next = self.next.as_ref().map(|next| {
            let missing = self.missing();
            let bytes = missing.iter().map(|fetch| fetch.size).sum();
            Next { version: next.head.version, files: missing.len(), bytes }
        });
        Status { serving, next }
    }

    /// What to fetch so that the served release holds these parts, a shard with its deltas; what it holds or does not name is
    /// left out.
    pub fn fetch_of(&self, absent: &[Absent]) -> Vec<Fetch> {
        let Some(serving) = &self.serving else { return Vec::new() };
        let manifest = serving.manifest();
        let deltas = |part: Part| match part {
            Part::Shard(at) => manifest.shards.get(at).map_or(0, |shard| shard.deltas.len()),
            _ => 0,
        };
        let parts = absent.iter().flat_map(|&Absent(part)| {
            let at = if let Part::Shard(at) = part { at } else { 0 };
            std::iter::once(part).chain((0..deltas(part)).map(move |nth| Part::Delta(at, nth)))
        });
        let fetch = |part: Part| manifest.object_of(part).map(|object| Fetch::new(object, part.kind()));
        let absent = parts.filter_map(fetch).filter(|fetch| !self.held.contains(fetch.digest));
        within(self.wants(&|_| false).budget, self.held.bytes(), absent)
    }

    fn wants<'w>(&'w self, is_shown: &'w dyn Fn(usize) -> bool) -> Wants<'w> {
        Wants { segment: self.segment.as_deref(), is_shown, budget: self.budget.unwrap_or(u64::MAX) }
    }

    /// What holds the card of an item of the served release, or without one the cards of all: held or not, since the page keeps
    /// cards.
    pub fn cards_of(&self, id: Option<&str>) -> Vec<Fetch> {
        let Some(serving) = &self.serving else { return Vec::new() };
        let manifest = serving.manifest();
        // Where it is, the directory tells without the shard.
        let place = |id| match serving.find(id) {
            Ok(found) => found.map(|found| found.shard),
            Err(absent) => {
                absent.iter().find_map(|part| if let Absent(Part::Shard(at)) = part { Some(*at) } else { None })
            }
        };
        let place = id.filter(|_| manifest.has_cards_by_shard()).map(place);
        let is_shown = |at: usize| match place {
            Some(place) => place == Some(at),
            None => manifest.is_of(at, serving.segment()),
        };
        let shown = manifest.cards.iter().enumerate().filter(|(at, _)| is_shown(*at));
        shown.map(|(_, object)| Fetch::new(*object, ObjectKind::Cards)).collect()
    }

    /// What holds the list of this name, if the served release has lists; held or not, since the page keeps them.
    pub fn list_of(&self, name: &str) -> Option<Fetch> {
        let lists = &self.serving.as_ref()?.manifest().lists;
        let bucket = bucket_of(name, lists.len() as u32) as usize;
        lists.get(bucket).map(|object| Fetch::new(*object, ObjectKind::Lists))
    }

    /// Gives the served release a part that a query asked for.
    fn add_to_serving(&mut self, digest: Digest) {
        let Some(serving) = &self.serving else { return };
        let manifest = serving.shared_manifest();
        match manifest.part_of(digest) {
            Some(Part::Shard(at) | Part::Delta(at, _)) => {
                if let (Some(chain), Some(serving)) = (self.chain(&manifest, at), &mut self.serving) {
                    serving.add_shard(at, chain);
                }
            }
            Some(part @ (Part::Directory(_) | Part::Recent(_))) => {
                if let (Some(bucket), Some(serving)) = (self.bucket(&manifest, part), &mut self.serving) {
                    serving.add_bucket(part, bucket);
                }
            }
            _ => {}
        }
    }

    /// The shard at place `at` with its deltas, if they are held and are what this manifest says of them: an object may have
    /// been checked as a part of another release, whose manifest may say other things of it.
    fn chain(&self, manifest: &Manifest, at: usize) -> Option<Arc<Chain>> {
        let named = manifest.shards.get(at)?;
        let Object::Shard(base) = &self.held.get(named.object.digest)?.object else { return None };
        manifest.check_shard(at, base).ok()?;
        manifest.check_columns(base).ok()?;
        let delta = |(nth, delta): (usize, &ManifestDelta)| {
            let Object::Delta(held) = &self.held.get(delta.object.digest)?.object else { return None };
            manifest.check_delta((at, nth), held).ok()?;
            manifest.check_columns(held.added()).ok()?;
            Some(Arc::clone(held))
        };
        let deltas = named.deltas.iter().enumerate().map(delta).collect::<Option<Vec<_>>>()?;
        Some(Arc::new(Chain::new(Arc::clone(base), deltas)))
    }

    /// The bucket at `part`, as [`Assembly::chain`].
    fn bucket(&self, manifest: &Manifest, part: Part) -> Option<Arc<DirectoryBucket>> {
        let Object::Directory(bucket) = &self.held.get(manifest.object_of(part)?.digest)?.object else { return None };
        manifest.check_bucket(part, bucket).ok()?;
        Some(Arc::clone(bucket))
    }

    /// Whether the served release has the cluster at place `at` of another release with the same clusters: that release is not served
    /// before it has what this cluster has become, or a page would lose what it shows.
    fn shows(&self, other: &Manifest, at: usize) -> bool {
        let Some(serving) = &self.serving else { return false };
        let cluster = |manifest: &Manifest| manifest.routing.as_ref().map(|routing| routing.object.digest);
        cluster(other).is_some()
            && cluster(other) == cluster(serving.manifest())
            && serving.shards().get(at).is_some_and(Option::is_some)
    }

    /// The manifest that the head names, if it is held.
    pub(super) fn head_manifest(&self) -> Option<Arc<Manifest>> {
        match &self.next {
            Some(next) => next.manifest.clone(),
            None => self.serving.as_ref().map(Release::shared_manifest),
        }
    }

    fn holds(&self, digest: Digest) -> bool {
        let manifest_held =
            self.next.as_ref().is_some_and(|next| next.head.manifest.digest == digest && next.manifest.is_some());
        let manifest_served = self.serving.as_ref().is_some_and(|release| release.digest() == digest);
        self.held.contains(digest) || manifest_held || manifest_served || self.holds_overlay(digest)
    }

    fn manifests(&self) -> impl Iterator<Item = Arc<Manifest>> {
        let next = self.next.as_ref().and_then(|next| next.manifest.clone());
        next.into_iter().chain(self.serving.as_ref().map(Release::shared_manifest))
    }

    fn place_of(&self, digest: Digest) -> Option<(Arc<Manifest>, Part)> {
        self.manifests().find_map(|manifest| manifest.part_of(digest).map(|part| (manifest, part)))
    }

    /// Drops what neither the served release nor the next one names.
    fn forget_others(&mut self) {
        let named: Vec<Vec<Digest>> = self.manifests().map(|manifest| manifest.digests()).collect();
        self.held.retain(|digest| named.iter().any(|digests| digests.binary_search(digest).is_ok()));
    }

    /// Serves the next release if all that it needs at once is held.
    fn swap_if_whole(&mut self) {
        if self.missing().iter().any(|fetch| !is_for_page(fetch.kind) && fetch.kind != ObjectKind::Overlay) {
            return;
        }
        let Some(Arriving { head, manifest: Some(manifest) }) = &self.next else { return };
        let head = *head;
        let held = |object: &ObjectRef| self.held.get(object.digest).map(|held| &held.object);
        let Some(Object::Tower(tower)) = held(&manifest.query_tower) else { return };
        let routing = manifest.routing.as_ref().and_then(|routing| match held(&routing.object) {
            Some(Object::Routing(shard)) => Some(Arc::clone(shard)),
            _ => None,
        });
        let rules = manifest.rules.as_ref().and_then(|rules| match held(rules) {
            Some(Object::Rules(rules)) => Some(Arc::clone(rules)),
            _ => None,
        });
        let ranker = manifest.ranker.as_ref().and_then(|ranker| match held(ranker) {
            Some(Object::Ranker(ranker)) => Some(Arc::clone(ranker)),
            _ => None,
        });
        let shards = (0..manifest.shards.len()).map(|at| self.chain(manifest, at)).collect();
        let version = (head.version, head.manifest.digest);
        let (segment, manifest) = (self.segment.clone(), Arc::clone(manifest));
        let Some(release) = Release::new(version, Arc::clone(&manifest), Arc::clone(tower), segment, routing, shards)
        else {
            return;
        };
        let mut release = release.with(rules, ranker);
        for (part, _) in manifest.parts() {
            if let Some(bucket) = self.bucket(&manifest, part) {
                release.add_bucket(part, bucket);
            }
        }
        self.serving = Some(release);
        self.serving_head = Some(head);
        self.next = None;
        self.apply_overlay();
        self.forget_others();
    }
}

/// Whether nothing is computed from objects of this kind.
const fn is_for_page(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::Cards | ObjectKind::Lists)
}

/// Opens an object as what the manifest says it is.
fn open(manifest: &Manifest, part: Part, bytes: Vec<u8>, computed: Digest) -> Result<Object, SyncError> {
    Ok(match part {
        Part::Tower => Object::Tower(Arc::new(manifest.open_tower(&bytes, computed)?)),
        Part::Routing => Object::Routing(Arc::new(manifest.open_routing(bytes, computed)?)),
        Part::Shard(at) => Object::Shard(Arc::new(manifest.open_shard(at, bytes, computed)?)),
        Part::Delta(at, nth) => Object::Delta(Arc::new(manifest.open_delta((at, nth), &bytes, computed)?)),
        Part::Directory(_) | Part::Recent(_) => {
            Object::Directory(Arc::new(manifest.open_bucket(part, bytes, computed)?))
        }
        Part::Rules => Object::Rules(Arc::new(manifest.open_rules(&bytes, computed)?)),
        Part::Ranker => Object::Ranker(Arc::new(manifest.open_ranker(&bytes, computed)?)),
        Part::Cards(at) => {
            manifest.cards[at].check_digested(ObjectKind::Cards, &bytes, computed)?;
            Object::Cards
        }
        Part::Lists(at) => {
            manifest.lists[at].check_digested(ObjectKind::Lists, &bytes, computed)?;
            Object::Lists
        }
    })
}

/// Checks that the objects of `manifest` that are held already, from an earlier release, belong to this one too.
fn check_held(manifest: &Manifest, held: &HeldObjects) -> Result<(), ReleaseError> {
    for (part, named) in manifest.parts() {
        let Some(Held { size, object }) = held.get(named.digest) else { continue };
        let kind = part.kind();
        if *size != named.size {
            return Err(ReleaseError::Size { kind, object: named.digest, found: *size, expected: named.size });
        }
        match (part, object) {
            (Part::Cards(_), Object::Cards) | (Part::Lists(_), Object::Lists) => {}
            (Part::Rules, Object::Rules(rules)) => manifest.check_rules(rules)?,
            (Part::Ranker, Object::Ranker(ranker)) => manifest.check_ranker(ranker)?,
            (Part::Tower, Object::Tower(tower)) => manifest.check_tower(tower)?,
            (Part::Routing, Object::Routing(shard)) => manifest.check_routing(shard)?,
            (Part::Shard(at), Object::Shard(shard)) => {
                manifest.check_shard(at, shard)?;
                manifest.check_columns(shard)?;
            }
            (Part::Delta(at, nth), Object::Delta(delta)) => {
                manifest.check_delta((at, nth), delta)?;
                manifest.check_columns(delta.added())?;
            }
            (Part::Directory(_) | Part::Recent(_), Object::Directory(bucket)) => manifest.check_bucket(part, bucket)?,
            (_, object) => {
                let found = format!("{} named as {kind}", named.digest);
                let expected = format!("{}, which it is", object.kind());
                return Err(ReleaseError::Field { what: "manifest", field: "object", found, expected });
            }
        }
    }
    Ok(())
}
