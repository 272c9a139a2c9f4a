//! Reading a JSON body field by field: each that is wrong is named.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Map, Value};

use super::error::ApiError;
use super::object::Object;
use crate::domain::user::turns_text;
use crate::http::Request;
use crate::http::body::read_up_to;
use crate::http::code::Code;
use crate::http::form;

/// Far more than any call needs.
const MAX_BODY: usize = 256 * 1024;

const MAX_LIST: usize = 100;
const MAX_LIST_BYTES: usize = 4 * 1024;
const MAX_ITEM_CHARS: usize = 200;
const MAX_ATTRIBUTE_CHARS: usize = 1000;

/// The members of a JSON object. Members that nobody asks for do not matter: clients of other
/// APIs of this kind send some.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body that has to be a JSON object.
    pub(super) async fn of(request: Request) -> Result<Self, ApiError> {
        let media_type = request.headers().get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        if !media_type.is_some_and(|value| form::media_type(value).eq_ignore_ascii_case(b"application/json"))
        {
            let message = "Send the body as `Content-Type: application/json`.";
            return Err(ApiError::new(Code::UnsupportedMediaType, message));
        }
        if request.headers().contains_key(CONTENT_ENCODING) {
            let message = "Send the body without Content-Encoding.";
            return Err(ApiError::new(Code::UnsupportedMediaType, message));
        }
        let body = read_up_to(request.into_body(), MAX_BODY).await.map_err(ApiError::unread)?;
        let Object(members) = serde_json::from_slice(&body).map_err(malformed)?;
        Ok(Self(members))
    }

    /// A member that is there and not null.
    fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// Whether a member is there but says nothing.
    pub(super) fn is_empty_text(&self, field: &str) -> bool {
        self.value(field).and_then(Value::as_str).is_some_and(|text| text.trim().is_empty())
    }

    /// Refuses members that are none of `known`, for calls in which a typing error would
    /// otherwise change nothing and say nothing.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let unknown = self.0.keys().find(|name| !known.contains(&name.as_str()));
        let expected = || format!("expected {}", known.join(", "));
        unknown.map_or(Ok(()), |name| Err(ApiError::parameter_invalid(name, expected())))
    }

    /// A text of at most `max_chars` without control characters. An empty one counts as absent.
    pub(super) fn text(&self, field: &str, max_chars: usize) -> Result<Option<&str>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| ApiError::parameter_invalid(field, "it is not a string"))?;
        check_text(field, text, max_chars)?;
        if text.contains(turns_text) {
            return Err(ApiError::parameter_invalid(field, "it has characters that turn text round"));
        }
        Ok(Some(text.trim()).filter(|text| !text.is_empty()))
    }

    /// The same, where it has to be there.
    pub(super) fn required_text(&self, field: &str, max_chars: usize) -> Result<&str, ApiError> {
        self.text(field, max_chars)?.ok_or_else(|| ApiError::parameter_missing(field))
    }

    /// What `parse` makes of a text, which has to be valid if it is there.
    pub(super) fn parsed<T>(
        &self,
        field: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(field, MAX_ATTRIBUTE_CHARS)? else { return Ok(None) };
        let invalid = || ApiError::parameter_invalid(field, format_args!("expected {expected}"));
        parse(text).map(Some).ok_or_else(invalid)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| ApiError::parameter_invalid(field, "expected true or false"))
    }

    /// A whole number of seconds within `range`.
    pub(super) fn seconds(
        &self,
        field: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<Duration>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let seconds = whole_number(value).filter(|seconds| range.contains(seconds));
        let (least, most) = range.into_inner();
        let why = || ApiError::parameter_invalid(field, format_args!("expected {least} to {most} seconds"));
        seconds.map(|seconds| Some(Duration::from_secs(seconds))).ok_or_else(why)
    }

    /// A list of texts. They reach the upstream in one header, separated by commas, so none may have
    /// one.
    pub(super) fn list(&self, field: &str) -> Result<Option<Vec<String>>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let why = || {
            ApiError::parameter_invalid(field, format_args!("expected a list of at most {MAX_LIST} strings"))
        };
        let items = value.as_array().filter(|items| items.len() <= MAX_LIST);
        let items = items.ok_or_else(why)?;
        let item = |item: &Value| {
            let text = item.as_str().ok_or_else(why)?;
            // Before it is trimmed, which would pass over line breaks.
            check_text(field, text, MAX_ITEM_CHARS)?;
            let text = text.trim();
            if text.is_empty() || text.contains(',') {
                return Err(ApiError::parameter_invalid(field, "an entry is empty or has a comma"));
            }
            Ok(text.to_owned())
        };
        let list = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        // Servers refuse requests whose headers are too long: the person could open nothing.
        if list.iter().map(String::len).sum::<usize>() > MAX_LIST_BYTES {
            let why = format_args!("it is longer than {MAX_LIST_BYTES} bytes");
            return Err(ApiError::parameter_invalid(field, why));
        }
        Ok(Some(list))
    }

    /// A map of texts.
    pub(super) fn map(&self, field: &str) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let why = || {
            ApiError::parameter_invalid(
                field,
                format_args!("expected an object of at most {MAX_LIST} strings"),
            )
        };
        let members = value.as_object().filter(|members| members.len() <= MAX_LIST);
        let members = members.ok_or_else(why)?;
        let member = |(name, value): (&String, &Value)| {
            let text = value.as_str().ok_or_else(why)?;
            if name.is_empty() {
                return Err(ApiError::parameter_invalid(field, "a name is empty"));
            }
            check_text(field, name, MAX_ITEM_CHARS)?;
            check_text(field, text, MAX_ATTRIBUTE_CHARS)?;
            Ok((name.clone(), text.to_owned()))
        };
        members.iter().map(member).collect::<Result<_, _>>().map(Some)
    }

    /// The members of an object, each a text or null.
    pub(super) fn object(&self, field: &str) -> Result<Vec<(&str, Option<&str>)>, ApiError> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let why = || ApiError::parameter_invalid(field, "expected an object of strings and nulls");
        let members = value.as_object().ok_or_else(why)?;
        let member =
            |(name, value): (&'_ String, &'_ Value)| value.is_null() || value.is_string() && !name.is_empty();
        if !members.iter().all(member) {
            return Err(why());
        }
        Ok(members.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }
}

/// A number that is whole, however it is written: `30.0` is (RFC 8259 §6 tells no integers apart).
fn whole_number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let text = value.as_f64().filter(|number| number.fract() == 0.0)?.to_string();
        text.parse().ok()
    })
}

impl From<Map<String, Value>> for Fields {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

fn check_text(field: &str, text: &str, max_chars: usize) -> Result<(), ApiError> {
    if text.contains(char::is_control) {
        return Err(ApiError::parameter_invalid(field, "it has control characters"));
    }
    if text.chars().count() > max_chars {
        let why = format!("it is longer than {max_chars} characters");
        return Err(ApiError::parameter_invalid(field, why));
    }
    Ok(())
}

fn malformed(why: impl std::fmt::Display) -> ApiError {
    let message = format!("The body cannot be read as JSON: {why}.");
    ApiError::new(Code::MalformedJson, message)
}
