//! The table that an evaluation ends in: for terminals, for documents, for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LONG_LIST, Mode, SHORT_LIST};

/// One scorer in one mode. All figures but `users` lie in 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scorer's name.
    pub scorer: String,
    /// What counts as candidate and target.
    pub mode: Mode,
    /// Hits among the first 20 over `min(20, targets)`, the mean over users.
    pub recall_at_20: f64,
    /// NDCG@20, the mean over users.
    pub ndcg_at_20: f64,
    /// Hits among the first 100 over targets, the mean over users.
    pub recall_at_100: f64,
    /// Share of the candidates that stands in at least one list of 20.
    pub coverage_at_20: f64,
    /// Gini coefficient of how often candidates stand in lists of 20.
    pub gini_at_20: f64,
    /// Users with targets.
    pub users: usize,
}

/// An evaluation: rows by mode, within a mode in the order of the scorers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where time was cut: milliseconds since 1970-01-01, in the shop's local time.
    pub test_from_ms: i64,
    /// Items with training events.
    pub candidates: usize,
    /// Users of the test window without training events; they are in no row.
    pub cold_users: usize,
    /// Items that known users bought in the test window, without training events; they are in no row.
    pub cold_items: usize,
    /// One per scorer and mode.
    pub rows: Vec<Row>,
}

impl Report {
    /// The row of a scorer in a mode.
    pub fn row(&self, scorer: &str, mode: Mode) -> Option<&Row> {
        self.rows.iter().find(|row| row.scorer == scorer && row.mode == mode)
    }

    /// A Markdown table, columns aligned.
    pub fn to_markdown(&self) -> String {
        let cells = self.cells();
        let widths = widths(&cells);
        let line = |cells: &[String; COLUMNS]| format!("| {} |\n", padded(cells, &widths).join(" | "));
        let rule: Vec<String> = widths
            .iter()
            .enumerate()
            .map(
                |(column, &width)| {
                    if column < TEXT_COLUMNS { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) }
                },
            )
            .collect();
        let rows: String = cells[1..].iter().map(line).collect();
        format!("{}| {} |\n{rows}\n{}\n", line(&cells[0]), rule.join(" | "), self.note())
    }

    /// JSON with full precision and a stable order of keys and rows.
    ///
    /// # Panics
    /// Never: every field is plain text or a number.
    #[expect(clippy::expect_used, reason = "a report holds nothing that JSON cannot")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain fields serialise") + "\n"
    }

    /// Header first.
    fn cells(&self) -> Vec<[String; COLUMNS]> {
        let header = [
            "mode".to_owned(),
            "scorer".to_owned(),
            format!("R@{SHORT_LIST}"),
            format!("NDCG@{SHORT_LIST}"),
            format!("R@{LONG_LIST}"),
            format!("coverage@{SHORT_LIST}"),
            "Gini".to_owned(),
            "n".to_owned(),
        ];
        let figure = |value: f64| format!("{value:.4}");
        let rows = self.rows.iter().map(|row| {
            [
                row.mode.label().to_owned(),
                row.scorer.clone(),
                figure(row.recall_at_20),
                figure(row.ndcg_at_20),
                figure(row.recall_at_100),
                figure(row.coverage_at_20),
                figure(row.gini_at_20),
                row.users.to_string(),
            ]
        });
        std::iter::once(header).chain(rows).collect()
    }

    fn note(&self) -> String {
        format!(
            "{} candidates. Left out: {} users and {} items of the test window without training events.",
            self.candidates, self.cold_users, self.cold_items
        )
    }
}

const COLUMNS: usize = 8;

/// The first columns are text, aligned to the left; the others are numbers.
const TEXT_COLUMNS: usize = 2;

fn widths(cells: &[[String; COLUMNS]]) -> [usize; COLUMNS] {
    std::array::from_fn(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
}

fn padded(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> Vec<String> {
    let align = |(column, (cell, &width)): (usize, (&String, &usize))| {
        if column < TEXT_COLUMNS { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    };
    cells.iter().zip(widths).enumerate().map(align).collect()
}

impl fmt::Display for Report {
    /// An aligned table for terminals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells();
        let widths = widths(&cells);
        for row in &cells {
            writeln!(f, "{}", padded(row, &widths).join("  ").trim_end())?;
        }
        write!(f, "{}", self.note())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |mode, scorer: &str, recall_at_20| Row {
            scorer: scorer.to_owned(),
            mode,
            recall_at_20,
            ndcg_at_20: 0.25,
            recall_at_100: 1.0,
            coverage_at_20: 0.0,
            gini_at_20: 0.5,
            users: 12,
        };
        let rows = vec![row(Mode::NewOnly, "ItemKNN", 0.123_456), row(Mode::Repeats, "popularity", 0.5)];
        Report { test_from_ms: 7, candidates: 40, cold_users: 3, cold_items: 2, rows }
    }

    #[test]
    fn writes_an_aligned_table() {
        let markdown = "\
| mode     | scorer     |   R@20 | NDCG@20 |  R@100 | coverage@20 |   Gini |  n |
| -------- | ---------- | -----: | ------: | -----: | ----------: | -----: | -: |
| new only | ItemKNN    | 0.1235 |  0.2500 | 1.0000 |      0.0000 | 0.5000 | 12 |
| repeats  | popularity | 0.5000 |  0.2500 | 1.0000 |      0.0000 | 0.5000 | 12 |

40 candidates. Left out: 3 users and 2 items of the test window without training events.
";
        assert_eq!(report().to_markdown(), markdown);
        let plain = report().to_string();
        assert_eq!(
            plain.lines().nth(1),
            Some("new only  ItemKNN     0.1235   0.2500  1.0000       0.0000  0.5000  12")
        );
    }

    #[test]
    fn json_gives_the_same_report_back() {
        let json = report().to_json();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report());
        assert!(json.contains("\"mode\": \"new_only\""), "{json}");
    }
}
