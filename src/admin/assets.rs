//! The style, the script and the icon. Their names tell what is in them, so that browsers may keep them.

use std::sync::LazyLock;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use sha2::{Digest, Sha256};

use super::answer::{Answer, Trouble};
use super::guard;
use crate::domain::secret::hex;
use crate::http::{Request, reply};

const STYLE: &str = include_str!("../../templates/admin/style.css");
const SCRIPT: &str = include_str!("../../templates/admin/script.js");
const ICON: &str = include_str!("../../templates/admin/icon.svg");

/// What the assets are called.
pub(super) struct Names {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    style: named(STYLE, "css"),
    script: named(SCRIPT, "js"),
    icon: named(ICON, "svg"),
});

/// What they are called.
pub(super) fn names() -> &'static Names {
    &NAMES
}

fn named(content: &str, kind: &str) -> String {
    let hash = hex(&Sha256::digest(content));
    format!("{}.{kind}", hash.get(..16).unwrap_or_default())
}

/// The asset called `name`. They are no secret: whoever signs in needs them before.
pub(super) fn answer(request: &Request, name: &str) -> Answer {
    let names = names();
    let (content, kind) = if name == names.style {
        (STYLE, "text/css; charset=utf-8")
    } else if name == names.script {
        (SCRIPT, "text/javascript; charset=utf-8")
    } else if name == names.icon {
        (ICON, "image/svg+xml")
    } else {
        return Err(Trouble::NotFound("file"));
    };
    if guard::changes(request.method()) {
        return Err(Trouble::Method("GET, HEAD"));
    }
    let mut response = reply::with_body(StatusCode::OK, kind, content.as_bytes());
    let keep = HeaderValue::from_static("private, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, keep);
    Ok(response)
}
