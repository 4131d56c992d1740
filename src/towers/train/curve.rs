//! The loss curve as a picture.

use plotters::prelude::*;

use crate::towers::TowerError;

/// Draws the loss of each step, and its moving mean, as SVG.
pub(super) fn loss_curve(losses: &[f32]) -> Result<String, TowerError> {
    let mut svg = String::new();
    draw(losses, &mut svg).map_err(|error| TowerError::Train {
        what: "loss curve",
        found: error.to_string(),
        expected: "a drawing".to_owned(),
        remedy: "report this as a defect",
    })?;
    Ok(svg)
}

fn draw(losses: &[f32], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (800, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let lowest = losses.iter().copied().fold(f32::INFINITY, f32::min);
    let highest = losses.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (lowest, highest) = if lowest < highest { (lowest, highest) } else { (0.0, 1.0) };
    let margin = 0.05 * (highest - lowest);
    let mut chart = ChartBuilder::on(&root)
        .caption("Softmax loss", ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0..losses.len().max(1), lowest - margin..highest + margin)?;
    chart.configure_mesh().x_desc("step").y_desc("nats per target").light_line_style(WHITE).draw()?;
    let points = losses.iter().copied().enumerate();
    chart.draw_series(LineSeries::new(points, RGBColor(190, 205, 235)))?;
    let mean = losses.iter().scan(None, |mean: &mut Option<f32>, loss| {
        *mean = Some(mean.map_or(*loss, |mean| 0.97 * mean + 0.03 * loss));
        *mean
    });
    chart.draw_series(LineSeries::new(mean.enumerate(), RGBColor(30, 70, 160).stroke_width(2)))?;
    root.present()?;
    Ok(())
}
