//! Which of a site's rules decides on a path.

use http::Method;

use super::{AccessLevel, Requirement};
use crate::domain::path::{PathPrefix, RequestPath};

/// One `[[site.route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The paths it covers.
    pub prefix: PathPrefix,
    /// The methods it covers; empty for all.
    pub methods: Vec<Method>,
    /// What it asks.
    pub level: AccessLevel,
    /// What it asks besides.
    pub require: Requirement,
}

impl Route {
    /// How well it fits; `None` if it does not.
    fn specificity(&self, reading: &[u8], method: &Method) -> Option<(usize, bool)> {
        let names_method = !self.methods.is_empty();
        let covers = self.prefix.matches(reading) && (!names_method || self.methods.contains(method));
        covers.then(|| (self.prefix.len(), names_method))
    }
}

/// A site's access rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What is asked where no route matches.
    pub default: AccessLevel,
    /// The exceptions.
    pub routes: Vec<Route>,
}

/// What a request has to bring along.
#[derive(Debug)]
pub struct Demand<'r> {
    /// Who may come at all.
    pub level: AccessLevel,
    /// For each reading of the path that asks more, what it asks: one of these.
    alternatives: Vec<Vec<&'r Requirement>>,
}

impl<'r> Demand<'r> {
    /// What this one and `other` ask together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.level = self.level.max(other.level);
        self.alternatives.extend(other.alternatives);
        self
    }

    /// Whether it asks for more than a session.
    pub(super) fn is_conditional(&self) -> bool {
        !self.alternatives.is_empty()
    }

    /// The first set of alternatives none of which `is_met`.
    pub(super) fn unmet(&self, is_met: impl Fn(&Requirement) -> bool) -> Option<&[&'r Requirement]> {
        self.alternatives.iter().find(|set| !set.iter().any(|one| is_met(one))).map(Vec::as_slice)
    }
}

impl Rules {
    /// What `path` asks of a request with `method`. Where an upstream may read the path in more
    /// than one way, everything that any of the readings asks.
    pub fn demand(&self, path: &RequestPath<'_>, method: &Method) -> Demand<'_> {
        let mut demand = Demand { level: AccessLevel::Off, alternatives: Vec::new() };
        for reading in path.readings() {
            self.add(&mut demand, &reading, method);
        }
        demand
    }

    /// The same of a request that concerns everything below `path` as well.
    pub fn demand_below(&self, path: &RequestPath<'_>, method: &Method) -> Demand<'_> {
        let mut demand = self.demand(path, method);
        for reading in path.readings() {
            let above = reading.strip_suffix(b"/").unwrap_or(&reading);
            for Route { prefix, .. } in &self.routes {
                let below = prefix.as_str().as_bytes();
                if below.strip_prefix(above).is_some_and(|rest| rest.first() == Some(&b'/')) {
                    self.add(&mut demand, below, method);
                }
            }
        }
        demand
    }

    /// Adds what one of a path's readings asks.
    fn add<'r>(&'r self, demand: &mut Demand<'r>, reading: &[u8], method: &Method) {
        let decisive = self.decisive(reading, method);
        let level = decisive.clone().map(|(_, route)| route.level).max().unwrap_or(self.default);
        demand.level = demand.level.max(level);
        // Of several routes for one path the strictest level counts, and those that ask it are
        // alternatives.
        let mut strictest = decisive.filter(|(_, route)| route.level == level).peekable();
        if strictest.peek().is_some_and(|(_, route)| !route.require.is_nothing()) {
            let set: Vec<_> = strictest.map(|(_, route)| &route.require).collect();
            if !set.iter().any(|one| one.is_nothing()) {
                demand.alternatives.push(set);
            }
        }
    }

    /// Whether any route is for some methods only.
    pub fn know_methods(&self) -> bool {
        self.routes.iter().any(|route| !route.methods.is_empty())
    }

    /// The routes that decide on one of a path's readings, with their places: those with the longest
    /// matching prefix. Of routes for one prefix those that name the method are the more specific.
    pub fn decisive<'r, 'a>(
        &'r self,
        reading: &'a [u8],
        method: &'a Method,
    ) -> impl Iterator<Item = (usize, &'r Route)> + Clone + use<'r, 'a> {
        let most = self.routes.iter().filter_map(|route| route.specificity(reading, method)).max();
        let routes = self.routes.iter().enumerate();
        routes.filter(move |(_, route)| most.is_some() && route.specificity(reading, method) == most)
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
            require: Requirement::default(),
        };
        Rules { default, routes: routes.iter().map(route).collect() }
    }

    fn level(rules: &Rules, path: &str) -> AccessLevel {
        rules.demand(&RequestPath::parse(path, true).unwrap(), &Method::GET).level
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
    fn what_is_asked_below_counts_where_everything_below_is_meant() {
        use AccessLevel::{Off, Optional, Required};
        let rules = rules(
            Off,
            &[("/a/b/", &[], Required), ("/a/c", &[], Optional), ("/x", &[Method::PUT], Required)],
        );
        let below =
            |path: &str, method| rules.demand_below(&RequestPath::parse(path, true).unwrap(), &method).level;
        for (path, expected) in [
            ("/", Required),
            ("/a", Required),
            ("/a/", Required),
            ("//%61/", Required),
            ("/a/c", Optional),
            ("/a/c/d", Optional),
            ("/a/b/c", Required),
            ("/a/bc", Off),
            ("/ab", Off),
            ("/x", Off),
        ] {
            assert_eq!(below(path, Method::GET), expected, "{path}");
        }
        assert_eq!(below("/x", Method::PUT), Required);
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
}
