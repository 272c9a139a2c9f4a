//! The text format of Prometheus, version 0.0.4.

use std::fmt::{self, Display, Write as _};

use super::histogram::{Buckets, Distribution};

/// What kind of figure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until a restart.
    Counter,
    /// It rises and falls.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// Figures that are being written down.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// Begins with the figures called `name`: all of them follow before those of another name.
    pub fn begin(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One figure, and what sets it apart from others of the same name.
    pub fn figure(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = self.name;
        self.put(format_args!("{name}{} {value}\n", Labels { common: labels, bound: Bound::NoRange }));
    }

    /// How often something took how long.
    pub fn distribution<B: Buckets>(&mut self, labels: &[(&str, &str)], told: &Distribution<B>) {
        let name = self.name;
        let count = told.count();
        let bounds = told.up_to().map(|(bound, count)| (Bound::At(bound), count));
        let bounds = bounds.chain([(Bound::Nowhere, count)]);
        for (bound, count) in bounds {
            let labels = Labels { common: labels, bound };
            self.put(format_args!("{name}_bucket{labels} {count}\n"));
        }
        let labels = Labels { common: labels, bound: Bound::NoRange };
        self.put(format_args!("{name}_sum{labels} {}\n{name}_count{labels} {count}\n", Seconds(told.sum())));
    }

    /// All of it.
    pub fn into_text(self) -> String {
        self.text
    }

    fn put(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a text cannot fail.
        let _infallible = self.text.write_fmt(line);
    }
}

/// Microseconds, in seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{}", format!("{whole}.{rest:06}").trim_end_matches('0'))
    }
}

struct Labels<'a> {
    common: &'a [(&'a str, &'a str)],
    bound: Bound,
}

/// Where a histogram's range ends, if it is one of those.
enum Bound {
    NoRange,
    At(u64),
    Nowhere,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sign = '{';
        for (name, value) in self.common {
            write!(f, "{sign}{name}=\"")?;
            for character in value.chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
            sign = ',';
        }
        match self.bound {
            Bound::At(bound) => write!(f, "{sign}le=\"{}\"", Seconds(bound))?,
            Bound::Nowhere => write!(f, "{sign}le=\"+Inf\"")?,
            Bound::NoRange if sign == '{' => return Ok(()),
            Bound::NoRange => {}
        }
        f.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Histogram, Short};
    use super::*;

    #[test]
    fn figures_stand_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.begin("tollgate_things", Kind::Gauge, "Things.");
        page.figure(&[], 3);
        page.figure(&[("file", "a\"b\\c\nd"), ("site", "x")], u8::from(true));
        let histogram = Histogram::<Short>::default();
        for micros in [20, 30, 2_000_000] {
            histogram.observe(micros);
        }
        page.begin("tollgate_time_seconds", Kind::Histogram, "Time.");
        page.distribution(&[("site", "x")], &Distribution::default().with(&histogram));
        insta::assert_snapshot!(page.into_text(), @r#"
        # HELP tollgate_things Things.
        # TYPE tollgate_things gauge
        tollgate_things 3
        tollgate_things{file="a\"b\\c\nd",site="x"} 1
        # HELP tollgate_time_seconds Time.
        # TYPE tollgate_time_seconds histogram
        tollgate_time_seconds_bucket{site="x",le="0.000025"} 1
        tollgate_time_seconds_bucket{site="x",le="0.00005"} 2
        tollgate_time_seconds_bucket{site="x",le="0.0001"} 2
        tollgate_time_seconds_bucket{site="x",le="0.00025"} 2
        tollgate_time_seconds_bucket{site="x",le="0.0005"} 2
        tollgate_time_seconds_bucket{site="x",le="0.001"} 2
        tollgate_time_seconds_bucket{site="x",le="0.005"} 2
        tollgate_time_seconds_bucket{site="x",le="0.025"} 2
        tollgate_time_seconds_bucket{site="x",le="0.1"} 2
        tollgate_time_seconds_bucket{site="x",le="1"} 2
        tollgate_time_seconds_bucket{site="x",le="+Inf"} 3
        tollgate_time_seconds_sum{site="x"} 2.00005
        tollgate_time_seconds_count{site="x"} 3
        "#);
    }
}
