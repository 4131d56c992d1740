//! Reliability as a picture: what was predicted against what happened.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::RankerError;
use super::report::Chart;
use crate::metrics::CalibrationBin;

const SIDE: u32 = 360;

/// Draws a panel per task as SVG: its bins, and the diagonal on which a calibrated ranker lies.
pub(super) fn calibration(charts: &[Chart]) -> Result<String, RankerError> {
    let mut svg = String::new();
    draw(charts, &mut svg).map_err(|error| RankerError::Chart { found: error.to_string() })?;
    Ok(svg)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(charts: &[Chart], svg: &mut String) -> Drawn {
    let root = SVGBackend::with_string(svg, (SIDE * charts.len() as u32, SIDE)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (task, bins)) in root.split_evenly((1, charts.len())).iter().zip(charts) {
        panel(area, task.name(), bins).map_err(|error| error.to_string())?;
    }
    root.present()?;
    Ok(())
}

fn panel(area: &DrawingArea<SVGBackend<'_>, Shift>, task: &str, bins: &[CalibrationBin]) -> Drawn {
    let most = bins.iter().map(|bin| bin.predicted.max(bin.observed)).fold(1e-6, f64::max);
    let end = (1.05 * most).min(1.0);
    let mut chart = ChartBuilder::on(area)
        .caption(task, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(36)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..end)
        .map_err(|error| error.to_string())?;
    let mesh = chart.configure_mesh().x_desc("predicted").y_desc("happened").x_labels(5).light_line_style(WHITE).draw();
    mesh.map_err(|error| error.to_string())?;
    let diagonal = LineSeries::new([(0.0, 0.0), (end, end)], RGBColor(190, 190, 190));
    chart.draw_series(diagonal).map_err(|error| error.to_string())?;
    let points = || bins.iter().map(|bin| (bin.predicted, bin.observed));
    let colour = RGBColor(30, 70, 160);
    chart.draw_series(LineSeries::new(points(), colour)).map_err(|error| error.to_string())?;
    let dots = points().map(|point| Circle::new(point, 3, colour.filled()));
    chart.draw_series(dots).map_err(|error| error.to_string())?;
    Ok(())
}
