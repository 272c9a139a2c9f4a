//! JSON objects in which each name stands once, at whatever depth.
//!
//! RFC 8259 §4 leaves open what a name means that is there twice, and libraries differ. A login page that
//! puts its JSON together by hand would let a visitor's name say `", "email": "somebody@else`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The members of such an object.
pub(super) struct Object(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Unambiguous::deserialize(deserializer)? {
            Unambiguous(Value::Object(members)) => Ok(Self(members)),
            Unambiguous(_) => Err(D::Error::custom("it is not an object")),
        }
    }
}

/// Any value in which no object has a name twice.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Unambiguous(value))) = entries.next_entry::<String, _>()? {
            // The name is not told: it may be somebody's.
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given more than once"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_once_is_read_as_everybody_reads_it() {
        let text = r#"{"a": null, "b": [true, -1, 18446744073709551615, 1.5, "ä\n"], "c": {"a": {}}}"#;
        let Object(members) = serde_json::from_str(text).unwrap();
        assert_eq!(Value::Object(members), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn what_is_there_twice_or_is_no_object_is_refused() {
        for (text, why) in [
            (r#"{"email": "a@b.c", "email": "d@e.f"}"#, "a member is given more than once"),
            (r#"{"email": "a@b.c", "em\u0061il": null}"#, "a member is given more than once"),
            (r#"{"attributes": {"plan": "free", "plan": "gold"}}"#, "a member is given more than once"),
            (r#"{"list": [{"a": 1, "a": 1}]}"#, "a member is given more than once"),
            ("[]", "it is not an object"),
            ("\"text\"", "it is not an object"),
            ("{", "EOF"),
        ] {
            let fault = serde_json::from_str::<Object>(text).err().unwrap().to_string();
            assert!(fault.starts_with(why), "{text}: {fault}");
        }
        let deep = "{\"a\":".repeat(10_000);
        assert!(serde_json::from_str::<Object>(&deep).is_err());
    }
}
