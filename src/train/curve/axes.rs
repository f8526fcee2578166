//! From steps and values to places in a panel, and the numbers beside the lines to read them by.

use std::fmt::Write;

use super::{LEFT, Panel, RIGHT, Scale, Series, WIDTH};

/// What a panel shows, and where.
pub(super) struct Axes {
    pub(super) steps: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) scale: Scale,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Axes {
    /// For the lines of a panel between two heights, in pixels.
    pub(super) fn of(scale: Scale, series: &[Series], steps: u64, top: f64, bottom: f64) -> Self {
        let points = series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
        let bands = series.iter().flat_map(|series| series.band.iter().flat_map(|(_, low, high)| [*low, *high]));
        let range = |(low, high): (f64, f64), v: f64| (low.min(v), high.max(v));
        let (low, high) = points.chain(bands).fold((f64::INFINITY, f64::NEG_INFINITY), range);
        let (low, high) = if low <= high { (low, high) } else { (0.1, 10.0) };
        // A little room, and for a flat line enough to see that it is flat.
        let (low, high) = match scale {
            Scale::Logarithmic => {
                let room = (high / low).powf(0.04).max(1.05);
                (low / room, high * room)
            }
            Scale::Linear => {
                let room = ((high - low) * 0.06).max(high.abs() * 0.01).max(1e-9);
                (low - room, high + room)
            }
        };
        Self { steps: steps.max(1) as f64, low, high, scale, top, bottom }
    }

    pub(super) fn x(&self, step: f64) -> f64 {
        LEFT + step / self.steps * (WIDTH - LEFT - RIGHT)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
            Scale::Linear => (value - self.low) / (self.high - self.low),
        };
        self.bottom - share * (self.bottom - self.top)
    }

    /// Values worth a line: of a logarithmic scale 1, 2 and 5 times a power of ten; where these are few, and of a linear
    /// one, round numbers at equal distances.
    fn values(&self) -> Vec<f64> {
        let inside = |value: &f64| (self.low..=self.high).contains(value);
        if self.scale == Scale::Logarithmic {
            let powers = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            let round: Vec<f64> =
                powers.flat_map(|power| [1.0, 2.0, 5.0].map(|of| of * 10f64.powi(power))).filter(inside).collect();
            if round.len() >= 4 {
                return round;
            }
        }
        let step = nice((self.high - self.low) / 6.0);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(inside).collect()
    }

    /// The frame with its lines; the steps below it if it is the last of the picture.
    pub(super) fn draw(&self, svg: &mut String, panel: &Panel, last: bool) {
        let (right, bottom) = (WIDTH - RIGHT, self.bottom);
        for value in self.values() {
            let y = self.y(value);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.5,
                short(value)
            );
        }
        if last {
            self.draw_steps(svg);
        }
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {}V{bottom}H{right}\" fill=\"none\" stroke=\"#222\"/>\n<text transform=\"translate(20 \
             {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.top,
            f64::midpoint(self.top, bottom),
            escaped(&panel.label)
        );
    }

    fn draw_steps(&self, svg: &mut String) {
        let step = nice(self.steps / 6.0).max(1.0);
        for i in 0..=(self.steps / step) as u64 {
            let (at, x) = (i as f64 * step, self.x(i as f64 * step));
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {}v5\" stroke=\"#222\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{}</text>",
                self.bottom,
                self.bottom + 20.0,
                thousands(at as u64)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">optimizer steps</text>",
            f64::midpoint(LEFT, WIDTH - RIGHT),
            self.bottom + 44.0
        );
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|of| of * power).into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Three digits.
pub(super) fn short(value: f64) -> String {
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

pub(super) fn escaped(text: &str) -> String {
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
        let logarithmic = [(0.01, 55.0), (2.5, 4.0), (3.99, 4.0), (1e-4, 1e-3), (900.0, 1000.0)];
        let linear = [(0.0, 100.0), (66.1, 68.3), (-2.0, 40.0), (99.9, 100.1)];
        for (scale, ranges) in [(Scale::Logarithmic, &logarithmic[..]), (Scale::Linear, &linear)] {
            for &(low, high) in ranges {
                let lines = Axes { steps: 10.0, low, high, scale, top: 0.0, bottom: 100.0 }.values();
                assert!((3..=14).contains(&lines.len()), "{low} to {high}: {lines:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_a_scale_are_those_of_its_panel() {
        for scale in [Scale::Logarithmic, Scale::Linear] {
            let axes = Axes { steps: 8.0, low: 0.5, high: 40.0, scale, top: 30.0, bottom: 90.0 };
            assert_eq!([axes.y(0.5), axes.y(40.0), axes.x(0.0), axes.x(8.0)], [90.0, 30.0, LEFT, WIDTH - RIGHT]);
        }
    }
}
