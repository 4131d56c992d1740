//! Lists of a release, in buckets: what a page shows beside what the towers recommend.
//!
//! ```json
//! {"format":1,"bucket":0,"buckets":1,"items":["1001","2002"],"lists":{"together\u001f1001":[1,312]}}
//! ```
//! A list is under the name that [`lists::name`](crate::lists::name) gave it, in the bucket that [`bucket_of`] says, as ids of a
//! directory are. It holds pairs, the best first: a place in `items`, and a score in thousandths.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::manifest::check_format;
use super::{FORMAT_VERSION, ReleaseError};
use crate::data::Item;
use crate::lists::List;
use crate::shard::directory::bucket_of;

const WHAT: &str = "lists";
/// Lists of a bucket, about: some 50 KB, compressed 19. Fewer would make the manifest longer, which every client fetches.
const OF_BUCKET: usize = 512;
/// What scores are multiplied with.
const THOUSANDTHS: f32 = 1000.0;

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// The version of the format.
    pub format: u64,
    /// Which bucket it is.
    pub bucket: u32,
    /// Of how many, a power of two.
    pub buckets: u32,
    /// Ids of what its lists hold, in order.
    pub items: Vec<String>,
    /// By name: places in `items` and scores in thousandths, by turns.
    pub lists: BTreeMap<String, Vec<i64>>,
}

impl Lists {
    /// The buckets of some lists over a catalogue; none of no lists.
    pub fn buckets(lists: &[List], items: &[Item]) -> Vec<Self> {
        if lists.is_empty() {
            return Vec::new();
        }
        let buckets = lists.len().div_ceil(OF_BUCKET).next_power_of_two() as u32;
        let mut of_bucket = vec![Vec::new(); buckets as usize];
        lists.iter().for_each(|list| of_bucket[bucket_of(&list.name, buckets) as usize].push(list));
        (0..).zip(of_bucket).map(|(bucket, lists)| Self::of(bucket, buckets, &lists, items)).collect()
    }

    fn of(bucket: u32, buckets: u32, lists: &[&List], items: &[Item]) -> Self {
        let id = |place: u32| items[place as usize].id.as_str();
        let named: BTreeSet<&str> = lists.iter().flat_map(|list| &list.items).map(|&(place, _)| id(place)).collect();
        let place_of: BTreeMap<&str, i64> = named.iter().copied().zip(0..).collect();
        let pair = |&(place, score): &(u32, f32)| [place_of[id(place)], (score * THOUSANDTHS).round() as i64];
        Self {
            format: FORMAT_VERSION.into(),
            bucket,
            buckets,
            items: named.into_iter().map(str::to_owned).collect(),
            lists: lists.iter().map(|list| (list.name.clone(), list.items.iter().flat_map(pair).collect())).collect(),
        }
    }

    /// The object's bytes.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a bucket.
    ///
    /// # Errors
    /// [`ReleaseError::Json`], [`ReleaseError::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        let lists: Self = serde_json::from_slice(bytes).map_err(|error| ReleaseError::json(WHAT, &error))?;
        check_format(WHAT, lists.format)?;
        Ok(lists)
    }

    /// Checks that a bucket is the one at its place, and lists what is in the release.
    pub(super) fn check(&self, place: usize, buckets: usize, ids: &HashSet<String>) -> Result<(), ReleaseError> {
        let wrong = |field, found: String, expected: &str| {
            Err(ReleaseError::Field { what: WHAT, field, found, expected: expected.to_owned() })
        };
        if (self.bucket as usize, self.buckets as usize) != (place, buckets) {
            let found = format!("{} of {}", self.bucket, self.buckets);
            return wrong("bucket", found, &format!("{place} of {buckets}"));
        }
        if let Some(id) = self.items.iter().find(|id| !ids.contains(*id)) {
            return wrong("item", format!("{id:?}"), "one of the candidates");
        }
        for (name, pairs) in &self.lists {
            if bucket_of(name, self.buckets) != self.bucket {
                return wrong("name of a list", format!("{name:?}"), "one of this bucket");
            }
            let mut places = pairs.iter().step_by(2);
            let is_place = |place: &i64| usize::try_from(*place).is_ok_and(|place| place < self.items.len());
            if pairs.len() % 2 == 1 || !places.all(is_place) {
                return wrong("list", format!("{pairs:?} of {name:?}"), "pairs of the place of an item and a score");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factors::testing::dataset;
    use crate::lists::name;

    fn list(name: String, items: &[(u32, f32)]) -> List {
        List { name, items: items.to_vec() }
    }

    #[test]
    fn lists_are_found_where_their_names_say() {
        let items = dataset(&[(0, 2, 0, 0)], 1).items;
        let lists: Vec<List> = (0..600).map(|of| list(name("together", [&*of.to_string()]), &[(2, 0.5)])).collect();
        let buckets = Lists::buckets(&lists, &items);
        assert_eq!(buckets.len(), 2);
        let ids = items.iter().map(|item| item.id.clone()).collect();
        for (place, bucket) in buckets.iter().enumerate() {
            assert!(!bucket.lists.is_empty());
            bucket.check(place, 2, &ids).unwrap();
            assert_eq!(&Lists::parse(&bucket.write()).unwrap(), bucket);
        }
        assert_eq!(buckets.iter().map(|bucket| bucket.lists.len()).sum::<usize>(), 600);
        assert_eq!(Lists::buckets(&[], &items), []);
    }

    #[test]
    fn a_bucket_has_ids_once_and_scores_in_thousandths() {
        let items = dataset(&[(0, 2, 0, 0)], 1).items;
        let lists = [list(name("trending", ["a"]), &[(2, 1.2345), (0, -0.5)]), list("trending".into(), &[(2, 1.0)])];
        let expected = concat!(
            r#"{"format":1,"bucket":0,"buckets":1,"items":["0","2"],"#,
            r#""lists":{"trending":[1,1000],"trending\u001fa":[1,1235,0,-500]}}"#
        );
        assert_eq!(String::from_utf8(Lists::buckets(&lists, &items)[0].write()).unwrap(), expected);
    }

    #[test]
    fn what_does_not_belong_is_refused() {
        let items = dataset(&[(0, 2, 0, 0)], 1).items;
        let good = Lists::buckets(&[list("trending".into(), &[(2, 1.0)])], &items).remove(0);
        let ids: HashSet<String> = items.iter().map(|item| item.id.clone()).collect();
        let fails = |change: &dyn Fn(&mut Lists), of: usize, part: &str| {
            let mut broken = good.clone();
            change(&mut broken);
            let error = broken.check(0, of, &ids).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        fails(&|_| {}, 2, "bucket is 0 of 1, expected 0 of 2");
        fails(&|lists| lists.items[0] = "9".into(), 1, "item is \"9\"");
        fails(&|lists| lists.lists.values_mut().next().unwrap()[0] = 1, 1, "list is [1, 1000]");
        fails(&|lists| lists.lists.values_mut().next().unwrap()[0] = -1, 1, "list is [-1, 1000]");
        fails(&|lists| lists.lists.values_mut().next().unwrap().push(0), 1, "list is [0, 1000, 0]");
        let other = name("trending", ["b"]);
        let elsewhere = (0..99).map(|n| format!("{other}{n}")).find(|name| bucket_of(name, 2) == 1).unwrap();
        let renamed = |lists: &mut Lists| lists.lists = [(elsewhere.clone(), vec![])].into();
        fails(
            &|lists| {
                renamed(lists);
                lists.buckets = 2;
            },
            2,
            "name of a list",
        );
        let bytes = good.write();
        for end in 0..bytes.len() {
            assert!(Lists::parse(&bytes[..end]).is_err());
        }
    }
}
