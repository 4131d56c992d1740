//! Bringing a release in a folder up to date with its catalogue.

use std::fmt;
use std::path::Path;

use super::build::{check_objective, compiled};
use super::cards::Cards;
use super::columns::Chosen;
use super::lists::Lists;
use super::verify::{open, read_buckets};
use super::{
    Anew, BuildError, BuildInput, BuildReport, Catalogue, Change, HEAD_FILE, Manifest, ObjectKind, ObjectRef, Part,
    Release, ReleaseContent, ReleaseWriter, Update, UpdateParams, Written, build, update_within,
};
use crate::data::{Config, Item, Layout};
use crate::index::FineBits;
use crate::shard::ShardError;
use crate::towers::candidate::Towers;

/// What a refresh did.
#[derive(Debug, Clone, PartialEq)]
pub enum Refreshed {
    /// Deltas bring the release up to date.
    Updated(UpdateReport),
    /// The release was built anew.
    Anew {
        /// Why.
        why: Anew,
        /// The build.
        report: Box<BuildReport>,
    },
}

/// What an update made.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateReport {
    /// The release.
    pub written: Written,
    /// Candidates.
    pub items: usize,
    /// Items that the release did not have.
    pub added: usize,
    /// Items that it has no more.
    pub removed: usize,
    /// Items that are others than they were.
    pub changed: usize,
    /// Shards that got a delta, and those that were written again.
    pub shards: [usize; 2],
    /// Bytes that a client fetches which held all of the release before, cards, lists, rules and query tower apart.
    pub index_bytes: u64,
    /// Bytes of all that, for a client that held nothing.
    pub whole_bytes: u64,
}

impl fmt::Display for UpdateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { version, manifest, changed, overlay, .. } = self.written;
        let change = if changed { "new" } else { "unchanged" };
        writeln!(f, "release      version {version} ({change}), manifest {manifest}")?;
        write!(f, "{overlay}")?;
        let (added, removed) = (self.added, self.removed);
        writeln!(
            f,
            "candidates   {}: {added} new, {removed} gone, {} others than they were",
            self.items, self.changed
        )?;
        let [deltas, folded] = self.shards;
        writeln!(f, "shards       {deltas} with a new delta, {folded} written again")?;
        let share = 100.0 * self.index_bytes as f64 / self.whole_bytes.max(1) as f64;
        writeln!(f, "to fetch     {} of {} bytes of the index, {share:.1} %", self.index_bytes, self.whole_bytes)
    }
}

/// Brings the release in `folder` up to date: as [`build`], but what did not change stays as it is, so that clients fetch little.
/// Where that cannot be, or would not pay, the release is built anew.
///
/// # Errors
/// A [`BuildError`]; nothing has been replaced then.
pub fn refresh(
    input: &BuildInput<'_>,
    towers: &Towers,
    config: &Config,
    folder: &Path,
) -> Result<Refreshed, BuildError> {
    let BuildInput { items, queries, lists, ranker } = *input;
    let anew = |why| {
        let report = Box::new(build(input, towers, config, folder)?);
        Ok(Refreshed::Anew { why, report })
    };
    let writer = ReleaseWriter::new(folder);
    writer.old_head()?;
    if !folder.join(HEAD_FILE).exists() {
        return anew(Anew::NoRelease);
    }
    let release = open(folder)?;
    let columns = Chosen::of(items, config, ranker.map(|ranker| &ranker.columns));
    let described = columns.described().map_err(ShardError::from)?;
    let rules = compiled(config, &described)?;
    check_objective(ranker, &described)?;
    if let Some(why) = differs(&release, config, &described) {
        return anew(why);
    }
    let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
    let catalogue = Catalogue {
        ids: &ids,
        vectors: &towers.embed(items)?,
        queries,
        towers: towers.query.towers(),
        columns: &|rows| columns.write(rows),
        differs: &|row, chain, node| columns.differ(row as u32, chain, node),
    };
    let directory = read_buckets(folder, release.manifest(), |part| matches!(part, Part::Directory(_)))?;
    let params = UpdateParams::new(fine_bits(&release).unwrap_or(FineBits::Four), config.train.seed);
    let update = match update_within(&release, &directory, &catalogue, &params, ObjectKind::Manifest.limit())? {
        Ok(update) => update,
        Err(why) => return anew(why),
    };
    let mut content = ReleaseContent {
        name: config.name.clone(),
        query_tower: towers.query.write(),
        routing: release.routing().zip(release.manifest().routing.as_ref()).map(|(shard, named)| {
            let probes = config.index.probes.map_or(named.probes, |probes| probes as u32);
            (shard.bytes().to_vec(), probes.min(release.manifest().shards.len() as u32))
        }),
        directory: directory.iter().map(|bucket| bucket.bytes().to_vec()).collect(),
        cards: cards(&release, items, &update),
        lists: Lists::buckets(lists, items).iter().map(Lists::write).collect(),
        rules,
        ranker: ranker.map(|ranker| ranker.file.clone()),
        recall: release.manifest().recall,
        ..ReleaseContent::default()
    };
    let shards = take_over(&release, &update, &mut content);
    let written = writer.write(&content)?;
    let (to_fetch, whole_bytes) = to_fetch(release.manifest(), open(folder)?.manifest());
    let index_bytes = if written.changed { to_fetch } else { 0 };
    let Update { added, removed, changed, .. } = update;
    Ok(Refreshed::Updated(UpdateReport {
        written,
        items: items.len(),
        added,
        removed,
        changed,
        shards,
        index_bytes,
        whole_bytes,
    }))
}

/// What the configuration wants otherwise than the release is.
fn differs(release: &Release, config: &Config, columns: &[String]) -> Option<Anew> {
    if release.manifest().columns != columns {
        let named = |columns: &[String]| format!("columns {columns:?}");
        return Some(Anew::Layout { found: named(&release.manifest().columns), expected: named(columns) });
    }
    let found = &release.manifest().layout;
    let wanted = config.index.layout.map(|layout| match layout {
        Layout::Single => super::LAYOUT_SINGLE,
        Layout::Clusters => super::LAYOUT_CLUSTERS,
        Layout::ByColumn => super::LAYOUT_BY_COLUMN,
    });
    // An item that has another value now would belong into another index.
    if release.manifest().by.is_some() || wanted.is_some_and(|wanted| wanted != found) {
        let expected = wanted.unwrap_or("deltas, which are of one shard or of clusters").to_owned();
        return Some(Anew::Layout { found: format!("the layout {found:?}"), expected });
    }
    let first = release.shards().iter().flatten().next()?.base().header();
    // Name, as it is, as it should be where that is set, and whether a build makes just what is set: cuts come out near it.
    let mut settings = vec![("bits", 4 + first.fine_bits.bits(), config.index.bits, true)];
    if release.routing().is_some() {
        let shards = &release.manifest().shards;
        let rows: usize = shards.iter().map(|shard| shard.count as usize).sum();
        settings.push(("clusters", shards.len(), Some(rows.div_ceil(config.index.cluster_items)), false));
    } else {
        let cells = config.index.cells.map(|cells| cells.min(first.count as usize));
        settings.push(("cells", first.cells as usize, cells, false));
        settings.push(("probes", first.probes as usize, config.index.probes, true));
    }
    settings.into_iter().find_map(|(name, found, wanted, is_exact)| {
        let wanted = wanted?;
        let fits = if is_exact { found == wanted } else { is_near(found, wanted) };
        let named = |number| format!("{name} = {number}");
        (!fits).then(|| Anew::Layout { found: named(found), expected: named(wanted) })
    })
}

/// Whether neither is beyond one and a half times the other.
fn is_near(one: usize, other: usize) -> bool {
    2 * one.max(other) <= 3 * one.min(other).max(1)
}

fn fine_bits(release: &Release) -> Option<FineBits> {
    release.shards().iter().flatten().next().map(|chain| chain.base().header().fine_bits)
}

/// One object of all cards, or, of clusters, one per shard.
fn cards(release: &Release, items: &[Item], update: &Update) -> Vec<Vec<u8>> {
    if release.routing().is_none() {
        return vec![Cards::of(items).write()];
    }
    let of = |rows: &Vec<u32>| Cards::of(rows.iter().map(|&row| &items[row as usize])).write();
    update.rows.iter().map(of).collect()
}

/// Fills in the shards, deltas and directories of a release that is brought up to date; how many shards got a delta, and how
/// many were written again.
fn take_over(release: &Release, update: &Update, content: &mut ReleaseContent) -> [usize; 2] {
    let mut counts = [0, 0];
    for (chain, change) in release.shards().iter().flatten().zip(&update.changes) {
        let (base, deltas) = match change {
            Change::Kept => {
                (chain.base().bytes().to_vec(), chain.deltas().iter().map(|delta| delta.to_bytes()).collect())
            }
            Change::Deltas(deltas) => {
                counts[0] += 1;
                (chain.base().bytes().to_vec(), deltas.clone())
            }
            Change::Folded(bytes) => {
                counts[1] += 1;
                (bytes.clone(), Vec::new())
            }
        };
        content.shards.push(base);
        content.deltas.push(deltas);
    }
    if let Some(directory) = &update.directory {
        content.directory.clone_from(directory);
    }
    content.recent.clone_from(&update.recent);
    counts
}

/// Bytes of the manifest and of the index of `after` that `before` does not have, and all of them.
fn to_fetch(before: &Manifest, after: &Manifest) -> (u64, u64) {
    let of_index = |(part, _): &(Part, ObjectRef)| {
        !matches!(part, Part::Tower | Part::Cards(_) | Part::Lists(_) | Part::Rules | Part::Ranker)
    };
    let manifest = after.to_bytes().map_or(0, |bytes| bytes.len() as u64);
    let new: u64 = after.parts_beyond(before).filter(of_index).map(|(_, object)| object.size).sum();
    let all: u64 = after.parts().filter(of_index).map(|(_, object)| object.size).sum();
    (manifest + new, manifest + all)
}
