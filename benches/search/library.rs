//! This library, as a shop's program uses it: a shard file and one of columns, opened, checked and searched.

use std::time::Instant;

use nearshelf::Digest;
use nearshelf::index::{BuildParams, FineBits, Hit, Scratch, SearchParams, build};
use nearshelf::shard::columns::{Columns, Predicate};
use nearshelf::shard::{Shard, ShardContent, Verified};

use crate::Outcome;
use crate::set::{GROUP, GROUPS, Rows, Set};

/// An index that is walked row by row has no probes, but takes a width; sets of the bench are cut into cells.
const EF_SEARCH: usize = 64;

/// The column that the filter asks for: a row's number modulo [`GROUPS`].
const COLUMN: &str = "group";

/// Builds the index on so many threads; the content of its shard, and the seconds that the build took.
pub(crate) fn built(set: &Set, fine_bits: FineBits, threads: usize) -> Outcome<(ShardContent, f64)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let params = BuildParams { fine_bits, ..BuildParams::for_rows(set.n) };
    let began = Instant::now();
    let built = pool.install(|| build(&set.base, set.for_metric(), set.dim, &params))?;
    let seconds = began.elapsed().as_secs_f64();
    let content = ShardContent {
        towers: Digest::of(set.name.as_bytes()),
        params: SearchParams { probes: 1, ef_search: EF_SEARCH },
        ids: built.order.iter().map(u32::to_string).collect(),
        index: built.index,
        columns: Vec::new(),
    };
    Ok((content, seconds))
}

/// The columns beside the rows of a shard.
pub(crate) fn columns(content: &ShardContent) -> Outcome<Vec<u8>> {
    let groups = content.ids.iter().map(|id| id.parse().map(|row: u64| Some(row % u64::from(GROUPS))));
    let groups: Vec<Option<u64>> = groups.collect::<Result<_, _>>()?;
    Ok(Columns::builder(groups.len()).unsigned(COLUMN, &groups).write()?)
}

/// A shard that is searched.
pub(crate) struct Library {
    shard: Shard<Verified>,
    columns: Option<Columns>,
    scratch: Scratch,
}

impl Library {
    /// Opens a shard as a client does.
    pub(crate) fn open(shard: Vec<u8>) -> Outcome<Self> {
        let digest = Digest::of(&shard);
        let shard = Shard::open(shard)?.verify_values(digest)?;
        Ok(Self { shard, columns: None, scratch: Scratch::default() })
    }

    /// Takes the columns, which searches with a filter need.
    pub(crate) fn with_columns(self, columns: Vec<u8>) -> Outcome<Self> {
        Ok(Self { columns: Some(Columns::open(columns)?), ..self })
    }

    /// Puts the ids of the `k` best into `found`, as numbers. With a filter, what it asks of the columns is part of it.
    pub(crate) fn search(
        &mut self,
        query: &[f32],
        k: usize,
        probes: usize,
        rows: Rows,
        found: &mut Vec<u32>,
    ) -> Outcome<()> {
        let Self { shard, columns, scratch } = self;
        let params = Some(SearchParams { probes, ef_search: EF_SEARCH });
        let hits: Vec<Hit> = match rows {
            Rows::All => shard.search(query, k, params, scratch, None),
            Rows::Group => {
                let (low, high) = (u64::from(GROUP), u64::from(GROUP));
                let columns = columns.as_ref().ok_or("a search with a filter needs columns")?.view();
                let passing = columns.rows_where(COLUMN, Predicate::Between { low, high })?;
                shard.search(query, k, params, scratch, Some(&passing))
            }
        };
        found.clear();
        for hit in hits {
            found.push(shard.id(hit.node).parse()?);
        }
        Ok(())
    }

    pub(crate) fn memory(&self) -> usize {
        // The first look-up by id makes a table.
        let _ = self.shard.node_of("");
        self.shard.memory()
    }
}
