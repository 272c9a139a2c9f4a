//! Certificates that are shown to clients or to upstreams, and when they run out.

use askama::Template;

use super::Visit;
use super::answer::{Answer, shown};
use super::guard;
use super::overview::EXPIRES_SOON;
use super::sheet::Sheet;
use super::words::When;
use crate::config::Certificate;
use crate::http::Request;

#[derive(Template)]
#[template(path = "admin/certificates.html")]
struct Certificates {
    sheet: Sheet,
    shown: Vec<Shown>,
}

struct Shown {
    file: String,
    names: String,
    /// To whom.
    to: String,
    from: When,
    until: When,
    left: When,
    class: &'static str,
    state: &'static str,
}

impl Visit<'_> {
    pub(super) fn certificates(&self, request: &Request) -> Answer {
        guard::only_looks(request)?;
        let to_clients =
            self.scene.certificates().into_iter().map(|(to, own)| self.certificate(to.to_owned(), &own));
        let to_upstreams = self.scene.sites().iter().filter_map(|site| {
            let own = site.upstreams.tls.identity.as_ref()?;
            Some(self.certificate(format!("the upstreams of {}", site.name), own))
        });
        let mut all: Vec<(_, Shown)> = to_clients.chain(to_upstreams).collect();
        all.sort_by_key(|(not_after, _)| *not_after);
        shown(&Certificates {
            sheet: self.told_sheet("Certificates", "certificates"),
            shown: all.into_iter().map(|(_, shown)| shown).collect(),
        })
    }

    fn certificate(&self, to: String, own: &Certificate) -> (crate::domain::clock::Timestamp, Shown) {
        let (class, state) = match () {
            () if own.not_after <= self.now => ("bad", "has run out"),
            () if self.now < own.not_before => ("bad", "not good yet"),
            () if own.not_after <= self.now.after(EXPIRES_SOON) => ("fair", "runs out soon"),
            () => ("good", "good"),
        };
        let names: Vec<String> = own.names.iter().map(ToString::to_string).collect();
        let shown = Shown {
            file: own.files.cert.display().to_string(),
            names: names.join(", "),
            to,
            from: When::day(own.not_before),
            until: When::day(own.not_after),
            left: When::near(own.not_after, self.now),
            class,
            state,
        };
        (own.not_after, shown)
    }
}
