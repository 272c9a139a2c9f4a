//! The style of the pages, and the Content-Security-Policy that allows this one style by its hash
//! and nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The style sheet, which each page carries inline.
pub(super) const STYLE: &str = include_str!("../../templates/pages/style.css");

/// For pages that have no form.
pub(super) static WITHOUT_FORM: LazyLock<String> =
    LazyLock::new(|| format!("{}; form-action 'none'", *COMMON));

/// For pages that have one. `form-action` is left open: browsers built on Chromium apply it to
/// every redirect that follows the POST, and the answer may lead to another host of the site or
/// to the login page. What the form does is decided by the template alone.
pub(super) static WITH_FORM: LazyLock<String> = LazyLock::new(|| COMMON.clone());

static COMMON: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'")
});
