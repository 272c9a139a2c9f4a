//! Tokens that the login page signed itself: believed here, and from then on like any other.

use std::time::Duration;

use super::Gateway;
use super::fault::Fault;
use super::visit::Visit;
use crate::api::signed_order;
use crate::domain::opaque::LoginToken;
use crate::domain::signed_login::{LoginKey, SignedLogin, Unproven};
use crate::domain::token::Refusal;
use crate::sso::{Actor, Event, SignedOrder};

/// How long a token that was brought twice at the same time may take to be kept by whoever is first.
const MAY_BE_UNDER_WAY: Duration = Duration::from_millis(100);

impl Gateway {
    /// The token in the place of one that a login page `signed`. Whether that was redeemed already,
    /// is to be found out by redeeming.
    pub(super) async fn accept_signed(
        &self,
        visit: &Visit<'_>,
        signed: &SignedLogin,
    ) -> Result<Result<LoginToken, Refusal>, Fault> {
        let site = &visit.front.site;
        let refused = |reason: &str, refusal: Refusal| {
            let event = Event::SignedTokenRefused { site: &site.name, refusal, reason };
            self.shared.sso.note(event, &visit.cause());
            Ok(Err(refusal))
        };
        let proven = match LoginKey::prove(&site.login_keys, signed, &site.name, visit.now) {
            Ok(proven) => proven,
            Err(fault @ Unproven::Expired) => return refused(fault.as_str(), Refusal::Expired),
            Err(fault) => return refused(fault.as_str(), Refusal::Unknown),
        };
        let (member, order) = match signed_order(proven.claims) {
            Ok(order) => order,
            // The login page is genuine and mistaken: its author will look for the reason in the log.
            Err(fault) => return refused(&fault, Refusal::Unknown),
        };
        let stand_in = signed.stand_in();
        let by = visit.cause_by(Actor::LoginKey(proven.key_id.as_deref().unwrap_or("login_key").into()));
        let once =
            SignedOrder { stand_in: stand_in.clone(), nonce: proven.nonce, expires_at: proven.expires_at };
        if !self.shared.sso.accept_signed(site, once, member, order, &by).await? {
            tokio::time::sleep(MAY_BE_UNDER_WAY).await;
        }
        Ok(Ok(stand_in))
    }
}
