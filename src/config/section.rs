//! One table of the file and the typed ways to read its keys.
//!
//! A section remembers which keys it was asked for; whatever else stands in it when the reader is
//! done is unknown, and a fault. Nothing is accepted and ignored.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::document::{Document, Place, Read, Reported, step};
use super::spelling::nearest;
use super::text::Text;
use super::units;
use crate::domain::clock::Timestamp;

/// A table, or the absence of one whose keys all have defaults.
pub(super) struct Section<'a> {
    place: Place<'a>,
    /// What stands in the brackets above it, such as `site.cookie`.
    header: String,
    table: Option<&'a DeTable<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn root(document: &'a Document<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(document.place(String::new(), &(0..0)), String::new(), Some(table))
    }

    fn new(place: Place<'a>, header: String, table: Option<&'a DeTable<'a>>) -> Self {
        Self { place, header, table, known: Vec::new() }
    }

    /// The header of the tables called `name` in this one.
    fn header_of(&self, name: &str) -> String {
        if self.header.is_empty() { name.to_owned() } else { format!("{}.{name}", self.header) }
    }

    /// Where the section starts.
    pub(super) fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// Goes by the name that `text` gives it from now on, in place of its number: `site.intranet`
    /// for `site[0]`. A name out of the environment is not shown.
    pub(super) fn go_by(&mut self, kind: &str, text: &Text<'_>) {
        if let Some(name) = text.literal() {
            self.place.key = format!("{kind}.{}", step(name));
        }
    }

    /// Whether `name` is written, rightly or wrongly.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// The place of `name`, or of the section if it is not there.
    pub(super) fn place_of(&self, name: &str) -> Place<'a> {
        let span = self.table.and_then(|table| table.get(name)).map(toml::Spanned::span);
        let key = self.key_of(name);
        match span {
            Some(span) => self.place.document.place(key, &span),
            None => Place { key, ..self.place.clone() },
        }
    }

    fn key_of(&self, name: &str) -> String {
        let step = step(name);
        if self.place.key.is_empty() { step } else { format!("{}.{step}", self.place.key) }
    }

    /// The value of `name`, which is a known key from now on.
    fn value(&mut self, name: &'static str) -> Option<(Place<'a>, &'a DeValue<'a>)> {
        self.known.push(name);
        let value = self.table?.get(name)?;
        Some((self.place_of(name), value.get_ref()))
    }

    /// A string, if it is there.
    pub(super) fn text(&mut self, name: &'static str) -> Read<Option<Text<'a>>> {
        self.value(name).map(|(place, value)| text(place, value)).transpose()
    }

    /// A number with a unit, if it is there: a string, of which `remedy` tells how it is written.
    fn measure(&mut self, name: &'static str, expected: &str, remedy: &str) -> Read<Option<Text<'a>>> {
        let Some((place, value)) = self.value(name) else { return Ok(None) };
        match value {
            DeValue::String(written) => Text::expand(place, written).map(Some),
            other => Err(mistyped(&place, expected, remedy, other)),
        }
    }

    /// A string that has to be there; `example` is one, as TOML writes it.
    pub(super) fn required_text(&mut self, name: &'static str, example: &str) -> Read<Text<'a>> {
        let text = self.text(name)?;
        text.ok_or_else(|| self.place_of(name).fault("is missing", format!("add {name} = {example}")))
    }

    /// One of the words in `options`, or `default`.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        options: &[(&str, T)],
    ) -> Read<T> {
        self.text(name)?.map_or(Ok(default), |text| text.choose(options))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> Read<bool> {
        match self.value(name) {
            None => Ok(default),
            Some((_, DeValue::Boolean(flag))) => Ok(*flag),
            Some((place, other)) => {
                Err(mistyped(&place, "true or false", "write true or false, without quotes", other))
            }
        }
    }

    /// A whole number.
    pub(super) fn count(
        &mut self,
        name: &'static str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Read<usize> {
        let Some((place, value)) = self.value(name) else {
            return Ok(default);
        };
        let DeValue::Integer(integer) = value else {
            return Err(mistyped(&place, "a whole number", "write its digits, without quotes", value));
        };
        let count = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        count.filter(|count| range.contains(count)).ok_or_else(|| {
            let remedy = format!("write a number from {} to {}", range.start(), range.end());
            place.fault(format!("{integer} is out of range"), remedy)
        })
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(&mut self, name: &'static str, default: f64) -> Read<f64> {
        let Some((place, value)) = self.value(name) else { return Ok(default) };
        let remedy = "write a number from 0 to 1, without quotes";
        let number = match value {
            DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => return Err(mistyped(&place, "a number from 0 to 1", remedy, value)),
        };
        let within = number.filter(|number| (0.0..=1.0).contains(number));
        within.ok_or_else(|| place.fault("is out of range", remedy))
    }

    /// A duration, if it is there.
    pub(super) fn duration(
        &mut self,
        name: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Read<Option<Duration>> {
        let remedy = "write a whole number with one of the units d, h, m, s, ms, in quotes, such as \"30m\"";
        let Some(text) = self.measure(name, "a duration", remedy)? else {
            return Ok(None);
        };
        let duration = text.parse(units::duration, "is not a duration", remedy)?;
        let [least, most] = [range.start(), range.end()].map(|bound| units::show_duration(*bound));
        let within = range.contains(&duration).then_some(Some(duration));
        within.ok_or_else(|| {
            text.refuse("is out of range", &format!("write a duration from {least} to {most}"))
        })
    }

    /// A moment, as TOML or a string has it; if it is there.
    pub(super) fn time(&mut self, name: &'static str) -> Read<Option<Timestamp>> {
        const REMEDY: &str = "write a date, a time and an offset, such as \"2027-01-31T12:00:00Z\"";
        let Some((place, value)) = self.value(name) else {
            return Ok(None);
        };
        match value {
            DeValue::Datetime(written) => {
                let time = Timestamp::from_rfc3339(&written.to_string());
                time.map(Some).ok_or_else(|| place.fault(format!("{written} is not a timestamp"), REMEDY))
            }
            DeValue::String(_) => {
                text(place, value)?.parse(Timestamp::from_rfc3339, "is not a timestamp", REMEDY).map(Some)
            }
            other => Err(mistyped(&place, "a timestamp", REMEDY, other)),
        }
    }

    /// A size in bytes.
    pub(super) fn size(&mut self, name: &'static str, default: u64, range: RangeInclusive<u64>) -> Read<u64> {
        let remedy = "write a whole number of bytes, or one with a unit, in quotes, such as \"1MiB\"";
        let Some(text) = self.measure(name, "a size", remedy)? else {
            return Ok(default);
        };
        let size = text.parse(units::size, "is not a size", remedy)?;
        let [least, most] = [range.start(), range.end()].map(|bound| units::show_size(*bound));
        let within = range.contains(&size).then_some(size);
        within.ok_or_else(|| text.refuse("is out of range", &format!("write a size from {least} to {most}")))
    }

    /// A list of strings, if it is there, each read by `read`. All of them are read, whatever
    /// becomes of the first.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Text<'a>) -> Read<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some((list, value)) = self.value(name) else {
            return Ok(None);
        };
        let DeValue::Array(items) = value else {
            return Err(mistyped(&list, "a list of strings", "write it in [ ]", value));
        };
        let items = items.iter().enumerate().map(|(index, item)| {
            let place = list.document.place(format!("{}[{index}]", list.key), &item.span());
            read(text(place, item.get_ref())?)
        });
        let items: Vec<Read<T>> = items.collect();
        items.into_iter().collect::<Read<_>>().map(Some)
    }

    /// A list of strings with something in it; `example` is one, as TOML writes it.
    pub(super) fn required_list<T>(
        &mut self,
        name: &'static str,
        example: &str,
        read: impl FnMut(Text<'a>) -> Read<T>,
    ) -> Read<Vec<T>> {
        let problem = match self.list(name, read)? {
            None => "is missing",
            Some(items) if items.is_empty() => "is empty",
            Some(items) => return Ok(items),
        };
        Err(self.place_of(name).fault(problem, format!("write {name} = {example}")))
    }

    /// The strings of a table whose keys are the operator's own.
    pub(super) fn texts_by_name(
        &mut self,
        name: &'static str,
    ) -> Read<Vec<(&'a str, Place<'a>, Read<Text<'a>>)>> {
        let section = self.section(name)?;
        let entry = |(key, value): (&'a toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
            let key: &'a Cow<'a, str> = key.get_ref();
            let place = section.place.document.place(section.key_of(key), &value.span());
            (key.as_ref(), place.clone(), text(place, value.get_ref()))
        };
        Ok(section.table.into_iter().flatten().map(entry).collect())
    }

    /// The table `[name]`; an empty one if it is not there.
    pub(super) fn section(&mut self, name: &'static str) -> Read<Self> {
        let header = self.header_of(name);
        match self.value(name) {
            None => Ok(Self::new(self.place_of(name), header, None)),
            Some((place, DeValue::Table(table))) => Ok(Self::new(place, header, Some(table))),
            Some((place, other)) => Err(mistyped(
                &place,
                &format!("a table [{header}]"),
                "put its keys under a line of its own in [ ]",
                other,
            )),
        }
    }

    /// The tables `[[name]]`, each read by `read`. All of them are read, whatever becomes of the
    /// first.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(Self) -> Read<T>,
    ) -> Read<Vec<T>> {
        let Some((list, value)) = self.value(name) else {
            return Ok(Vec::new());
        };
        let header = self.header_of(name);
        let refuse = |place: &Place<'_>, found: &DeValue<'_>| {
            let expected = format!("a list of tables [[{header}]]");
            mistyped(place, &expected, "start each with a line of its own in [[ ]]", found)
        };
        let DeValue::Array(items) = value else {
            return Err(refuse(&list, value));
        };
        let tables = items.iter().enumerate().map(|(index, item)| {
            let place = list.document.place(format!("{}[{index}]", list.key), &item.span());
            match item.get_ref() {
                DeValue::Table(table) => read(Self::new(place, header.clone(), Some(table))),
                other => Err(refuse(&place, other)),
            }
        });
        let tables: Vec<Read<T>> = tables.collect();
        tables.into_iter().collect()
    }

    /// Whether one of `names` is there, but misspelt. Of what is missing then, there is a fault
    /// already. To be asked once everything is read.
    pub(super) fn misspells(&self, names: &[&str]) -> bool {
        self.unknown().any(|key| nearest(key.get_ref(), &self.known).is_some_and(|key| names.contains(&key)))
    }

    /// The keys that nothing asked for.
    fn unknown(&self) -> impl Iterator<Item = &'a toml::Spanned<Cow<'a, str>>> {
        let keys = self.table.into_iter().flat_map(DeTable::keys);
        keys.filter(|key| !self.known.contains(&key.get_ref().as_ref()))
    }

    /// Records every key that nothing asked for. To be called once everything is read.
    pub(super) fn finish(self) {
        for key in self.unknown() {
            let name: &str = key.get_ref();
            let place = self.place.document.place(self.key_of(name), &key.span());
            let remedy = match nearest(name, &self.known) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("the keys here are {}", self.known.join(", ")),
            };
            place.fault("there is no such key", remedy);
        }
    }
}

fn text<'a>(place: Place<'a>, value: &'a DeValue<'a>) -> Read<Text<'a>> {
    match value {
        DeValue::String(written) => Text::expand(place, written),
        other => Err(mistyped(&place, "a string", "write one string in quotes", other)),
    }
}

/// The value itself is not shown: it may be a secret that was written without quotes.
fn mistyped(place: &Place<'_>, expected: &str, remedy: &str, found: &DeValue<'_>) -> Reported {
    let found = match found {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) => "a fraction",
        DeValue::Integer(_) => "a number",
        DeValue::String(_) => "a string",
        DeValue::Table(_) => "a table",
    };
    place.fault(format!("expected {expected}, found {found}"), remedy)
}
