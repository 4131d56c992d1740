use rayon::ThreadPoolBuilder;

use super::*;
use crate::index::testing::{Random, mixture};
use crate::index::{Builder, Built, QueryCode, Scratch as SearchScratch, build, exact, search};
use crate::metrics::search_recall_at_k;

const DIM: usize = 32;

/// What the graph may find less than instant-distance's.
const TOLERANCE: f64 = 0.005;

/// Recall@`k` of the graph against the exact scan of its codes.
fn recall(built: &Built, queries: &[f32], dim: usize, k: usize, ef_search: usize) -> f64 {
    let (codes, graph) = (built.codes.view(), built.graph.as_ref().unwrap());
    let mut scratch = SearchScratch::default();
    let recalls = queries.chunks_exact(dim).map(|query| {
        let query = QueryCode::new(query);
        let nodes = |hits: Vec<crate::index::Hit>| -> Vec<u32> { hits.iter().map(|hit| hit.node.0).collect() };
        let found = nodes(search(&codes, &graph.view(), &query, k, ef_search, &mut scratch, None));
        search_recall_at_k(&found, &nodes(exact::top_k(&codes, &query, k, None)), k)
    });
    recalls.sum::<f64>() / (queries.len() / dim) as f64
}

fn assert_recall_of_reference(vectors: &[f32], queries: &[f32], seed: u64) {
    let params = BuildParams { m: 16, ef_construction: 100, seed, ..BuildParams::default() };
    let own = build(vectors, DIM, &params).unwrap();
    let reference = build(vectors, DIM, &BuildParams { builder: Builder::InstantDistance, ..params }).unwrap();
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
    let params = BuildParams { m: 6, ef_construction: 40, ..BuildParams::default() };
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
    let params = |seed| BuildParams { seed, ..BuildParams::default() };
    let (a, sizes) = order(1000, &params(1));
    assert_ne!(a, order(1000, &params(2)).0);
    let mut rows = a;
    rows.sort_unstable();
    assert_eq!(rows, (0..1000).collect::<Vec<_>>());
    // Of 1000 rows 62.5 are expected on layer 1, with a deviation of 8.
    assert!((30..100).contains(&sizes[0]) && sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    let sizes = order(1 << 18, &BuildParams { m: 2, ..params(1) }).1;
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
    let places = Random(7).vector(5 * DIM);
    let doubled: Vec<f32> = (0..600).flat_map(|row| &places[row * row % 5 * DIM..][..DIM]).copied().collect();
    let zero = vec![0.0; 100 * DIM];
    for (what, vectors) in [("mixed", mixed), ("equal", equal), ("doubled", doubled), ("zero", zero)] {
        for m in [2, 16] {
            let params = BuildParams { m, ef_construction: 20, ..BuildParams::default() };
            let (order, graph) = link(&vectors, DIM, &params).unwrap();
            assert_eq!(in_reach(&graph), order.len(), "{what}, m {m}");
        }
    }
}

#[test]
fn no_point_one_and_two() {
    let built = |vectors: &[f32]| build(vectors, 2, &BuildParams::default()).unwrap();
    assert_eq!((built(&[]).graph, built(&[]).order), (None, vec![]));
    let one = built(&[1.0, 2.0]);
    assert_eq!((one.order, one.graph.unwrap().base().1.len()), (vec![0], 0));
    let two = built(&[1.0, 2.0, -3.0, 4.0]);
    assert_eq!(two.graph.as_ref().unwrap().base().1.len(), 2, "each is the other's neighbour");
    assert_eq!(recall(&two, &[1.0, 0.0, 0.0, 1.0], 2, 2, 2), 1.0);
}

#[test]
fn lists_have_the_nearest_first_and_no_node_twice() {
    let (vectors, _) = mixture(8, 1500, 0, DIM);
    let (order, graph) = link(&vectors, DIM, &BuildParams { m: 4, ..BuildParams::default() }).unwrap();
    let points = Points::lift(&vectors, DIM, &order);
    for layer in 0..=graph.view().upper_layers() {
        let nodes = layer.checked_sub(1).map_or(order.len() as u32, |upper| graph.layer_sizes()[upper]);
        for node in 0..nodes {
            let mut keys = Vec::new();
            graph.view().for_each_neighbour(layer, node, |link| keys.push(Key::new(points.score(node, link), link)));
            assert!(keys.is_sorted_by(|a, b| a > b), "layer {layer}, node {node}: {keys:?}");
            assert!(keys.iter().all(|key| key.node() != node), "layer {layer}, node {node}");
        }
    }
}
