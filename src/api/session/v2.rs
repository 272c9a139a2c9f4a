//! The answers of `/api/2/…`: plain JSON, beside which the status code is a real one.

use serde_json::Value;

use super::script;

/// The media type of these answers.
pub const CONTENT_TYPE: &str = "application/json";

/// The answer of `endpoint`.
pub fn ok(endpoint: &str, data: &Value) -> String {
    script::object([
        ("status", script::text("ok")),
        ("endpoint", script::text(endpoint)),
        ("data", script::value(data)),
    ])
}

/// An error. Code and message stand there twice: clients look in either place.
pub fn error(code: &str, message: &str) -> String {
    let (code, message) = (script::text(code), script::text(message));
    script::object([
        ("status", script::text("error")),
        ("code", code.clone()),
        ("message", message.clone()),
        (
            "error",
            script::object([("code", code), ("message", message)]),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_plain_json() {
        assert_eq!(
            ok(
                "/api/2/session/get-token",
                &json!({ "access_token": "a", "n": 1 })
            ),
            r#"{"status":"ok","endpoint":"/api/2/session/get-token","data":{"access_token":"a","n":1}}"#,
        );
        assert_eq!(
            error("missing_authentication", "a \"key\""),
            r#"{"status":"error","code":"missing_authentication","message":"a \"key\"","error":{"code":"missing_authentication","message":"a \"key\""}}"#,
        );
    }
}
