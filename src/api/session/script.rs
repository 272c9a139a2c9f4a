//! JSON that may stand inside a script element and be run as a script: what HTML or JavaScript
//! would read otherwise than JSON is written as an escape.

use serde_json::Value;

/// An object of members whose values are JSON already.
pub(super) fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut json = String::from("{");
    for (name, value) in members {
        let separator = if json.len() > 1 { "," } else { "" };
        json.extend([separator, &text(name), ":", &value]);
    }
    json.push('}');
    json
}

/// A string.
pub(super) fn text(text: &str) -> String {
    value(&Value::from(text))
}

/// Any value.
pub(super) fn value(value: &Value) -> String {
    let json = value.to_string();
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside of strings, JSON has none of these.
        match c {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            '\u{2028}' => safe.push_str("\\u2028"),
            '\u{2029}' => safe.push_str("\\u2029"),
            '\u{7f}' => safe.push_str("\\u007f"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script_or_the_line() {
        let hostile = "</script><!--&\u{2028}\u{2029}\u{7f}\n\"\\'é";
        let json = text(hostile);
        assert_eq!(json, r#""\u003c/script\u003e\u003c!--\u0026\u2028\u2029\u007f\n\"\\'é""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
        assert_eq!(value(&serde_json::json!({ "<": ["&", 1, null] })), r#"{"\u003c":["\u0026",1,null]}"#);
    }

    #[test]
    fn members_keep_their_order() {
        assert_eq!(object([("b", text("1")), ("a<", object([]))]), r#"{"b":"1","a\u003c":{}}"#);
    }
}
