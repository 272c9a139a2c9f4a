//! Which site a request is for.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::Site;
use crate::domain::host::HostPattern;
use crate::domain::site::SiteName;

/// The configured sites, by host and by name.
#[derive(Debug)]
pub struct Sites {
    all: Vec<Arc<Site>>,
    exact: HashMap<String, Arc<Site>>,
    one_level: Vec<(HostPattern, Arc<Site>)>,
    any: Option<Arc<Site>>,
}

impl Sites {
    /// An index over `sites`. No two of them claim the same host: the configuration made sure.
    pub fn new(sites: Vec<Arc<Site>>) -> Self {
        let mut index = Self { all: Vec::new(), exact: HashMap::new(), one_level: Vec::new(), any: None };
        for site in &sites {
            for pattern in &site.hosts {
                match pattern {
                    HostPattern::Exact(host) => drop(index.exact.insert(host.clone(), Arc::clone(site))),
                    HostPattern::OneLevel(_) => index.one_level.push((pattern.clone(), Arc::clone(site))),
                    HostPattern::Any => index.any = Some(Arc::clone(site)),
                }
            }
        }
        index.all = sites;
        index
    }

    /// The site that answers at `host` (lower-case): an exact name before a wildcard, that before
    /// `*`.
    pub fn by_host(&self, host: &str) -> Option<&Arc<Site>> {
        let by_wildcard =
            || self.one_level.iter().find(|(pattern, _)| pattern.matches(host)).map(|(_, site)| site);
        self.exact.get(host).or_else(by_wildcard).or(self.any.as_ref())
    }

    /// The site with this name.
    pub fn by_name(&self, name: &SiteName) -> Option<&Arc<Site>> {
        self.all.iter().find(|site| site.name == *name)
    }

    /// Who is to be asked next about a stranger on `site`, after `asked` was: the members of the group
    /// stand in a circle, and who comes back to the site has asked them all.
    pub fn next_in_group(&self, site: &Site, asked: &Site) -> Option<&Arc<Site>> {
        let group = site.sso_group.as_ref()?;
        let members = || self.all.iter().filter(|member| member.sso_group.as_ref() == Some(group));
        let behind = members().skip_while(|member| member.name != asked.name).nth(1);
        behind.or_else(|| members().next()).filter(|next| next.name != site.name)
    }

    /// The sites that share a login with `site`, itself included; none if it shares it with nobody.
    pub fn group_of(&self, site: &Site) -> Vec<SiteName> {
        let Some(group) = &site.sso_group else { return Vec::new() };
        let members = self.all.iter().filter(|member| member.sso_group.as_ref() == Some(group));
        members.map(|member| member.name.clone()).collect()
    }

    /// All sites, in the order of the configuration.
    pub fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}
