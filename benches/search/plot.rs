//! Recall against microseconds as a picture: a panel for each bench set and each number of results.

use std::collections::BTreeMap;
use std::fs;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use serde_json::Value;

use crate::Outcome;
use crate::arguments::Arguments;

const PANEL: (u32, u32) = (640, 440);
const RESULTS: [u64; 2] = [10, 100];
/// Recall below it tells nobody anything.
const LEAST_RECALL: f64 = 0.8;

/// A library in a runtime: its recalls and times for one number of results.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// `bench-search plot`.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let mut sets: BTreeMap<(u64, String), Vec<Value>> = BTreeMap::new();
    for file in arguments.free() {
        let result: Value = serde_json::from_slice(&fs::read(file).map_err(|error| format!("{file}: {error}"))?)?;
        let set = result["set"].as_str().ok_or_else(|| format!("{file}: no \"set\""))?.to_owned();
        sets.entry((result["n"].as_u64().unwrap_or(0), set)).or_default().push(result);
    }
    let mut svg = String::new();
    draw(&sets, &mut svg)?;
    Ok(fs::write(arguments.path("--out")?, svg)?)
}

fn draw(sets: &BTreeMap<(u64, String), Vec<Value>>, svg: &mut String) -> Outcome<()> {
    let size = (PANEL.0 * RESULTS.len() as u32, PANEL.1 * sets.len().max(1) as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((sets.len().max(1), RESULTS.len()));
    let places = sets.iter().flat_map(|set| RESULTS.map(|k| (set, k)));
    for (panel, (((_, set), results), k)) in panels.iter().zip(places) {
        let lines: Vec<Line> =
            results.iter().map(|result| line(result, k)).filter(|line| !line.points.is_empty()).collect();
        draw_panel(panel, &format!("{set}, {k} results"), &lines)?;
    }
    root.present()?;
    Ok(())
}

fn line(result: &Value, k: u64) -> Line {
    let text = |key: &str| result[key].as_str().unwrap_or_default();
    let runtime = text("runtime").split(' ').next().unwrap_or_default();
    let points = result["points"].as_array().into_iter().flatten().filter(|point| point["k"].as_u64() == Some(k));
    // A page's clock is too coarse for single queries, so a page's time is the mean of a whole round.
    let time = if runtime == "chromium" { "mean_us" } else { "p50_us" };
    let points = points.filter_map(|point| Some((point["recall"].as_f64()?, point[time].as_f64()?)));
    let mut points: Vec<(f64, f64)> = points.filter(|&(recall, us)| recall >= LEAST_RECALL && us > 0.0).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Line { name: format!("{}, {runtime}", text("library")), points }
}

fn draw_panel(
    panel: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    caption: &str,
    lines: &[Line],
) -> Outcome<()> {
    let times = || lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let (low, high) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
    let (low, high) = if low <= high { (low / 1.5, high * 1.5) } else { (1.0, 10.0) };
    let mut chart = ChartBuilder::on(panel)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(RangedCoordf64::from(LEAST_RECALL..1.0), (low..high).log_scale())?;
    let mesh_style = BLACK.mix(0.08);
    chart
        .configure_mesh()
        .x_desc("recall")
        .y_desc("microseconds per query, one thread")
        .light_line_style(WHITE)
        .bold_line_style(mesh_style)
        .draw()?;
    for (number, Line { name, points }) in lines.iter().enumerate() {
        let colour = HSLColor(number as f64 / lines.len() as f64, 0.8, 0.4).to_rgba();
        // Ours stands out.
        let width = if name.starts_with("nearshelf") { 3 } else { 1 };
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(width)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(width)));
        chart.draw_series(points.iter().map(|&point| Circle::new(point, width + 1, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 11))
        .draw()?;
    Ok(())
}
