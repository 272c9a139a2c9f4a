//! Whatever stands in a file, it is read for what it says, or refused in words that can be shown to anybody.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

proptest! {
    #[test]
    fn no_text_at_all_is_misread(text in "\\PC*") {
        read_or_refused(&text)?;
    }

    #[test]
    fn no_broken_file_is_misread(
        cut in 0..FULL.len(),
        length in 0..80_usize,
        paste in "[\\PC\\n\"\\[\\]={}$]{0,12}",
    ) {
        let (before, rest) = FULL.split_at(cut);
        let after = rest.get(length..).unwrap_or_default();
        read_or_refused(&format!("{before}{paste}{after}"))?;
    }

    #[test]
    fn any_value_anywhere_is_read_or_refused(value in value()) {
        for key in ["server", "server.http", "control.listen", "store.kind", "site", "api_key", "x"] {
            read_or_refused(&format!("{key} = {value}"))?;
        }
        for (line, _) in FULL.lines().enumerate().filter(|(_, line)| line.contains(" = ")) {
            let changed = FULL.lines().enumerate().map(|(index, text)| match text.split_once(" = ") {
                Some((key, _)) if index == line => format!("{key} = {value}\n"),
                _ => format!("{text}\n"),
            });
            read_or_refused(&changed.collect::<String>())?;
        }
    }
}

/// What is read says the same in whatever way it is written; what is refused has a reason on a line of the file,
/// without anything that is secret.
fn read_or_refused(text: &str) -> Result<(), TestCaseError> {
    match read(text) {
        Ok(settings) => {
            let table: toml::Table = toml::from_str(text).unwrap();
            let again = read(&toml::to_string(&table).unwrap());
            prop_assert_eq!(again.map(without_lines), Ok(without_lines(settings)), "{}", text);
        }
        Err(faults) => {
            let shown = faults.to_string();
            prop_assert!(!faults.is_empty());
            prop_assert!(!shown.contains(SECRET), "{}", shown);
            prop_assert_eq!(shown.lines().count(), faults.len(), "a fault is one line: {}", shown);
            let lines = 1..=text.split('\n').count();
            prop_assert!(faults.iter().all(|fault| lines.contains(&fault.line())), "{}", shown);
        }
    }
    Ok(())
}

/// All that was read. Remarks name the lines of their file: how many there are has to do.
fn without_lines(settings: Settings) -> (String, usize) {
    let remarks = settings.remarks.len();
    (format!("{:?}", Settings { remarks: Vec::new(), ..settings }), remarks)
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
