//! Rates of variants as a picture.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{ExperimentsError, Report};
use crate::evaluate::Estimate;

const SIDE: u32 = 300;
const TITLES: [&str; 3] = ["clicks, %", "put into the cart, %", "bought, %"];

impl Report {
    /// A panel per rate as SVG: the variants' rates and intervals.
    ///
    /// # Errors
    /// [`ExperimentsError::Chart`].
    pub fn to_svg(&self) -> Result<String, ExperimentsError> {
        let mut svg = String::new();
        draw(self, &mut svg).map_err(|error| ExperimentsError::Chart { found: error.to_string() })?;
        Ok(svg)
    }
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(report: &Report, svg: &mut String) -> Drawn {
    let root = SVGBackend::with_string(svg, (SIDE * TITLES.len() as u32, SIDE)).into_drawing_area();
    root.fill(&WHITE)?;
    for (at, (area, title)) in root.split_evenly((1, TITLES.len())).iter().zip(TITLES).enumerate() {
        let rates: Vec<(&str, Estimate)> =
            report.variants.iter().map(|variant| (variant.name.as_str(), variant.rates[at])).collect();
        panel(area, title, &rates).map_err(|error| error.to_string())?;
    }
    root.present()?;
    Ok(())
}

fn panel(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, rates: &[(&str, Estimate)]) -> Drawn {
    let ends = |rate: &Estimate| {
        let (low, high) = if rate.error.is_finite() { rate.interval() } else { (rate.value, rate.value) };
        [low, rate.value, high].map(|share| if share.is_finite() { 100.0 * share } else { 0.0 })
    };
    let most = rates.iter().map(|(_, rate)| ends(rate)[2]).fold(1e-6, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(36)
        .y_label_area_size(46)
        .build_cartesian_2d(-0.5..rates.len() as f64 - 0.5, 0.0..1.1 * most)
        .map_err(|error| error.to_string())?;
    let name = |at: &f64| {
        let whole = (at.round() - at).abs() < 1e-6;
        rates.get(at.round().max(0.0) as usize).filter(|_| whole).map_or(String::new(), |(name, _)| (*name).to_owned())
    };
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(rates.len()).x_label_formatter(&name).y_labels(5).disable_x_mesh().light_line_style(WHITE);
    mesh.draw().map_err(|error| error.to_string())?;
    let colour = RGBColor(30, 70, 160);
    for (at, (_, rate)) in rates.iter().enumerate() {
        let ([low, middle, high], at) = (ends(rate), at as f64);
        chart.draw_series(LineSeries::new([(at, low), (at, high)], colour)).map_err(|error| error.to_string())?;
        chart.draw_series([Circle::new((at, middle), 4, colour.filled())]).map_err(|error| error.to_string())?;
    }
    Ok(())
}
