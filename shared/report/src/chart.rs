//! Charts as inline SVG.
//!
//! They are drawn small, so that their text can be read on a phone, and scale up. Their colours are those of a light page;
//! the style sheet gives each of them its counterpart for a dark one.

use crate::{trend::TrendPoint, words};
use askama::Template;
use plotters::{
    coord::Shift,
    drawing::DrawingAreaErrorKind,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

const INK: RGBColor = RGBColor(0x1c, 0x21, 0x28);
const GRID: RGBColor = RGBColor(0xd5, 0xda, 0xe0);
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const ORANGE: RGBColor = RGBColor(0xb3, 0x52, 0x09);

/// How wide a chart is drawn.
const WIDTH: u32 = 480;
/// How high a bar is, with the room around it.
const BAR: u32 = 30;
/// How high a chart of lines is.
const LINES: u32 = 220;
/// plotters writes font sizes divided by 1.24.
const FONT: f64 = 14.0 * 1.24;
/// The room left of the bars, and the most signs of a name that fit into it.
const NAMES: (i32, usize) = (170, 22);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Why a chart could not be drawn.
pub(crate) type Fault = DrawingAreaErrorKind<std::io::Error>;

/// A chart with what it says in words.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    id: &'static str,
    title: &'static str,
    description: String,
    width: u32,
    height: u32,
    /// What plotters drew: it escapes what it writes.
    drawing: String,
}

impl askama::filters::HtmlSafe for Chart {}

impl Chart {
    /// Bars from the left, one for each name. Nothing if there is nothing to show.
    pub(crate) fn bars(id: &'static str, title: &'static str, bars: &[(String, u64)]) -> Result<Option<Self>, Fault> {
        let Some(most) = bars.iter().map(|(_, count)| *count).max().filter(|most| *most > 0) else { return Ok(None) };
        let height = u32::try_from(bars.len()).unwrap_or(u32::MAX).saturating_mul(BAR);
        let drawing = draw(height, |area| {
            let (x, y) = (0.0..most as f64, 0.0..bars.len() as f64);
            let chart = ChartBuilder::on(area).margin_left(NAMES.0).margin_right(90).build_cartesian_2d(x, y)?;
            let area = chart.plotting_area();
            for (row, (name, count)) in bars.iter().rev().enumerate() {
                let (row, name) = (row as f64, words::shown(name, NAMES.1));
                // What is there is seen, however small it is.
                let length = if *count == 0 { 0.0 } else { (*count as f64).max(most as f64 / 200.0) };
                area.draw(&Rectangle::new([(0.0, row + 0.2), (length, row + 0.8)], ORANGE.filled()))?;
                area.draw(&(EmptyElement::at((0.0, row + 0.5)) + Text::new(name, (-8, 0), font(HPos::Right))))?;
                let count = Text::new(words::number(*count), (6, 0), font(HPos::Left));
                area.draw(&(EmptyElement::at((length, row + 0.5)) + count))?;
            }
            area.draw(&PathElement::new([(0.0, 0.0), (0.0, bars.len() as f64)], INK))
        })?;
        let said = bars.iter().map(|(name, count)| format!("{}: {}", words::shown(name, 80), words::number(*count)));
        let description = format!("{}.", said.collect::<Vec<_>>().join(", "));
        Ok(Some(Self { id, title, description, width: WIDTH, height, drawing }))
    }

    /// The share that matched, batch by batch. Nothing of less than two batches.
    pub(crate) fn matched_share(trend: &[TrendPoint]) -> Result<Option<Self>, Fault> {
        // In hundredths of a percent: whole numbers give straight labels.
        let share = |point: &TrendPoint| Some(words::basis_points(point.matched, point.records)?.min(10_000) as f64);
        let shares: Vec<_> = trend.iter().map(share).collect();
        let lowest = shares.iter().flatten().copied().fold(9_990.0, f64::min);
        // A little room, so that nothing lies on an edge.
        let room = (10_000.0 - lowest) / 20.0;
        let range = (lowest - room).max(0.0)..10_000.0 + room;
        let places = if lowest < 9_500.0 { 0 } else { 2 };
        let label = |y: &f64| format!("{:.places$} %", y / 100.0);
        Self::lines("share", "Share that matched", BLUE, trend, &shares, range, &label)
    }

    /// How many differed, batch by batch. Nothing of less than two batches.
    pub(crate) fn differences(trend: &[TrendPoint]) -> Result<Option<Self>, Fault> {
        let counts: Vec<_> = trend.iter().map(|point| Some(point.differing as f64)).collect();
        let most = counts.iter().flatten().copied().fold(4.0, f64::max);
        let whole = |y: &f64| words::number(*y as u64);
        Self::lines("differing", "How many differed", ORANGE, trend, &counts, 0.0..most * 1.05, &whole)
    }

    fn lines(
        id: &'static str,
        title: &'static str,
        colour: RGBColor,
        trend: &[TrendPoint],
        values: &[Option<f64>],
        range: std::ops::Range<f64>,
        label: &dyn Fn(&f64) -> String,
    ) -> Result<Option<Self>, Fault> {
        let ([first, .., last], true) = (trend, values.iter().flatten().count() > 1) else { return Ok(None) };
        let points: Vec<_> =
            values.iter().enumerate().filter_map(|(index, value)| Some((index as f64, (*value)?))).collect();
        let day = |x: &f64| {
            let point = trend.get(x.round() as usize);
            point.map(|point| point.finished_at.strftime("%m-%d").to_string()).unwrap_or_default()
        };
        let drawing = draw(LINES, |area| {
            let mut builder = ChartBuilder::on(area);
            builder.margin(10).margin_right(24).x_label_area_size(30).y_label_area_size(74);
            let mut chart = builder.build_cartesian_2d(0.0..(trend.len() - 1) as f64, range)?;
            let mut mesh = chart.configure_mesh();
            mesh.disable_x_mesh().bold_line_style(GRID).light_line_style(TRANSPARENT).axis_style(INK);
            mesh.label_style(("sans-serif", FONT).into_font().color(&INK)).x_labels(4).y_labels(5);
            mesh.x_label_formatter(&day).y_label_formatter(label).draw()?;
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            Ok(())
        })?;
        let said = |value: Option<&Option<f64>>| value.copied().flatten().map_or("nothing".to_owned(), |y| label(&y));
        let description = format!(
            "{} batches, from {} on {} to {} on {}.",
            trend.len(),
            said(values.first()),
            first.finished_at.strftime("%Y-%m-%d"),
            said(values.last()),
            last.finished_at.strftime("%Y-%m-%d"),
        );
        Ok(Some(Self { id, title, description, width: WIDTH, height: LINES, drawing }))
    }
}

fn font(h_pos: HPos) -> TextStyle<'static> {
    ("sans-serif", FONT).into_font().color(&INK).pos(Pos::new(h_pos, VPos::Center))
}

/// Draws, and takes off the outermost element: the page writes its own, with a title and a description.
fn draw(height: u32, paint: impl FnOnce(&Area<'_>) -> Result<(), Fault>) -> Result<String, Fault> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    paint(&area)?;
    area.present()?;
    drop(area);
    let inner = svg.split_once('>').and_then(|(_, rest)| rest.trim_end().strip_suffix("</svg>"));
    Ok(inner.unwrap_or_default().trim().to_owned())
}
