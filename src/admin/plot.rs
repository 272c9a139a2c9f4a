//! Plots, drawn here: a few lines over time, which tell themselves apart by their dashes and not by colour
//! alone. A page's own script only reads out the values that stand beside the lines.

use std::fmt::Write as _;

use askama::Template;

use super::samples::{Reach, Span};
use super::words::{clock, micros, number, span, thousandths};
use crate::domain::clock::millis;

/// What is counted, and so how it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Thousandths of how many there are in a second.
    PerSecond,
    /// The same in a minute.
    PerMinute,
    /// How many there are.
    Many,
    /// Microseconds.
    Micros,
}

impl Unit {
    /// A value in words.
    fn say(self, value: u64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", thousandths(value)),
            Self::PerMinute => format!("{}/min", thousandths(value)),
            Self::Many => number(value),
            Self::Micros => micros(value),
        }
    }

    /// A word for it to the script.
    fn as_str(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::PerMinute => "/min",
            Self::Many => "",
            Self::Micros => "time",
        }
    }

    /// The least that a plot is high, so that next to nothing looks like it.
    fn least(self) -> u64 {
        match self {
            Self::PerSecond | Self::PerMinute => 1_000,
            Self::Many => 5,
            Self::Micros => 100,
        }
    }
}

/// One line of a plot.
struct Line {
    name: &'static str,
    /// How it looks.
    class: &'static str,
    /// What it is now.
    now: String,
    path: String,
    /// What is below it, if that is filled.
    area: String,
    values: String,
}

/// A plot.
#[derive(Template)]
#[template(path = "admin/plot.html")]
pub(super) struct Plot {
    id: &'static str,
    title: &'static str,
    unit: Unit,
    lines: Vec<Line>,
    /// What the upper edge is.
    top: String,
    start: String,
    end: String,
    /// In milliseconds: when it begins and how far it reaches.
    from: u64,
    to: u64,
    /// When each value was, in milliseconds.
    times: String,
}

/// A line to be drawn: its name, how it looks, and what it is in each span.
pub(super) type Wanted<'a> = (&'static str, &'static str, &'a dyn Fn(&Span) -> Option<u64>);

/// The width and height in which lines are drawn; the page stretches them.
const WIDTH: u64 = 1_000;
const HEIGHT: u64 = 200;

/// How far a point reaches to each side that has no neighbours, in tenths.
const LONE: u64 = 30;

impl Plot {
    /// Draws `wanted` over `spans`, the last of which is the latest.
    pub(super) fn draw(
        id: &'static str,
        title: &'static str,
        unit: Unit,
        (reach, spans): (Reach, &[Span]),
        wanted: &[Wanted<'_>],
    ) -> Self {
        let values: Vec<Vec<Option<u64>>> =
            wanted.iter().map(|(_, _, of)| spans.iter().map(of).collect()).collect();
        let most = values.iter().flatten().flatten().max().copied().unwrap_or_default();
        let top = round_up(most.max(unit.least()));
        let to = spans.last().map_or(0, |last| last.to.as_millis());
        let reaches = millis(reach.length());
        let from = to.saturating_sub(reaches);
        let x = |span: &Span| {
            span.to.as_millis().saturating_sub(from).saturating_mul(WIDTH * 10) / reaches.max(1)
        };
        let y = |value: u64| HEIGHT * 10 - (value.min(top).saturating_mul(HEIGHT * 10) / top.max(1));
        let line = |((name, class, _), values): (&Wanted<'_>, &Vec<Option<u64>>)| {
            let points = spans.iter().zip(values).map(|(span, value)| Some((x(span), y((*value)?))));
            let runs = runs(points);
            Line {
                name,
                class,
                now: values
                    .iter()
                    .rev()
                    .copied()
                    .next()
                    .flatten()
                    .map_or_else(|| "–".to_owned(), |now| unit.say(now)),
                path: runs.iter().map(|run| stroke(run)).collect(),
                area: if *class == "first" {
                    runs.iter().map(|run| area(run)).collect()
                } else {
                    String::new()
                },
                values: joined(
                    values.iter().map(|value| value.map(|value| value.to_string()).unwrap_or_default()),
                ),
            }
        };
        let (start, end) = match reach {
            Reach::Now => (format!("{} ago", span(reach.length())), "now".to_owned()),
            Reach::Day => (
                spans.last().map_or_else(String::new, |last| format!("yesterday {}", clock(last.to))),
                "now".to_owned(),
            ),
        };
        Self {
            id,
            title,
            unit,
            lines: wanted.iter().zip(&values).map(line).collect(),
            top: unit.say(top),
            start,
            end,
            from,
            to,
            times: joined(spans.iter().map(|span| span.to.as_millis().saturating_sub(from).to_string())),
        }
    }

    fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    fn unit_word(&self) -> &'static str {
        self.unit.as_str()
    }

    /// What the picture shows, for those who do not see it.
    fn summary(&self) -> String {
        let now: Vec<String> = self.lines.iter().map(|line| format!("{} {}", line.name, line.now)).collect();
        format!("{}, at the latest: {}", self.title, now.join(", "))
    }
}

fn joined(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

/// The least number not below `value` that is one, two or five with zeros behind it.
fn round_up(value: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let round = unit.saturating_mul(step);
            if round >= value {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Points that belong together: where there is no value, there is a gap.
fn runs(points: impl Iterator<Item = Option<(u64, u64)>>) -> Vec<Vec<(u64, u64)>> {
    let mut runs = vec![Vec::new()];
    for point in points {
        match (point, runs.last_mut()) {
            (Some(point), Some(run)) => run.push(point),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn stroke(run: &[(u64, u64)]) -> String {
    let mut path = String::new();
    // A lone point would not be seen.
    if let [(x, y)] = run {
        step(&mut path, 'M', (x.saturating_sub(LONE), *y));
        step(&mut path, 'L', (x.saturating_add(LONE), *y));
        return path;
    }
    for (place, point) in run.iter().enumerate() {
        step(&mut path, if place == 0 { 'M' } else { 'L' }, *point);
    }
    path
}

fn area(run: &[(u64, u64)]) -> String {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return String::new() };
    let mut path = stroke(run);
    step(&mut path, 'L', (last.0, HEIGHT * 10));
    step(&mut path, 'L', (first.0, HEIGHT * 10));
    path.push('Z');
    path
}

fn step(path: &mut String, sign: char, (x, y): (u64, u64)) {
    // Writing into a text cannot fail.
    let _infallible = write!(path, "{sign}{}.{} {}.{}", x / 10, x % 10, y / 10, y % 10);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_round() {
        for (value, edge) in [(0, 1), (1, 1), (3, 5), (10, 10), (11, 20), (501, 1_000), (u64::MAX, u64::MAX)]
        {
            assert_eq!(round_up(value), edge, "{value}");
        }
    }

    #[test]
    fn a_gap_is_a_gap() {
        let points = [None, Some((0, 5)), Some((10, 15)), None, None, Some((20, 0)), None];
        let runs = runs(points.into_iter());
        assert_eq!(runs, [vec![(0, 5), (10, 15)], vec![(20, 0)]]);
        assert_eq!(
            runs.iter().map(|run| stroke(run)).collect::<String>(),
            "M0.0 0.5L1.0 1.5M0.0 0.0L5.0 0.0"
        );
        assert_eq!(area(&runs[0]), "M0.0 0.5L1.0 1.5L1.0 200.0L0.0 200.0Z");
    }
}
