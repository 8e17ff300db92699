//! Curves over the steps of a training, as SVG to put into a page.
//!
//! The page gives texts its own colour; all else is drawn in colours that show
//! on light and dark ground.

use super::history::{Point, smooth};
use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;

/// Size in the plot's own units. The backend rounds to whole ones, so they are
/// small: a page shows about three a pixel.
const SIZE: (u32, u32) = (1440, 840);

/// Height of texts, in those units; a page may change it.
const TEXT: f64 = 48.0;

const GRID: RGBColor = RGBColor(128, 128, 128);

/// A picture of some curves.
pub struct Plot {
    /// What it shows.
    pub title: &'static str,
    /// The picture.
    pub svg: String,
    /// What the curves show, if they are several, with their colours in CSS.
    pub legend: Vec<(&'static str, String)>,
}

/// A value over the steps.
pub struct Curve {
    /// What it shows.
    pub name: &'static str,
    /// Its values.
    pub points: Vec<Point>,
}

/// What the values go along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0
    Linear,
    /// Powers of ten; values that are not above 0 are left out
    Logarithmic,
}

impl Plot {
    /// The curves, smoothed, and faintly as they are. None if there is nothing
    /// to show.
    ///
    /// # Errors
    /// The library cannot draw it.
    pub fn new(
        title: &'static str,
        scale: Scale,
        curves: Vec<Curve>,
    ) -> anyhow::Result<Option<Self>> {
        // The first of several is the sum of the others.
        let first = usize::from(curves.len() == 1);
        let mut curves: Vec<(usize, Curve)> = (first..).zip(curves).collect();
        for (_, curve) in &mut curves {
            let shown = |v: f64| v.is_finite() && (scale == Scale::Linear || v > 0.0);
            curve.points.retain(|(_, value)| shown(*value));
        }
        curves.retain(|(_, curve)| !curve.points.is_empty());
        let points = || curves.iter().flat_map(|(_, curve)| &curve.points);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold(f64::MAX..f64::MIN, |range, v| {
                range.start.min(v)..range.end.max(v)
            })
        };
        let steps = range(&mut points().map(|(step, _)| *step));
        let values = range(&mut points().map(|(_, value)| *value));
        if curves.is_empty() {
            return Ok(None);
        }
        let steps = steps.start.min(steps.end - 1.0)..steps.end;
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        match scale {
            Scale::Linear => draw(&area, steps, 0.0..(values.end * 1.1).max(1e-9), &curves),
            Scale::Logarithmic => {
                let values = values.start / 1.3..values.end * 1.3;
                draw(&area, steps, values.log_scale(), &curves)
            }
        }
        .map_err(|error| anyhow!("cannot draw {title}: {error}"))?;
        drop(area);
        let legend = curves.iter().map(|(i, curve)| {
            let RGBColor(r, g, b) = color(*i);
            (curve.name, format!("rgb({r} {g} {b})"))
        });
        let legend = legend.collect::<Vec<_>>();
        Ok(Some(Plot {
            title,
            svg,
            legend: if legend.len() > 1 { legend } else { Vec::new() },
        }))
    }
}

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn draw<Y>(
    area: &DrawingArea<SVGBackend, Shift>,
    steps: Range<f64>,
    values: Y,
    curves: &[(usize, Curve)],
) -> Result
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .margin_top(TEXT / 2.0)
        .margin_right(TEXT)
        .x_label_area_size(TEXT * 1.4)
        .y_label_area_size(TEXT * 3.0)
        .build_cartesian_2d(steps, values)?;
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|step| short(*step))
        .y_label_formatter(&|value| short(*value))
        .label_style(("sans-serif", TEXT))
        .axis_style(GRID.mix(0.8).stroke_width(2))
        .bold_line_style(GRID.mix(0.3).stroke_width(2))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (i, curve) in curves {
        let raw = color(*i).mix(0.25).stroke_width(2);
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), raw))?;
    }
    for (i, curve) in curves {
        // The sum lies close to the largest part, and shows behind it.
        let line = match i {
            0 => color(*i).mix(0.5).stroke_width(16),
            _ => color(*i).stroke_width(6),
        };
        chart.draw_series(LineSeries::new(smooth(&curve.points), line))?;
    }
    area.present()?;
    Ok(())
}

/// Colours that are easy to distinguish on light and dark backgrounds.
fn color(i: usize) -> RGBColor {
    const COLORS: [RGBColor; 6] = [
        RGBColor(120, 130, 140),
        RGBColor(56, 132, 232),
        RGBColor(226, 92, 50),
        RGBColor(40, 160, 100),
        RGBColor(165, 100, 220),
        RGBColor(205, 150, 20),
    ];
    COLORS[i % COLORS.len()]
}

/// A number in few characters, rounded to four digits: `0.25`, `40k`, `1e-5`.
fn short(value: f64) -> String {
    let value = format!("{value:.3e}").parse().unwrap_or(value);
    match value.abs() {
        0.0 => "0".into(),
        v if !(1e-3..1e6).contains(&v) => format!("{value:e}"),
        v if v >= 1e4 => format!("{}k", value / 1e3),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &'static str, values: &[f64]) -> Curve {
        let points = values.iter().enumerate().map(|(i, v)| (i as f64 + 1.0, *v));
        Curve {
            name,
            points: points.collect(),
        }
    }

    #[test]
    fn values_without_a_logarithm_are_left_out() -> anyhow::Result<()> {
        let curves = || {
            vec![
                curve("a", &[5.0, 0.0, 2.0]),
                curve("b", &[0.0, -1.0, f64::NAN]),
                curve("c", &[1.0, 1.0, 1e9]),
            ]
        };
        let names = |plot: Option<Plot>| {
            let plot = plot.expect("a plot");
            assert!(plot.svg.contains("<polyline"), "{}", plot.svg);
            plot.legend
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            names(Plot::new("x", Scale::Logarithmic, curves())?),
            ["a", "c"]
        );
        assert_eq!(
            names(Plot::new("x", Scale::Linear, curves())?),
            ["a", "b", "c"]
        );
        assert!(Plot::new("x", Scale::Linear, vec![curve("a", &[])])?.is_none());
        // A curve alone needs no legend, and one point is enough.
        assert!(names(Plot::new("x", Scale::Linear, vec![curve("a", &[0.0])])?).is_empty());
        assert!(
            names(Plot::new(
                "x",
                Scale::Logarithmic,
                vec![curve("a", &[3.0])]
            )?)
            .is_empty()
        );
        Ok(())
    }

    #[test]
    fn axis_numbers_are_short() {
        let numbers = [0.0, 0.1 + 0.2, 0.001, 1e-5, 2500.0, 12_500.0, 4e6];
        assert_eq!(
            numbers.map(short),
            ["0", "0.3", "0.001", "1e-5", "2500", "12.5k", "4e6"]
        );
    }
}
