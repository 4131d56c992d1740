//! The manifest: what a release consists of.

mod limits;
mod objects;
mod part;

use serde::Serialize;

use super::{FORMAT_VERSION, OLDEST_READABLE, ObjectKind, ObjectRef, ReleaseError, UNDERSTOOD};
use crate::Digest;
use crate::json::{Json, JsonError, Value, parse};
use crate::shard::columns::ColumnKind;
#[cfg(any(feature = "origin", test))]
use crate::shard::columns::ColumnsView;
use crate::shard::columns::format::MAX_COLUMNS;
use crate::shard::delta::{Delta, DeltaError};
use crate::shard::directory::format::MAX_BUCKETS;
use crate::shard::format::{MAX_COUNT, MAX_DIM};
#[cfg(any(feature = "origin", test))]
use crate::shard::{Shard, Verified};
use crate::show;
use crate::towers::{Runner, TowerError};
pub use limits::MAX_AT_ONCE;
pub use part::Part;

/// What runs the query tower of most releases: every build, as a compact [`Program`](crate::towers::Program).
pub const ENGINE: &str = "program";
/// What runs a query tower that is an ONNX graph: a build with the feature `tract-engine`.
pub const ENGINE_TRACT: &str = "tract";
/// The layout of a release whose shards every query visits.
pub const LAYOUT_SINGLE: &str = "single";
/// The layout of a release whose shards are clusters: a query visits those that the routing names.
pub const LAYOUT_CLUSTERS: &str = "clusters";
/// The layout of a release whose shards are of values of a column: a client states its own, and queries visit the shards of that.
pub const LAYOUT_BY_COLUMN: &str = "by column";
/// Most bytes of a release's name.
pub const MAX_NAME: usize = 200;
/// Most shards of a release.
pub const MAX_SHARDS: usize = 4096;
/// Most deltas of a shard.
pub const MAX_DELTAS: usize = 16;
/// What a reader of a release with deltas must understand: without them it would serve what was.
pub const REQUIRES_DELTAS: &str = "deltas";
/// What a release with rules requires of its readers: who skipped them would show what must not be shown.
pub const REQUIRES_RULES: &str = "rules";
/// What a release with a ranker requires of its readers: who skipped it would not show what a server shows.
pub const REQUIRES_RANKER: &str = "ranker";

const WHAT: &str = "manifest";

/// The content of a manifest. Its fields are described in the [format](super).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The format.
    pub format: u16,
    /// What the shop calls the release.
    pub name: String,
    /// The towers that made all vectors.
    pub towers: Digest,
    /// Dimensions of the embeddings.
    pub dim: usize,
    /// What runs the query tower.
    pub engine: String,
    /// The query tower.
    pub query_tower: ObjectRef,
    /// How the catalogue is cut.
    pub layout: String,
    /// The column that tells which shard a candidate is in, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The shards.
    pub shards: Vec<ManifestShard>,
    /// Which shards a query visits, if they are clusters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// The buckets of the directory, in order; none in a release whose shards a client holds anyway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directory: Vec<ObjectRef>,
    /// The buckets of the directory of items that are not, or not where, `directory` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<ObjectRef>,
    /// What a page shows of each candidate: nothing, one object for all, or, of clusters, one per shard.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<ObjectRef>,
    /// The buckets of lists that a page asks for by name, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ObjectRef>,
    /// What the shop demands of its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<ObjectRef>,
    /// What orders candidates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranker: Option<ObjectRef>,
    /// Candidates.
    pub items: u64,
    /// What the default search finds of exact search's best hundred, in ten-thousandths, as the build measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<u32>,
    /// The columns that every shard has, in their order: name and kind, as in `brand: text`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// What a reader must understand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
}

/// A shard of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestShard {
    /// The shard.
    pub object: ObjectRef,
    /// Its rows.
    pub count: u32,
    /// What changed since it was written, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<ManifestDelta>,
    /// The value that all of them have in the column [`Manifest::by`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl ManifestShard {
    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let deltas = json.field("deltas").list_or_none()?;
        Ok(Self {
            object: ObjectRef::from_json(&json.field("object"))?,
            count: json.field("count").u32()?,
            value: json.field("value").optional().map(|value| value.text().map(str::to_owned)).transpose()?,
            deltas: deltas.iter().map(ManifestDelta::from_json).collect::<Result<_, _>>()?,
        })
    }

    /// Rows of the shard and of its first `deltas` deltas, those among them that are not there any more.
    pub fn rows(&self, deltas: usize) -> u64 {
        u64::from(self.count) + self.deltas.iter().take(deltas).map(|delta| u64::from(delta.added)).sum::<u64>()
    }

    /// Candidates: rows that are there.
    pub fn items(&self) -> u64 {
        let removed: u64 = self.deltas.iter().map(|delta| u64::from(delta.removed)).sum();
        self.rows(self.deltas.len()).saturating_sub(removed)
    }
}

/// A delta of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ManifestDelta {
    /// The delta.
    pub object: ObjectRef,
    /// Rows that it adds.
    pub added: u32,
    /// Rows of before that it removes.
    pub removed: u32,
}

impl ManifestDelta {
    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let count = |name: &str| json.field(name).u32();
        let object = ObjectRef::from_json(&json.field("object"))?;
        Ok(Self { object, added: count("added")?, removed: count("removed")? })
    }

    /// The entry of the delta with these bytes.
    ///
    /// # Errors
    /// If they are not a delta.
    pub fn of(bytes: &[u8]) -> Result<Self, DeltaError> {
        let object = ObjectRef::of(bytes);
        let delta = Delta::open(bytes, object.digest)?;
        Ok(Self { object, added: delta.added().len() as u32, removed: delta.removed().len() as u32 })
    }
}

/// Which shards a query visits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Routing {
    /// A shard with the centroid of each cluster; the id of a candidate is the place of the cluster's shard in the list.
    pub object: ObjectRef,
    /// Clusters that a query visits.
    pub probes: u32,
}

impl Routing {
    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        Ok(Self { object: ObjectRef::from_json(&json.field("object"))?, probes: json.field("probes").u32()? })
    }
}

/// Reads JSON, and before anything else the field `format`, inside of those that lead to it, which says whether the rest can be read.
pub(super) fn open_json<'b>(what: &'static str, bytes: &'b [u8], format: &[&str]) -> Result<Value<'b>, ReleaseError> {
    let value = parse(bytes).map_err(|error| ReleaseError::json(what, &error))?;
    let format = format.iter().try_fold(&value, |value, name| value.get(name)).and_then(Value::as_u64);
    let Some(format) = format else {
        return Err(ReleaseError::json(what, &"found no format, expected a whole number"));
    };
    check_format(what, format)?;
    Ok(value)
}

pub(super) fn check_format(what: &'static str, found: u64) -> Result<(), ReleaseError> {
    if (u64::from(OLDEST_READABLE)..=u64::from(FORMAT_VERSION)).contains(&found) {
        Ok(())
    } else {
        Err(ReleaseError::Format { what, found })
    }
}

pub(super) fn check_requires(what: &'static str, requires: &[String]) -> Result<(), ReleaseError> {
    match requires.iter().find(|name| !UNDERSTOOD.contains(&name.as_str())) {
        Some(name) => Err(ReleaseError::Requires { what, found: name.chars().take(80).collect() }),
        None => Ok(()),
    }
}

impl Manifest {
    /// What [`Manifest::recall`] is counted in: so many are 1.
    pub const RECALL_UNIT: f64 = 10_000.0;

    /// Reads a manifest.
    ///
    /// # Errors
    /// If the bytes are too many, not JSON, of a format or with a requirement that this build does not know, or break a
    /// rule of the [format](super).
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let limit = ObjectKind::Manifest.limit();
        if bytes.len() as u64 > limit {
            return Err(ReleaseError::TooLarge { what: WHAT, found: bytes.len() as u64, limit });
        }
        let value = open_json(WHAT, bytes, &["format"])?;
        let (json, wrong) = (Json::new(&value, WHAT), |error| ReleaseError::json(WHAT, &error));
        // What a reader must understand may be why the rest looks otherwise.
        check_requires(WHAT, &json.field("requires").texts().map_err(wrong)?)?;
        let manifest = Self::from_json(&json).map_err(wrong)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn from_json(json: &Json<'_>) -> Result<Self, JsonError> {
        let objects = |name: &str| -> Result<Vec<ObjectRef>, JsonError> {
            json.field(name).list_or_none()?.iter().map(ObjectRef::from_json).collect()
        };
        let object = |name: &str| json.field(name).optional().map(|object| ObjectRef::from_json(&object)).transpose();
        let text = |name: &str| json.field(name).text().map(str::to_owned);
        let routing = json.field("routing").optional().map(|routing| Routing::from_json(&routing)).transpose()?;
        let towers = json.field("towers");
        Ok(Self {
            format: json.field("format").number(u16::MAX.into())? as u16,
            name: text("name")?,
            towers: towers.text()?.parse().map_err(|_| towers.wrong("64 lower-case hexadecimal digits"))?,
            dim: json.field("dim").u32()? as usize,
            engine: text("engine")?,
            query_tower: ObjectRef::from_json(&json.field("query_tower"))?,
            layout: text("layout")?,
            by: json.field("by").optional().map(|by| by.text().map(str::to_owned)).transpose()?,
            shards: json.field("shards").list()?.iter().map(ManifestShard::from_json).collect::<Result<_, _>>()?,
            routing,
            directory: objects("directory")?,
            recent: objects("recent")?,
            cards: objects("cards")?,
            lists: objects("lists")?,
            rules: object("rules")?,
            ranker: object("ranker")?,
            items: json.field("items").number(u64::MAX)?,
            recall: json.field("recall").optional().map(|recall| recall.u32()).transpose()?,
            columns: json.field("columns").texts()?,
            requires: json.field("requires").texts()?,
        })
    }

    /// The bytes of the manifest: the same manifest gives the same bytes.
    ///
    /// # Errors
    /// If the manifest breaks a rule of the [format](super).
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReleaseError> {
        self.check()?;
        serde_json::to_vec(self).map_err(|error| ReleaseError::json(WHAT, &error))
    }

    fn check(&self) -> Result<(), ReleaseError> {
        check_format(WHAT, self.format.into())?;
        check_requires(WHAT, &self.requires)?;
        check_range("length of name", self.name.len() as u64, 1, MAX_NAME as u64)?;
        check_range("dim", self.dim as u64, 1, MAX_DIM as u64)?;
        match self.engine == ENGINE_TRACT {
            false => check_text("engine", &self.engine, ENGINE)?,
            true if Runner::has_engine() => {}
            // A client knows before it fetches anything else.
            true => return Err(TowerError::Engine.into()),
        }
        check_range("number of shards", self.shards.len() as u64, 1, MAX_SHARDS as u64)?;
        for shard in &self.shards {
            check_deltas(shard)?;
        }
        let deltas = self.shards.iter().any(|shard| !shard.deltas.is_empty()) || !self.recent.is_empty();
        if deltas && !self.requires.iter().any(|name| name == REQUIRES_DELTAS) {
            return Err(field("requires", show::list(&self.requires), "\"deltas\" where a shard has some"));
        }
        for (part, name) in [(self.rules, REQUIRES_RULES), (self.ranker, REQUIRES_RANKER)] {
            if part.is_some() && !self.requires.iter().any(|required| required == name) {
                return Err(field("requires", "no ".to_owned() + name, "the name of what there is"));
            }
        }
        self.check_layout()?;
        check_range("number of columns", self.columns.len() as u64, 0, MAX_COLUMNS.into())?;
        let items = self.shards.iter().map(ManifestShard::items).sum();
        check_range("items", self.items, items, items)?;
        for (part, object) in self.parts() {
            object.check_limit(part.kind())?;
        }
        self.check_at_once()?;
        match self.digests().windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(field("objects", pair[0].to_string() + " twice", "every object once")),
            None => Ok(()),
        }
    }

    fn check_layout(&self) -> Result<(), ReleaseError> {
        match &self.routing {
            None if self.by.is_some() => check_text("layout", &self.layout, LAYOUT_BY_COLUMN)?,
            None => check_text("layout", &self.layout, LAYOUT_SINGLE)?,
            Some(routing) => {
                check_text("layout", &self.layout, LAYOUT_CLUSTERS)?;
                check_range("probes", routing.probes.into(), 1, self.shards.len() as u64)?;
                // Without it, what is known of a history would depend on what was fetched before.
                check_range("directory buckets of clusters", self.directory.len() as u64, 1, MAX_BUCKETS.into())?;
            }
        }
        if self.shards.iter().any(|shard| shard.value.is_some() != self.by.is_some()) {
            return Err(field("value of a shard", "one too many or none".to_owned(), "one of each shard by a column"));
        }
        let cards = if self.has_cards_by_shard() { self.shards.len() } else { 1 };
        if !self.cards.is_empty() {
            check_range("number of cards objects", self.cards.len() as u64, cards as u64, cards as u64)?;
        }
        // Of no buckets, or of a power of two, there is an exact logarithm.
        for buckets in [self.directory.len(), self.recent.len(), self.lists.len()] {
            if buckets > MAX_BUCKETS as usize || buckets.count_ones() > 1 {
                return Err(field("number of buckets", buckets.to_string(), "0 or a power of two up to 2^20"));
            }
        }
        check_range(
            "recent buckets without a directory",
            self.recent.len() as u64,
            0,
            match self.directory.len() {
                0 => 0,
                _ => MAX_BUCKETS.into(),
            },
        )
    }

    /// All objects, in the order in which a client needs them.
    // Into a list, by one piece of code: a chain of iterators is compiled again wherever it is walked.
    pub fn parts(&self) -> impl Iterator<Item = (Part, ObjectRef)> + use<> {
        self.part_list().into_iter()
    }

    #[inline(never)]
    fn part_list(&self) -> Vec<(Part, ObjectRef)> {
        let mut parts = vec![(Part::Tower, self.query_tower)];
        if let Some(routing) = &self.routing {
            parts.push((Part::Routing, routing.object));
        }
        parts.extend(self.rules.map(|object| (Part::Rules, object)));
        parts.extend(self.ranker.map(|object| (Part::Ranker, object)));
        for (at, shard) in self.shards.iter().enumerate() {
            parts.push((Part::Shard(at), shard.object));
            for (nth, delta) in shard.deltas.iter().enumerate() {
                parts.push((Part::Delta(at, nth), delta.object));
            }
        }
        let mut add = |part: fn(usize) -> Part, objects: &[ObjectRef]| {
            objects.iter().enumerate().for_each(|(at, object)| parts.push((part(at), *object)));
        };
        add(Part::Directory, &self.directory);
        add(Part::Recent, &self.recent);
        add(Part::Cards, &self.cards);
        add(Part::Lists, &self.lists);
        parts
    }

    /// The digests of all objects, in their own order.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.parts().map(|(_, object)| object.digest).collect();
        digests.sort_unstable();
        digests
    }

    /// The parts that are not in `before`: what a client lacks that holds all of that.
    pub fn parts_beyond(&self, before: &Self) -> impl Iterator<Item = (Part, ObjectRef)> + use<> {
        let held = before.digests();
        self.parts().filter(move |(_, object)| held.binary_search(&object.digest).is_err())
    }

    /// Whether each shard has cards of its own.
    pub fn has_cards_by_shard(&self) -> bool {
        self.routing.is_some() || self.by.is_some()
    }

    /// Whether the shard at this place is for a client of this segment: of a release by column one value's, else every one.
    pub fn is_of(&self, at: usize, segment: Option<&str>) -> bool {
        self.by.is_none() || self.shards[at].value.as_deref() == segment
    }

    /// Checks that there is something for a client of this segment.
    ///
    /// # Errors
    /// [`ReleaseError::Segment`] with the values there are.
    pub fn check_segment(&self, segment: Option<&str>) -> Result<(), ReleaseError> {
        let Some(by) = self.by.clone() else { return Ok(()) };
        if (0..self.shards.len()).any(|at| self.is_of(at, segment)) {
            return Ok(());
        }
        let mut known: Vec<String> = self.shards.iter().filter_map(|shard| shard.value.clone()).collect();
        // Shards of one value are neighbours.
        known.dedup();
        Err(ReleaseError::Segment { by, found: segment.unwrap_or("nothing").to_owned(), known })
    }

    /// Whether a client of this segment fetches this part before any query asks for it, and the release waits for it.
    pub fn is_needed_at_once(&self, part: Part, segment: Option<&str>) -> bool {
        match part {
            Part::Tower | Part::Routing | Part::Rules | Part::Ranker => true,
            Part::Shard(at) | Part::Delta(at, _) => self.routing.is_none() && self.is_of(at, segment),
            Part::Directory(_) | Part::Recent(_) | Part::Cards(_) | Part::Lists(_) => false,
        }
    }

    /// The object at such a place, if there is one.
    pub fn object_of(&self, part: Part) -> Option<ObjectRef> {
        match part {
            Part::Tower => Some(self.query_tower),
            Part::Routing => self.routing.as_ref().map(|routing| routing.object),
            Part::Shard(at) => self.shards.get(at).map(|shard| shard.object),
            Part::Delta(at, nth) => self.shards.get(at)?.deltas.get(nth).map(|delta| delta.object),
            Part::Directory(at) => self.directory.get(at).copied(),
            Part::Recent(at) => self.recent.get(at).copied(),
            Part::Cards(at) => self.cards.get(at).copied(),
            Part::Lists(at) => self.lists.get(at).copied(),
            Part::Rules => self.rules,
            Part::Ranker => self.ranker,
        }
    }

    /// The place of the object with this digest.
    pub fn part_of(&self, digest: Digest) -> Option<Part> {
        self.parts().find(|(_, object)| object.digest == digest).map(|(part, _)| part)
    }

    /// What the column of this name holds.
    pub fn column(&self, name: &str) -> Option<ColumnKind> {
        self.columns.iter().find_map(|column| ColumnKind::from_name(column.strip_prefix(name)?.strip_prefix(": ")?))
    }
}

/// The columns of a shard, as [`Manifest::columns`](struct@Manifest) has them.
#[cfg(any(feature = "origin", test))]
pub(super) fn columns_of(shard: &Shard<Verified>) -> Vec<String> {
    shard.columns().iter().flat_map(ColumnsView::iter).map(describe).collect()
}

/// Name and kind of a column.
#[cfg(any(feature = "origin", test))]
pub(super) fn describe(column: crate::shard::columns::ColumnView<'_>) -> String {
    [column.name(), ": ", column.kind().name()].concat()
}

fn check_deltas(shard: &ManifestShard) -> Result<(), ReleaseError> {
    check_range("number of deltas of a shard", shard.deltas.len() as u64, 0, MAX_DELTAS as u64)?;
    check_range("rows of a shard", shard.rows(shard.deltas.len()), 0, MAX_COUNT.into())?;
    for (nth, delta) in shard.deltas.iter().enumerate() {
        check_range("rows that a delta removes", delta.removed.into(), 0, shard.rows(nth))?;
    }
    Ok(())
}

fn field(field: &'static str, found: String, expected: &str) -> ReleaseError {
    ReleaseError::Field { what: WHAT, field, found, expected: expected.to_owned() }
}

fn check_range(name: &'static str, found: u64, low: u64, high: u64) -> Result<(), ReleaseError> {
    let in_range = (low..=high).contains(&found);
    if in_range { Ok(()) } else { Err(field(name, found.to_string(), &format!("{low}..={high}"))) }
}

fn check_text(name: &'static str, found: &str, expected: &str) -> Result<(), ReleaseError> {
    if found == expected {
        return Ok(());
    }
    let found: String = found.chars().take(80).collect();
    Err(field(name, show::text(&found), &show::text(expected)))
}
