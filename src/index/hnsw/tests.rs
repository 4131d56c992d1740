use rayon::ThreadPoolBuilder;

use super::*;
use crate::index::link::link_graph;
use crate::index::search::{WalkScratch, walk};
use crate::index::testing::{Random, mixture};
use crate::index::{Builder, Codes, QueryCode};
use crate::metrics::search_recall_at_k;

const DIM: usize = 32;

/// What the graph may find less than instant-distance's.
const TOLERANCE: f64 = 0.005;

/// A graph over codes of its rows.
struct Built {
    codes: Codes,
    graph: Graph,
}

fn build(vectors: &[f32], dim: usize, params: &GraphParams) -> Built {
    let (order, graph) = link_graph(vectors, dim, params).unwrap();
    let rows: Vec<f32> = order.iter().flat_map(|&row| &vectors[row as usize * dim..][..dim]).copied().collect();
    Built { codes: Codes::encode(&rows, dim).unwrap(), graph }
}

/// Recall@`k` of the graph against the exact scan of its codes.
fn recall(built: &Built, queries: &[f32], dim: usize, k: usize, ef_search: usize) -> f64 {
    let codes = built.codes.view();
    let mut scratch = WalkScratch::default();
    let recalls = queries.chunks_exact(dim).map(|query| {
        let query = QueryCode::new(query);
        let nodes = |keys: &[Key]| -> Vec<u32> { keys.iter().map(|key| key.node()).take(k).collect() };
        let found = walk(&codes, &built.graph.view(), &query, ef_search, &mut scratch, None);
        let mut all: Vec<Key> =
            (0..codes.len() as u32).map(|node| Key::new(codes.row_score(NodeId(node), &query), node)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        search_recall_at_k(&nodes(&found), &nodes(&all), k)
    });
    recalls.sum::<f64>() / (queries.len() / dim) as f64
}

fn assert_recall_of_reference(vectors: &[f32], queries: &[f32], seed: u64) {
    let params = GraphParams { m: 16, ef_construction: 100, seed, ..GraphParams::default() };
    let own = build(vectors, DIM, &params);
    let reference = build(vectors, DIM, &GraphParams { builder: Builder::InstantDistance, ..params });
    for (k, ef_search) in [(10, 10), (100, 128)] {
        let [own, reference] = [&own, &reference].map(|built| recall(built, queries, DIM, k, ef_search));
        println!("seed {seed}: recall@{k} {own:.4}, instant-distance {reference:.4}");
        assert!(own >= reference - TOLERANCE, "seed {seed}: recall@{k} {own}, instant-distance {reference}");
    }
}

#[test]
fn finds_what_the_graph_of_instant_distance_finds() {
    for seed in [1, 2, 3] {
        let (vectors, queries) = mixture(seed, 3000, 100, DIM);
        assert_recall_of_reference(&vectors, &queries, seed);
    }
}

#[test]
fn finds_it_where_norms_differ() {
    let (mut vectors, queries) = mixture(4, 3000, 100, DIM);
    for (row, vector) in vectors.chunks_exact_mut(DIM).enumerate() {
        vector.iter_mut().for_each(|x| *x *= 0.5 + (row % 7) as f32 / 4.0);
    }
    assert_recall_of_reference(&vectors, &queries, 4);
}

#[test]
fn any_number_of_threads_gives_the_same_graph() {
    let (vectors, _) = mixture(5, 3000, 0, DIM);
    let params = GraphParams { m: 6, ef_construction: 40, ..GraphParams::default() };
    let on = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| link(&vectors, DIM, &params).unwrap())
    };
    let one = on(1);
    assert!(one.1.layer_sizes().len() > 1, "{:?}", one.1.layer_sizes());
    for threads in [2, 4] {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}

#[test]
fn another_seed_gives_another_order_and_every_row_a_node() {
    let params = |seed| GraphParams { seed, ..GraphParams::default() };
    let (a, sizes) = order(1000, &params(1));
    assert_ne!(a, order(1000, &params(2)).0);
    let mut rows = a;
    rows.sort_unstable();
    assert_eq!(rows, (0..1000).collect::<Vec<_>>());
    // Of 1000 rows 62.5 are expected on layer 1, with a deviation of 8.
    assert!((30..100).contains(&sizes[0]) && sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let sizes = order(1 << 18, &GraphParams { m: 2, ..params(1) }).1;
    assert_eq!(sizes.len(), MAX_LAYERS);
}

#[test]
fn batches_cover_all_nodes_and_end_with_the_layers() {
    let all: Vec<Range<u32>> = batches(5000, &[300, 17]).collect();
    assert_eq!((all[0].start, all.last().unwrap().end), (1, 5000));
    assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert!([300, 17].iter().all(|end| all.iter().any(|batch| batch.end == *end)));
    assert!(all.iter().all(|batch| batch.len() as u32 <= (batch.start / IN_PER_NEW).max(1)));
    assert_eq!(batches(1, &[]).count(), 0);
}

/// Nodes that links of layer 0 lead to from the entry point.
fn in_reach(graph: &Graph) -> usize {
    let mut reached = vec![false; graph.len()];
    let mut frontier = vec![graph.view().entry_point().0];
    reached[frontier[0] as usize] = true;
    while let Some(node) = frontier.pop() {
        graph.view().for_each_neighbour(0, node, |link| {
            if !std::mem::replace(&mut reached[link as usize], true) {
                frontier.push(link);
            }
        });
    }
    reached.into_iter().filter(|&reached| reached).count()
}

#[test]
fn every_node_is_in_reach() {
    let (mixed, _) = mixture(6, 2000, 0, DIM);
    let equal = vec![0.5; 600 * DIM];
    // A few places, each with many points.
    let places = Random::new(7).vector(5 * DIM);
    let doubled: Vec<f32> = (0..600).flat_map(|row| &places[row * row % 5 * DIM..][..DIM]).copied().collect();
    let zero = vec![0.0; 100 * DIM];
    for (what, vectors) in [("mixed", mixed), ("equal", equal), ("doubled", doubled), ("zero", zero)] {
        for m in [2, 16] {
            let params = GraphParams { m, ef_construction: 20, ..GraphParams::default() };
            let (order, graph) = link(&vectors, DIM, &params).unwrap();
            assert_eq!(in_reach(&graph), order.len(), "{what}, m {m}");
        }
    }
}

#[test]
fn one_point_and_two() {
    let params = GraphParams::default();
    let (order, graph) = link(&[1.0, 2.0], 2, &params).unwrap();
    assert_eq!((order, graph.base().1.len()), (vec![0], 0));
    let two = build(&[1.0, 2.0, -3.0, 4.0], 2, &params);
    assert_eq!(two.graph.base().0, [1, 1], "each is the other's neighbour");
    assert_eq!(recall(&two, &[1.0, 0.0, 0.0, 1.0], 2, 2, 2), 1.0);
}

#[test]
fn lists_hold_no_node_twice_and_not_their_own() {
    let (vectors, _) = mixture(8, 1500, 0, DIM);
    let (order, graph) = link(&vectors, DIM, &GraphParams { m: 4, ..GraphParams::default() }).unwrap();
    for layer in 0..=graph.view().upper_layers() {
        let nodes = layer.checked_sub(1).map_or(order.len() as u32, |upper| graph.layer_sizes()[upper]);
        for node in 0..nodes {
            let mut links = Vec::new();
            graph.view().for_each_neighbour(layer, node, |link| links.push(link));
            assert!(links.is_sorted_by(|a, b| a < b), "layer {layer}, node {node}: {links:?}");
            assert!(!links.contains(&node), "layer {layer}, node {node}");
        }
    }
}
