//! From trained towers and a catalogue to a release.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::cards::Cards;
use super::columns::{self, Chosen, RankerColumns};
use super::lists::Lists;
use super::plan::{Plan, Planner, SHARE_OF_CLUSTERS};
use super::{Manifest, ReleaseContent, ReleaseError, ReleaseWriter, Written};
use crate::Digest;
use crate::data::{Config, Item, Layout};
use crate::index::{self, BuildParams, FineBits, IndexError, IndexReport, SearchParams, Truth, choose_search};
use crate::lists::List;
use crate::rules::{self, RuleError};
use crate::shard::columns::ColumnKind;
use crate::shard::{ClusterParams, ClusterReport, Clusters, CutError, Header, ShardContent, ShardError};
use crate::towers::TowerError;
use crate::towers::candidate::Towers;

/// An error of a build. The release that was there stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The catalogue could not be embedded.
    #[error(transparent)]
    Tower(#[from] TowerError),
    /// The embeddings could not be indexed.
    #[error("candidate embeddings: {0}")]
    Index(#[from] IndexError),
    /// The index could not be written as a shard.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// The catalogue could not be cut into clusters.
    #[error(transparent)]
    Cut(#[from] CutError),
    /// The release could not be written.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// An item without the value that says which index it is in.
    #[error(
        "index.by: item {item:?} has no {by}, expected one text of each item; leave it out with catalogue.where, or give it one"
    )]
    Value {
        /// Its id.
        item: String,
        /// The column.
        by: String,
    },
    /// The shop's rules are not right.
    #[error("{path}: {source}")]
    Rules {
        /// Their file.
        path: PathBuf,
        /// What is wrong, and where.
        source: RuleError,
    },
    /// The ranker's objective asks for what the release does not have.
    #[error(
        "ranker.objective: {found:?} is no task that was trained and no column of numbers, expected one of {known:?}; see [columns]"
    )]
    Objective {
        /// The name.
        found: String,
        /// The columns of the release.
        known: Vec<String>,
    },
    /// The plan could not be drawn.
    #[error("plot of recall against bytes: {reason}, expected a drawing; report this as a defect")]
    Plot {
        /// What failed.
        reason: String,
    },
}

/// What a build made.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildReport {
    /// The release.
    pub written: Written,
    /// Candidates.
    pub items: usize,
    /// Bytes of the query tower.
    pub tower_bytes: usize,
    /// Bytes of the ranker; 0 without one.
    pub ranker_bytes: usize,
    /// Why clients need the tract engine, if they do.
    pub unlowered: Option<String>,
    /// Bytes of the shards.
    pub shard_bytes: usize,
    /// Bytes of the columns, which are in the shards.
    pub columns_bytes: usize,
    /// Bytes of the cards.
    pub cards_bytes: usize,
    /// Lists, and their bytes.
    pub lists: (usize, usize),
    /// The options and the choice; nothing for an empty catalogue.
    pub plan: Option<Plan>,
    /// How much searches find, and how fast; nothing for an empty catalogue.
    pub search: Option<SearchReport>,
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { version, manifest, changed, overlay, .. } = self.written;
        let change = if changed { "new" } else { "unchanged" };
        writeln!(f, "release      version {version} ({change}), manifest {manifest}")?;
        write!(f, "{overlay}")?;
        let per_item = |bytes: usize| bytes as f64 / self.items.max(1) as f64;
        let Self { items, shard_bytes, columns_bytes, .. } = *self;
        writeln!(
            f,
            "shards       {items} candidates, {shard_bytes} bytes, {:.1} per candidate",
            per_item(shard_bytes)
        )?;
        writeln!(f, "columns      {columns_bytes} bytes of them, {:.2} per candidate", per_item(columns_bytes))?;
        writeln!(f, "query tower  {} bytes", self.tower_bytes)?;
        if self.ranker_bytes > 0 {
            writeln!(f, "ranker       {} bytes", self.ranker_bytes)?;
        }
        if let Some(why) = &self.unlowered {
            writeln!(f, "engine       tract, which runs it as ONNX: {why}. {COST}")?;
        }
        writeln!(f, "cards        {} bytes", self.cards_bytes)?;
        writeln!(f, "lists        {}, {} bytes", self.lists.0, self.lists.1)?;
        self.plan.iter().try_for_each(|plan| write!(f, "\n\n{plan}"))?;
        self.search.iter().try_for_each(|report| write!(f, "\n{report}"))
    }
}

/// What a tower without a lowering costs clients, by the limits of `pkg-js/build.mjs`.
const COST: &str = "Browsers fetch up to 2 MB of WebAssembly (brotli) before their first row rather than 0.12, and the edge \
                    worker does not serve it";

/// What a release is built from beside the towers.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuildInput<'a> {
    /// The catalogue.
    pub items: &'a [Item],
    /// Query embeddings, row-major: how far searches go by default is measured with them. Without any, some of the candidates
    /// stand in for them.
    pub queries: &'a [f32],
    /// What a page asks for by name, over `items`.
    pub lists: &'a [List],
    /// What orders candidates.
    pub ranker: Option<&'a RankerInput>,
}

/// A ranker as a release takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankerInput {
    /// [`Ranker::write`](crate::towers::Ranker::write).
    pub file: Vec<u8>,
    /// What it reads of the items.
    pub columns: RankerColumns,
    /// The columns of numbers that its objective reads.
    pub objective: Vec<String>,
}

impl<'a> BuildInput<'a> {
    /// A catalogue alone.
    pub fn of(items: &'a [Item]) -> Self {
        Self { items, ..Self::default() }
    }
}

/// Embeds and indexes a catalogue, and writes it into `folder` as a release: query tower, shards, cards and lists, and for clusters
/// routing and directory.
///
/// # Errors
/// A [`BuildError`]; nothing has been replaced then.
pub fn build(
    input: &BuildInput<'_>,
    towers: &Towers,
    config: &Config,
    folder: &Path,
) -> Result<BuildReport, BuildError> {
    let BuildInput { items, queries, lists, ranker } = *input;
    let writer = ReleaseWriter::new(folder);
    // Before the work, not after it.
    writer.old_head()?;
    let columns = ranker.map(|ranker| &ranker.columns);
    let described = Chosen::of(items, config, columns).described().map_err(ShardError::from)?;
    let rules = compiled(config, &described)?;
    check_objective(ranker, &described)?;
    let embeddings = towers.embed(items)?;
    let dim = towers.query.schema().dim;
    let truth = if items.is_empty() {
        None
    } else {
        let queries = if queries.is_empty() { &embeddings } else { queries };
        Some(Truth::of(&embeddings, &sample(queries, dim), dim)?)
    };
    let set = config.index.bits.and_then(|bits| FineBits::from_bits(bits.saturating_sub(4)));
    let plan = if items.is_empty() {
        None
    } else {
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        let (cluster_items, seed) = (config.index.cluster_items, config.train.seed);
        let planner = Planner { embeddings: &embeddings, queries, dim, ids: &ids, cluster_items, seed };
        Some(planner.plan(config.index.layout, set)?)
    };
    let chosen = plan.as_ref().map(|plan| &plan.options[plan.chosen]);
    let fine_bits = set.or(chosen.map(|option| option.fine_bits)).unwrap_or(FineBits::Four);
    let layout = config.index.layout.or(chosen.map(|option| option.layout)).unwrap_or(Layout::Single);
    let (embeddings, towers_digest) = (&embeddings, towers.query.towers());
    let catalogue = Catalogue { items, columns, embeddings, queries, dim, towers: towers_digest, truth, fine_bits };
    let (content, search) = match layout {
        Layout::Single => catalogue.single(config)?,
        Layout::Clusters => catalogue.clusters(config)?,
        Layout::ByColumn => catalogue.by_column(config)?,
    };
    let query_tower = towers.query.write();
    let list_buckets: Vec<_> = Lists::buckets(lists, items).iter().map(Lists::write).collect();
    let lists = (lists.len(), list_buckets.iter().map(Vec::len).sum());
    let ranker_bytes = ranker.map_or(0, |ranker| ranker.file.len());
    let (tower_bytes, cards_bytes) = (query_tower.len(), content.cards.iter().map(Vec::len).sum());
    let shard_bytes = content.shards.iter().map(Vec::len).sum();
    let columns_bytes =
        content.shards.iter().map(|bytes| Header::parse(bytes).map_or(0, |header| header.columns_bytes));
    let columns_bytes = columns_bytes.map(|bytes| bytes as usize).sum();
    let content = ReleaseContent {
        name: config.name.clone(),
        query_tower,
        lists: list_buckets,
        rules,
        ranker: ranker.map(|ranker| ranker.file.clone()),
        recall: search.as_ref().and_then(SearchReport::recall),
        ..content
    };
    let written = writer.write(&content)?;
    let (items, unlowered) = (items.len(), towers.unlowered.clone());
    Ok(BuildReport {
        written,
        items,
        tower_bytes,
        ranker_bytes,
        unlowered,
        shard_bytes,
        columns_bytes,
        cards_bytes,
        lists,
        plan,
        search,
    })
}

/// The rules that the configuration names, for a release with these columns.
pub(super) fn compiled(config: &Config, columns: &[String]) -> Result<Option<Vec<u8>>, BuildError> {
    let Some(path) = config.rules.as_deref().map(|path| config.resolve(path)) else { return Ok(None) };
    match rules::read(&path, columns) {
        Ok(rules) => Ok(Some(rules)),
        Err(source) => Err(BuildError::Rules { path, source }),
    }
}

/// Checks that a release with these columns has what the objective of its ranker reads.
pub(super) fn check_objective(ranker: Option<&RankerInput>, columns: &[String]) -> Result<(), BuildError> {
    let is_number = |name: &String| {
        let kind = columns.iter().find_map(|column| column.strip_prefix(name.as_str())?.strip_prefix(": "));
        kind.and_then(ColumnKind::from_name).is_some_and(|kind| !kind.has_dictionary())
    };
    match ranker.iter().flat_map(|ranker| &ranker.objective).find(|name| !is_number(name)) {
        Some(name) => Err(BuildError::Objective { found: name.clone(), known: columns.to_vec() }),
        None => Ok(()),
    }
}

/// Items of a shard of a release by column: some 3.5 MB.
const PART: usize = 50_000;

/// An embedded catalogue.
struct Catalogue<'a> {
    items: &'a [Item],
    columns: Option<&'a RankerColumns>,
    embeddings: &'a [f32],
    queries: &'a [f32],
    dim: usize,
    towers: Digest,
    /// Nothing for an empty catalogue.
    truth: Option<Truth>,
    fine_bits: FineBits,
}

impl Catalogue<'_> {
    fn single(&self, config: &Config) -> Result<(ReleaseContent, Option<SearchReport>), BuildError> {
        let rows: Vec<u32> = (0..self.items.len() as u32).collect();
        let (shard, search) = self.part(&rows, self.embeddings, self.truth.as_ref(), config)?;
        let cards = vec![self.cards(&rows)];
        Ok((
            ReleaseContent { shards: vec![shard], cards, ..ReleaseContent::default() },
            search.map(SearchReport::Single),
        ))
    }

    /// One shard of some items, by their places in the catalogue, with their embeddings.
    fn part(
        &self,
        rows: &[u32],
        embeddings: &[f32],
        truth: Option<&Truth>,
        config: &Config,
    ) -> Result<(Vec<u8>, Option<IndexReport>), BuildError> {
        let params = build_params(config, rows.len(), self.fine_bits);
        let built = index::build(embeddings, self.queries, self.dim, &params)?;
        let mut params = SearchParams { probes: 1, ef_search: 64 };
        let mut search = None;
        if let Some(truth) = truth {
            let (chosen, report) = choose_search(&built, truth)?;
            params = SearchParams { probes: config.index.probes.unwrap_or(chosen.probes), ..chosen };
            search = Some(report);
        }
        let rows: Vec<u32> = built.order.iter().map(|&row| rows[row as usize]).collect();
        let ids = rows.iter().map(|&row| self.items[row as usize].id.clone()).collect();
        let columns = Chosen::of(self.items, config, self.columns).write(&rows).map_err(ShardError::from)?;
        Ok((ShardContent { towers: self.towers, params, ids, index: built.index, columns }.write()?, search))
    }

    /// An index for each value of a column; of values with many items, several.
    fn by_column(&self, config: &Config) -> Result<(ReleaseContent, Option<SearchReport>), BuildError> {
        let by = config.index.by.as_deref().unwrap_or_default();
        let value_of = columns::text_of(config, by);
        let mut parts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (row, item) in (0..).zip(self.items) {
            let Some(value) = value_of(item) else {
                return Err(BuildError::Value { item: item.id.clone(), by: by.to_owned() });
            };
            parts.entry(value).or_default().push(row);
        }
        let (mut content, mut values, mut reports) = (ReleaseContent::default(), Vec::new(), Vec::new());
        for (value, rows) in parts.iter().flat_map(|(value, rows)| rows.chunks(PART).map(move |rows| (*value, rows))) {
            let of_row = |&row: &u32| &self.embeddings[row as usize * self.dim..][..self.dim];
            let embeddings: Vec<f32> = rows.iter().flat_map(of_row).copied().collect();
            let queries = if self.queries.is_empty() { &embeddings } else { self.queries };
            let truth = Truth::of(&embeddings, &sample(queries, self.dim), self.dim)?;
            let (shard, report) = self.part(rows, &embeddings, Some(&truth), config)?;
            reports.extend(report.map(|report| (value.to_owned(), rows.len(), report)));
            content.shards.push(shard);
            content.cards.push(self.cards(rows));
            values.push(value.to_owned());
        }
        Ok((ReleaseContent { by: Some((by.to_owned(), values)), ..content }, Some(SearchReport::ByColumn(reports))))
    }

    /// The cards of some items, by their places in the catalogue.
    fn cards(&self, rows: &[u32]) -> Vec<u8> {
        Cards::of(rows.iter().map(|&row| &self.items[row as usize])).write()
    }

    fn clusters(&self, config: &Config) -> Result<(ReleaseContent, Option<SearchReport>), BuildError> {
        let fine_bits = self.fine_bits;
        let params = ClusterParams { items: config.index.cluster_items, fine_bits, seed: config.train.seed };
        let ids: Vec<String> = self.items.iter().map(|item| item.id.clone()).collect();
        let columns = Chosen::of(self.items, config, self.columns);
        let cut = Clusters::cut(self.embeddings, self.queries, self.dim, &ids, self.towers, &params)?
            .with_columns(&|rows| columns.write(rows))?;
        let measured = self.truth.as_ref().map(|truth| cut.choose_probes(truth, SHARE_OF_CLUSTERS));
        let chosen = measured.as_ref().map_or(1, |(probes, _)| *probes);
        let probes = config.index.probes.map_or(chosen, |probes| probes as u32).min(cut.shards.len() as u32);
        let content = ReleaseContent {
            shards: cut.shards.iter().map(|shard| shard.bytes().to_vec()).collect(),
            routing: Some((cut.routing.bytes().to_vec(), probes)),
            cards: cut.rows().iter().map(|rows| self.cards(rows)).collect(),
            directory: cut.directory,
            ..ReleaseContent::default()
        };
        Ok((content, measured.map(|(_, report)| SearchReport::Clusters(report))))
    }
}

/// What searches find, by layout.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchReport {
    /// Of one shard.
    Single(IndexReport),
    /// Of clusters.
    Clusters(ClusterReport),
    /// Of each shard by a column: its value, its candidates.
    ByColumn(Vec<(String, usize, IndexReport)>),
}

impl SearchReport {
    /// Recall@100 of the default search against exact search, as [`Manifest::recall`](super::Manifest) has it: of a release by column the mean over all candidates.
    fn recall(&self) -> Option<u32> {
        let of_index = |report: &IndexReport| report.points.last().map_or(report.codes, |point| point.recall).at_100;
        let recall = match self {
            Self::Single(report) => of_index(report),
            Self::Clusters(report) => report.points.last().map_or(report.codes, |point| point.recall).at_100,
            Self::ByColumn(reports) => {
                let candidates: usize = reports.iter().map(|(_, candidates, _)| candidates).sum();
                let sum = reports.iter().map(|(_, candidates, report)| *candidates as f64 * of_index(report));
                sum.sum::<f64>() / candidates.max(1) as f64
            }
        };
        recall.is_finite().then(|| (recall * Manifest::RECALL_UNIT).round() as u32)
    }
}

impl fmt::Display for SearchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(report) => report.fmt(f),
            Self::Clusters(report) => report.fmt(f),
            Self::ByColumn(reports) => reports.iter().try_for_each(|(value, candidates, report)| {
                let recall = report.points.last().map_or(report.codes, |point| point.recall);
                writeln!(f, "{value:<24} {candidates:>8} candidates, recall@100 {:.4}", recall.at_100)
            }),
        }
    }
}

/// See [`sample`].
const QUERIES: usize = 200;

/// At most 200 of the rows, evenly spread: queries that a search is measured with.
pub fn sample(rows: &[f32], dim: usize) -> Vec<f32> {
    let step = (rows.len() / dim).div_ceil(QUERIES).max(1);
    rows.chunks_exact(dim).step_by(step).flatten().copied().collect()
}

/// How the configuration has the index of so many items built.
pub fn build_params(config: &Config, items: usize, fine_bits: FineBits) -> BuildParams {
    let params = BuildParams::for_rows(items);
    BuildParams { fine_bits, cells: config.index.cells.unwrap_or(params.cells), seed: config.train.seed, ..params }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_reads_columns_of_numbers_that_there_are() {
        let columns = ["brand: text", "price: price", "margin: float"].map(str::to_owned);
        let check = |name: &str| {
            let (file, columns_of_ranker) = (Vec::new(), RankerColumns::default());
            let ranker = RankerInput { file, columns: columns_of_ranker, objective: vec![name.to_owned()] };
            check_objective(Some(&ranker), &columns).map_err(|error| error.to_string())
        };
        assert_eq!((check("price"), check("margin")), (Ok(()), Ok(())));
        assert!(check("prise").unwrap_err().contains("\"prise\" is no task"));
        assert!(check("brand").is_err() && check_objective(None, &columns).is_ok());
    }
}
