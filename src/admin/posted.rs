//! What a form sent.

use std::collections::BTreeMap;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::Visit;
use super::answer::Trouble;
use crate::http::body::{ReadFault, read_up_to};
use crate::http::{Request, form};

/// Far more than any form here has.
const MAX_BODY: usize = 64 * 1024;

/// The field by which a form proves that it is one of the operator's own pages.
const TOKEN: &str = "token";

/// The fields of a form, each of which there is once.
pub(super) struct Posted(BTreeMap<String, String>);

impl Posted {
    /// Reads what `request` brings.
    pub(super) async fn read(request: Request) -> Result<Self, Trouble> {
        let headers = request.headers();
        let media_type = headers.get(CONTENT_TYPE).map(|value| form::media_type(value.as_bytes()));
        let is_form =
            media_type.is_some_and(|own| own.eq_ignore_ascii_case(b"application/x-www-form-urlencoded"));
        if !is_form || headers.contains_key(CONTENT_ENCODING) {
            return Err(Trouble::Unread(ReadFault::Broken));
        }
        let body = read_up_to(request.into_body(), MAX_BODY).await.map_err(Trouble::Unread)?;
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(&body) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Trouble::Unread(ReadFault::Broken));
            }
        }
        Ok(Self(fields))
    }

    /// A field without the spaces around it; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map(|value| value.trim()).unwrap_or_default()
    }
}

impl Visit<'_> {
    /// Reads a form that one of this operator's own pages sent. Nothing is to be changed without this.
    pub(super) async fn posted(&self, request: Request) -> Result<Posted, Trouble> {
        let posted = Posted::read(request).await?;
        // Until the form was there, the key may have been taken away.
        if self.operator.is_admin(self.scene, self.scene.now()) && self.operator.knows(posted.text(TOKEN)) {
            Ok(posted)
        } else {
            Err(Trouble::Stale)
        }
    }
}
