//! The form in which a client of the 23-compatible API wants its answer.

use super::parameters::Parameters;

/// How an answer is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A `<response>` element.
    Xml,
    /// `var NAME = {…};`
    Variable(ScriptName),
    /// `NAME({…});`
    Callback(ScriptName),
    /// `{…}`
    Bare,
}

/// A name that can be written into a script without doing anything there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptName(String);

/// Why a format cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatFault {
    /// Neither XML nor JSON.
    #[error("format is neither xml nor json")]
    Format,
    /// A variable that is none.
    #[error("varname is not an identifier of at most {MAX_NAME} characters")]
    Variable,
    /// A function that is none.
    #[error("callback is not an identifier of at most {MAX_NAME} characters")]
    Callback,
}

const MAX_NAME: usize = 64;

impl Format {
    /// Reads `format`, `varname`, `callback` and `raw`. XML unless JSON is asked for; in JSON
    /// `raw` outweighs `callback`, and `callback` outweighs `varname`.
    pub fn read(parameters: &Parameters) -> Result<Self, FormatFault> {
        match parameters.first("format") {
            None | Some("xml") => return Ok(Self::Xml),
            Some("json") => {}
            Some(_) => return Err(FormatFault::Format),
        }
        if parameters.first("raw").is_some() {
            return Ok(Self::Bare);
        }
        if let Some(name) = parameters.first("callback") {
            return ScriptName::of_function(name).map(Self::Callback).ok_or(FormatFault::Callback);
        }
        match parameters.first("varname") {
            Some(name) => ScriptName::of_variable(name).map(Self::Variable).ok_or(FormatFault::Variable),
            None => Ok(Self::Variable(ScriptName::visual())),
        }
    }

    /// The media type of the answer.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Xml => "text/xml; charset=utf-8",
            Self::Variable(_) | Self::Callback(_) | Self::Bare => "text/javascript; charset=utf-8",
        }
    }
}

impl FormatFault {
    /// The format in which the fault itself is told.
    pub fn format(self) -> Format {
        match self {
            Self::Format => Format::Xml,
            Self::Variable | Self::Callback => Format::Variable(ScriptName::visual()),
        }
    }
}

impl ScriptName {
    /// The variable that is set if no other is named.
    pub fn visual() -> Self {
        Self("visual".to_owned())
    }

    /// One ASCII identifier.
    pub fn of_variable(text: &str) -> Option<Self> {
        (text.len() <= MAX_NAME && is_identifier(text)).then(|| Self(text.to_owned()))
    }

    /// One ASCII identifier, or several joined by dots.
    pub fn of_function(text: &str) -> Option<Self> {
        (text.len() <= MAX_NAME && text.split('.').all(is_identifier)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_identifier(text: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$');
    text.starts_with(starts) && text.chars().all(|c| starts(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn format(query: &str) -> Result<Format, FormatFault> {
        let parameters = Parameters::read(&Method::GET, Some(query), None).expect("is text");
        Format::read(&parameters)
    }

    fn name(text: &str) -> ScriptName {
        ScriptName(text.to_owned())
    }

    #[test]
    fn xml_is_the_default_and_raw_outweighs_the_rest() {
        for (query, expected) in [
            ("", Format::Xml),
            ("format=xml&raw&callback=(", Format::Xml),
            ("raw", Format::Xml),
            ("format=json", Format::Variable(name("visual"))),
            ("format=json&varname=a1", Format::Variable(name("a1"))),
            ("format=json&callback=a.b.$c&varname=x", Format::Callback(name("a.b.$c"))),
            ("format=json&raw&callback=f", Format::Bare),
            ("raw=0&format=json", Format::Bare),
        ] {
            assert_eq!(format(query), Ok(expected), "{query}");
        }
    }

    #[test]
    fn only_an_identifier_is_a_name() {
        let long = "a".repeat(MAX_NAME + 1);
        for bad in [
            "",
            "1a",
            "a-b",
            "a b",
            "a(",
            "alert(1)//",
            "a;b",
            "a=b",
            "é",
            "a\n",
            ".a",
            "a.",
            "a..b",
            "a[0]",
            &long,
        ] {
            let query = format!("format=json&callback={}", bad.replace('\n', "%0a").replace(' ', "%20"));
            assert_eq!(format(&query), Err(FormatFault::Callback), "{bad:?}");
            assert_eq!(format(&query.replace("callback", "varname")), Err(FormatFault::Variable), "{bad:?}");
        }
        assert_eq!(format("format=json&varname=a.b"), Err(FormatFault::Variable));
        assert_eq!(format("format=yaml"), Err(FormatFault::Format));
        assert!(ScriptName::of_function(&"a".repeat(MAX_NAME)).is_some());
    }

    #[test]
    fn a_fault_is_told_without_the_name_at_fault() {
        assert_eq!(FormatFault::Format.format(), Format::Xml);
        assert_eq!(FormatFault::Callback.format(), Format::Variable(name("visual")));
    }
}
