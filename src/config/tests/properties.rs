//! Whatever stands in a file, it is read or refused.

use proptest::prelude::*;

use super::{FULL, SECRET, read};

proptest! {
    #[test]
    fn no_text_at_all_makes_it_panic(text in "\\PC*") {
        let _outcome = read(&text);
    }

    #[test]
    fn no_broken_file_makes_it_panic(
        cut in 0..FULL.len(),
        length in 0..80_usize,
        paste in "[\\PC\\n\"\\[\\]={}$]{0,12}",
    ) {
        let (before, rest) = FULL.split_at(cut);
        let after = rest.get(length..).unwrap_or_default();
        if let Err(faults) = read(&format!("{before}{paste}{after}")) {
            prop_assert!(!faults.is_empty());
            prop_assert!(!faults.to_string().contains(SECRET));
            prop_assert_eq!(faults.to_string().lines().count(), faults.len(), "a fault is one line");
        }
    }

    #[test]
    fn any_value_anywhere_is_read_or_refused(value in value()) {
        for key in ["server", "server.http", "control.listen", "store.kind", "site", "api_key", "x"] {
            let _outcome = read(&format!("{key} = {value}"));
        }
        for (line, _) in FULL.lines().enumerate().filter(|(_, line)| line.contains(" = ")) {
            let changed = FULL.lines().enumerate().map(|(index, text)| match text.split_once(" = ") {
                Some((key, _)) if index == line => format!("{key} = {value}\n"),
                _ => format!("{text}\n"),
            });
            let _outcome = read(&changed.collect::<String>());
        }
    }
}

fn value() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        Just("true".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("nan".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "'[ -&(-~]{0,20}'",
        "\"[${}A-Z:/.0-9é]{0,20}\"",
    ];
    plain.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            ("[a-z]{1,8}", inner).prop_map(|(key, item)| format!("{{ {key} = {item} }}")),
        ]
    })
}
