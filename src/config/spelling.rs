//! Guessing which word was meant, for "did you mean" in faults.

/// Slips farther than this from a known word are not taken for it.
const MAX_SLIPS: usize = 2;

/// The one of `known` that `written` is a misspelling of, if one is near enough.
pub(super) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    if let Some(same) = known.iter().find(|word| word.eq_ignore_ascii_case(written)) {
        return Some(same);
    }
    let near = known.iter().filter_map(|word| {
        // Of a short word, two slips leave nothing; and a long one needs no comparing.
        let comparable = word.len().abs_diff(written.len()) <= 4 * MAX_SLIPS;
        let slips = comparable.then(|| slips(written, word))?;
        (slips <= MAX_SLIPS && slips < word.len()).then_some((slips, *word))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, word)| word)
}

/// The Levenshtein distance, one row of its matrix at a time.
fn slips(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (index, from_a) in a.chars().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        let above = row.iter().zip(row.iter().skip(1));
        for (from_b, (diagonal, up)) in b.chars().zip(above) {
            left = (diagonal + usize::from(from_a != from_b)).min(up + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_are_recognised() {
        let known = ["hosts", "login_url", "logout_url", "name"];
        for (written, meant) in [
            ("host", Some("hosts")),
            ("hosst", Some("hosts")),
            ("HOSTS", Some("hosts")),
            ("login-url", Some("login_url")),
            ("logn_ur", Some("login_url")),
            ("logot_url", Some("logout_url")),
            ("nmae", Some("name")),
            ("upstream", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(nearest(written, &known), meant, "{written:?}");
        }
        assert_eq!(nearest("xy", &["ab"]), None, "two slips of two letters are another word");
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }
}
