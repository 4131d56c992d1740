//! The table that an evaluation ends in: for terminals, for documents, for programs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LONG_LIST, Mode, Protocol, SHORT_LIST};

/// One figure of a row, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// One of [`Protocol::figures`]: `R@20` are hits among the first 20 over `min(20, targets)`, `R@100` hits among the first 100 over
    /// targets, `HR@k` whether there is a hit among the first `k`, `NDCG@k` as in [`metrics`](crate::metrics).
    pub name: String,
    /// The mean over users.
    pub mean: f64,
    /// Lower end of its interval of [`CONFIDENCE`](super::CONFIDENCE), by bootstrap over users.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One scorer in one mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The scorer's name.
    pub scorer: String,
    /// What counts as candidate and target.
    pub mode: Mode,
    /// As the protocol has them, in its order.
    pub figures: Vec<Figure>,
    /// Share of the candidates that stands in at least one list of 20.
    pub coverage_at_20: f64,
    /// Gini coefficient of how often candidates stand in lists of 20.
    pub gini_at_20: f64,
    /// Mean self-information of lists of 20, in bits: 0 for what everybody has.
    pub novelty_at_20: f64,
    /// 1 less the mean cosine of the category paths in lists of 20; `None` where the catalogue has no categories. Not by embeddings:
    /// they are what is judged.
    pub diversity_at_20: Option<f64>,
    /// Users with targets.
    pub users: usize,
}

impl Row {
    /// The mean of a figure; NaN if the protocol has none of this name.
    pub fn value(&self, name: &str) -> f64 {
        self.figures.iter().find(|figure| figure.name == name).map_or(f64::NAN, |figure| figure.mean)
    }
}

/// An evaluation: rows by mode, within a mode in the order of the scorers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How events were held out.
    pub protocol: Protocol,
    /// Where time was cut, if it was: milliseconds since 1970-01-01, in the shop's local time.
    pub test_from_ms: Option<i64>,
    /// Items that may be recommended, but for cold ones.
    pub candidates: usize,
    /// Users of the test window without training events.
    pub cold_users: usize,
    /// Items that were bought in the test window, without training events.
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
        let line = |cells: &Vec<String>| format!("| {} |\n", padded(cells, &widths).join(" | "));
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
    fn cells(&self) -> Vec<Vec<String>> {
        let (names, main) = (self.protocol.figures(), self.protocol.main_figure());
        let mut header = vec!["mode".to_owned(), "scorer".to_owned()];
        header.extend(names.iter().map(|name| (*name).to_owned()));
        header.push(format!("95 % of {}", names[main]));
        header.push(format!("coverage@{SHORT_LIST}"));
        header.extend(["Gini", "novelty", "diversity", "n"].map(str::to_owned));
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![row.mode.label().to_owned(), row.scorer.clone()];
            cells.extend(row.figures.iter().map(|figure| format!("{:.4}", figure.mean)));
            cells.push(
                row.figures.get(main).map_or_else(String::new, |main| format!("{:.4}-{:.4}", main.low, main.high)),
            );
            cells.push(format!("{:.4}", row.coverage_at_20));
            cells.push(format!("{:.4}", row.gini_at_20));
            cells.push(format!("{:.2}", row.novelty_at_20));
            cells.push(row.diversity_at_20.map_or("-".to_owned(), |diversity| format!("{diversity:.4}")));
            cells.push(row.users.to_string());
            cells
        });
        std::iter::once(header).chain(rows).collect()
    }

    fn note(&self) -> String {
        let about = format!(
            "Coverage, Gini, novelty (mean self-information, bits) and diversity (1 less the mean cosine of category paths) are of \
             lists of {SHORT_LIST}."
        );
        match self.protocol {
            Protocol::Time => {
                let has_cold_items = self.rows.iter().any(|row| row.mode == Mode::ColdItems);
                let chance = match has_cold_items {
                    true => format!(" Of cold items R@{LONG_LIST} by chance is {LONG_LIST} over all items."),
                    false => String::new(),
                };
                format!(
                    "{} candidates. In the test window, without training events and so not in the main rows: {} users and {} items.{chance} {about}",
                    self.candidates, self.cold_users, self.cold_items
                )
            }
            Protocol::LeaveOneOut => format!(
                "{} candidates; the last item of each user is the target, the history before it is masked, a tie counts half a rank. \
                 {about}",
                self.candidates
            ),
        }
    }
}

/// The first columns are text, aligned to the left; the others are numbers.
const TEXT_COLUMNS: usize = 2;

fn widths(cells: &[Vec<String>]) -> Vec<usize> {
    let columns = cells.first().map_or(0, Vec::len);
    (0..columns).map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect()
}

fn padded(cells: &[String], widths: &[usize]) -> Vec<String> {
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
        let figure = |name: &str, mean| Figure { name: name.to_owned(), mean, low: mean / 2.0, high: mean };
        let row = |mode, scorer: &str, mean| Row {
            scorer: scorer.to_owned(),
            mode,
            figures: vec![figure("R@20", mean), figure("NDCG@20", 0.25), figure("R@100", 1.0)],
            coverage_at_20: 0.0,
            gini_at_20: 0.5,
            novelty_at_20: 9.5,
            diversity_at_20: (mode == Mode::Repeats).then_some(0.75),
            users: 12,
        };
        let rows = vec![row(Mode::NewOnly, "ItemKNN", 0.123_456), row(Mode::Repeats, "popularity", 0.5)];
        let protocol = Protocol::Time;
        Report { protocol, test_from_ms: Some(7), candidates: 40, cold_users: 3, cold_items: 2, rows }
    }

    #[test]
    fn writes_an_aligned_table() {
        let markdown = "\
| mode     | scorer     |   R@20 | NDCG@20 |  R@100 |  95 % of R@20 | coverage@20 |   Gini | novelty | diversity |  n |
| -------- | ---------- | -----: | ------: | -----: | ------------: | ----------: | -----: | ------: | --------: | -: |
| new only | ItemKNN    | 0.1235 |  0.2500 | 1.0000 | 0.0617-0.1235 |      0.0000 | 0.5000 |    9.50 |         - | 12 |
| repeats  | popularity | 0.5000 |  0.2500 | 1.0000 | 0.2500-0.5000 |      0.0000 | 0.5000 |    9.50 |    0.7500 | 12 |

40 candidates. In the test window, without training events and so not in the main rows: 3 users and 2 items. ";
        let written = report().to_markdown();
        assert!(written.starts_with(markdown), "{written}");
        let plain = report().to_string();
        let line =
            "new only  ItemKNN     0.1235   0.2500  1.0000  0.0617-0.1235       0.0000  0.5000     9.50          -  12";
        assert_eq!(plain.lines().nth(1), Some(line));
    }

    #[test]
    fn json_gives_the_same_report_back() {
        let json = report().to_json();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report());
        assert!(json.contains("\"mode\": \"new_only\""), "{json}");
    }
}
