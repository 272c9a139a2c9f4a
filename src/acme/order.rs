//! One certificate, from the order to what is issued.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use super::challenges::{Challenges, Shown};
use super::folder::Draft;
use super::issued::Issued;
use super::trouble::Trouble;
use super::validation;
use crate::config::{AcmeCertificate, ChallengeKind};
use crate::domain::clock::Clock;

/// How often the authority is asked whether it is done, and for how long.
const POLLING: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).timeout(Duration::from_mins(3));

/// Bytes in the token of a challenge. They have some forty.
const MAX_TOKEN: usize = 256;

/// Bytes that a certificate takes on the disk with its chain and its key, and more.
const ROOM: usize = 64 * 1024;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) wanted: &'a AcmeCertificate,
    /// How it is proven whose the names are.
    pub(super) kind: ChallengeKind,
    /// The certificate in whose place it comes, if there is one.
    pub(super) replaced: Option<CertificateIdentifier<'static>>,
}

/// Gets the certificate that is asked for.
pub(super) async fn obtain(
    account: &Account,
    asked: Asked<'_>,
    challenges: &Arc<Challenges>,
    clock: &dyn Clock,
) -> Result<Issued, Trouble> {
    let Asked { wanted, kind, replaced } = asked;
    // Before anything is asked for that could not be kept, and would be asked for again and again: authorities
    // count certificates for a name, and give no more for a week.
    Draft::write(&wanted.file, &vec![b'\n'; ROOM])?;
    let names: Vec<_> = wanted.names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = open(account, &names, replaced).await?;
    prove(&mut order, kind, challenges, wanted).await?;
    let key = KeyPair::generate().map_err(own)?;
    let mut params = CertificateParams::new(wanted.names.clone()).map_err(own)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(own)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&POLLING).await?;
    let key = Zeroizing::new(key.serialize_pem());
    Issued::of(wanted, &chain, &key, clock.now())
}

/// Opens an order. That it replaces another certificate (RFC 9773 §5) makes it dearer to no authority, and to
/// some exempt from limits; one that does not want to hear of it is not told.
async fn open(
    account: &Account,
    names: &[Identifier],
    replaced: Option<CertificateIdentifier<'static>>,
) -> Result<Order, Error> {
    if let Some(replaced) = replaced {
        match account.new_order(&NewOrder::new(names).replaces(replaced)).await {
            Err(Error::Api(problem)) if is_about_customer(&problem) => return Err(Error::Api(problem)),
            Ok(order) => return Ok(order),
            // There is nothing of the kind there, or it was replaced before, or it is said not to be known.
            Err(error) => {
                tracing::debug!(target: "tollgate::acme", %error, "ordered as if it were the first");
            }
        }
    }
    account.new_order(&NewOrder::new(names)).await
}

/// Whether the authority would say the same to any order.
fn is_about_customer(problem: &Problem) -> bool {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    ["rateLimited", "accountDoesNotExist", "userActionRequired"].iter().any(|end| kind.ends_with(end))
}

/// Shows the authority that the names are this gateway's.
async fn prove(
    order: &mut Order,
    kind: ChallengeKind,
    challenges: &Arc<Challenges>,
    wanted: &AcmeCertificate,
) -> Result<(), Trouble> {
    // Until it has decided: authorities look from several places.
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            _ => return Err(Trouble::Strange("an order that cannot be fulfilled")),
        }
        let Identifier::Dns(name) = authorization.identifier().identifier else {
            return Err(Trouble::Strange("an order for something else"));
        };
        let name = name.to_ascii_lowercase();
        if authorization.wildcard || !wanted.names.contains(&name) {
            return Err(Trouble::Strange("an order for something else"));
        }
        let asked = match kind {
            ChallengeKind::Http01 => ChallengeType::Http01,
            ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let challenge = authorization.challenge(asked);
        let mut challenge = challenge.ok_or_else(|| Trouble::NoChallenge(name.clone()))?;
        if !is_token(&challenge.token) {
            return Err(Trouble::Strange("a challenge with an invalid token"));
        }
        let proof = challenge.key_authorization();
        shown.push(show(kind, challenges, &name, &challenge.token, proof.as_str(), proof.digest().as_ref())?);
        challenge.set_ready().await?;
    }
    if order.state().status == OrderStatus::Ready {
        return Ok(());
    }
    match order.poll_ready(&POLLING).await {
        Ok(OrderStatus::Ready) => Ok(()),
        // What the order itself says is less than what stands with the challenge.
        Ok(_) => Err(refusal(order).await.unwrap_or(Trouble::Strange("no reason why it refuses"))),
        Err(error) => match refusal(order).await {
            Some(trouble) => Err(trouble),
            None => Err(error.into()),
        },
    }
}

fn show(
    kind: ChallengeKind,
    challenges: &Arc<Challenges>,
    name: &str,
    token: &str,
    text: &str,
    digest: &[u8],
) -> Result<Shown, Trouble> {
    Ok(match kind {
        ChallengeKind::Http01 => challenges.show_file(name, token, Bytes::copy_from_slice(text.as_bytes())),
        ChallengeKind::TlsAlpn01 => {
            let handshake = validation::handshake(name, digest).map_err(Trouble::Own)?;
            challenges.show_handshake(name, handshake)
        }
    })
}

/// Whether `token` is one (RFC 8555 §8.1): it becomes part of a path.
fn is_token(token: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(known)
}

/// What the authority says of the first challenge that it found wanting.
async fn refusal(order: &mut Order) -> Option<Trouble> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.clone());
        if let Some(problem) = problem {
            let name = state.identifier().to_string();
            return Some(Trouble::refused(Some(&name), &problem));
        }
    }
    None
}

fn own(error: rcgen::Error) -> Trouble {
    Trouble::Own(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_name_in_a_path_and_no_way_out_of_it() {
        for (token, expected) in [
            ("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", true),
            ("a_-0", true),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("a%2fb", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(is_token(token), expected, "{token}");
        }
        assert!(is_token(&"a".repeat(MAX_TOKEN)) && !is_token(&"a".repeat(MAX_TOKEN + 1)));
    }
}
