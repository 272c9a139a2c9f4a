//! How upstreams do.

use askama::Template;

use super::Visit;
use super::answer::{Answer, shown};
use super::guard;
use super::sheet::Sheet;
use super::words::{When, micros, number};
use crate::http::Request;
use crate::proxy::UpstreamStanding;

#[derive(Template)]
#[template(path = "admin/upstreams.html")]
struct Upstreams {
    sheet: Sheet,
    sites: Vec<SiteUpstreams>,
}

struct SiteUpstreams {
    name: String,
    /// Whether they are asked how they are.
    is_checked: bool,
    upstreams: Vec<Upstream>,
}

struct Upstream {
    name: String,
    state: State,
    /// How it is, in a word or two.
    told: &'static str,
    /// And why.
    why: Option<String>,
    answered: String,
    failed: String,
    half: String,
    most: String,
    in_flight: String,
    idle: String,
}

/// How an upstream is, at a glance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// It is given requests, and did not answer the last ones.
    Shaky,
    Down,
}

impl State {
    fn class(self) -> &'static str {
        match self {
            Self::Up => "good",
            Self::Shaky => "fair",
            Self::Down => "bad",
        }
    }
}

impl Visit<'_> {
    pub(super) fn upstreams(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let site = |front: &std::sync::Arc<crate::gateway::Front>| SiteUpstreams {
            name: front.site.name.to_string(),
            is_checked: front.site.upstreams.health.is_some(),
            upstreams: front.fleet().standings().into_iter().map(|own| self.upstream(own)).collect(),
        };
        shown(&Upstreams {
            sheet: self.told_sheet("Upstreams", "upstreams"),
            sites: self.scene.fronts().iter().map(site).collect(),
        })
    }

    fn upstream(&self, own: UpstreamStanding) -> Upstream {
        let UpstreamStanding { state, is_up, answered, failed, idle, in_flight } = own;
        let pause = state.out_until.filter(|until| *until > self.now);
        let (at_a_glance, told, why) = match (is_up, state.failures) {
            (true, 0) => (State::Up, "up", None),
            (true, failures) => (State::Shaky, "up", Some(format!("{failures} not answered in a row"))),
            (false, _) if !state.is_well => {
                (State::Down, "left out", Some("its health checks fail".to_owned()))
            }
            (false, failures) => {
                let until =
                    pause.map(|until| format!(", tried again {}", When::near(until, self.now).words()));
                let why = format!("{failures} failures in a row{}", until.unwrap_or_default());
                (State::Down, "left out", Some(why))
            }
        };
        let time = |of_a_thousand| answered.quantile(of_a_thousand).map_or_else(|| "–".to_owned(), micros);
        Upstream {
            name: state.upstream,
            state: at_a_glance,
            told,
            why,
            answered: number(answered.count()),
            failed: number(failed),
            half: time(500),
            most: time(990),
            in_flight: number(in_flight),
            idle: number(idle),
        }
    }
}
