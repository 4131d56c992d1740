//! Cutting a node's links down to what a shard keeps, and keeping every node in reach.

use super::Key;

/// The neighbours of a node by algorithm 4 of Malkov and Yashunin (2016), without extended candidates; its lists are kept
/// between selections.
#[derive(Debug, Default)]
pub(super) struct Selection {
    kept: Vec<Key>,
    nodes: Vec<u32>,
    left_out: Vec<Key>,
}

impl Selection {
    /// Selects at most `limit` of `candidates`, each with its score against the node that is linked, the nearest first.
    ///
    /// A candidate is kept unless `shadowed` says that it is no nearer to the node than to one of those kept before it,
    /// whose nodes it gets: links spread over directions. Places that stay free go to the nearest of those left out.
    pub(super) fn select(
        &mut self,
        candidates: &[Key],
        limit: usize,
        mut shadowed: impl FnMut(Key, &[u32]) -> bool,
    ) -> &[Key] {
        let Self { kept, nodes, left_out } = self;
        kept.clear();
        nodes.clear();
        left_out.clear();
        for &candidate in candidates {
            if kept.len() == limit {
                break;
            }
            if shadowed(candidate, nodes) {
                left_out.push(candidate);
            } else {
                kept.push(candidate);
                nodes.push(candidate.node());
            }
        }
        let free = limit - kept.len();
        kept.extend(left_out.iter().take(free));
        kept.sort_unstable_by(|a, b| b.cmp(a));
        kept
    }
}

/// Adds or redirects links until every node can be reached from `entry`, without giving any node more than `cap` links.
///
/// Links of a spanning tree are never redirected, so what is in reach stays in reach. No list may hold a link twice.
pub(super) fn connect(links: &mut [Vec<u32>], entry: u32, cap: usize, distance: impl Fn(u32, u32) -> f32) {
    let mut tree = Tree { reached: vec![false; links.len()], children: vec![Vec::new(); links.len()] };
    tree.reached[entry as usize] = true;
    tree.grow(links, entry);
    for node in 0..links.len() as u32 {
        if tree.reached[node as usize] {
            continue;
        }
        let parent = tree.parent_for(links, node, cap, &distance);
        let list = &mut links[parent as usize];
        if list.len() == cap {
            let children = &tree.children[parent as usize];
            if let Some(last) = list.iter().rposition(|link| !children.contains(link)) {
                list.remove(last);
            }
        }
        let place = list.partition_point(|&link| distance(parent, link) <= distance(parent, node));
        list.insert(place, node);
        tree.children[parent as usize].push(node);
        tree.reached[node as usize] = true;
        tree.grow(links, node);
    }
}

/// The nodes in reach, and the links by which each was reached first.
struct Tree {
    reached: Vec<bool>,
    children: Vec<Vec<u32>>,
}

impl Tree {
    /// Follows links from `start`, which is in reach.
    fn grow(&mut self, links: &[Vec<u32>], start: u32) {
        let mut frontier = vec![start];
        while let Some(node) = frontier.pop() {
            for &link in &links[node as usize] {
                if !std::mem::replace(&mut self.reached[link as usize], true) {
                    self.children[node as usize].push(link);
                    frontier.push(link);
                }
            }
        }
    }

    /// The nearest node in reach that can take one more link: among `node`'s own neighbours, else among all.
    ///
    /// There always is one: a tree of `n` nodes has `n - 1` links, and `n` nodes have room for at least `n`.
    fn parent_for(&self, links: &[Vec<u32>], node: u32, cap: usize, distance: impl Fn(u32, u32) -> f32) -> u32 {
        let can_take = |&other: &u32| self.reached[other as usize] && self.children[other as usize].len() < cap;
        let nearest = |others: &mut dyn Iterator<Item = u32>| {
            let keys = others.filter(can_take).map(|other| Key::new(-distance(node, other), other));
            keys.max().map(Key::node)
        };
        nearest(&mut links[node as usize].iter().copied())
            .or_else(|| nearest(&mut (0..links.len() as u32)))
            .expect("some node in reach has a free place")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn on_a_line(a: u32, b: u32) -> f32 {
        a.abs_diff(b) as f32
    }

    #[test]
    fn selection_spreads_over_directions_before_it_fills_up() {
        // Around 10: 11, 12 and 13 lie on one side, 6 on the other.
        let candidates = [11, 12, 13, 6].map(|node| Key::new(-on_a_line(10, node), node));
        let select = |limit| -> Vec<u32> {
            let shadowed =
                |key: Key, kept: &[u32]| kept.iter().any(|&other| -key.score() >= on_a_line(key.node(), other));
            Selection::default().select(&candidates, limit, shadowed).iter().map(|key| key.node()).collect()
        };
        assert_eq!(select(2), [11, 6]);
        assert_eq!(select(3), [11, 12, 6]);
    }

    proptest! {
        #[test]
        fn every_node_comes_into_reach_within_the_cap(
            lists in prop::collection::vec(prop::collection::btree_set(0u32..40, 0..3), 1..40), cap in 1usize..4,
        ) {
            let count = lists.len() as u32;
            let mut links: Vec<Vec<u32>> = lists.iter().enumerate().map(|(node, list)| {
                let list: BTreeSet<u32> = list.iter().map(|link| link % count).filter(|&link| link != node as u32).collect();
                list.into_iter().take(cap).collect()
            }).collect();
            connect(&mut links, 0, cap, on_a_line);
            let mut tree = Tree { reached: vec![false; links.len()], children: vec![Vec::new(); links.len()] };
            tree.reached[0] = true;
            tree.grow(&links, 0);
            prop_assert!(tree.reached.iter().all(|&reached| reached));
            prop_assert!(links.iter().all(|list| list.len() <= cap));
        }
    }
}
