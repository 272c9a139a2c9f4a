//! What looks after the certificates: asks for those that are missing, renews the others in time, and after
//! a failure tries again, never so often that the authority would mind.

use std::sync::Arc;
use std::time::Duration;

use super::agent::Agent;
use super::challenges::Challenges;
use super::schedule::{pause, renewal, renewal_of_new};
use super::trouble::Trouble;
use super::{account, folder, order};
use crate::config::{AcmeCertificate, AcmeSettings, Certificate};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::entropy::Entropy;

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(1);

/// How long a folder is left to another process that asks.
const COURTESY: Duration = Duration::from_secs(30);

/// What is kept, and with what.
pub struct Keeper {
    /// Whom to ask, and for what.
    pub settings: AcmeSettings,
    /// Where challenges are shown.
    pub challenges: Arc<Challenges>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Keeper {
    /// Keeps the certificates for as long as this is polled. New ones lie in their files, and the listeners
    /// read those when they change.
    pub async fn keep(self) {
        let now = self.clock.now();
        let slots = self.settings.certificates.iter().map(|wanted| {
            let due = present(wanted).map_or(now, |certificate| self.renewal(&certificate));
            Slot { wanted, due, failures: 0 }
        });
        let mut slots: Vec<Slot> = slots.collect();
        loop {
            for slot in &mut slots {
                if slot.due <= self.clock.now() {
                    slot.attend(&self).await;
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn renewal(&self, certificate: &Certificate) -> Timestamp {
        renewal(certificate.not_before, certificate.not_after, self.settings.renew_before)
    }
}

/// One certificate.
struct Slot<'a> {
    wanted: &'a AcmeCertificate,
    /// When something is to be done.
    due: Timestamp,
    /// Failures in a row.
    failures: u32,
}

impl Slot<'_> {
    /// Does what is due.
    async fn attend(&mut self, keeper: &Keeper) {
        let names = self.wanted.names.join(", ");
        match self.renew(keeper).await {
            Ok(Some(certificate)) => {
                self.failures = 0;
                let Certificate { not_before, not_after, .. } = certificate;
                let (before, now) = (keeper.settings.renew_before, keeper.clock.now());
                self.due = renewal_of_new(not_before, not_after, before, now);
                let until = not_after.to_rfc3339();
                tracing::info!(target: "tollgate::acme", names, until, "got a certificate");
            }
            Ok(None) => {}
            Err((trouble, asked)) => {
                self.failures = self.failures.saturating_add(1);
                let pause = pause(trouble.failure(), self.failures, asked, &*keeper.entropy);
                self.due = keeper.clock.now().after(pause);
                let next = self.due.to_rfc3339();
                let until = present(self.wanted).map(|certificate| certificate.not_after.to_rfc3339());
                let until = until.as_deref().unwrap_or("there is none");
                tracing::error!(
                    target: "tollgate::acme", names, error = %trouble, remedy = trouble.remedy(), next,
                    present_until = until, "got no certificate"
                );
            }
        }
    }

    /// Asks for the certificate, unless somebody else does or has; with how long the authority wants to be
    /// left alone if that fails.
    async fn renew(&mut self, keeper: &Keeper) -> Result<Option<Certificate>, (Trouble, Option<Duration>)> {
        let settings = &keeper.settings;
        let alone = |trouble| (trouble, None);
        let Some(_locked) = folder::lock(&settings.folder).map_err(|error| alone(error.into()))? else {
            self.due = keeper.clock.now().after(COURTESY);
            return Ok(None);
        };
        if let Some(certificate) = present(self.wanted)
            && keeper.renewal(&certificate) > keeper.clock.now()
        {
            self.due = keeper.renewal(&certificate);
            return Ok(None);
        }
        let agent = Agent::new(settings.root_ca.as_ref(), &keeper.clock);
        let agent = agent.map_err(|error| alone(Trouble::Own(error)))?;
        let obtained = async {
            let account = account::open(settings, &agent).await?;
            let clock = &*keeper.clock;
            order::obtain(&account, settings.challenge, &keeper.challenges, self.wanted, clock).await
        };
        let trouble = match obtained.await {
            Ok(issued) => {
                issued.write().map_err(|error| alone(error.into()))?;
                return Ok(Some(issued.certificate));
            }
            Err(trouble) => trouble,
        };
        if trouble.is_of_account() {
            account::forget(&settings.folder).map_err(|error| alone(error.into()))?;
        }
        Err((trouble, agent.take_asked()))
    }
}

/// The certificate that there is, if it has all the names.
fn present(wanted: &AcmeCertificate) -> Option<Certificate> {
    Certificate::read(wanted.files()).ok().filter(|certificate| certificate.covers(&wanted.names))
}
