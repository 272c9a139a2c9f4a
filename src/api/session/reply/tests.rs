//! Answers, letter by letter.

use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::domain::entropy::SeededEntropy;

fn token() -> LoginToken {
    LoginToken::mint(&SeededEntropy::new(7))
}

fn site() -> SiteCard {
    let [domain, product_key, site_id, site_name] =
        ["intranet.example", "tollgate", "intranet", "intranet"].map(str::to_owned);
    SiteCard { domain, product_key, site_id, site_name }
}

fn echo(query: &str) -> Reply {
    let parameters = Parameters::read(&Method::GET, Some(query), None).expect("is text");
    Reply::echo(PermissionLevel::Anonymous, &parameters)
}

fn json_of(reply: &Reply, endpoint: &str) -> Value {
    serde_json::from_str(&reply.render(&Format::Bare, endpoint)).expect("is JSON")
}

#[test]
fn a_session_token_is_answered_as_the_original_does() {
    let reply = Reply::session_token(PermissionLevel::Super, &token(), "/?a=1&b=2").about(site());
    let text = token().expose();
    assert_eq!(
        reply.render(&Format::Xml, "/api/session/get-token"),
        format!(
            "<response status=\"ok\" permission_level=\"super\" \
             message=\"The session access token is ready to use\" cached=\"0\">\
             <access_token>{text}</access_token><return_url>/?a=1&amp;b=2</return_url></response>"
        ),
    );
    assert_eq!(
        reply.render(&Format::Bare, "/api/session/get-token"),
        format!(
            "{{\"status\":\"ok\",\"message\":\"The session access token is ready to use\",\
             \"permission_level\":\"super\",\"cached\":\"0\",\
             \"sessiontoken\":{{\"access_token\":\"{text}\",\"return_url\":\"/?a=1\\u0026b=2\"}},\
             \"p\":\"1\",\"size\":\"1\",\
             \"site\":{{\"domain\":\"intranet.example\",\"product_key\":\"tollgate\",\
             \"site_id\":\"intranet\",\"site_name\":\"intranet\"}},\
             \"endpoint\":\"/api/session/get-token\"}}"
        ),
    );
}

#[test]
fn a_login_token_names_its_user() {
    let reply = Reply::login_token(PermissionLevel::Super, &token(), "/", UserId::parse("12").unwrap());
    let text = token().expose();
    assert_eq!(
        reply.render(&Format::Xml, ""),
        format!(
            "<response status=\"ok\" permission_level=\"super\" \
             message=\"The user login token is ready to use\" cached=\"0\">\
             <login_token>{text}</login_token><return_url>/</return_url><user_id>12</user_id></response>"
        ),
    );
    let expected = json!({ "login_token": text, "return_url": "/", "user_id": "12" });
    assert_eq!(json_of(&reply, "/api/user/get-login-token")["logintoken"], expected);
}

#[test]
fn an_error_names_its_code_and_the_level() {
    let reply = Reply::denied(PermissionLevel::None, PermissionLevel::Super);
    let message = "You don't have the necessary permissions to perform this action (required level: 'super')";
    assert_eq!(
        reply.render(&Format::Xml, ""),
        format!(
            "<response status=\"error\" permission_level=\"none\" code=\"permission_denied\" message=\"{message}\"/>"
        ),
    );
    assert_eq!(
        json_of(&reply, "/api/session/get-token"),
        json!({
            "status": "error",
            "message": message,
            "code": "permission_denied",
            "permission_level": "none",
            "endpoint": "/api/session/get-token",
        }),
    );
}

#[test]
fn json_is_wrapped_as_asked() {
    let reply = Reply::refused(PermissionLevel::None, ErrorCode::InvalidInput, "</script>");
    let bare = reply.render(&Format::Bare, "/");
    assert!(bare.starts_with('{') && !bare.contains('<'), "{bare}");
    for (query, expected) in [
        ("format=json", format!("var visual = {bare};")),
        ("format=json&varname=x", format!("var x = {bare};")),
        ("format=json&callback=a.f", format!("a.f({bare});")),
        ("format=json&raw", bare.clone()),
    ] {
        let parameters = Parameters::read(&Method::GET, Some(query), None).expect("is text");
        assert_eq!(reply.render(&Format::read(&parameters).unwrap(), "/"), expected, "{query}");
    }
}

#[test]
fn an_echo_has_every_parameter_and_cannot_pretend() {
    let reply =
        echo("apples=oranges&foo=bar&foo=2&a+b=%3C&status=error&permission_level=super&site=x&endpoint=y");
    assert_eq!(
        reply.render(&Format::Xml, "/api/echo"),
        "<response status=\"ok\" permission_level=\"anonymous\" cached=\"0\"><apples>oranges</apples>\
         <foo>bar</foo><foo>2</foo><parameter name=\"a b\">&lt;</parameter><status>error</status>\
         <permission_level>super</permission_level><site>x</site><endpoint>y</endpoint></response>",
    );
    assert_eq!(
        reply.render(&Format::Bare, "/api/echo"),
        "{\"status\":\"ok\",\"permission_level\":\"anonymous\",\"cached\":\"0\",\"apples\":\"oranges\",\
         \"foo\":\"bar\",\"a b\":\"\\u003c\",\"endpoint\":\"/api/echo\"}",
    );
}

#[test]
fn the_documents_explain_every_error() {
    let known = [
        ErrorCode::InvalidInput,
        ErrorCode::InvalidSignature,
        ErrorCode::KeyExpired,
        ErrorCode::MissingAuthentication,
        ErrorCode::NoSuchUser,
        ErrorCode::PermissionDenied,
        ErrorCode::TokenRequired,
    ];
    let document = include_str!("../../../../docs/errors.md");
    let part = document.split("\n## ").find(|part| part.starts_with("The 23-compatible API\n")).unwrap();
    let explained = part.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(explained.collect::<Vec<_>>(), known.map(ErrorCode::as_str));
}
