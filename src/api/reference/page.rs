//! The OpenAPI document as a page.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("../../../templates/api/reference.css");

/// The page's own style, and nothing else.
pub(super) static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The page for the document `whole`; `None` if that is no document of the kind.
pub(super) fn render(whole: &Value) -> Option<String> {
    let info: Info = serde_json::from_value(whole.get("info")?.clone()).ok()?;
    let tags: Vec<Tag> = serde_json::from_value(whole.get("tags")?.clone()).ok()?;
    let sections = tags.into_iter().map(|tag| Section { calls: calls(whole, &tag.name), tag }).collect();
    Reference { style: STYLE, info, sections }.render().ok()
}

#[derive(Template)]
#[template(path = "api/reference.html")]
struct Reference {
    style: &'static str,
    info: Info,
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Info {
    title: String,
    version: String,
    description: String,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    #[serde(default)]
    description: String,
}

struct Section {
    tag: Tag,
    calls: Vec<Call>,
}

struct Call {
    method: String,
    path: String,
    id: String,
    summary: String,
    description: String,
    scope: Option<String>,
    parameters: Vec<Row>,
    body: Vec<Row>,
    example: Option<String>,
    answers: Vec<Answer>,
}

/// A parameter, or a member of an object.
struct Row {
    name: String,
    kind: String,
    is_required: bool,
    description: String,
}

struct Answer {
    status: String,
    description: String,
    codes: Vec<String>,
    members: Vec<Row>,
}

fn calls(whole: &Value, tag: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for (path, item) in whole.get("paths").and_then(Value::as_object).into_iter().flatten() {
        let shared = list(item.get("parameters"));
        for (method, call) in item.as_object().into_iter().flatten() {
            if list(call.get("tags")).iter().any(|own| own.as_str() == Some(tag)) {
                calls.push(read_call(whole, method, path, call, &shared));
            }
        }
    }
    calls
}

fn read_call(whole: &Value, method: &str, path: &str, call: &Value, shared: &[&Value]) -> Call {
    let parameters = shared.iter().copied().chain(list(call.get("parameters")));
    let body = call.pointer("/requestBody/content/application~1json");
    let example = body.and_then(|body| body.get("example"));
    let answers = call.get("responses").and_then(Value::as_object).into_iter().flatten();
    Call {
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        id: text(call, "operationId"),
        summary: text(call, "summary"),
        description: text(call, "description"),
        scope: call.get("x-scope").and_then(Value::as_str).map(str::to_owned),
        parameters: parameters.map(|parameter| parameter_row(resolved(whole, parameter))).collect(),
        body: body.and_then(|body| body.get("schema")).map_or_else(Vec::new, |schema| members(whole, schema)),
        example: example.and_then(|example| serde_json::to_string_pretty(example).ok()),
        answers: answers.map(|(status, answer)| read_answer(whole, status, answer)).collect(),
    }
}

fn read_answer(whole: &Value, status: &str, answer: &Value) -> Answer {
    let answer = resolved(whole, answer);
    let schema = answer.pointer("/content/application~1json/schema");
    let codes = schema.and_then(|schema| schema.pointer("/properties/error/properties/code/enum"));
    let is_error = codes.is_some();
    Answer {
        status: status.to_owned(),
        description: text(answer, "description"),
        codes: list(codes).into_iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        members: schema.filter(|_| !is_error).map_or_else(Vec::new, |schema| members(whole, schema)),
    }
}

fn parameter_row(parameter: &Value) -> Row {
    let kind = parameter.get("schema").map(kind).unwrap_or_default();
    Row {
        name: text(parameter, "name"),
        kind: format!("{} in the {}", kind, text(parameter, "in")),
        is_required: parameter.get("required").and_then(Value::as_bool).unwrap_or_default(),
        description: text(parameter, "description"),
    }
}

fn members(whole: &Value, schema: &Value) -> Vec<Row> {
    let schema = resolved(whole, schema);
    let required = list(schema.get("required"));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let row = |(name, property): (&String, &Value)| Row {
        name: name.clone(),
        kind: kind(property),
        is_required: required.iter().any(|own| own.as_str() == Some(name)),
        description: text(resolved(whole, property), "description"),
    };
    properties.map(row).collect()
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let types = schema.get("type");
    let named = types
        .and_then(Value::as_str)
        .into_iter()
        .chain(types.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
    let words = named.map(|name| match (name, schema.get("items")) {
        ("array", Some(items)) => format!("list of {}", kind(items)),
        _ => name.to_owned(),
    });
    let limits: BTreeMap<&str, &Value> = ["minimum", "maximum", "maxLength", "maxItems"]
        .into_iter()
        .filter_map(|name| Some((name, schema.get(name)?)))
        .collect();
    let words = words.collect::<Vec<_>>().join(" or ");
    let choice: Vec<String> = list(schema.get("enum"))
        .into_iter()
        .filter_map(|one| one.as_str().filter(|one| !one.is_empty()).map(str::to_owned))
        .collect();
    if !choice.is_empty() {
        return choice.join(" or ");
    }
    match (limits.get("minimum"), limits.get("maximum"), limits.get("maxLength"), limits.get("maxItems")) {
        (Some(least), Some(most), ..) => format!("{words}, {least} to {most}"),
        (_, _, Some(most), _) => format!("{words}, at most {most} characters"),
        (.., Some(most)) => format!("{words}, at most {most} entries"),
        _ => words,
    }
}

/// What `value` refers to, or itself (RFC 6901).
fn resolved<'a>(whole: &'a Value, value: &'a Value) -> &'a Value {
    let target = value.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| whole.pointer(pointer)).unwrap_or(value)
}

fn list(value: Option<&Value>) -> Vec<&Value> {
    value.and_then(Value::as_array).into_iter().flatten().collect()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
