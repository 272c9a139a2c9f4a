//! Certificates that are renewed: their files are looked at now and then, and read again when
//! they have changed. Those that cannot be used leave the old ones in place.

use std::path::Path;
use std::sync::Arc;

use super::Certificates;
use crate::config::{Certificate, CertificateFiles};
use crate::domain::clock::Timestamp;

/// What tells that a file has been written or replaced, without reading it. Of the several signs
/// each has cases in which it alone stays the same.
type Print = Option<(i64, i64, u64, u64)>;

/// Looks after the files of the certificates of one listener.
pub struct CertificateWatch {
    shown: Arc<Certificates>,
    files: Vec<CertificateFiles>,
    seen: Vec<Print>,
    /// What was last said about files that could not be used: it is said once.
    complaint: Option<String>,
}

impl CertificateWatch {
    /// Watches the files of what is `shown`, which have just been read.
    pub fn new(shown: Arc<Certificates>) -> Self {
        let files: Vec<CertificateFiles> =
            shown.current().iter().map(|certificate| certificate.files.clone()).collect();
        let seen = prints(&files);
        Self { shown, files, seen, complaint: None }
    }

    /// Reads the files again if they have changed, or if they could not be used the last time: a
    /// certificate and its key are never replaced in the same moment.
    pub fn look(&mut self, time: Timestamp) {
        let now = prints(&self.files);
        if now == self.seen && self.complaint.is_none() {
            return;
        }
        self.seen = now;
        self.reload(time);
    }

    /// Reads the files again; `time` is now.
    pub fn reload(&mut self, time: Timestamp) {
        let read: Result<Vec<Certificate>, String> = self.files.iter().map(read).collect();
        match read {
            Ok(certificates) => {
                for warning in certificates.iter().filter_map(|certificate| certificate.warning(time)) {
                    tracing::warn!(target: "tollgate::server", "{warning}");
                }
                self.shown.replace(certificates);
                self.complaint = None;
                tracing::info!(target: "tollgate::server", "the certificates were read anew");
            }
            Err(complaint) => {
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        target: "tollgate::server", error = complaint,
                        "the new certificates cannot be used, those that were read before stay"
                    );
                }
                self.complaint = Some(complaint);
            }
        }
    }
}

fn read(files: &CertificateFiles) -> Result<Certificate, String> {
    Certificate::read(files.clone()).map_err(|fault| format!("{} {fault}", fault.file(files).display()))
}

fn prints(files: &[CertificateFiles]) -> Vec<Print> {
    files.iter().flat_map(|files| [print(&files.cert), print(&files.key)]).collect()
}

fn print(path: &Path) -> Print {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino(), metadata.size()))
}
