//! Charts as inline SVG. Pure: the same values give the same text.
//!
//! Colours come from the page's style by class (`s0` to `s5`), so that one drawing serves light, dark and paper.

use std::fmt::Write;

use super::axis::{Axis, Scale};
use super::page::escaped;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
/// Histograms stand two in a row.
const WIDTH_OF_BARS: f64 = 400.0;
const HEIGHT_OF_BARS: f64 = 190.0;
/// Room for the labels of the axes.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;
/// Points of a line; of more, each drawn one is the largest of several, so that no peak is lost. An hour of seconds.
const POINTS_MAX: usize = 3_600;
/// Classes in the page's style.
const COLOURS: usize = 6;
/// Height of a row of ratios.
const ROW: f64 = 24.0;
/// Room for the names of rows, and for their numbers.
const NAMES: f64 = 230.0;
const NUMBERS: f64 = 190.0;

/// What the numbers of an axis are.
#[derive(Clone, Copy)]
pub(super) struct Quantity {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
    pub(super) format: fn(f64) -> String,
}

pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// At each x, from and to: an interval around the line.
    pub(super) band: Vec<(f64, f64, f64)>,
}

impl Series {
    pub(super) fn line(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, band: Vec::new() }
    }
}

pub(super) struct LineChart<'a> {
    pub(super) title: &'a str,
    pub(super) x: Quantity,
    pub(super) y: Quantity,
    pub(super) series: &'a [Series],
    /// Of x: what lies before and behind is drawn on a darker ground (not measured).
    pub(super) measured: Option<(f64, f64)>,
}

/// Empty where there is nothing to draw.
pub(super) fn lines(chart: &LineChart<'_>) -> String {
    let series: Vec<&Series> =
        chart.series.iter().filter(|series| !series.points.is_empty()).collect();
    if series.is_empty() {
        return String::new();
    }
    let xs = series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x));
    let ys = series.iter().flat_map(|series| {
        let band = series.band.iter().flat_map(|(_, from, to)| [*from, *to]);
        series.points.iter().map(|(_, y)| *y).chain(band)
    });
    let mut x = Axis::around(chart.x.scale, xs.clone()).over(LEFT, WIDTH - RIGHT);
    if chart.x.scale == Scale::Linear {
        // Time has the ends that it has.
        x.from = xs.clone().fold(f64::INFINITY, f64::min);
        x.to = xs.fold(x.from + 1.0, f64::max);
    }
    let y = Axis::around(chart.y.scale, ys).over(HEIGHT - BOTTOM, TOP);
    let mut svg = open((WIDTH, HEIGHT), chart.title);
    if let Some((from, to)) = chart.measured {
        for (begin, end) in [(x.from, from), (to, x.to)] {
            if end > begin {
                let (left, right) = (x.at(begin), x.at(end));
                rectangle(&mut svg, "aside", (left, TOP), (right - left, HEIGHT - BOTTOM - TOP));
            }
        }
    }
    frame(&mut svg, &x, &y, (&chart.x, &chart.y));
    for (at, series) in series.iter().enumerate() {
        let colour = at % COLOURS;
        if !series.band.is_empty() {
            let there = series.band.iter().map(|(at, _, to)| (x.at(*at), y.at(*to)));
            let back = series.band.iter().rev().map(|(at, from, _)| (x.at(*at), y.at(*from)));
            let _ = write!(
                svg,
                r#"<polygon class="band s{colour}" points="{}"/>"#,
                points(there.chain(back))
            );
        }
        let drawn = thinned(&series.points);
        let places = drawn.iter().map(|(at, value)| (x.at(*at), y.at(*value)));
        let _ = write!(svg, r#"<polyline class="line s{colour}" points="{}"/>"#, points(places));
    }
    svg.push_str("</svg>");
    figure(chart.title, &svg, series.iter().map(|series| series.name.as_str()))
}

/// A bar from one x to another, that high.
pub(super) struct Bar {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) height: f64,
}

/// A histogram.
pub(super) fn bars(title: &str, (x, y): (Quantity, Quantity), all: &[Bar]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let height = HEIGHT_OF_BARS;
    let across = Axis::around(x.scale, all.iter().flat_map(|bar| [bar.from, bar.to]));
    let across = across.over(LEFT, WIDTH_OF_BARS - RIGHT);
    let up = Axis::around(y.scale, all.iter().map(|bar| bar.height)).over(height - BOTTOM, TOP);
    let mut svg = open((WIDTH_OF_BARS, height), title);
    frame(&mut svg, &across, &up, (&x, &y));
    for bar in all {
        let (left, right) = (across.at(bar.from), across.at(bar.to));
        let (top, bottom) = (up.at(bar.height), up.at(up.from));
        let size = ((right - left).max(1.0), (bottom - top).max(1.0));
        rectangle(&mut svg, "bar s0", (left, bottom - size.1), size);
    }
    svg.push_str("</svg>");
    figure(title, &svg, std::iter::empty())
}

/// A ratio with its interval.
pub(super) struct RatioRow {
    pub(super) name: String,
    pub(super) ratio: f64,
    pub(super) from: f64,
    pub(super) to: f64,
    /// What stands behind it.
    pub(super) text: String,
}

/// Bars from 1 to each ratio, with whiskers as long as the interval, on one logarithmic axis.
pub(super) fn ratios(title: &str, rows: &[RatioRow]) -> String {
    let is_drawable = |row: &&RatioRow| row.ratio > 0.0 && row.ratio.is_finite();
    let rows: Vec<&RatioRow> = rows.iter().filter(is_drawable).collect();
    if rows.is_empty() {
        return String::new();
    }
    let values = rows.iter().flat_map(|row| [row.ratio, row.from, row.to]);
    let axis = Axis::around(Scale::Log, values.chain([0.5, 2.0])).over(NAMES, WIDTH - NUMBERS);
    let bottom = TOP + rows.len() as f64 * ROW;
    let mut svg = open((WIDTH, bottom + BOTTOM), title);
    for tick in axis.ticks() {
        let at = axis.at(tick);
        line(&mut svg, if tick == 1.0 { "one" } else { "grid" }, (at, TOP), (at, bottom));
        text(&mut svg, "middle", (at, bottom + 15.0), &format!("{tick}×"));
    }
    for (at, row) in rows.iter().enumerate() {
        let middle = TOP + (at as f64 + 0.5) * ROW;
        let (one, ratio) = (axis.at(1.0), axis.at(row.ratio));
        let place = (one.min(ratio), middle - ROW * 0.3);
        rectangle(&mut svg, "bar s0", place, ((ratio - one).abs().max(1.0), ROW * 0.6));
        let (from, to) = (axis.at(row.from), axis.at(row.to));
        line(&mut svg, "whisker", (from, middle), (to, middle));
        for end in [from, to] {
            line(&mut svg, "whisker", (end, middle - 4.0), (end, middle + 4.0));
        }
        text(&mut svg, "end", (NAMES - 10.0, middle + 4.0), &row.name);
        text(&mut svg, "start", (WIDTH - NUMBERS + 10.0, middle + 4.0), &row.text);
    }
    svg.push_str("</svg>");
    figure(title, &svg, std::iter::empty())
}

fn figure<'a>(title: &str, svg: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut html = format!("<figure><figcaption>{}", escaped(title));
    for (at, name) in names.enumerate() {
        let colour = at % COLOURS;
        let _ =
            write!(html, r#" <span class="key"><i class="s{colour}"></i>{}</span>"#, escaped(name));
    }
    html + "</figcaption>" + svg + "</figure>\n"
}

fn open((width, height): (f64, f64), title: &str) -> String {
    format!(r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#, escaped(title))
}

fn frame(svg: &mut String, x: &Axis, y: &Axis, (across, up): (&Quantity, &Quantity)) {
    for tick in y.ticks() {
        let at = y.at(tick);
        line(svg, "grid", (x.start, at), (x.end, at));
        text(svg, "end", (x.start - 6.0, at + 4.0), &shortened((up.format)(tick)));
    }
    for tick in x.ticks() {
        let at = x.at(tick);
        line(svg, "grid", (at, y.end), (at, y.start));
        text(svg, "middle", (at, y.start + 15.0), &shortened((across.format)(tick)));
    }
    text(svg, "end", (x.end, y.start + 31.0), across.label);
    text(svg, "start", (2.0, y.start + 31.0), up.label);
}

/// Ticks are round numbers: no digits behind the point that say nothing.
fn shortened(number: String) -> String {
    match number.split_once(".00") {
        Some((whole, unit)) if unit.is_empty() || unit.starts_with(' ') => format!("{whole}{unit}"),
        _ => number,
    }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        svg,
        r#"<line class="{class}" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn rectangle(svg: &mut String, class: &str, at: (f64, f64), size: (f64, f64)) {
    let _ = write!(
        svg,
        r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}"/>"#,
        at.0, at.1, size.0, size.1
    );
}

fn text(svg: &mut String, anchor: &str, at: (f64, f64), content: &str) {
    let _ = write!(
        svg,
        r#"<text text-anchor="{anchor}" x="{:.1}" y="{:.1}">{}</text>"#,
        at.0,
        at.1,
        escaped(content)
    );
}

fn points(places: impl Iterator<Item = (f64, f64)>) -> String {
    let mut text = String::new();
    for (x, y) in places {
        if !text.is_empty() {
            text.push(' ');
        }
        let _ = write!(text, "{x:.1},{y:.1}");
    }
    text
}

/// As many as can be drawn.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let of_one = points.len().div_ceil(POINTS_MAX).max(1);
    let largest = |points: &[(f64, f64)]| points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(of_one).filter_map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        Bar, LineChart, POINTS_MAX, Quantity, RatioRow, Scale, Series, bars, lines, ratios,
    };

    const SECONDS: Quantity =
        Quantity { label: "seconds", scale: Scale::Linear, format: |value| value.to_string() };

    fn drawn(series: &[Series]) -> String {
        let chart = LineChart {
            title: "rate <of> things",
            x: SECONDS,
            y: SECONDS,
            series,
            measured: Some((2.0, 5.0)),
        };
        lines(&chart)
    }

    fn points_of(svg: &str) -> Vec<usize> {
        let lines = svg.split("<polyline").skip(1);
        lines
            .map(|line| line.split("points=\"").nth(1).unwrap().split('"').next().unwrap())
            .map(|points| points.split(' ').count())
            .collect()
    }

    #[test]
    fn a_line_has_a_point_for_each_sample() {
        let line =
            |count: u32| Series::line("a & b", (0..count).map(|at| (f64::from(at), 1.0)).collect());
        let svg = drawn(&[line(7), line(0), line(31)]);
        assert_eq!(points_of(&svg), [7, 31], "one without samples is not drawn");
        assert!(svg.contains("rate &lt;of&gt; things") && svg.contains("a &amp; b"));
        assert_eq!(svg.matches(r#"class="aside""#).count(), 2, "warm-up and draining");
        assert_eq!(drawn(&[line(0)]), "");
    }

    #[test]
    fn a_long_line_loses_points_but_no_peak() {
        let mut points: Vec<(f64, f64)> =
            (0..POINTS_MAX as u32 * 3).map(|at| (f64::from(at), 1.0)).collect();
        points[5_001].1 = 100.0;
        let svg = drawn(&[Series::line("a", points)]);
        assert_eq!(points_of(&svg), [POINTS_MAX]);
        let top = format!(",{:.1}", super::TOP);
        assert!(svg.contains(&top), "the peak is at the top");
    }

    #[test]
    fn each_class_has_a_bar_and_each_ratio_a_bar_and_whiskers() {
        let classes: Vec<Bar> = (1..5)
            .map(|at| Bar { from: f64::from(at), to: f64::from(at + 1), height: f64::from(at) })
            .collect();
        let svg = bars("histogram", (SECONDS, SECONDS), &classes);
        assert_eq!(svg.matches("class=\"bar").count(), 4);
        let row = |ratio| RatioRow {
            name: "throughput".to_owned(),
            ratio,
            from: ratio * 0.9,
            to: ratio * 1.1,
            text: "3.1×".to_owned(),
        };
        let svg = ratios("ratios", &[row(3.0), row(0.2), row(f64::NAN)]);
        assert_eq!(svg.matches("class=\"bar").count(), 2, "what is no number is not drawn");
        assert_eq!(svg.matches("class=\"whisker").count(), 6);
        assert_eq!(svg.matches("class=\"one").count(), 1, "the line of equality");
    }
}
