//! The events that the package posts, as lines of JSON: an event each, or a whole post, `{"events": [...]}`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::ExperimentsError;

/// What is counted beside impressions, in this order.
pub const ACTIONS: [&str; 3] = ["click", "cart", "purchase"];

/// An event as the package posts it (`SentEvent` in pkg-js/src/outbox.ts).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `impression`, `click`, `view`, `cart` or `purchase`; others have no say.
    #[serde(rename = "type")]
    pub kind: String,
    /// The product.
    pub id: String,
    /// Milliseconds since 1970-01-01, by the visitor's clock.
    pub at: f64,
    /// The row that showed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation_id: Option<String>,
    /// Where in the row, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// How probable it was that it is in the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f64>,
    /// What would have been in its slot without exploration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// The rules of the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// The experiment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// The visitor's variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The visitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Post { events: Vec<serde_json::Value> },
    Event(serde_json::Value),
}

/// A row that was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// The visitor's place among [`Log::visitors`].
    pub visitor: usize,
    /// The experiment's place among [`Log::experiments`] and the variant; none outside of experiments.
    pub variant: Option<(usize, String)>,
    /// What of it was seen, in the order of the events.
    pub impressions: Vec<Impression>,
}

/// A product of a row that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Impression {
    /// The product.
    pub item: String,
    /// How probable it was that the row holds it, above 0 to 1.
    pub propensity: Option<f64>,
    /// What would have been in its slot without exploration.
    pub instead_of: Option<String>,
    /// Which of [`ACTIONS`] followed.
    pub did: [bool; 3],
}

/// What was shown and done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Log {
    /// The rows, in the order of their first impressions.
    pub rows: Vec<Row>,
    /// The visitors; a row of nobody known counts as a visitor of its own.
    pub visitors: Vec<String>,
    /// The experiments.
    pub experiments: Vec<String>,
    /// Events that were read.
    pub events: usize,
    /// Actions of no row, or of nothing that was seen in it.
    pub unattributed: usize,
    /// Rows whose visitor is not known.
    pub unknown_visitors: usize,
    /// Lines and events that are none.
    pub left_out: usize,
    /// The first of them, and what is wrong with it.
    pub first_left_out: Option<String>,
}

impl Log {
    /// Reads files, in any order: an action may stand before its impression.
    ///
    /// # Errors
    /// [`ExperimentsError::Io`]. What is no event is left out and counted.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self, ExperimentsError> {
        let mut building = Building::default();
        for path in paths.iter().map(AsRef::as_ref) {
            let failed = |source| ExperimentsError::Io { path: path.to_owned(), source };
            let mut reader = BufReader::new(std::fs::File::open(path).map_err(failed)?);
            let (mut bytes, mut number) = (Vec::new(), 0_u64);
            while reader.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
                number += 1;
                building.line(&bytes, || format!("{}:{number}", path.display()));
                bytes.clear();
            }
        }
        Ok(building.finish())
    }

    /// [`Log::read`] of events that are there already.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut building = Building::default();
        events.into_iter().for_each(|event| building.add(event));
        building.finish()
    }
}

#[derive(Default)]
struct Building {
    log: Log,
    rows: HashMap<String, usize>,
    visitors: HashMap<String, usize>,
    seen: HashMap<(usize, String), usize>,
    actions: Vec<(String, String, usize)>,
}

impl Building {
    fn line(&mut self, bytes: &[u8], place: impl Fn() -> String) {
        if bytes.trim_ascii().is_empty() {
            return;
        }
        let events = match serde_json::from_slice(bytes) {
            Ok(Line::Post { events }) => events,
            Ok(Line::Event(event)) => vec![event],
            Err(error) => return self.leave_out(&place(), &error.to_string()),
        };
        for event in events {
            match serde_json::from_value::<Event>(event) {
                Ok(event) if event.propensity.is_some_and(|p| !(p > 0.0 && p <= 1.0)) => {
                    self.leave_out(&place(), "a propensity that is not above 0 to 1");
                }
                Ok(event) => self.add(event),
                Err(error) => self.leave_out(&place(), &error.to_string()),
            }
        }
    }

    fn leave_out(&mut self, place: &str, why: &str) {
        self.log.left_out += 1;
        self.log.first_left_out.get_or_insert_with(|| format!("{place}: {why}"));
    }

    fn add(&mut self, event: Event) {
        self.log.events += 1;
        let action = ACTIONS.iter().position(|action| *action == event.kind);
        match (event.recommendation_id.clone(), action) {
            (Some(id), Some(action)) => self.actions.push((id, event.id, action)),
            (None, Some(_)) => self.log.unattributed += 1,
            (Some(id), None) if event.kind == "impression" => self.impression(id, event),
            _ => {}
        }
    }

    fn impression(&mut self, id: String, event: Event) {
        let row = match self.rows.get(&id) {
            Some(row) => *row,
            None => self.row(id, &event),
        };
        let impressions = &mut self.log.rows[row].impressions;
        if self.seen.insert((row, event.id.clone()), impressions.len()).is_some() {
            // Seen again: it is where it was.
            let first = impressions.iter().position(|impression| impression.item == event.id).unwrap_or(0);
            self.seen.insert((row, event.id), first);
            return;
        }
        let Event { id: item, propensity, instead_of, .. } = event;
        impressions.push(Impression { item, propensity, instead_of, did: [false; 3] });
    }

    fn row(&mut self, id: String, event: &Event) -> usize {
        self.log.unknown_visitors += usize::from(event.visitor.is_none());
        // No visitor's id begins so by chance.
        let visitor = event.visitor.clone().unwrap_or_else(|| format!("\u{0}row {id}"));
        let place = *self.visitors.entry(visitor).or_insert_with_key(|visitor| {
            self.log.visitors.push(visitor.clone());
            self.log.visitors.len() - 1
        });
        let variant = event.experiment.as_ref().zip(event.variant.as_ref()).map(|(experiment, variant)| {
            let known = self.log.experiments.iter().position(|known| known == experiment);
            let at = known.unwrap_or_else(|| {
                self.log.experiments.push(experiment.clone());
                self.log.experiments.len() - 1
            });
            (at, variant.clone())
        });
        self.log.rows.push(Row { id: id.clone(), visitor: place, variant, impressions: Vec::new() });
        self.rows.insert(id, self.log.rows.len() - 1);
        self.log.rows.len() - 1
    }

    fn finish(mut self) -> Log {
        for (id, item, action) in self.actions {
            let seen = self.rows.get(&id).and_then(|row| Some((*row, *self.seen.get(&(*row, item))?)));
            match seen {
                Some((row, at)) => self.log.rows[row].impressions[at].did[action] = true,
                None => self.log.unattributed += 1,
            }
        }
        self.log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = concat!(
        r#"{"events":[{"type":"click","id":"7","at":2,"recommendationId":"r"},"#,
        r#"{"type":"impression","id":"7","at":1,"recommendationId":"r","slot":1,"propensity":0.5,"variant":"b","experiment":"x","visitor":"v"},"#,
        r#"{"type":"impression","id":"7","at":3,"recommendationId":"r"},{"type":"view","id":"7","at":1,"recommendationId":"r"}]}"#,
    );

    fn log(bytes: &[u8]) -> Log {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Log::read(&[file.path()]).unwrap()
    }

    #[test]
    fn actions_find_what_was_seen_in_any_order_and_repeats_count_once() {
        let lines = format!(
            "{POST}\n{}\n{}\n\n",
            r#"{"type":"purchase","id":"7","at":9,"recommendationId":"r"}"#,
            r#"{"type":"cart","id":"8","at":9,"recommendationId":"r"}"#
        );
        let log = log(lines.as_bytes());
        assert_eq!((log.rows.len(), log.events, log.unattributed, log.left_out), (1, 6, 1, 0));
        let expected =
            Impression { item: "7".into(), propensity: Some(0.5), instead_of: None, did: [true, false, true] };
        assert_eq!((&log.rows[0].impressions, &log.rows[0].variant), (&vec![expected], &Some((0, "b".into()))));
    }

    #[test]
    fn what_is_cut_or_turned_is_counted_and_costs_only_itself() {
        let good = r#"{"type":"impression","id":"9","at":1,"recommendationId":"q"}"#;
        for cut in 0..POST.len() {
            let mut bytes = POST.as_bytes()[..cut].to_vec();
            bytes.extend(b"\n");
            bytes.extend(good.as_bytes());
            let log = log(&bytes);
            assert_eq!((log.left_out, log.rows.len()), (usize::from(cut > 0), 1), "cut at {cut}");
        }
        for bit in 0..POST.len() * 8 {
            let mut bytes = POST.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.extend(b"\n");
            bytes.extend(good.as_bytes());
            let found = log(&bytes);
            assert!(found.rows.iter().any(|row| row.id == "q"), "bit {bit}");
            assert!(
                found
                    .rows
                    .iter()
                    .flat_map(|row| &row.impressions)
                    .all(|one| one.propensity.is_none_or(|p| p > 0.0 && p <= 1.0))
            );
        }
        let wrong = log(br#"{"type":"impression","id":"9","at":1,"recommendationId":"q","propensity":0}"#);
        assert!(wrong.first_left_out.unwrap().contains(":1: a propensity"));
    }
}
