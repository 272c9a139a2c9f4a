//! `[[api_key]]`: who may use the APIs, and for what.

use super::claims::Claims;
use super::document::Read;
use super::proof::{self, NEW_KEY, ProofClaims};
use super::section::Section;
use super::settings::{ApiKey, PermissionLevel, Scope};
use crate::domain::site::SiteName;

/// What only one key can have.
pub(super) struct KeyClaims {
    names: Claims<String>,
    proofs: ProofClaims,
}

impl KeyClaims {
    pub(super) fn new() -> Self {
        Self { names: Claims::new(), proofs: ProofClaims::new() }
    }
}

/// Reads one `[[api_key]]`, given the names of all sites.
pub(super) fn read(
    mut section: Section<'_>,
    taken: &mut KeyClaims,
    sites: &Claims<SiteName>,
) -> Read<ApiKey> {
    let name = name(&mut section, taken);
    let proofs = proof::read(&mut section, &mut taken.proofs);
    let options = Scope::ALL.map(|scope| (scope.as_str(), scope));
    let scopes = section.list("scopes", |text| text.choose(&options)).map(Option::unwrap_or_default);
    let levels = PermissionLevel::ALL.map(|level| (level.as_str(), level));
    let permission = section.choice("permission", PermissionLevel::None, &levels);
    let covered = covered_sites(&mut section, sites);
    let place = section.place().clone();
    let permission_place = section.place_of("permission");
    // A slip in the key's name is a fault of its own, and no reason to ask for what is there.
    let misspelt_proof = section.misspells(&["secret", "secret_sha256"]);
    let misspelt_purpose = section.misspells(&["scopes", "permission"]);
    section.finish();
    // What could not be read is not taken for absent: of that there is a fault already.
    let proof = match proofs.as_deref() {
        Ok([]) if !misspelt_proof => {
            let remedy = format!("add secret or secret_sha256: {NEW_KEY}");
            Err(place.fault("nothing proves who uses this key", remedy))
        }
        _ => Ok(()),
    };
    let mut now = proofs.iter().flatten().filter(|proof| !proof.is_previous);
    let only_signs = now.clone().next().is_some() && now.all(|proof| proof.oauth1().is_some());
    let purpose = match (scopes.as_deref(), &permission) {
        _ if misspelt_purpose => Ok(()),
        (Ok([]), Ok(PermissionLevel::None)) => {
            let remedy = "add scopes = [\"write:sso\"], or permission = \"super\" for the 23-compatible API";
            Err(place.fault("this key is not allowed to do anything", remedy))
        }
        (Ok(_), Ok(PermissionLevel::None)) if only_signs => {
            let problem = "this key signs for the 23-compatible API alone, and may do nothing there";
            Err(permission_place.fault(problem, "add permission = \"super\", or a secret for its scopes"))
        }
        _ => Ok(()),
    };
    proof.and(purpose)?;
    Ok(ApiKey { name: name?, proofs: proofs?, scopes: scopes?, permission: permission?, sites: covered? })
}

fn name(section: &mut Section<'_>, taken: &mut KeyClaims) -> Read<String> {
    let text = section.required_text("name", "\"login-page\"")?;
    let name = text.name("cannot name an API key")?;
    if let Some(other) = taken.names.owner(&name) {
        return Err(text.refuse(&format!("is the name of {other} already"), "give each key its own"));
    }
    section.go_by("api_key", &text);
    taken.names.add(name.clone(), section.place());
    Ok(name)
}

/// `sites`, each of which has to exist.
fn covered_sites(section: &mut Section<'_>, sites: &Claims<SiteName>) -> Read<Option<Vec<SiteName>>> {
    let covered = section.list("sites", |text| {
        let known = |name: &str| SiteName::parse(name).filter(|name| sites.owner(name).is_some());
        text.parse(
            known,
            "is not the name of a site",
            "name a [[site]] of this file, or leave sites out for all",
        )
    })?;
    match covered {
        Some(none) if none.is_empty() => Err(section
            .place_of("sites")
            .fault("is empty: the key could act for no site", "name a site, or leave sites out for all")),
        covered => Ok(covered),
    }
}
