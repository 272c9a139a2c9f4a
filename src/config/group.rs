//! `sso_group`: the sites that share a login, and what has to be true of them for it.

use super::document::{Place, Read};
use super::section::Section;
use super::settings::{SameSite, SiteCookie};
use crate::domain::host::{Origin, Scheme};

/// More would be a long way for strangers, whom each of them is asked about: browsers follow some
/// twenty redirects.
const MOST: usize = 8;

/// A site that says that it shares its login.
struct Member<'a> {
    group: String,
    /// Where it says so.
    place: Place<'a>,
    origin: Option<Origin>,
}

/// The members of all groups so far.
#[derive(Default)]
pub(super) struct Groups<'a>(Vec<Member<'a>>);

impl<'a> Groups<'a> {
    /// Reads `sso_group` of a site of which the rest is known by now.
    pub(super) fn read(
        &mut self,
        section: &mut Section<'a>,
        public_url: &Read<Option<Origin>>,
        cookie: &Read<SiteCookie>,
    ) -> Read<Option<String>> {
        let Some(text) = section.text("sso_group")? else { return Ok(None) };
        let group = text.name("cannot name a group")?;
        // Of what could not be read there is nothing more to say.
        let origin = public_url.as_ref().ok().cloned().flatten();
        self.0.push(Member { group: group.clone(), place: text.place.clone(), origin });
        if matches!(public_url, Ok(None)) {
            return Err(text.place.fault(
                "needs a public_url: the other sites have to know where to send visitors",
                "set the site's public_url = \"https://…\"",
            ));
        }
        if matches!(cookie, Ok(cookie) if cookie.same_site == SameSite::Strict) {
            return Err(text.place.fault(
                "does not go with same_site = \"strict\": visitors whom another site sends come without \
                 such a cookie",
                "use same_site = \"lax\"",
            ));
        }
        Ok(Some(group))
    }

    /// Looks at the groups as a whole.
    pub(super) fn conclude(&self) {
        for member in &self.0 {
            let others = || self.0.iter().filter(|other| other.group == member.group);
            let before = || others().take_while(|other| !std::ptr::eq(*other, member));
            if others().count() == 1 {
                let remedy = "name the same sso_group in another site, or leave it out";
                member.place.fault("is a group of one", remedy);
            }
            if before().count() == MOST {
                member.place.fault(format!("is a group of more than {MOST}"), "make two groups of them");
            }
            let Some(origin) = &member.origin else { continue };
            // Browsers keep cookies by host, whatever the port.
            let same_host = |other: &&Member<'_>| {
                other.origin.as_ref().is_some_and(|other| other.host() == origin.host())
            };
            if before().any(|other| same_host(&other)) {
                member.place.fault(
                    "has another site with the host of this one's public_url: they would overwrite each \
                     other's cookies",
                    "give each site of the group a host of its own",
                );
            }
            let scheme = |other: &Member<'_>| other.origin.as_ref().map(Origin::scheme);
            if origin.scheme() == Scheme::Http && others().any(|other| scheme(other) == Some(Scheme::Https)) {
                member.place.fault(
                    "has sites with https, to which this one would open the way without",
                    "set the site's public_url = \"https://…\", as that of the others",
                );
            }
        }
    }
}
