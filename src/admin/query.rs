//! What stands behind the `?` of an address here.

use std::collections::BTreeMap;

/// The parameters of an address. Of one that comes twice the first counts: nothing here is decided by them.
#[derive(Debug, Default)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads them.
    pub(super) fn of(query: Option<&str>) -> Self {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            parameters.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(parameters)
    }

    /// A parameter without the spaces around it; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(|value| value.trim()).unwrap_or_default()
    }

    /// The address `path` with these parameters, without those that are empty.
    pub(super) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
        let told: Vec<_> = parameters.iter().filter(|(_, value)| !value.is_empty()).collect();
        if told.is_empty() {
            return path.to_owned();
        }
        let mut link = form_urlencoded::Serializer::new(format!("{path}?"));
        link.extend_pairs(told.into_iter().map(|(name, value)| (name, value)));
        link.finish()
    }
}
