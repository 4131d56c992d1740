//! Printing any file of a release.

use std::fmt::Write;

use super::overlay::{self, Outline};
use super::rules::Rules;
use super::{FORMAT_VERSION, Head, Manifest, ObjectRef, ReleaseError, Root, Signature, Terms, card_ids};
use crate::shard::columns::{ColumnView, ColumnsView, Predicate};
use crate::shard::delta::{self, Delta};
use crate::shard::directory::{self, DirectoryBucket};
use crate::shard::format::Section;
use crate::shard::{Shard, Unverified, format};
use crate::towers::{self, QueryTower};

/// What a file of a release is and what its header says, one line per field, and whether the rest of it is whole.
///
/// # Errors
/// [`ReleaseError::Unknown`] for a file that is no part of a release, or what is wrong with its header.
pub fn inspect(bytes: &[u8]) -> Result<String, ReleaseError> {
    let mut out = Fields(String::new());
    out.put("file", format_args!("{} bytes, SHA-256 {}", bytes.len(), ObjectRef::of(bytes).digest));
    if bytes.starts_with(&format::MAGIC) {
        shard(&mut out, Shard::open(bytes.to_vec())?);
    } else if bytes.starts_with(&directory::format::MAGIC) {
        let bucket = DirectoryBucket::open(bytes.to_vec())?;
        out.put("kind", format_args!("directory bucket, format {}", directory::format::FORMAT_VERSION));
        out.put("bucket", format_args!("{} of {}", bucket.header().bucket, bucket.header().buckets));
        out.put("items", bucket.len());
        out.put("content", "whole");
    } else if bytes.starts_with(&delta::format::MAGIC) {
        let delta = Delta::open(bytes, ObjectRef::of(bytes).digest)?;
        out.put("kind", format_args!("delta, format {}", delta::format::FORMAT_VERSION));
        out.put("shard", delta.header().base);
        out.put("removes", format_args!("{} of {} rows", delta.removed().len(), delta.header().before));
        out.put("adds", format_args!("{} rows of {} bytes", delta.added().len(), delta.added().bytes().len()));
        out.put("content", "whole");
    } else if bytes.starts_with(&overlay::MAGIC) {
        let outline = Outline::parse(bytes)?;
        out.put("kind", format_args!("overlay, format {}", overlay::FORMAT_VERSION));
        out.put("manifest", outline.header.manifest);
        out.put("made", format_args!("{} ms after 1970-01-01 UTC", outline.header.made_ms));
        out.put("shards", outline.header.shards);
        out.put("out of stock", outline.out);
        out.put("prices", outline.priced);
    } else if bytes.starts_with(&towers::MAGIC) {
        tower(&mut out, &QueryTower::open(bytes)?);
    } else {
        json(&mut out, bytes)?;
    }
    Ok(out.0)
}

/// Aligned lines of a name and a value.
struct Fields(String);

impl Fields {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{name:<13}{value}");
    }

    fn object(&mut self, name: &str, object: &ObjectRef) {
        self.put(name, format_args!("{}, {} bytes", object.digest, object.size));
    }
}

fn shard(out: &mut Fields, shard: Shard<Unverified>) {
    let header = shard.header().clone();
    out.put("kind", format_args!("shard, format {}", format::FORMAT_VERSION));
    out.put("candidates", header.count);
    out.put("dim", header.dim);
    out.put("towers", header.towers);
    let bits = 4 + header.fine_bits.bits();
    out.put("encoding", format_args!("residuals in {bits} bits per component, inner product"));
    out.put("cells", format_args!("{}, of which a search scans {}", header.cells, header.probes));
    if header.has_graph() {
        out.put("graph", format_args!("m {}, entry point {}", header.m, header.entry_point));
        out.put("layers", format_args!("{} above layer 0, with {} nodes", header.upper_layers, header.upper_nodes));
        let over = if header.cells == 1 { "candidates" } else { "cells" };
        out.put("nodes", format_args!("{} {over}, ef_search {}", header.nodes(), header.ef_search));
    } else {
        out.put("graph", "none");
    }
    for section in Section::ALL {
        out.put("section", format_args!("{:<17}{} bytes", section.name(), header.section_len(section)));
    }
    match shard.verify() {
        Ok(shard) => {
            shard.columns().iter().flat_map(ColumnsView::iter).for_each(|found| column(out, found));
            out.put("content", "whole");
        }
        Err(error) => out.put("content", error),
    }
}

fn column(out: &mut Fields, column: ColumnView<'_>) {
    let missing = column.rows_where(Predicate::Missing).map_or(0, |rows| rows.count_ones());
    let (name, kind, width) = (column.name(), column.kind().name(), column.width());
    let entries =
        if column.kind().has_dictionary() { format!(", {} entries", column.entries()) } else { String::new() };
    out.put("column", format_args!("{name:<17}{kind}, bytes of a value {width}{entries}, missing {missing}"));
}

fn tower(out: &mut Fields, tower: &QueryTower) {
    let schema = tower.schema();
    out.put("kind", format_args!("query tower, format {}", towers::FORMAT_VERSION));
    out.put("towers", tower.towers());
    out.put("dim", schema.dim);
    out.put("history", format_args!("{} items, decay {}", schema.history.length, schema.history.decay));
    out.put("categories", schema.categories.len());
    match tower.runner().program() {
        Some(program) => out.put("program", format_args!("{} operations", program.operations().len())),
        None => out.put("graph", "ONNX, for the tract engine"),
    }
    out.put("content", "whole");
}

/// Whose they are; without a root nobody can say whether they are right.
fn signatures(out: &mut Fields, signatures: &[Signature]) {
    signatures.iter().for_each(|signature| out.put("signed by", signature.key));
}

fn root(out: &mut Fields, root: &Root) {
    out.put("kind", format_args!("root, format {FORMAT_VERSION}"));
    out.put("name", &root.name);
    out.put("version", root.version);
    out.put("expires", format_args!("{} s since 1970-01-01 UTC", root.expires));
    for (name, role) in [("root", &root.root), ("head", &root.head)] {
        out.put(name, format_args!("{} of {} keys", role.threshold, role.keys.len()));
        role.keys.iter().for_each(|key| out.put("key", key));
    }
    signatures(out, root.signatures());
}

/// The names of the fields say which of the JSON files it is.
fn json(out: &mut Fields, bytes: &[u8]) -> Result<(), ReleaseError> {
    let unknown = || ReleaseError::Unknown { found: bytes[..bytes.len().min(8)].to_vec() };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| unknown())?;
    if value["signed"]["type"] == "root" {
        root(out, &Root::parse(bytes)?);
    } else if value.get("signed").is_some() {
        let head = Head::parse(bytes)?;
        out.put("kind", format_args!("head, format {FORMAT_VERSION}"));
        out.put("version", head.version);
        out.object("manifest", &head.manifest);
        head.overlay.iter().for_each(|overlay| out.object("overlay", overlay));
        if let Some(Terms { name, root, made, expires }) = &head.terms {
            out.put("name", name);
            out.put("root", root);
            out.put("made", format_args!("{made} s since 1970-01-01 UTC"));
            out.put("expires", format_args!("{expires} s since 1970-01-01 UTC"));
        }
        signatures(out, &head.signatures);
    } else if value.get("shards").is_some() {
        manifest(out, &Manifest::parse(bytes)?);
    } else if value.get("scenarios").is_some() {
        let rules = Rules::parse(bytes).map_err(|error| ReleaseError::json("rules", &error))?;
        out.put("kind", format_args!("rules, format {FORMAT_VERSION}"));
        rules.names().for_each(|name| out.put("scenario", name));
    } else if value.get("lists").is_some() {
        out.put("kind", format_args!("lists, format {FORMAT_VERSION}"));
        out.put("lists", value["lists"].as_object().map_or(0, serde_json::Map::len));
        out.put("bucket", format_args!("{} of {}", value["bucket"], value["buckets"]));
    } else if value.get("items").is_some() {
        let ids = card_ids(bytes)?;
        out.put("kind", format_args!("cards, format {FORMAT_VERSION}"));
        out.put("items", ids.len());
    } else {
        return Err(unknown());
    }
    Ok(())
}

fn manifest(out: &mut Fields, manifest: &Manifest) {
    out.put("kind", format_args!("manifest, format {}", manifest.format));
    out.put("name", &manifest.name);
    out.put("towers", manifest.towers);
    out.put("dim", manifest.dim);
    out.put("engine", &manifest.engine);
    out.put("items", manifest.items);
    out.object("query tower", &manifest.query_tower);
    out.put("layout", &manifest.layout);
    manifest.by.iter().for_each(|by| out.put("by", by));
    if let Some(routing) = &manifest.routing {
        out.object("routing", &routing.object);
        out.put("probes", format_args!("{} of {} clusters", routing.probes, manifest.shards.len()));
    }
    for shard in &manifest.shards {
        out.object("shard", &shard.object);
        let value = shard.value.as_ref().map_or(String::new(), |value| format!(" of {value:?}"));
        out.put("", format_args!("{} rows{value}", shard.count));
        for delta in &shard.deltas {
            out.object("  delta", &delta.object);
            out.put("", format_args!("adds {} rows, removes {}", delta.added, delta.removed));
        }
    }
    manifest.columns.iter().for_each(|column| out.put("column", column));
    out.put(
        "directory",
        format_args!("{} buckets, {} of recent changes", manifest.directory.len(), manifest.recent.len()),
    );
    match &manifest.cards[..] {
        [cards] => out.object("cards", cards),
        [] => out.put("cards", "none"),
        cards => out.put("cards", format_args!("{} objects, one per shard", cards.len())),
    }
    out.put("lists", format_args!("{} buckets", manifest.lists.len()));
    manifest.rules.iter().for_each(|rules| out.object("rules", rules));
    manifest.ranker.iter().for_each(|ranker| out.object("ranker", ranker));
}
