//! Updates of small releases: what they find is what a release built anew would find.

use std::collections::BTreeSet;

use super::*;
use crate::index::testing::{Random, mixture};
use crate::index::{BuildParams, Scratch, SearchParams, build};
use crate::recommend::{Recommender, Request};
use crate::release::testing::Files;
use crate::release::{Found, ReleaseError};
use crate::shard::columns::{Columns, ColumnsError};
use crate::shard::{Clusters, ShardContent};
use crate::sync::Assembly;

const DIM: usize = crate::release::testing::DIM;

/// A catalogue that changes.
struct Shop {
    ids: Vec<String>,
    vectors: Vec<f32>,
    queries: Vec<f32>,
    random: Random,
    next: usize,
}

impl Shop {
    fn new(seed: u64, items: usize) -> Self {
        let (vectors, queries) = mixture(seed, items, 60, DIM);
        let ids = (0..items).map(|item| format!("item-{item}")).collect();
        Self { ids, vectors, queries, random: Random::new(seed), next: items }
    }

    /// Of `count` items each: some go, some are others than they were, some come.
    fn change(&mut self, count: usize) {
        for _ in 0..count {
            let gone = self.random.next() as usize % self.ids.len();
            self.ids.swap_remove(gone);
            let last = self.vectors.len() - DIM;
            self.vectors.copy_within(last.., gone * DIM);
            self.vectors.truncate(last);
        }
        for _ in 0..count {
            let (to, from) =
                (self.random.next() as usize % self.ids.len(), self.random.next() as usize % self.ids.len());
            for component in 0..DIM {
                let noise = 0.2 * self.random.component();
                self.vectors[to * DIM + component] = self.vectors[from * DIM + component] + noise;
            }
        }
        for _ in 0..count {
            let from = self.random.next() as usize % self.ids.len();
            self.ids.push(format!("item-{}", self.next));
            self.next += 1;
            for component in 0..DIM {
                let noise = 0.2 * self.random.component();
                self.vectors.push(self.vectors[from * DIM + component] + noise);
            }
        }
    }

    fn catalogue(&self) -> Catalogue<'_> {
        let Self { ids, vectors, queries, .. } = self;
        Catalogue {
            ids,
            vectors,
            queries,
            towers: Digest::of(b"towers"),
            columns: &|_| Ok(Vec::new()),
            differs: &|_, _, _| false,
        }
    }

    /// The file of a column with the number that the id of each of these rows has.
    fn numbers(&self, rows: &[u32]) -> Result<Vec<u8>, ColumnsError> {
        let numbers: Vec<Option<u64>> = rows.iter().map(|&row| number(&self.ids[row as usize])).collect();
        Columns::builder(rows.len()).unsigned("number", &numbers).write()
    }

    fn clusters(&self, items: usize) -> Files {
        self.clusters_with(items, None, &|_| Ok(Vec::new()))
    }

    fn clusters_with(&self, items: usize, probes: Option<u32>, columns: &ColumnsOf<'_>) -> Files {
        let params = ClusterParams { items, fine_bits: FineBits::Four, seed: 1 };
        let towers = Digest::of(b"towers");
        let cut = Clusters::cut(&self.vectors, &self.queries, DIM, &self.ids, towers, &params).unwrap();
        let cut = cut.with_columns(columns).unwrap();
        let all = cut.shards.len() as u32;
        Files::of_clusters(1, &cut, probes.unwrap_or(all))
    }

    fn single(&self) -> Files {
        let built = build(&self.vectors, &self.queries, DIM, &BuildParams::for_rows(self.ids.len())).unwrap();
        let ids = built.order.iter().map(|&row| self.ids[row as usize].clone()).collect();
        let params = SearchParams { probes: built.index.view().cells(), ef_search: 1 };
        let shard = ShardContent { towers: Digest::of(b"towers"), params, ids, index: built.index, columns: vec![] };
        Files::new(1, &[shard.write().unwrap()], false)
    }

    /// Checks that a release has just these items, and finds them.
    fn check(&self, files: &Files, what: &str) -> Result<(), ReleaseError> {
        files.open()?;
        let (release, _) = files.load();
        let chains: Vec<&Chain> = release.shards().iter().flatten().map(AsRef::as_ref).collect();
        let held: BTreeSet<String> = chains.iter().flat_map(|chain| chain.ids()).collect();
        assert_eq!(held, self.ids.iter().cloned().collect(), "{what}");
        assert_eq!(chains.iter().map(|chain| chain.len()).sum::<usize>(), self.ids.len(), "{what}");
        assert_eq!(release.manifest().items, self.ids.len() as u64, "{what}");
        for (id, vector) in self.ids.iter().zip(self.vectors.chunks_exact(DIM)) {
            let Found { shard, node } =
                release.find(id).unwrap().unwrap_or_else(|| panic!("{what}: {id} is not found"));
            let mut decoded = vec![0.0; DIM];
            chains[shard].vector_into(node, &mut decoded);
            let far = decoded.iter().zip(vector).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 0.05, "{what}: {id} is off by {far}");
        }
        for gone in (0..self.next).map(|item| format!("item-{item}")).filter(|id| !held.contains(id)) {
            assert_eq!(release.find(&gone).unwrap(), None, "{what}: {gone}");
        }
        Ok(())
    }
}

fn number(id: &str) -> Option<u64> {
    id.strip_prefix("item-")?.parse().ok()
}

/// The best ids by a scan of everything that a release holds.
fn best(files: &Files, query: &[f32], k: usize) -> Vec<String> {
    let (release, _) = files.load();
    let mut scratch = Scratch::default();
    let mut hits = Vec::new();
    for chain in release.shards().iter().flatten() {
        hits.extend(chain.exact(query, k, &mut scratch).into_iter().map(|hit| (hit.score, chain.id(hit.node))));
    }
    hits.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    hits.into_iter().take(k).map(|(_, id)| id).collect()
}

fn updated(files: &Files, shop: &Shop, params: &UpdateParams) -> Result<(Files, Update), Anew> {
    let (release, buckets) = files.load();
    let update = update(&release, &buckets, &shop.catalogue(), params).unwrap()?;
    Ok((files.updated(&update), update))
}

#[test]
fn a_release_with_deltas_is_the_release_that_would_be_built_anew() {
    for seed in [1, 2, 3] {
        let mut shop = Shop::new(seed, 3000);
        for (layout, files) in [("clusters", shop.clusters(200)), ("single", shop.single())] {
            shop.change(25);
            let (after, update) = updated(&files, &shop, &UpdateParams::new(FineBits::Four, 1)).unwrap();
            let what = format!("seed {seed}, {layout}");
            shop.check(&after, &what).unwrap();
            assert_eq!((update.added, update.removed), (25, 25), "{what}");
            assert!((1..=25).contains(&update.changed), "{what}: {}", update.changed);
            let anew = if layout == "single" { shop.single() } else { shop.clusters(200) };
            let (mut same, mut of) = (0, 0);
            for query in shop.queries.chunks_exact(DIM) {
                let expected: BTreeSet<String> = best(&anew, query, 50).into_iter().collect();
                same += best(&after, query, 50).iter().filter(|id| expected.contains(*id)).count();
                of += expected.len();
            }
            assert!(same as f64 > 0.98 * of as f64, "{what}: {same} of {of}");
            shop = Shop::new(seed, 3000);
        }
    }
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let mut shop = Shop::new(7, 2000);
    let files = shop.clusters(100);
    let params = UpdateParams::new(FineBits::Four, 1);
    let (same, update) = updated(&files, &shop, &params).unwrap();
    assert!(update.changes.iter().all(|change| *change == Change::Kept) && update.recent.is_empty());
    assert_eq!((update.added, update.removed, update.changed), (0, 0, 0));
    assert_eq!(same.manifest.shards, files.manifest.shards);

    shop.change(2);
    let (once, update) = updated(&files, &shop, &params).unwrap();
    let changed = update.changes.iter().filter(|change| **change != Change::Kept).count();
    assert!((1..=8).contains(&changed), "{changed} of {} shards changed for six items", update.changes.len());
    let (twice, update) = updated(&once, &shop, &params).unwrap();
    assert!(update.changes.iter().all(|change| *change == Change::Kept));
    assert_eq!(twice.manifest.shards, once.manifest.shards);
    assert_eq!(twice.manifest.recent, once.manifest.recent);
}

#[test]
fn an_item_that_differs_in_more_than_its_vector_is_written_again() {
    let shop = Shop::new(8, 500);
    for files in [shop.clusters(100), shop.single()] {
        let (release, buckets) = files.load();
        let differs = |row: usize, chain: &Chain, node: NodeId| {
            assert_eq!(chain.id(node), shop.ids[row]);
            row == 17
        };
        let catalogue = Catalogue { differs: &differs, ..shop.catalogue() };
        let params = UpdateParams::new(FineBits::Four, 1);
        let update = update(&release, &buckets, &catalogue, &params).unwrap().unwrap();
        assert_eq!((update.added, update.removed, update.changed), (0, 0, 1));
        let after = files.updated(&update);
        let counts: Vec<_> = after
            .manifest
            .shards
            .iter()
            .flat_map(|shard| &shard.deltas)
            .map(|delta| (delta.added, delta.removed))
            .collect();
        assert_eq!(counts, [(1, 1)]);
        shop.check(&after, "an item that differs").unwrap();
    }
}

#[test]
fn deltas_follow_each_other_merge_and_fold() {
    for seed in [11, 12] {
        let mut shop = Shop::new(seed, 2000);
        let mut files = shop.clusters_with(250, None, &|rows| shop.numbers(rows));
        let params = UpdateParams { deltas: 3, fold: 0.15, ..UpdateParams::new(FineBits::Four, 1) };
        let (mut appended, mut merged, mut folded, mut cut) = (0, 0, 0, 0);
        for round in 0..25 {
            shop.change(12);
            let (release, buckets) = files.load();
            let catalogue = Catalogue { columns: &|rows| shop.numbers(rows), ..shop.catalogue() };
            if let Ok(update) = update(&release, &buckets, &catalogue, &params).unwrap() {
                for (change, before) in update.changes.iter().zip(&files.manifest.shards) {
                    match change {
                        Change::Kept => {}
                        Change::Deltas(deltas) if deltas.len() > before.deltas.len() => appended += 1,
                        Change::Deltas(_) => merged += 1,
                        Change::Folded(_) => folded += 1,
                    }
                }
                files = files.updated(&update);
            } else {
                cut += 1;
                files = shop.clusters_with(250, None, &|rows| shop.numbers(rows));
            }
            shop.check(&files, &format!("seed {seed}, round {round}")).unwrap();
            let (release, _) = files.load();
            for chain in release.shards().iter().flatten() {
                for node in chain.nodes() {
                    let (shard, row) = chain.of(node);
                    let found = shard.columns().unwrap().column("number").unwrap().u64_at(row);
                    assert_eq!(found, number(&chain.id(node)), "seed {seed}, round {round}: {}", chain.id(node));
                }
            }
        }
        assert!(appended > 0 && merged > 0 && folded > 0, "seed {seed}: {appended}, {merged}, {folded}, {cut}");
    }
}

#[test]
fn too_much_change_asks_for_a_build() {
    let mut shop = Shop::new(21, 600);
    let params = UpdateParams::new(FineBits::Four, 1);
    let single = shop.single();
    shop.change(90);
    assert!(matches!(updated(&single, &shop, &params), Err(Anew::Share { .. })));

    let mut shop = Shop::new(22, 600);
    let files = shop.clusters(100);
    for _ in 0..150 {
        let vector = shop.vectors[..DIM].to_vec();
        shop.ids.push(format!("item-{}", shop.next));
        shop.next += 1;
        shop.vectors.extend(vector);
    }
    assert!(matches!(updated(&files, &shop, &params), Err(Anew::Balance { .. })));

    let (release, buckets) = files.load();
    let others = Catalogue { towers: Digest::of(b"others"), ..shop.catalogue() };
    assert!(matches!(update(&release, &buckets, &others, &params).unwrap(), Err(Anew::Towers { .. })));
}

#[test]
fn clusters_that_are_shown_stay_shown_until_their_update_has_arrived() {
    for (seed, fold) in [(31, 0.2), (32, 0.0)] {
        let mut shop = Shop::new(seed, 3000);
        let files = shop.clusters_with(200, Some(3), &|_| Ok(Vec::new()));
        let mut sync = Assembly::default();
        let accept = |sync: &mut Assembly, files: &Files, digest| sync.accept(digest, files.get(digest)).unwrap();
        let bring = |sync: &mut Assembly, files: &Files| {
            while let Some(fetch) = sync.missing().first() {
                accept(sync, files, fetch.digest);
            }
        };
        sync.set_head(&files.head()).unwrap();
        bring(&mut sync, &files);
        let request = Request { limit: 12, history: vec![shop.ids[5].as_str().into()], ..Request::default() };
        let mut recommender = Recommender::of(sync.ready().unwrap());
        loop {
            let absent = recommender.absent(&request).unwrap();
            if absent.is_empty() {
                break;
            }
            for fetch in sync.fetch_of(&absent) {
                accept(&mut sync, &files, fetch.digest);
            }
            recommender.renew(sync.ready().unwrap());
        }
        let shown = |sync: &Assembly| sync.ready().unwrap().shards().iter().flatten().count();
        let (version, before) = (sync.ready().unwrap().version(), shown(&sync));
        assert!((1..files.manifest.shards.len()).contains(&before), "seed {seed}: {before}");

        shop.change(20);
        let params = UpdateParams { fold, ..UpdateParams::new(FineBits::Four, 1) };
        let (after, _) = updated(&files, &shop, &params).unwrap();
        sync.set_head(&after.head()).unwrap();
        let manifest = sync.missing()[0].digest;
        let mut missing = accept(&mut sync, &after, manifest);
        // A 2 % change is in most clusters, but what nobody looked at is not fetched.
        assert!((1..=before).contains(&missing.len()), "seed {seed}: {before} clusters, {} files", missing.len());
        while let Some(fetch) = missing.first() {
            assert_eq!((sync.ready().unwrap().version(), shown(&sync)), (version, before), "seed {seed}");
            missing = accept(&mut sync, &after, fetch.digest);
        }
        assert_eq!((sync.ready().unwrap().version(), shown(&sync)), (version + 1, before), "seed {seed}");
    }
}

#[cfg(feature = "origin")]
#[test]
fn deltas_merge_before_a_manifest_grows_beyond_what_a_client_takes() {
    let mut shop = Shop::new(41, 2000);
    let mut files = shop.clusters(100);
    let params = UpdateParams::new(FineBits::Four, 1);
    let bytes = |files: &Files| files.manifest_bytes().len() as u64;
    let update = |files: &Files, shop: &Shop, limit| {
        let (release, buckets) = files.load();
        update_within(&release, &buckets, &shop.catalogue(), &params, limit).unwrap()
    };
    let most = |files: &Files| files.manifest.shards.iter().map(|shard| shard.deltas.len()).max();
    // Half of it has room for the first deltas, and for no more.
    let limit = 2 * (bytes(&files) + 25 * 130);
    for round in 1..=4 {
        shop.change(20);
        files = files.updated(&update(&files, &shop, limit).unwrap());
        assert!(bytes(&files) <= limit, "round {round}: {}", bytes(&files));
        shop.check(&files, &format!("round {round}")).unwrap();
        assert!(most(&files) <= Some(2), "round {round}: {:?}", most(&files));
    }
    shop.change(20);
    let small = bytes(&files) / 2;
    let why = update(&files, &shop, small).unwrap_err();
    assert!(matches!(why, Anew::Manifest { found, limit } if found > limit && limit == small), "{why}");
}
