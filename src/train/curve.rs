//! Losses and scores over steps as a picture: SVG for a browser or a printed page.
//!
//! A picture has one panel over the other, which share their steps. The axis of losses is logarithmic, because one panel
//! holds sums of tens beside terms of hundredths; that of scores is linear. Each line has a colour (Okabe and Ito's, which
//! colour-blind readers tell apart), a dash of its own for black and white, and its name at its end.

mod axes;

use std::fmt::Write;

use self::axes::{Axes, escaped, short};

/// Lines that share an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What the axis measures.
    pub label: String,
    /// How it does.
    pub scale: Scale,
    /// In the order of their colours.
    pub series: Vec<Series>,
}

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// For values above 0; others are left out.
    Logarithmic,
    /// For any.
    Linear,
}

/// A line of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Steps done and a value, in order.
    pub points: Vec<(u64, f64)>,
    /// Measured now and then: drawn with a mark at each point, and never smoothed.
    pub marked: bool,
    /// The step whose value was chosen: its mark is filled.
    pub best: Option<u64>,
    /// Steps with the least and the highest value of an area around the line.
    pub band: Vec<(u64, f64, f64)>,
}

const WIDTH: f64 = 960.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 64.0;
/// The height of the first panel, and of those below it.
const HEIGHTS: [f64; 2] = [420.0, 240.0];
/// Between two panels.
const GAP: f64 = 28.0;
const COLOURS: [&str; 7] = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const DASHES: [&str; 5] = ["", "8 3", "2 3", "9 3 2 3", "16 4"];
/// More points than this are noise: their running mean is drawn over them.
const SMOOTH_FROM: usize = 60;
/// No page shows more points than this.
const MOST: usize = 2000;
/// The least distance of two names, in pixels.
const LINE: f64 = 17.0;

/// The picture. Values that an axis cannot hold are left out, as are lines and panels without any other.
pub fn picture(title: &str, panels: &[Panel]) -> String {
    let mut shown: Vec<Panel> = panels.iter().map(drawable).filter(|panel| !panel.series.is_empty()).collect();
    if shown.is_empty() {
        shown.push(Panel { label: "loss (logarithmic)".into(), scale: Scale::Logarithmic, series: Vec::new() });
    }
    let height_of = |number: usize| HEIGHTS[number.min(1)];
    let heights: f64 = (0..shown.len()).map(height_of).sum();
    let height = TOP + heights + GAP * (shown.len() - 1) as f64 + BOTTOM;
    let steps = shown.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
    let steps = steps.map(|(step, _)| *step).max().unwrap_or(1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"Helvetica, Arial, \
         sans-serif\" font-size=\"13\" fill=\"#222\">\n<title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{height}\" \
         fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"30\" font-size=\"17\" font-weight=\"bold\">{0}</text>\n",
        escaped(title)
    );
    let (mut top, mut style) = (TOP, 0);
    for (number, panel) in shown.iter().enumerate() {
        let axes = Axes::of(panel.scale, &panel.series, steps, top, top + height_of(number));
        axes.draw(&mut svg, panel, number + 1 == shown.len());
        draw_lines(&mut svg, panel, &axes, style);
        style += panel.series.len();
        top = axes.bottom + GAP;
    }
    svg.push_str("</svg>\n");
    svg
}

#[derive(Clone, Copy)]
struct Style {
    colour: &'static str,
    dash: &'static str,
}

/// All lines of a panel with their names; styles are counted through the picture.
fn draw_lines(svg: &mut String, panel: &Panel, axes: &Axes, first: usize) {
    let mut names = Vec::new();
    for (number, series) in (first..).zip(&panel.series) {
        let style = Style { colour: COLOURS[number % COLOURS.len()], dash: DASHES[number % DASHES.len()] };
        let last = draw(svg, series, axes, style);
        let chosen = series.points.iter().find(|(step, _)| series.best == Some(*step));
        let best = chosen.map_or(String::new(), |(_, value)| format!(", best {}", short(*value)));
        names.push((axes.y(last), format!("{} {}{best}", series.name, short(last)), style));
    }
    draw_names(svg, axes, names);
}

/// A line; tells the value that it comes to.
fn draw(svg: &mut String, series: &Series, axes: &Axes, Style { colour, dash }: Style) -> f64 {
    let path = |points: &[(f64, f64)]| {
        let mut path = String::new();
        let every = points.len().div_ceil(MOST).max(1);
        for (i, (step, value)) in points.iter().enumerate().filter(|(i, _)| i % every == 0 || i + 1 == points.len()) {
            let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, axes.x(*step), axes.y(*value));
        }
        path
    };
    if !series.band.is_empty() {
        let upper = series.band.iter().map(|(step, _, high)| (*step as f64, *high));
        let lower = series.band.iter().rev().map(|(step, low, _)| (*step as f64, *low));
        let around = path(&upper.chain(lower).collect::<Vec<_>>());
        let _ = writeln!(svg, "<path d=\"{around}Z\" fill=\"{colour}\" fill-opacity=\"0.15\"/>");
    }
    let points: Vec<(f64, f64)> = series.points.iter().map(|(step, value)| (*step as f64, *value)).collect();
    let smooth = if series.marked || points.len() < SMOOTH_FROM { points.clone() } else { means(&points) };
    if smooth != points {
        let noise = path(&points);
        let _ = writeln!(svg, "<path d=\"{noise}\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.25\"/>");
    }
    let _ = writeln!(
        svg,
        "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-linejoin=\"round\" \
         stroke-dasharray=\"{dash}\"/>",
        path(&smooth)
    );
    if series.marked || points.len() == 1 {
        for (step, value) in &series.points {
            let (x, y) = (axes.x(*step as f64), axes.y(*value));
            let fill = if series.best == Some(*step) { colour } else { "#fff" };
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            );
        }
    }
    smooth.last().map_or(0.0, |(_, value)| *value)
}

/// The names at the ends of their lines, moved apart where they would cover each other.
fn draw_names(svg: &mut String, axes: &Axes, mut names: Vec<(f64, String, Style)>) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lowest = axes.bottom - LINE * (names.len().saturating_sub(1)) as f64;
    let mut free = axes.top;
    for (i, (y, name, Style { colour, dash })) in names.into_iter().enumerate() {
        let place = y.max(free).min(lowest + LINE * i as f64);
        free = place + LINE;
        let (from, to) = (WIDTH - RIGHT + 6.0, WIDTH - RIGHT + 40.0);
        let _ = writeln!(
            svg,
            "<path d=\"M{from} {place:.1}H{to}\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            to + 6.0,
            place + 4.5,
            escaped(&name)
        );
    }
}

/// The mean of each point and those around it, a tenth of all. At the start, where losses fall fast, as many on either side; at
/// the end those before it, so that what the line comes to is no single step.
fn means(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let around = (points.len() / 20).max(2);
    let mean = |i: usize| {
        let before = around.min(i);
        let near = &points[i - before..=i + before.min(points.len() - 1 - i)];
        near.iter().map(|(_, value)| value).sum::<f64>() / near.len() as f64
    };
    (0..points.len()).map(|i| (points[i].0, mean(i))).collect()
}

/// The panel with what its axis can hold.
fn drawable(panel: &Panel) -> Panel {
    let fits = |value: f64| value.is_finite() && (panel.scale == Scale::Linear || value > 0.0);
    let line = |series: &Series| Series {
        points: series.points.iter().copied().filter(|(_, value)| fits(*value)).collect(),
        band: series.band.iter().copied().filter(|(_, low, high)| fits(*low) && fits(*high)).collect(),
        ..series.clone()
    };
    let series = panel.series.iter().map(line).filter(|series| !series.points.is_empty()).collect();
    Panel { series, ..panel.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(scale: Scale, series: &[(&str, &[(u64, f64)])]) -> Panel {
        let line = |(name, points): &(&str, &[(u64, f64)])| Series {
            name: (*name).into(),
            points: points.to_vec(),
            ..Series::default()
        };
        Panel { label: "axis".into(), scale, series: series.iter().map(line).collect() }
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let losses =
            panel(Scale::Logarithmic, &[("x & y", &[(1, 2.0), (2, 1.0)]), ("hidden", &[(1, 0.0), (2, f64::NAN)])]);
        let svg = picture("a < b", &[losses]);
        assert!(
            svg.contains("a &lt; b") && svg.contains("x &amp; y") && !svg.contains("hidden") && !svg.contains("NaN")
        );
        assert!(picture("nothing", &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn panels_share_their_steps_and_not_their_values() {
        let losses = panel(Scale::Logarithmic, &[("loss", &[(1, 8.0), (40, 2.0)])]);
        let mut scores = panel(Scale::Linear, &[("F1", &[(20, 0.0), (40, 60.0)])]);
        scores.series[0] = Series { marked: true, best: Some(40), ..scores.series[0].clone() };
        let svg = picture("two", &[losses.clone(), scores]);
        assert_eq!(svg.matches("optimizer steps").count(), 1);
        let right = format!("{:.1} ", WIDTH - RIGHT);
        assert!(svg.matches(&right).count() >= 2, "both lines end at the last step: {svg}");
        assert_eq!((svg.matches("<circle").count(), svg.matches("fill=\"#0072b2\"").count()), (2, 1), "one is chosen");
        assert!(svg.contains("F1 60, best 60"));
        assert!(picture("one", &[losses]).len() < svg.len());
    }

    #[test]
    fn a_band_lies_around_its_line() {
        let mut scores = panel(Scale::Linear, &[("mean", &[(1, 50.0), (2, 52.0)])]);
        scores.series[0].band = vec![(1, 49.0, 51.0), (2, 51.0, 53.0)];
        let svg = picture("band", &[scores]);
        assert!(svg.contains("fill-opacity=\"0.15\"") && svg.contains("Z\""), "{svg}");
    }
}
