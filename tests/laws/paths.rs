//! A path means the same to gateway and upstream, or is refused.

use http::Method;
use proptest::prelude::*;
use tollgate::domain::access::{AccessLevel, Requirement, Route, Rules};
use tollgate::domain::path::{PathPrefix, RequestPath};

use crate::hostile_text;

fn rules() -> Rules {
    let route = |prefix: &str, level| Route {
        prefix: PathPrefix::parse(prefix).unwrap(),
        methods: Vec::new(),
        level,
        require: Requirement::default(),
    };
    Rules {
        default: AccessLevel::Optional,
        routes: vec![
            route("/public/", AccessLevel::Off),
            route("/admin/", AccessLevel::Required),
            route("/admin/public/", AccessLevel::Off),
        ],
    }
}

/// What an upstream may make of a path, in an order of its own choosing.
fn upstream_readings(path: &str) -> Vec<String> {
    let decode = |path: &str| percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let merge = |path: &str| {
        let mut merged = String::new();
        for c in path.chars() {
            if !(c == '/' && merged.ends_with('/')) {
                merged.push(c);
            }
        }
        merged
    };
    let cut = |path: &str| -> String {
        let segments: Vec<&str> =
            path.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
        segments.join("/")
    };
    let mut readings = vec![path.to_owned()];
    // Each of them or not, in this order and with the last two swapped: nobody cuts or merges what
    // is not decoded yet and then decodes, without reading dot segments in two ways.
    for transform in [&decode as &dyn Fn(&str) -> String, &merge, &cut, &merge] {
        for known in readings.clone() {
            let read = transform(&known);
            if !readings.contains(&read) {
                readings.push(read);
            }
        }
    }
    readings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn an_accepted_path_has_no_dot_segment_in_any_reading(tail in hostile_text(10), slash: bool) {
        let path = format!("/{tail}");
        if let Ok(accepted) = RequestPath::parse(&path, slash) {
            for reading in upstream_readings(accepted.as_str()) {
                prop_assert!(!reading.split('/').any(|segment| segment == "." || segment == ".."), "{path:?} as {reading:?}");
                prop_assert!(!reading.contains(['\\', '\0', '\r', '\n']), "{path:?} as {reading:?}");
            }
        }
    }

    #[test]
    fn what_is_closed_under_one_reading_is_closed(tail in hostile_text(10), slash: bool) {
        let path = format!("/{tail}");
        if let Ok(accepted) = RequestPath::parse(&path, slash) {
            let judged = rules().demand(&accepted, &Method::GET).level;
            for reading in upstream_readings(accepted.as_str()) {
                let under = |prefix: &str| reading == prefix || reading.starts_with(&format!("{prefix}/"));
                let closed = under("/admin") && !under("/admin/public");
                prop_assert!(!closed || judged == AccessLevel::Required, "{path:?} as {reading:?}: {judged:?}");
                let open = under("/public") || under("/admin/public");
                prop_assert!(open || judged >= AccessLevel::Optional, "{path:?} as {reading:?}: {judged:?}");
            }
        }
    }
}
