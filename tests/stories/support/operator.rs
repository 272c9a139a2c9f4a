//! Somebody with a browser at the admin page.

use super::api::ApiClient;
use super::form_of;
use super::gateway::TestGateway;
use super::wire::Response;

/// A browser that an operator signs in with.
#[derive(Clone)]
pub(crate) struct Operator {
    api: ApiClient,
    pub(crate) origin: String,
    pub(crate) cookie: Option<String>,
}

impl Operator {
    /// One that has not signed in.
    pub(crate) fn at(gateway: &TestGateway) -> Self {
        let api = gateway.api().with_key(None);
        Self { api, origin: format!("http://{}", gateway.control), cookie: None }
    }

    /// One that has signed in with `key`.
    pub(crate) async fn with_key(gateway: &TestGateway, key: &str) -> Self {
        let mut operator = Self::at(gateway);
        let answer = operator.sign_in(key).await;
        assert_eq!((answer.status, answer.location().as_str()), (303, "/admin/"), "{}", answer.text());
        operator
    }

    /// Fills in the form.
    pub(crate) async fn sign_in(&mut self, key: &str) -> Response {
        let answer = self.send("sign-in", &[("key", key), ("next", "/admin/")]).await;
        if let Some(set) = answer.header("set-cookie") {
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        answer
    }

    /// Goes to the page at `place` under `/admin/`.
    pub(crate) async fn get(&self, place: &str) -> Response {
        self.ask("GET", place, &[("Sec-Fetch-Site", "none")], b"").await
    }

    /// The text of the page at `place`, which has to be there.
    pub(crate) async fn page(&self, place: &str) -> String {
        let answer = self.get(place).await;
        assert_eq!(answer.status, 200, "{place}: {}", answer.text());
        answer.text()
    }

    /// Presses the button of the one form in the main part of the page at `place`, having changed these
    /// fields.
    pub(crate) async fn press(&self, place: &str, changed: &[(&str, &str)]) -> Response {
        let page = self.page(place).await;
        let (_, main) = page.split_once("<main").expect("a main part");
        let (action, mut fields) = form_of(main);
        for (name, value) in changed {
            fields.retain(|(own, _)| own != name);
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.send(action.strip_prefix("/admin/").expect("leads to the admin page"), &fields).await
    }

    /// What forms of this operator's pages send along.
    pub(crate) async fn token(&self) -> String {
        let page = self.page("").await;
        let (_, rest) = page.split_once("name=\"token\" value=\"").expect("a token");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Sends a form as a page of the admin page's own does.
    pub(crate) async fn send(&self, place: &str, fields: &[(&str, &str)]) -> Response {
        let own = [("Sec-Fetch-Site", "same-origin"), ("Origin", self.origin.as_str())];
        self.send_with(place, &own, fields).await
    }

    /// Sends a form with these headers about where it comes from.
    pub(crate) async fn send_with(
        &self,
        place: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Response {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut headers = headers.to_vec();
        headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        self.ask("POST", place, &headers, body.as_bytes()).await
    }

    /// Any request at all.
    pub(crate) async fn ask(
        &self,
        method: &str,
        place: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut headers = headers.to_vec();
        if let Some(cookie) = &self.cookie {
            headers.push(("Cookie", cookie));
        }
        self.api.send(method, &format!("/admin/{place}"), &headers, body).await
    }
}
