//! What looks after the certificates: asks for those that are missing, renews the others in time, and after
//! a failure tries again, never so often that the authority would mind.

use std::sync::Arc;
use std::time::Duration;

use super::challenges::Challenges;
use super::counters::AcmeCounters;
use super::revival::without_end;
use super::slot::Slot;
use super::unwritten::Unwritten;
use crate::config::{AcmeCertificate, AcmeSettings, Certificate};
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;

/// How often it is looked whether something is due.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// What is kept, and with what.
pub struct Keeper {
    /// Whom to ask, and for what.
    pub settings: AcmeSettings,
    /// Where challenges are shown.
    pub challenges: Arc<Challenges>,
    /// Where certificates are in force that could not be written down.
    pub unwritten: Arc<Unwritten>,
    /// Where it is counted.
    pub counters: Arc<AcmeCounters>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Keeper {
    /// Keeps the certificates for as long as this is polled. New ones lie in their files, and the listeners
    /// read those when they change.
    pub async fn keep(self) {
        let keeper = &self;
        without_end(&self.counters, || keeper.look_after()).await;
    }

    async fn look_after(&self) {
        self.unwritten.keep_only(&self.settings.certificates);
        let mut slots: Vec<_> =
            self.settings.certificates.iter().map(|wanted| Slot::new(self, wanted)).collect();
        loop {
            for slot in &mut slots {
                slot.look(self).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The certificate that there is, if it has all the names.
    pub(super) fn present(&self, wanted: &AcmeCertificate) -> Option<Certificate> {
        let held = self.unwritten.certificate(&wanted.file);
        let present = held.or_else(|| Certificate::read(wanted.files()).ok());
        present.filter(|certificate| certificate.covers(&wanted.names))
    }
}
