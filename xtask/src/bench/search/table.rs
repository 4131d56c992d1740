//! One line per library, runtime and bench set.

use super::measured::Measured;

const RECALL: f64 = 0.95;
const COLUMNS: [(&str, &str); 15] = [
    ("set", ""),
    ("library", ""),
    ("runtime", ""),
    ("k=10", "recall"),
    ("k=10", "p50 us"),
    ("k=10", "cpu us"),
    ("k=100", "recall"),
    ("k=100", "p50 us"),
    ("k=100", "cpu us"),
    ("bytes", "raw"),
    ("per item", "brotli"),
    ("load", "ms"),
    ("build", "s"),
    ("memory", "MB"),
    ("k=10 .99", "p50 us"),
];

/// Recall and times are of the cheapest setting that reaches .95, and in the last column .99.
pub(super) fn table(all: &[Measured]) -> String {
    let header =
        |part: fn(&(&'static str, &'static str)) -> &'static str| COLUMNS.each_ref().map(|c| part(c).to_owned());
    let mut lines = vec![header(|column| column.0), header(|column| column.1)];
    lines.extend(all.iter().map(line));
    let widths: [usize; 15] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let text = |line: &[String; 15]| {
        let cells = line.iter().zip(widths).enumerate();
        let padded = cells.map(
            |(column, (cell, width))| if column < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") },
        );
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(text).collect()
}

fn line(measured: &Measured) -> [String; 15] {
    let number =
        |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
    let at = |k, recall| measured.at(k, recall);
    let times = |k| {
        let point = at(k, RECALL);
        [
            number(point.map(|point| point.recall), 4),
            number(point.map(|point| point.typical_us(&measured.runtime)), 1),
            number(point.and_then(|point| point.cpu_us), 1),
        ]
    };
    let ([a, b, c], [d, e, f]) = (times(10), times(100));
    [
        measured.set.clone(),
        measured.library.clone(),
        measured.runtime.clone(),
        a,
        b,
        c,
        d,
        e,
        f,
        number(measured.per_item("bytes_raw"), 1),
        number(measured.per_item("bytes_brotli"), 1),
        number(measured.figure("load_ms"), 1),
        number(measured.figure("build_s"), 2),
        number(measured.figure("memory_bytes").map(|bytes| bytes / 1e6), 1),
        number(at(10, 0.99).map(|point| point.typical_us(&measured.runtime)), 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::measured::tests::measured;
    use super::*;

    #[test]
    fn the_table_has_a_line_per_measurement_and_leaves_out_what_is_not_there() {
        let table = table(&[measured("edgevec", "chromium", "mixture-10k", 10_000)]);
        let cells: Vec<_> = table.lines().nth(2).unwrap().split_whitespace().collect();
        let expected = [
            "mixture-10k",
            "edgevec",
            "chromium",
            "0.9700",
            "20.0",
            "-",
            "0.9500",
            "90.0",
            "-",
            "50.0",
            "40.0",
            "-",
            "2.00",
            "0.6",
            "-",
        ];
        assert_eq!(cells, expected);
    }
}
