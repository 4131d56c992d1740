//! A report as text and as Markdown.

use std::fmt::{self, Write};

use super::Report;
use super::off_policy::OffPolicy;
use super::report::{Compared, SUSPECT, VariantReport};
use crate::evaluate::Estimate;

/// As people call what [`ACTIONS`](super::ACTIONS) are per impression.
const RATES: [&str; 3] = ["click rate", "add-to-cart rate", "conversion"];

/// A table: the header, then rows as long.
type Table = Vec<Vec<String>>;

impl Report {
    /// Markdown with all tables.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n", self.title());
        for (heading, table) in self.tables() {
            let _ = writeln!(text, "\n## {heading}\n");
            for (at, row) in table.iter().enumerate() {
                let _ = writeln!(text, "| {} |", row.join(" | "));
                if at == 0 {
                    let _ = writeln!(text, "|{}", " --- |".repeat(row.len()));
                }
            }
        }
        for note in self.notes() {
            let _ = write!(text, "\n- {note}");
        }
        text + "\n"
    }

    /// All figures.
    pub fn to_json(&self) -> String {
        // What is no number is null, as JSON has it.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    fn title(&self) -> String {
        self.experiment.as_ref().map_or("Rows".to_owned(), |name| format!("Experiment {name}"))
    }

    fn tables(&self) -> Vec<(&'static str, Table)> {
        let mut tables = vec![("Rates, with 95 % intervals", self.rates())];
        if self.variants.len() > 1 {
            tables.push(("Against the first variant, with 95 % intervals", self.comparisons()));
        }
        if self.variants.iter().any(|variant| variant.off_policy.is_some()) {
            tables.push(("What the target policy would have got, with 95 % intervals", self.off_policies()));
        }
        tables
    }

    fn rates(&self) -> Table {
        let header = ["variant", "visitors", "rows", "impressions"].map(str::to_owned);
        let mut table = vec![header.into_iter().chain(RATES.map(str::to_owned)).collect()];
        for variant in &self.variants {
            let VariantReport { name, visitors, rows, impressions, rates, .. } = variant;
            let mut row = vec![name.clone(), visitors.to_string(), rows.to_string(), impressions.to_string()];
            row.extend(rates.map(percent));
            table.push(row);
        }
        table
    }

    fn comparisons(&self) -> Table {
        let mut table = vec![["variant", "rate", "difference", "lift", "p"].map(str::to_owned).to_vec()];
        for variant in &self.variants {
            for (rate, compared) in RATES.iter().zip(variant.against.iter().flatten()) {
                let Compared { difference, p_value, lift, lift_interval: (low, high), .. } = compared;
                let lift =
                    number(*lift, || format!("{:+.1} % ({:+.1} to {:+.1})", 100.0 * lift, 100.0 * low, 100.0 * high));
                let p = number(*p_value, || format!("{p_value:.4}"));
                table.push(vec![variant.name.clone(), (*rate).to_owned(), percent(*difference), lift, p]);
            }
        }
        table
    }

    fn off_policies(&self) -> Table {
        let header = ["variant", "rate", "logged", "IPS", "SNIPS", "doubly robust", "effective sample", "support"];
        let mut table = vec![header.map(str::to_owned).to_vec()];
        for variant in &self.variants {
            let Some(OffPolicy { effective, support, values, .. }) = &variant.off_policy else { continue };
            for (rate, value) in RATES.iter().zip(values) {
                let mut row = vec![variant.name.clone(), (*rate).to_owned()];
                row.extend([value.logged, value.ips, value.snips, value.doubly_robust].map(percent));
                row.extend([
                    number(*effective, || format!("{effective:.0}")),
                    number(*support, || format!("{support:.3}")),
                ]);
                table.push(row);
            }
        }
        table
    }

    /// What a reader has to know beside the figures.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(check) = &self.ratio_check {
            let counts: Vec<String> = self.variants.iter().map(|variant| variant.visitors.to_string()).collect();
            let shares: Vec<String> = check.expected.iter().map(|share| format!("{share:.3}")).collect();
            let verdict = if check.is_suspect {
                format!(
                    "SUSPECT (p < {SUSPECT}): who is counted depends on the variant; do not trust the comparison before that is explained"
                )
            } else {
                "as it should be".to_owned()
            };
            notes.push(format!(
                "sample ratio {} visitors where shares of {} were expected: chi-squared {:.2}, p {:.4}: {verdict}",
                counts.join(" : "),
                shares.join(" : "),
                check.chi_squared,
                check.p_value
            ));
        }
        let counted = [
            (
                self.in_several,
                "visitors have rows of several variants, and count in each: was the salt or were the shares changed?",
            ),
            (self.other_rows, "rows of no variant of this experiment are not in the tables"),
            (self.unattributed, "actions were not on anything that a row was seen to show"),
            (
                self.unknown_visitors,
                "rows have no visitor, and count as one each: intervals are too narrow where visitors saw several",
            ),
        ];
        notes.extend(counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
        if let Some(first) = &self.first_left_out {
            notes.push(format!("{} lines or events were left out; the first: {first}", self.left_out));
        }
        for variant in &self.variants {
            let support = variant.off_policy.as_ref().map_or(1.0, |found| found.support);
            if !(0.9..=1.1).contains(&support) {
                notes.push(format!(
                    "{}: support {support:.3} is far from 1, so the rows do not show what the target would: do not use these estimates",
                    variant.name
                ));
            }
        }
        notes
    }
}

/// A share in percent, with its interval.
fn percent(of: Estimate) -> String {
    let (low, high) = of.interval();
    number(of.value, || format!("{:.2} % ({:.2} to {:.2})", 100.0 * of.value, 100.0 * low, 100.0 * high))
}

/// A text for a number, or a dash for what is none.
fn number(value: f64, text: impl Fn() -> String) -> String {
    if value.is_finite() { text() } else { "-".to_owned() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        for (heading, table) in self.tables() {
            writeln!(f, "\n{heading}")?;
            let columns = table.first().map_or(0, Vec::len);
            let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let widths: Vec<usize> = (0..columns).map(width).collect();
            for row in &table {
                let cells: Vec<String> =
                    row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
                writeln!(f, "{}", cells.join("  ").trim_end())?;
            }
        }
        self.notes().iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}
