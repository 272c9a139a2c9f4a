//! The style and the scripts of the pages, and the Content-Security-Policy that allows these by their
//! hashes and nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The style sheet, which each page carries inline.
pub(super) const STYLE: &str = include_str!("../../templates/pages/style.css");

/// The script of the page that keeps a fragment.
pub(super) const FRAGMENT_SCRIPT: &str = include_str!("../../templates/pages/fragment.js");

/// The script of the page that sends something again.
pub(super) const RESUME_SCRIPT: &str = include_str!("../../templates/pages/resume.js");

/// For the page that keeps a fragment.
pub(super) static FRAGMENT: LazyLock<String> =
    LazyLock::new(|| format!("{}; script-src '{}'; form-action 'none'", *COMMON, hash_of(FRAGMENT_SCRIPT)));

/// For the page that sends something again: to the site itself, by its form or by its script.
pub(super) static RESUME: LazyLock<String> =
    LazyLock::new(|| format!("{}; script-src '{}'; connect-src 'self'", *COMMON, hash_of(RESUME_SCRIPT)));

/// For pages that have no form.
pub(super) static WITHOUT_FORM: LazyLock<String> =
    LazyLock::new(|| format!("{}; form-action 'none'", *COMMON));

/// For pages that have one. `form-action` is left open: browsers built on Chromium apply it to
/// every redirect that follows the POST, and the answer may lead to another host of the site or
/// to the login page. What the form does is decided by the template alone.
pub(super) static WITH_FORM: LazyLock<String> = LazyLock::new(|| COMMON.clone());

static COMMON: LazyLock<String> = LazyLock::new(|| {
    let style = hash_of(STYLE);
    format!("default-src 'none'; style-src '{style}'; base-uri 'none'; frame-ancestors 'none'")
});

pub(super) fn hash_of(inline: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inline)))
}
