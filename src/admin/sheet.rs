//! What all pages share.

use super::{Visit, assets};

/// What all pages share.
#[derive(Debug)]
pub(super) struct Sheet {
    /// What the page is called.
    pub(super) title: String,
    /// The place in the navigation, as its address has it.
    pub(super) place: &'static str,
    /// The places in the navigation.
    pub(super) places: &'static [(&'static str, &'static str)],
    /// Who has signed in, if anybody has.
    pub(super) operator: Option<Known>,
    /// What there is to say of what was just done.
    pub(super) notice: Option<String>,
    /// Where the style, the script and the icon are.
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
    pub(super) version: &'static str,
}

/// Who has signed in.
#[derive(Debug)]
pub(super) struct Known {
    /// The name of the key.
    pub(super) key: String,
    /// What forms have to send along.
    pub(super) token: String,
}

/// The places in the navigation: their addresses, and what they are called.
const PLACES: [(&str, &str); 8] = [
    ("", "Overview"),
    ("sessions", "Sessions"),
    ("users", "Users"),
    ("links", "Test logins"),
    ("sites", "Sites"),
    ("upstreams", "Upstreams"),
    ("events", "Events"),
    ("certificates", "Certificates"),
];

impl Sheet {
    /// For whoever has not signed in.
    pub(super) fn of_nobody(title: &str) -> Self {
        let assets = assets::names();
        Self {
            title: title.to_owned(),
            place: "-",
            places: &PLACES,
            operator: None,
            notice: None,
            style: &assets.style,
            script: &assets.script,
            icon: &assets.icon,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// What forms have to send along.
    pub(super) fn token(&self) -> &str {
        self.operator.as_ref().map_or("", |operator| &operator.token)
    }
}

impl Visit<'_> {
    /// For the page called `title` at `place`.
    pub(super) fn sheet(&self, title: &str, place: &'static str) -> Sheet {
        let operator = Known { key: self.operator.key.clone(), token: self.operator.token() };
        Sheet { place, operator: Some(operator), ..Sheet::of_nobody(title) }
    }

    /// The same, with what there is to say of what was just done.
    pub(super) fn told_sheet(&self, title: &str, place: &'static str) -> Sheet {
        Sheet { notice: self.operator.take_notice(), ..self.sheet(title, place) }
    }
}
