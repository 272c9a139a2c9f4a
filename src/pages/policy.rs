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

/// The script by which a frame opens the login page and takes what comes back from it.
pub(super) const FRAME_SCRIPT: &str = include_str!("../../templates/pages/framed_sign_in.js");

/// The script by which the tab hands it over.
pub(super) const HANDOVER_SCRIPT: &str = include_str!("../../templates/pages/handover.js");

/// For the page with the first of these scripts, and with no other. Who may frame it is said for the site
/// as a whole.
pub(super) static WITH_FRAME_SCRIPT: LazyLock<String> = LazyLock::new(|| with_script(FRAME_SCRIPT));

/// For the page with the second.
pub(super) static WITH_HANDOVER_SCRIPT: LazyLock<String> = LazyLock::new(|| with_script(HANDOVER_SCRIPT));

fn with_script(script: &str) -> String {
    format!("{}; script-src '{}'", *WITHOUT_FORM, hash_of(script))
}

static COMMON: LazyLock<String> = LazyLock::new(|| {
    let style = hash_of(STYLE);
    format!("default-src 'none'; style-src '{style}'; base-uri 'none'; frame-ancestors 'none'")
});

pub(super) fn hash_of(inline: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inline)))
}
