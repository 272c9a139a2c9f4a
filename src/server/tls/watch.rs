//! Certificates that are renewed: their files are looked at now and then, and read again when
//! they have changed. One that cannot be used leaves the old one in place, and is in no other's way.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Certificates;
use crate::config::{Certificate, CertificateFault, CertificateFiles};
use crate::domain::clock::Timestamp;

/// What tells that a file has been written or replaced, without reading it. Of the several signs
/// each has cases in which it alone stays the same.
type Print = Option<(i64, i64, u64, u64)>;

/// Looks after the files of the certificates of one listener.
pub struct CertificateWatch {
    shown: Arc<Certificates>,
    /// With whether they have to be there.
    files: Vec<(CertificateFiles, bool)>,
    seen: Vec<Print>,
    /// What was seen of those that are in no file.
    edition: u64,
    /// What was last said about files that could not be used: it is said once.
    complaint: Option<String>,
}

impl CertificateWatch {
    /// Watches the files of what is `shown`, which have just been read.
    pub fn new(shown: Arc<Certificates>) -> Self {
        let files = shown.files();
        // What is asked for may have come since the configuration was read: that is looked at once more.
        let is_settled = files.iter().all(|(_, needed)| *needed);
        let seen = if is_settled { prints(&files) } else { Vec::new() };
        Self { shown, files, seen, edition: 0, complaint: None }
    }

    /// Reads the files again if they have changed, or if they could not be used the last time: a
    /// certificate and its key are never replaced in the same moment.
    pub fn look(&mut self, time: Timestamp) {
        let (now, edition) = (prints(&self.files), self.shown.unwritten.edition());
        if now == self.seen && edition == self.edition && self.complaint.is_none() {
            return;
        }
        (self.seen, self.edition) = (now, edition);
        self.reload(time);
    }

    /// Reads the files again; `time` is now.
    pub fn reload(&mut self, time: Timestamp) {
        let before = self.shown.current();
        let (mut certificates, mut complaints) = (Vec::new(), Vec::new());
        for (files, needed) in &self.files {
            let unwritten = self.shown.unwritten.certificate(&files.cert).map(Ok);
            match unwritten.or_else(|| read(files, *needed)) {
                Some(Ok(certificate)) => {
                    if let Some(warning) = certificate.warning(time) {
                        tracing::warn!(target: "tollgate::server", "{warning}");
                    }
                    certificates.push(certificate);
                }
                Some(Err(complaint)) => {
                    certificates.extend(before.iter().find(|own| own.files == *files).cloned());
                    complaints.push(complaint);
                }
                None => {}
            }
        }
        self.shown.replace(certificates);
        let complaint = (!complaints.is_empty()).then(|| complaints.join("; "));
        match &complaint {
            None => tracing::info!(target: "tollgate::server", "the certificates were reloaded"),
            Some(error) if self.complaint != complaint => tracing::error!(
                target: "tollgate::server", error,
                "some new certificates cannot be used; the previous ones stay in use"
            ),
            Some(_) => {}
        }
        self.complaint = complaint;
    }
}

/// What is in `files`; nothing if they are not there and need not be.
fn read(files: &CertificateFiles, needed: bool) -> Option<Result<Certificate, String>> {
    match Certificate::read(files.clone()) {
        Err(CertificateFault::CertUnreadable(error))
            if !needed && error.kind() == io::ErrorKind::NotFound =>
        {
            None
        }
        read => Some(read.map_err(|fault| format!("{} {fault}", fault.file(files).display()))),
    }
}

fn prints(files: &[(CertificateFiles, bool)]) -> Vec<Print> {
    files.iter().flat_map(|(files, _)| [print(&files.cert), print(&files.key)]).collect()
}

fn print(path: &Path) -> Print {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino(), metadata.size()))
}
