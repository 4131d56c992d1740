//! The layout planner: measures what a catalogue could be published as, and chooses.

use std::fmt;

use plotters::prelude::*;

use super::BuildError;
use crate::Digest;
use crate::data::Layout;
use crate::index::{BuildParams, FineBits, Recall, Truth, build, choose_search};
use crate::shard::{ClusterParams, Clusters, ShardContent};

/// What codes should be able to find of the best hundred by exact search. Where several can the fewest bytes decide, where none
/// can the recall.
pub const GOAL: f64 = 0.99;

/// What a visit of clusters must find of what a visit of all would, in recall@100: each further one is fetched.
pub const SHARE_OF_CLUSTERS: f64 = 0.95;

/// The most bytes of a catalogue that stays one shard unless the configuration says otherwise. A browser loads it once, behind what
/// a page shows first, and then never waits; beyond, shoppers on phones would pay for items that they never come near.
pub const MAX_SINGLE: f64 = 3.5e6;

/// Items that options are measured with, at most.
const SAMPLE: usize = 50_000;

/// One way to publish a catalogue, and what it is like.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOption {
    /// How it is cut.
    pub layout: Layout,
    /// The fine plane of its codes.
    pub fine_bits: FineBits,
    /// Bytes per item, ids and all but columns, which are the same for every option.
    pub bytes_per_item: f64,
    /// Files until the first result, without manifest and tower.
    pub first_files: usize,
    /// Their bytes.
    pub first_bytes: usize,
    /// Recall of a search of everything: what the codes can.
    pub codes: Recall,
    /// Recall of its default search.
    pub recall: Recall,
    /// Microseconds of it, for the best 100.
    pub micros: f64,
    /// Bytes until the first result and recall@100, for searches that go less far, and for it.
    pub curve: Vec<(usize, f64)>,
}

/// The options and the choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What was measured.
    pub options: Vec<PlanOption>,
    /// The place of the chosen one.
    pub chosen: usize,
    /// Items that were measured with.
    pub sample: usize,
}

/// What is planned for.
pub(super) struct Planner<'a> {
    pub(super) embeddings: &'a [f32],
    pub(super) queries: &'a [f32],
    pub(super) dim: usize,
    pub(super) ids: &'a [&'a str],
    pub(super) cluster_items: usize,
    pub(super) seed: u64,
}

impl Planner<'_> {
    /// Measures all codes in both layouts, and chooses; `layout` and `fine_bits` if they are set.
    pub(super) fn plan(&self, layout: Option<Layout>, fine_bits: Option<FineBits>) -> Result<Plan, BuildError> {
        let dim = self.dim;
        let step = self.ids.len().div_ceil(SAMPLE).max(1);
        let ids: Vec<String> = self.ids.iter().step_by(step).map(|id| (*id).to_owned()).collect();
        let vectors: Vec<f32> = self.embeddings.chunks_exact(dim).step_by(step).flatten().copied().collect();
        let queries = if self.queries.is_empty() { &vectors } else { self.queries };
        let truth = Truth::of(&vectors, &super::build::sample(queries, dim), dim)?;
        let mut options = Vec::new();
        for bits in FineBits::ALL {
            options.push(self.single(&vectors, &ids, &truth, bits)?);
            if ids.len() >= 2 * self.cluster_items {
                options.push(self.clusters(&vectors, &ids, &truth, bits)?);
            }
        }
        let chosen = choose(&options, self.ids.len(), layout, fine_bits);
        Ok(Plan { options, chosen, sample: ids.len() })
    }

    fn single(
        &self,
        vectors: &[f32],
        ids: &[String],
        truth: &Truth,
        fine_bits: FineBits,
    ) -> Result<PlanOption, BuildError> {
        let params = BuildParams { fine_bits, seed: self.seed, ..BuildParams::for_rows(ids.len()) };
        let built = build(vectors, self.queries, self.dim, &params)?;
        let (params, report) = choose_search(&built, truth)?;
        let ids = built.order.iter().map(|&row| ids[row as usize].clone()).collect::<Vec<_>>();
        let count = ids.len();
        let bytes = ShardContent { towers: Digest::of(b""), params, ids, index: built.index, columns: Vec::new() }
            .write()?
            .len();
        let point = report.points.last();
        let recall = point.map_or(report.codes, |point| point.recall);
        Ok(PlanOption {
            layout: Layout::Single,
            fine_bits,
            bytes_per_item: bytes as f64 / count.max(1) as f64,
            first_files: 1,
            first_bytes: bytes,
            codes: report.codes,
            recall,
            micros: point.map_or(0.0, |point| point.micros_at_100),
            curve: vec![(bytes, recall.at_100)],
        })
    }

    fn clusters(
        &self,
        vectors: &[f32],
        ids: &[String],
        truth: &Truth,
        fine_bits: FineBits,
    ) -> Result<PlanOption, BuildError> {
        let params = ClusterParams { items: self.cluster_items, fine_bits, seed: self.seed };
        let cut = Clusters::cut(vectors, self.queries, self.dim, ids, Digest::of(b""), &params)?;
        let (probes, report) = cut.choose_probes(truth, SHARE_OF_CLUSTERS);
        let point = report.points.last();
        let first = |bytes: usize| bytes + report.routing_bytes;
        Ok(PlanOption {
            layout: Layout::Clusters,
            fine_bits,
            bytes_per_item: report.bytes as f64 / report.items.max(1) as f64,
            first_files: 1 + probes as usize,
            first_bytes: first(point.map_or(0, |point| point.bytes)),
            codes: report.codes,
            recall: point.map_or(report.codes, |point| point.recall),
            micros: point.map_or(0.0, |point| point.micros),
            curve: report.points.iter().map(|point| (first(point.bytes), point.recall.at_100)).collect(),
        })
    }
}

/// The place of the option to publish so many items as: one shard, while that is light enough, or clusters where the catalogue can
/// be cut; `layout` and `fine_bits` if they are set.
fn choose(options: &[PlanOption], items: usize, layout: Option<Layout>, fine_bits: Option<FineBits>) -> usize {
    let reaches = |option: &PlanOption| option.codes.at_100 >= GOAL;
    let better = |a: &PlanOption, b: &PlanOption| match (reaches(a), reaches(b)) {
        (true, true) => b.first_bytes.cmp(&a.first_bytes),
        _ => a.codes.at_100.total_cmp(&b.codes.at_100),
    };
    let best = |layout| {
        let fits =
            |option: &PlanOption| option.layout == layout && fine_bits.is_none_or(|bits| bits == option.fine_bits);
        let fitting = options.iter().enumerate().filter(|(_, option)| fits(option));
        fitting.max_by(|(_, a), (_, b)| better(a, b)).map(|(at, _)| at)
    };
    let single = best(Layout::Single);
    let is_light = single.is_none_or(|at| options[at].bytes_per_item * items as f64 <= MAX_SINGLE);
    let wanted = layout.unwrap_or(if is_light { Layout::Single } else { Layout::Clusters });
    best(wanted).or(single).unwrap_or(0)
}

impl PlanOption {
    fn name(&self) -> String {
        let layout = if self.layout == Layout::Single { "single" } else { "clusters" };
        format!("{layout}, {} bits", 4 + self.fine_bits.bits())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "options, measured with {} items; > is the choice: codes for recall@100 of {GOAL} in the fewest bytes, in one \
             shard up to {} MB",
            self.sample,
            MAX_SINGLE / 1e6
        )?;
        let titles = ["bytes/item", "first files", "first bytes", "recall@10", "recall@100", "us, k=100"];
        write!(f, "  {:<18}", "")?;
        titles.iter().try_for_each(|title| write!(f, "{title:>13}"))?;
        writeln!(f)?;
        for (at, option) in self.options.iter().enumerate() {
            let PlanOption { bytes_per_item, first_files, first_bytes, recall, micros, .. } = option;
            let mark = if at == self.chosen { '>' } else { ' ' };
            writeln!(
                f,
                "{mark} {:<18}{bytes_per_item:>13.1}{first_files:>13}{first_bytes:>13}{:>13.4}{:>13.4}{micros:>13.1}",
                option.name(),
                recall.at_10,
                recall.at_100
            )?;
        }
        Ok(())
    }
}

impl Plan {
    /// Recall@100 against bytes until the first result, as SVG.
    ///
    /// # Errors
    /// [`BuildError::Plot`] if it cannot be drawn.
    pub fn to_svg(&self) -> Result<String, BuildError> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|error| BuildError::Plot { reason: error.to_string() })?;
        Ok(svg)
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, (800, 480)).into_drawing_area();
        root.fill(&WHITE)?;
        let points = || self.options.iter().flat_map(|option| option.curve.iter().copied());
        let bytes = |pick: fn(f64, f64) -> f64, from| points().map(|(bytes, _)| bytes as f64 / 1000.0).fold(from, pick);
        let (low, high) = (bytes(f64::min, f64::INFINITY), bytes(f64::max, 0.0));
        let (low, high) = if low <= high { (low / 1.3, high * 1.3) } else { (1.0, 10.0) };
        let lowest = points().map(|(_, recall)| recall).fold(0.95, f64::min);
        let mut chart = ChartBuilder::on(&root)
            .caption("Recall of a first query against the bytes it fetches", ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d((low..high).log_scale(), lowest - 0.02..1.005)?;
        let mesh = BLACK.mix(0.08);
        chart
            .configure_mesh()
            .x_desc("KB until the first result, without manifest and tower")
            .y_desc("recall@100 against exact search")
            .bold_line_style(mesh)
            .light_line_style(WHITE)
            .draw()?;
        for (at, option) in self.options.iter().enumerate() {
            let colour = Palette99::pick(at).to_rgba();
            let curve = option.curve.iter().map(|&(bytes, recall)| (bytes as f64 / 1000.0, recall));
            let name = if at == self.chosen { option.name() + ", chosen" } else { option.name() };
            let radius = if at == self.chosen { 6 } else { 3 };
            chart
                .draw_series(LineSeries::new(curve.clone(), colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            let last = option.curve.len().saturating_sub(1);
            let dots = curve
                .enumerate()
                .map(|(at, point)| Circle::new(point, if at == last { radius } else { 2 }, colour.filled()));
            chart.draw_series(dots)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .label_font(("sans-serif", 13))
            .draw()?;
        root.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(layout: Layout, fine_bits: FineBits, recall: f64, first_bytes: usize) -> PlanOption {
        let recall = Recall { at_10: recall, at_100: recall };
        PlanOption {
            layout,
            fine_bits,
            bytes_per_item: 50.0,
            first_files: 1,
            first_bytes,
            codes: recall,
            // A default search that stops early says nothing of the codes.
            recall: Recall::default(),
            micros: 1.0,
            curve: vec![(first_bytes, recall.at_100)],
        }
    }

    #[test]
    fn the_fewest_bytes_that_reach_the_goal_are_chosen_or_else_the_best_recall() {
        use FineBits::{Four, None as NoFine, Two};
        use Layout::{Clusters, Single};
        let options = [
            option(Single, NoFine, 0.94, 700),
            option(Clusters, NoFine, 0.95, 12),
            option(Single, Two, GOAL, 1000),
            option(Clusters, Two, 0.98, 37),
            option(Single, Four, 0.999, 1300),
            option(Clusters, Four, 0.985, 48),
        ];
        // Of 50 bytes each.
        let (few, many) = (70_000, 70_001);
        assert_eq!(choose(&options, few, None, None), 2);
        assert_eq!(choose(&options, many, None, None), 5, "of clusters none reaches the goal");
        assert_eq!(choose(&options, many, Some(Single), None), 2);
        assert_eq!(choose(&options, few, Some(Clusters), None), 5);
        assert_eq!(choose(&options, few, None, Some(NoFine)), 0);
        assert_eq!(choose(&options, few, Some(Layout::ByColumn), None), 2);
        // A catalogue of fewer items than two clusters.
        let small: Vec<PlanOption> = options.iter().filter(|option| option.layout == Single).cloned().collect();
        assert_eq!(choose(&small, many, None, None), 1);
        assert_eq!(choose(&small, few, Some(Clusters), Some(Four)), 2);
    }

    #[test]
    fn the_plan_marks_its_choice_in_table_and_picture() {
        let options =
            vec![option(Layout::Single, FineBits::Two, 0.97, 1000), option(Layout::Clusters, FineBits::Four, 0.99, 48)];
        let plan = Plan { options, chosen: 1, sample: 5 };
        let marked: Vec<String> =
            plan.to_string().lines().filter(|line| line.starts_with('>')).map(str::to_owned).collect();
        assert!(matches!(&marked[..], [line] if line.contains("clusters, 8 bits")), "{plan}");
        let svg = plan.to_svg().unwrap();
        assert!(svg.contains("clusters, 8 bits, chosen") && svg.contains("single, 6 bits"), "{svg}");
    }
}
