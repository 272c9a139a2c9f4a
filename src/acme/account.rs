//! The account with the authority: made once, kept in the folder, and used for all that is asked.

use std::io;
use std::path::{Path, PathBuf};

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::agent::Agent;
use super::folder::Draft;
use super::trouble::Trouble;
use crate::config::AcmeSettings;

/// Bytes that an account takes on the disk, and more.
const ROOM: usize = 8 * 1024;

/// What is kept of an account: its key, above all.
#[derive(Serialize, Deserialize)]
struct Record {
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// The account of `settings`, made if there is none yet.
pub(super) async fn open(settings: &AcmeSettings, agent: &Agent) -> Result<Account, Trouble> {
    let file = file_in(&settings.folder);
    let Some(record) = read(&file)? else { return create(settings, agent, &file).await };
    let builder = Account::builder_with_http(Box::new(agent.clone()));
    let account = builder.from_credentials(record.credentials).await?;
    if record.contact != settings.contact {
        account.update_contacts(&contact(settings)).await?;
        // Read again, as the library does not give the credentials back.
        if let Some(record) = read(&file)? {
            keep(&file, &Record { contact: settings.contact.clone(), ..record })?;
        }
    }
    Ok(account)
}

/// Forgets an account that the authority does not know any more.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(file_in(folder)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn create(settings: &AcmeSettings, agent: &Agent, file: &Path) -> Result<Account, Trouble> {
    // Authorities count accounts as well: none is made that could not be kept.
    Draft::write(file, &[b'\n'; ROOM])?;
    let external = settings.external_account.as_ref();
    let external =
        external.map(|account| ExternalAccountKey::new(account.key_id.clone(), &account.key_bytes()));
    let asked = NewAccount {
        contact: &contact(settings),
        // The configuration is none without that.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_http(Box::new(agent.clone()));
    let (account, credentials) =
        builder.create(&asked, settings.directory.clone(), external.as_ref()).await?;
    keep(file, &Record { contact: settings.contact.clone(), credentials })?;
    tracing::info!(target: "tollgate::acme", account = account.id(), "created an account with the authority");
    Ok(account)
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("account.json")
}

fn contact(settings: &AcmeSettings) -> Vec<&str> {
    settings.contact.iter().map(String::as_str).collect()
}

fn read(file: &Path) -> io::Result<Option<Record>> {
    let text = match std::fs::read(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Of the error only where it is: what stands there is a key.
    let record = serde_json::from_slice(&text).map_err(|error| {
        let (file, line, column) = (file.display(), error.line(), error.column());
        io::Error::other(format!(
            "{file}:{line}:{column} is not a valid account file; remove it to have a new account created"
        ))
    });
    record.map(Some)
}

fn keep(file: &Path, record: &Record) -> Result<(), Trouble> {
    let text = serde_json::to_vec(record).map(Zeroizing::new).map_err(|error| Trouble::Own(error.into()))?;
    Ok(Draft::write(file, &text)?.publish()?)
}
