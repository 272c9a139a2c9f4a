//! Who may pass. Being allowed is a type: a [`Permit`], which only [`decide`] can make, and
//! without which nothing is forwarded.

use std::sync::Arc;

use http::Method;

use super::path::{PathPrefix, RequestPath};
use super::session::LiveSession;

/// What a path asks of a visitor, from the most open to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessLevel {
    /// Open, and the upstream is never told who is there.
    Off,
    /// Open; the upstream is told who is there if there is a session.
    Optional,
    /// Closed to whoever has no session.
    Required,
}

impl AccessLevel {
    /// Reads `off`, `optional` or `required`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "off" => Self::Off,
            "optional" => Self::Optional,
            "required" => Self::Required,
            _ => return None,
        })
    }
}

/// One `[[site.route]]`.
#[derive(Clone, Debug)]
pub struct Route {
    /// The paths it covers.
    pub prefix: PathPrefix,
    /// The methods it covers; empty for all.
    pub methods: Vec<Method>,
    /// What it asks.
    pub level: AccessLevel,
}

/// A site's access rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What is asked where no route matches.
    pub default: AccessLevel,
    /// The exceptions.
    pub routes: Vec<Route>,
}

impl Rules {
    /// What `path` asks of a request with `method`: the longest matching route's level. Where an
    /// upstream may read the path in more than one way, the strictest of the readings' levels.
    pub fn level(&self, path: &RequestPath<'_>, method: &Method) -> AccessLevel {
        let levels = path.readings().map(|reading| self.level_of_reading(&reading, method));
        levels.max().unwrap_or(AccessLevel::Required)
    }

    /// Whether any route is for some methods only.
    pub fn know_methods(&self) -> bool {
        self.routes.iter().any(|route| !route.methods.is_empty())
    }

    fn level_of_reading(&self, reading: &[u8], method: &Method) -> AccessLevel {
        let covers = |route: &&Route| {
            route.prefix.matches(reading) && (route.methods.is_empty() || route.methods.contains(method))
        };
        let matching = self.routes.iter().filter(covers);
        // Of two routes for the same prefix, the stricter.
        let decisive = matching.max_by_key(|route| (route.prefix.len(), route.level));
        decisive.map_or(self.default, |route| route.level)
    }
}

/// The right to be forwarded. There is no way to make one but [`decide`].
#[derive(Debug)]
pub struct Permit {
    visitor: Option<Arc<LiveSession>>,
}

impl Permit {
    /// The session of which the upstream is told; `None` for an anonymous visitor.
    pub fn visitor(&self) -> Option<&Arc<LiveSession>> {
        self.visitor.as_ref()
    }
}

/// Whether a request may pass.
#[derive(Debug)]
pub enum Access {
    /// It may.
    Allow(Permit),
    /// It needs a session first.
    Challenge,
}

/// Decides whether a request to a path of `level` may pass, given the visitor's live session on
/// this very site, if there is one.
pub fn decide(level: AccessLevel, visitor: Option<Arc<LiveSession>>) -> Access {
    match (level, visitor) {
        (AccessLevel::Off, _) => Access::Allow(Permit { visitor: None }),
        (AccessLevel::Optional, visitor) => Access::Allow(Permit { visitor }),
        (AccessLevel::Required, Some(visitor)) => Access::Allow(Permit { visitor: Some(visitor) }),
        (AccessLevel::Required, None) => Access::Challenge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(default: AccessLevel, routes: &[(&str, &[Method], AccessLevel)]) -> Rules {
        let route = |(prefix, methods, level): &(&str, &[Method], AccessLevel)| Route {
            prefix: PathPrefix::parse(prefix).unwrap(),
            methods: methods.to_vec(),
            level: *level,
        };
        Rules { default, routes: routes.iter().map(route).collect() }
    }

    fn level(rules: &Rules, path: &str) -> AccessLevel {
        rules.level(&RequestPath::parse(path, true).unwrap(), &Method::GET)
    }

    #[test]
    fn the_longest_match_wins() {
        use AccessLevel::{Off, Optional, Required};
        let rules = rules(
            Required,
            &[("/public/", &[], Off), ("/public/members", &[], Optional), ("/x", &[Method::POST], Off)],
        );
        for (path, expected) in [
            ("/", Required),
            ("/public", Off),
            ("/public/a", Off),
            ("/public/members", Optional),
            ("/public/members/a", Optional),
            ("/public/membership", Off),
            ("/publicity", Required),
            ("/x", Required),
        ] {
            assert_eq!(level(&rules, path), expected, "{path}");
        }
    }

    #[test]
    fn of_several_readings_the_strictest_counts() {
        use AccessLevel::{Off, Required};
        let open_but_admin = rules(Off, &[("/admin/", &[], Required)]);
        for path in [
            "/admin",
            "/%61dmin/",
            "//admin/x",
            "/admin;x=1/y",
            "/;/admin/",
            "/x//../admin".trim_start_matches("/x//.."),
            "/%2fadmin",
        ] {
            assert_eq!(level(&open_but_admin, path), Required, "{path}");
        }
        let closed_but_public = rules(Required, &[("/public/", &[], Off)]);
        for path in ["/%70ublic/x", "//public/x", "/public%2fx", "/;/public/"] {
            assert_eq!(level(&closed_but_public, path), Required, "{path}");
        }
    }

    #[test]
    fn an_exception_below_a_closed_path_opens_nothing_but_itself() {
        use AccessLevel::{Off, Required};
        let rules = rules(Off, &[("/admin/", &[], Required), ("/admin/assets/", &[], Off)]);
        assert_eq!(level(&rules, "/admin/assets/x"), Off);
        for path in ["/admin//assets", "/%61dmin//assets", "/%61dmin/;/assets/users"] {
            assert_eq!(level(&rules, path), Required, "{path}");
        }
    }

    #[test]
    fn only_an_open_path_lets_a_stranger_pass() {
        assert!(matches!(decide(AccessLevel::Required, None), Access::Challenge));
        for open in [AccessLevel::Off, AccessLevel::Optional] {
            assert!(matches!(decide(open, None), Access::Allow(permit) if permit.visitor().is_none()));
        }
    }
}
