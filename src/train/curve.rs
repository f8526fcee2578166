//! Losses over steps as a picture: SVG for a browser or a printed page.
//!
//! The axis of losses is logarithmic, because one picture holds sums of tens beside terms of hundredths. Each line has a
//! colour (Okabe and Ito's, which colour-blind readers tell apart), a dash of its own for black and white, and its name at its
//! end.

use std::fmt::Write;

/// A line of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Steps done and a loss above 0, in order.
    pub points: Vec<(u64, f64)>,
    /// Measured on what was set apart: drawn with a mark at each point.
    pub held_out: bool,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 64.0;
const COLOURS: [&str; 7] = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const DASHES: [&str; 5] = ["", "8 3", "2 3", "9 3 2 3", "16 4"];
/// More points than this are noise: their running mean is drawn over them.
const SMOOTH_FROM: usize = 60;
/// No page shows more points than this.
const MOST: usize = 2000;
/// The least distance of two names, in pixels.
const LINE: f64 = 17.0;

/// The picture. Losses that are not above 0 are left out, as are lines without any other.
pub fn curve(title: &str, series: &[Series]) -> String {
    let drawn: Vec<Series> = series.iter().map(positive).filter(|series| !series.points.is_empty()).collect();
    let axes = Axes::of(&drawn);
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"Helvetica, Arial, \
         sans-serif\" font-size=\"13\" fill=\"#222\">\n<title>{0}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"30\" font-size=\"17\" font-weight=\"bold\">{0}</text>\n",
        escaped(title)
    );
    axes.draw(&mut svg);
    let mut names = Vec::new();
    for (number, series) in drawn.iter().enumerate() {
        let style = Style { colour: COLOURS[number % COLOURS.len()], dash: DASHES[number % DASHES.len()] };
        let last = draw(&mut svg, series, &axes, style);
        names.push((axes.y(last), format!("{} {}", series.name, short(last)), style));
    }
    draw_names(&mut svg, names);
    svg.push_str("</svg>\n");
    svg
}

#[derive(Clone, Copy)]
struct Style {
    colour: &'static str,
    dash: &'static str,
}

/// From steps and losses to places.
struct Axes {
    steps: f64,
    low: f64,
    high: f64,
}

impl Axes {
    fn of(series: &[Series]) -> Self {
        let values = || series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
        let (low, high) = values().fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (0.1, 10.0) };
        let steps = series.iter().flat_map(|series| series.points.iter().map(|(step, _)| *step)).max().unwrap_or(1);
        // A little room, and for a flat line enough to see that it is flat.
        let room = (high / low).powf(0.04).max(1.05);
        Self { steps: steps.max(1) as f64, low: low / room, high: high * room }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + step / self.steps * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, loss: f64) -> f64 {
        HEIGHT - BOTTOM - (loss / self.low).ln() / (self.high / self.low).ln() * (HEIGHT - TOP - BOTTOM)
    }

    /// Losses worth a line: 1, 2 and 5 times a power of ten; where these are few, round numbers at equal distances.
    fn losses(&self) -> Vec<f64> {
        let inside = |value: &f64| (self.low..=self.high).contains(value);
        let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let round: Vec<f64> =
            powers.flat_map(|power| [1.0, 2.0, 5.0].map(|of| of * 10f64.powi(power))).filter(inside).collect();
        if round.len() >= 4 {
            return round;
        }
        let step = nice((self.high - self.low) / 5.0);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(inside).collect()
    }

    fn draw(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for loss in self.losses() {
            let y = self.y(loss);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.5,
                short(loss)
            );
        }
        let step = nice(self.steps / 6.0).max(1.0);
        for i in 0..=(self.steps / step) as u64 {
            let (at, x) = (i as f64 * step, self.x(i as f64 * step));
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {bottom}v5\" stroke=\"#222\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{}</text>",
                bottom + 20.0,
                thousands(at as u64)
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#222\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">optimizer steps</text>\n<text transform=\"translate(20 {:.1}) rotate(-90)\" \
             text-anchor=\"middle\">loss (logarithmic)</text>",
            f64::midpoint(LEFT, right),
            bottom + 44.0,
            f64::midpoint(TOP, bottom)
        );
    }
}

/// A line; tells the loss that it comes to.
fn draw(svg: &mut String, series: &Series, axes: &Axes, Style { colour, dash }: Style) -> f64 {
    let path = |points: &[(f64, f64)]| {
        let mut path = String::new();
        let every = points.len().div_ceil(MOST).max(1);
        for (i, (step, loss)) in points.iter().enumerate().filter(|(i, _)| i % every == 0 || i + 1 == points.len()) {
            let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, axes.x(*step), axes.y(*loss));
        }
        path
    };
    let points: Vec<(f64, f64)> = series.points.iter().map(|(step, loss)| (*step as f64, *loss)).collect();
    let smooth = if series.held_out || points.len() < SMOOTH_FROM { points.clone() } else { means(&points) };
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
    if series.held_out || points.len() == 1 {
        for (step, loss) in &points {
            let (x, y) = (axes.x(*step), axes.y(*loss));
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#fff\" stroke=\"{colour}\" stroke-width=\"2\"/>"
            );
        }
    }
    smooth.last().map_or(0.0, |(_, loss)| *loss)
}

/// The names at the ends of their lines, moved apart where they would cover each other.
fn draw_names(svg: &mut String, mut names: Vec<(f64, String, Style)>) {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lowest = HEIGHT - BOTTOM - LINE * (names.len().saturating_sub(1)) as f64;
    let mut free = TOP;
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
        near.iter().map(|(_, loss)| loss).sum::<f64>() / near.len() as f64
    };
    (0..points.len()).map(|i| (points[i].0, mean(i))).collect()
}

fn positive(series: &Series) -> Series {
    let points = series.points.iter().copied().filter(|(_, loss)| loss.is_finite() && *loss > 0.0).collect();
    Series { points, ..series.clone() }
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|of| of * power).into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Three digits.
fn short(value: f64) -> String {
    let digits = (2 - value.abs().max(1e-9).log10().floor() as i32).clamp(0, 9);
    let text = format!("{value:.0$}", digits as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// With a thin space before each three digits.
fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && digits.len() > 4 {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [12.345, 4.0, 0.01234, 55.3, 1000.0, 0.5].map(short);
        assert_eq!(shown, ["12.3", "4", "0.0123", "55.3", "1000", "0.5"]);
        assert_eq!([7, 1234, 121_700].map(thousands), ["7", "1234", "121\u{2009}700"]);
        assert_eq!([0.3, 7.0, 20.0, 21.0].map(nice), [0.5, 10.0, 20.0, 50.0]);
    }

    #[test]
    fn every_range_has_lines_to_read_it_by() {
        for (low, high) in [(0.01, 55.0), (2.5, 4.0), (3.99, 4.0), (1e-4, 1e-3), (900.0, 1000.0)] {
            let lines = Axes { steps: 10.0, low, high }.losses();
            assert!((3..=14).contains(&lines.len()), "{low} to {high}: {lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let series =
            |name: &str, points: &[(u64, f64)]| Series { name: name.into(), points: points.to_vec(), held_out: false };
        let svg =
            curve("a < b", &[series("x & y", &[(1, 2.0), (2, 1.0)]), series("hidden", &[(1, 0.0), (2, f64::NAN)])]);
        assert!(
            svg.contains("a &lt; b") && svg.contains("x &amp; y") && !svg.contains("hidden") && !svg.contains("NaN")
        );
        assert!(curve("nothing", &[]).ends_with("</svg>\n"));
    }
}
