//! The first page: how it goes, over time, and what needs somebody.

use std::time::Duration;

use askama::Template;

use super::Visit;
use super::answer::{Answer, shown};
use super::applied::Refused;
use super::guard;
use super::plot::{Plot, Unit, Wanted};
use super::samples::{Reach, Samples, Span};
use super::sheet::Sheet;
use super::words::{When, counted, micros, number, thousandths};
use crate::http::Request;

/// A certificate that runs out within this time needs somebody.
pub(super) const EXPIRES_SOON: Duration = Duration::from_hours(24 * 14);

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct Overview {
    sheet: Sheet,
    concerns: Vec<Concern>,
    facts: Vec<(&'static str, String)>,
    is_day: bool,
    plots: Vec<Plot>,
    lines: Vec<Line>,
    refused: Option<(When, Vec<String>)>,
}

/// Something that needs somebody.
struct Concern {
    text: String,
    /// Where there is more about it, and what that is called.
    more: Option<(&'static str, &'static str)>,
}

/// A line of the table below the plots.
struct Line {
    to: When,
    cells: Vec<String>,
}

impl Visit<'_> {
    pub(super) fn overview(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let reach = if self.query.text("over") == "day" { Reach::Day } else { Reach::Now };
        let samples = self.admin.samples.borrow();
        let mut lines = samples.lines(reach);
        lines.reverse();
        let (_, refused) = self.scene.applied.told();
        shown(&Overview {
            sheet: self.told_sheet("Overview", ""),
            concerns: self.concerns(refused.as_ref()),
            facts: self.facts(),
            is_day: reach == Reach::Day,
            plots: plots(reach, &samples),
            lines: lines.iter().map(|span| self.line(span)).collect(),
            refused: refused.map(|refused| (When::near(refused.at, self.now), refused.why)),
        })
    }

    fn concerns(&self, refused: Option<&Refused>) -> Vec<Concern> {
        let concern = |text, more| Concern { text, more };
        let mut concerns = Vec::new();
        if !self.scene.sso.store_health().is_well {
            let text = "The store is not working: the log says why.".to_owned();
            concerns.push(concern(text, None));
        }
        for front in self.scene.fronts() {
            let standings = front.fleet().standings();
            let down = standings.iter().filter(|own| !own.is_up).count();
            if down > 0 {
                let all = counted(standings.len(), "upstream", "upstreams");
                let are = if down == 1 { "is" } else { "are" };
                let text = format!("Of {all} of {}, {down} {are} left out.", front.site.name);
                concerns.push(concern(text, Some(("upstreams", "Upstreams"))));
            }
        }
        for (to, certificate) in self.scene.certificates() {
            if certificate.not_after <= self.now.after(EXPIRES_SOON) {
                let file = certificate.files.cert.display();
                let is_over = certificate.not_after <= self.now;
                let how = if is_over { "has run out" } else { "runs out soon" };
                let text = format!("The certificate {file}, shown to {to}, {how}.");
                concerns.push(concern(text, Some(("certificates", "Certificates"))));
            }
        }
        if refused.is_some() {
            let text = "The configuration was changed, and could not be applied.".to_owned();
            concerns.push(concern(text, None));
        }
        concerns
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let render = |when: When| when.render().unwrap_or_default();
        let (since, _) = self.scene.applied.told();
        let sessions = self.scene.sso.session_count().map(|count| {
            let whose = if count.is_shared { ", of all nodes" } else { "" };
            format!("{}{whose}", number(count.sum() as u64))
        });
        let mut facts = vec![
            ("Started", render(When::near(self.scene.began, self.now))),
            ("Settings applied", render(When::near(since, self.now))),
            ("Sites", self.scene.sites().len().to_string()),
        ];
        facts.extend(sessions.map(|sessions| ("Sessions", sessions)));
        let health = self.scene.sso.store_health();
        facts.push(("Store", if health.is_well { "well".to_owned() } else { "not well".to_owned() }));
        facts
    }

    fn line(&self, span: &Span) -> Line {
        let time = |micros_in: Option<u64>| micros_in.map_or_else(|| "–".to_owned(), micros);
        Line {
            to: When::near(span.to, self.now),
            cells: vec![
                thousandths(span.per_second(span.requests)),
                thousandths(span.per_second(span.failed)),
                number(span.logins),
                number(span.refused),
                span.sessions.map_or_else(|| "–".to_owned(), |sessions| number(sessions as u64)),
                time(span.added.quantile(500)),
                time(span.added.quantile(990)),
                time(span.upstream.quantile(500)),
                time(span.upstream.quantile(990)),
            ],
        }
    }
}

fn plots(reach: Reach, samples: &Samples) -> Vec<Plot> {
    let (points, minutes) = (samples.points(reach), samples.minutes(reach));
    let draw = |id, title, unit, wanted: &[Wanted<'_>]| {
        // Of logins, and of slow requests, there are too few in seconds.
        let spans = if matches!(unit, Unit::PerMinute | Unit::Micros) { &minutes } else { &points };
        Plot::draw(id, title, unit, (reach, spans), wanted)
    };
    let sessions = |span: &Span| span.sessions.map(|sessions| sessions as u64);
    vec![
        draw(
            "requests",
            "Requests",
            Unit::PerSecond,
            &[
                ("all", "first", &|span| Some(span.per_second(span.requests))),
                ("not answered", "second", &|span| Some(span.per_second(span.failed))),
            ],
        ),
        draw("sessions", "Active sessions", Unit::Many, &[("sessions", "first", &sessions)]),
        draw(
            "logins",
            "Logins",
            Unit::PerMinute,
            &[("logins", "first", &|span| Some(span.per_minute(span.logins)))],
        ),
        draw(
            "refused",
            "Refusals",
            Unit::PerMinute,
            &[("requests, tokens and keys", "first", &|span| Some(span.per_minute(span.refused)))],
        ),
        draw(
            "added",
            "Added by the gateway",
            Unit::Micros,
            &[
                ("median", "first", &|span| span.added.quantile(500)),
                ("p99", "second", &|span| span.added.quantile(990)),
            ],
        ),
        draw(
            "upstream",
            "Taken by sites",
            Unit::Micros,
            &[
                ("median", "first", &|span| span.upstream.quantile(500)),
                ("p99", "second", &|span| span.upstream.quantile(990)),
            ],
        ),
    ]
}
