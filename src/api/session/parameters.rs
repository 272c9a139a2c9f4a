//! What a request to the 23-compatible API asks.

use http::Method;

use super::form::{self, FormFault};

/// The parameters of a request, without those of OAuth, in the order in which they came.
///
/// There is no `Debug`: among the values are tokens and people's addresses.
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the form body of a POST (`form` is the body, if it is a form at all), or the query
    /// of any other request.
    pub fn read(method: &Method, query: Option<&str>, form: Option<&[u8]>) -> Result<Self, FormFault> {
        let pairs = form::read(method, query, form)?.into_iter().filter(|pair| !pair.is_protocol());
        let texts = pairs.map(|pair| Ok((text(pair.name)?, text(pair.value)?)));
        texts.collect::<Result<_, _>>().map(Self)
    }

    /// The value of the parameter `name`; of several, the first.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn text(bytes: Vec<u8>) -> Result<String, FormFault> {
    String::from_utf8(bytes).map_err(|_| FormFault::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_wins_and_oauth_stays_out() {
        let query = "email=a%40b.example&oauth_token=t&email=evil&raw&full_name=J%C3%BCrgen+M";
        let parameters = Parameters::read(&Method::GET, Some(query), None).expect("is text");
        assert_eq!(parameters.first("email"), Some("a@b.example"));
        assert_eq!(parameters.first("full_name"), Some("Jürgen M"));
        assert_eq!(parameters.first("raw"), Some(""));
        assert_eq!(parameters.first("oauth_token"), None);
        assert_eq!(parameters.first("EMAIL"), None);
        let names: Vec<_> = parameters.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["email", "email", "raw", "full_name"]);
    }

    #[test]
    fn what_is_not_text_is_refused() {
        for query in ["a=%ff", "%c3=1", "a=%ed%a0%80"] {
            assert_eq!(
                Parameters::read(&Method::GET, Some(query), None).err(),
                Some(FormFault::NotText),
                "{query}"
            );
        }
    }
}
