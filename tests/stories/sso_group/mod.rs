//! Sites on hosts of their own that share a login, as one browser meets them.

mod asking;
mod attacks;
mod cluster;
mod handing_on;
mod logout;

use std::sync::Arc;

use crate::outage::Frail;
use crate::support::{
    Ask, FakeUpstream, LoginPage, Plan, Response, SitePlan, TestGateway, Visitor, resolved,
};

/// The magazines of one house, each with a site behind the gateway.
pub(super) struct House {
    pub(super) gateway: TestGateway,
    pub(super) upstreams: Vec<FakeUpstream>,
}

/// What the sites are called, and the first label of their hosts.
pub(super) const NAMES: [&str; 3] = ["art", "books", "cars"];

/// A site of the group before `upstream`.
pub(super) fn member(name: &str, upstream: &FakeUpstream) -> SitePlan {
    SitePlan::new(name, &format!("{name}.test"), upstream.address())
        .with("public_url", &format!("\"http://{name}.test\""))
        .with("login_url", &format!("\"https://login.test/{name}?from=gate\""))
        .with("sso_group", "\"house\"")
}

impl House {
    /// The first `count` magazines, changed.
    pub(super) async fn of(count: usize, change: impl Fn(&str, SitePlan) -> SitePlan) -> Self {
        let (plan, upstreams) = Self::plan(count, change).await;
        Self { gateway: plan.start().await, upstreams }
    }

    /// The same, not yet started.
    pub(super) async fn plan(
        count: usize,
        change: impl Fn(&str, SitePlan) -> SitePlan,
    ) -> (Plan, Vec<FakeUpstream>) {
        let mut upstreams = Vec::new();
        for _ in 0..count {
            upstreams.push(FakeUpstream::start().await);
        }
        let mut sites =
            NAMES.iter().zip(&upstreams).map(|(name, upstream)| change(name, member(name, upstream)));
        let plan = Plan::of(sites.next().expect("one site at least"));
        (sites.fold(plan, Plan::and_site), upstreams)
    }

    /// Art and books.
    pub(super) async fn of_two() -> Self {
        Self::of(2, |_, site| site).await
    }

    /// The first `count` magazines over a store of which the story says when it does what.
    pub(super) async fn over_frail_store(count: usize) -> (Arc<Frail>, Self) {
        let (frail, stores) = Frail::stores();
        let (plan, upstreams) = Self::plan(count, |_, site| site).await;
        (frail, Self { gateway: plan.start_over(stores).await, upstreams })
    }

    /// Art and books beside `alone` and `other`, two sites of another group before the upstream.
    pub(super) async fn beside_others() -> (Self, FakeUpstream) {
        let upstream = FakeUpstream::start().await;
        let [alone, other] =
            ["alone", "other"].map(|name| member(name, &upstream).with("sso_group", "\"others\""));
        let (plan, upstreams) = Self::plan(2, |_, site| site).await;
        (Self { gateway: plan.and_site(alone).and_site(other).start().await, upstreams }, upstream)
    }

    pub(super) fn upstream(&self, name: &str) -> &FakeUpstream {
        &self.upstreams[NAMES.iter().position(|own| *own == name).expect("one of the magazines")]
    }

    pub(super) fn login_page(&self, name: &str) -> LoginPage {
        LoginPage::new(self.gateway.api(), name)
    }

    /// A browser in which `email` is signed in at the site `name`, and nowhere else.
    pub(super) async fn reader(&self, name: &str, email: &str) -> Visitor {
        let mut visitor = Visitor::at(&self.gateway);
        sign_in(&mut visitor, &self.login_page(name), name, email).await;
        visitor
    }

    /// Whether a closed page of the site opens, without anybody being asked on the way.
    pub(super) async fn opens(&self, visitor: &mut Visitor, name: &str) -> bool {
        opens(visitor, self.upstream(name), name).await
    }

    /// How many sessions there are.
    pub(super) async fn sessions(&self) -> usize {
        self.gateway.api().all("/v1/sessions").await.0.len()
    }
}

/// Whether a closed page of the site `name` before `upstream` opens, without anybody being asked.
pub(super) async fn opens(visitor: &mut Visitor, upstream: &FakeUpstream, name: &str) -> bool {
    let before = upstream.count();
    visitor.get(&format!("http://{name}.test/closed")).await;
    upstream.count() > before
}

pub(super) async fn sign_in(visitor: &mut Visitor, login_page: &LoginPage, name: &str, email: &str) {
    let token = login_page.token_for(email).await;
    let answer = visitor.get(&format!("http://{name}.test/?sso={token}")).await;
    assert_eq!((answer.status, answer.location().as_str()), (302, "/"), "{answer:?}");
}

/// Goes to `url` and follows every redirect, as a browser does, up to the login page. All the URLs, and
/// the last answer.
pub(super) async fn travel(visitor: &mut Visitor, url: &str) -> (Vec<String>, Response) {
    journey(visitor, Ask::navigate("GET", url)).await
}

/// The same, beginning with `ask`.
pub(super) async fn journey(visitor: &mut Visitor, ask: Ask) -> (Vec<String>, Response) {
    let mut urls = vec![ask.url.clone()];
    let mut answer = visitor.send(ask).await;
    while let Some(location) = answer.header("location") {
        let next = resolved(urls.last().expect("one"), &location).to_string();
        let is_login_page = next.starts_with("https://login.test/");
        urls.push(next.clone());
        if is_login_page {
            break;
        }
        assert!(urls.len() <= 20, "browsers give up: {urls:#?}");
        answer = visitor.send(Ask::navigate("GET", &next).with("Sec-Fetch-Site", "cross-site")).await;
    }
    (urls, answer)
}

/// Host and path of each of these.
pub(super) fn places(urls: &[String]) -> Vec<String> {
    let place = |url: &String| {
        let url = url::Url::parse(url).expect("a URL");
        format!("{}{}", url.host_str().expect("a host").trim_end_matches(".test"), url.path())
    };
    urls.iter().map(place).collect()
}
