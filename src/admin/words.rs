//! Times and numbers as people read them.

use std::time::Duration;

use askama::Template;

use crate::domain::clock::Timestamp;

/// A point in time, for a page: how long ago or how soon, and exactly.
#[derive(Template)]
#[template(source = r#"<time datetime="{{ exact }}" title="{{ exact }}">{{ shown }}</time>"#, ext = "html")]
pub(super) struct When {
    exact: String,
    shown: String,
}

impl When {
    /// How long before or after `now` it is.
    pub(super) fn near(at: Timestamp, now: Timestamp) -> Self {
        let shown = if at <= now {
            let ago = at.until(now);
            if ago < Duration::from_secs(2) { "just now".to_owned() } else { format!("{} ago", span(ago)) }
        } else {
            format!("in {}", span(now.until(at)))
        };
        Self { exact: at.to_rfc3339(), shown }
    }

    /// Only the words.
    pub(super) fn words(&self) -> &str {
        &self.shown
    }

    /// The day.
    pub(super) fn day(at: Timestamp) -> Self {
        let exact = at.to_rfc3339();
        let shown = exact.split('T').next().unwrap_or_default().to_owned();
        Self { exact, shown }
    }

    /// An event's own word for when it was, which is as [`Timestamp::to_rfc3339`] writes it.
    pub(super) fn of_event(exact: &str) -> Self {
        let shown = exact.replace('T', " ").replace('Z', "");
        Self { exact: exact.to_owned(), shown }
    }
}

/// The time of the day, in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    let exact = at.to_rfc3339();
    exact.get(11..16).unwrap_or_default().to_owned()
}

/// A length of time, as coarsely as people say it.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 60 => format!("{seconds} s"),
        () if minutes < 100 => format!("{minutes} min"),
        () if hours < 48 && minutes % 60 == 0 => format!("{hours} h"),
        () if hours < 12 => format!("{hours} h {} min", minutes % 60),
        () if hours < 48 => format!("{hours} h"),
        () => format!("{days} days"),
    }
}

/// Microseconds, as coarsely as they matter.
pub(super) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", thousandths(micros)),
        _ => format!("{} s", thousandths(micros / 1_000)),
    }
}

/// Thousandths, with one decimal where it matters.
pub(super) fn thousandths(value: u64) -> String {
    if value >= 9_950 {
        return number((value + 500) / 1_000);
    }
    let (whole, tenth) = ((value + 50) / 1_000, (value + 50) % 1_000 / 100);
    if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") }
}

/// A whole number, its thousands apart.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// One thing, or several.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {several}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_said_as_coarsely_as_people_say_them() {
        for (seconds, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (1_800, "30 min"),
            (28_800, "8 h"),
            (28_860, "8 h 1 min"),
            (86_400, "24 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (31_536_000, "365 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn numbers_are_as_long_as_they_matter() {
        for (value, words) in [
            (0, "0"),
            (49, "0"),
            (100, "0.1"),
            (1_000, "1"),
            (1_250, "1.3"),
            (1_998, "2"),
            (9_940, "9.9"),
            (12_345_678, "12\u{202f}346"),
        ] {
            assert_eq!(thousandths(value), words, "{value}");
        }
        for (value, words) in
            [(38, "38 µs"), (1_250, "1.3 ms"), (5_000, "5 ms"), (25_000, "25 ms"), (1_500_000, "1.5 s")]
        {
            assert_eq!(micros(value), words);
        }
    }

    #[test]
    fn times_are_said_from_now() {
        let now = Timestamp::from_millis(1_763_800_000_000);
        let shown = |at| When::near(at, now).shown;
        assert_eq!(shown(now), "just now");
        assert_eq!(shown(Timestamp::from_millis(1_763_799_900_000)), "1 min ago");
        assert_eq!(shown(now.after(Duration::from_mins(30))), "in 30 min");
        assert_eq!(When::day(now).shown, "2025-11-22");
        assert_eq!(clock(now), "08:26");
    }
}
