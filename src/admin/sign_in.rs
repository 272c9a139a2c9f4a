//! Signing in, by showing an API key once, and signing out.

use askama::Template;
use http::header::SET_COOKIE;
use http::{Method, StatusCode, Uri};

use super::answer::{Answer, Trouble, go};
use super::operators::{IDLE, MAX, Operator};
use super::posted::Posted;
use super::sheet::Sheet;
use super::words::span;
use super::{Admin, ROOT, Scene, Visit, administers, guard};
use crate::api::Holder;
use crate::domain::secret::SecretHash;
use crate::http::client::Client;
use crate::http::cookies::set_operator;
use crate::http::{Request, Response, reply};
use crate::sso::{Actor, Cause, Circumstances, Event};

/// Where to go afterwards is no longer than this.
const MAX_PATH: usize = 1024;

#[derive(Template)]
#[template(path = "admin/sign_in.html")]
struct SignIn<'a> {
    sheet: Sheet,
    /// Where to go afterwards.
    next: &'a str,
    /// What was wrong with the last try.
    fault: Option<&'a str>,
    /// Whether there is any key that opens.
    is_open: bool,
    idle: String,
    max: String,
}

/// For whoever has not signed in: the page to do so, or for a page's own script only that.
pub(super) fn closed(scene: &Scene, method: &Method, uri: &Uri, is_glance: bool) -> Response {
    if is_glance {
        return reply::challenging(reply::empty(StatusCode::UNAUTHORIZED));
    }
    // What was to be changed is not done later: it would have to be judged then.
    let asked = uri.path_and_query().map_or(ROOT, |asked| asked.as_str());
    let next = if guard::changes(method) { ROOT } else { own_page(asked) };
    reply::challenging(page(scene, StatusCode::UNAUTHORIZED, next, None))
}

fn page(scene: &Scene, status: StatusCode, next: &str, fault: Option<&str>) -> Response {
    let html = SignIn {
        sheet: Sheet::of_nobody("Sign in"),
        next,
        fault,
        is_open: scene.is_open(),
        idle: span(IDLE),
        max: span(MAX),
    };
    guard::page(status, html.render().unwrap_or_default())
}

/// A page here to which `path` leads; the first one if it leads elsewhere.
fn own_page(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = path.starts_with(ROOT) && path.len() <= MAX_PATH && is_plain && !path.contains("..");
    if is_own { path } else { ROOT }
}

impl Admin {
    /// Takes a key, and gives the browser something of its own for it.
    pub(super) async fn sign_in(
        &self,
        scene: &Scene,
        request: Request,
        client: Client,
        from: Circumstances,
    ) -> Answer {
        let before = self.operators.find(scene, request.headers(), client.scheme, true);
        let posted = Posted::read(request).await?;
        let next = own_page(posted.text("next"));
        let refuse = |why| Ok(page(scene, StatusCode::FORBIDDEN, next, Some(why)));
        let presented = posted.text("key").as_bytes();
        let key = match scene.api.holder(presented, || from.clone()) {
            Some(Holder::Good(key)) => key,
            Some(Holder::Ended(_)) => {
                return refuse("This key has ended: its place was taken by another one.");
            }
            None => {
                return match scene.api.wrong_key(from) {
                    Some(wait) => Err(Trouble::SlowDown(wait)),
                    None => refuse("There is no such key."),
                };
            }
        };
        if !administers(&key) {
            return refuse(if key.sites.is_some() {
                "This key is for some sites only: the admin page takes one for all of them."
            } else {
                "This key does not have the scope admin."
            });
        }
        // The browser forgets that one, and nobody could sign it out any more.
        if let Some(before) = before {
            let actor = Actor::ApiKey(before.key.as_str().into());
            self.dismiss(scene, &before, &Cause::new(actor, from.clone()));
        }
        let cookie =
            self.operators.admit(&key.name, SecretHash::of(presented), scene.now(), scene.sso.entropy());
        scene.sso.note(Event::OperatorSignedIn, &Cause::of_key(&key, from));
        let mut response = go(next);
        response.headers_mut().insert(SET_COOKIE, set_operator(client.scheme, cookie.expose()));
        Ok(response)
    }

    /// Ends what the browser was given, and notes it.
    fn dismiss(&self, scene: &Scene, operator: &Operator, cause: &Cause) {
        self.operators.dismiss(operator);
        scene.sso.note(Event::OperatorSignedOut, cause);
    }
}

impl Visit<'_> {
    /// Signs out.
    pub(super) async fn sign_out(&self, request: Request, client: Client) -> Answer {
        if !guard::is_posted(&request)? {
            return Err(Trouble::Method("POST"));
        }
        self.posted(request).await?;
        self.admin.dismiss(self.scene, &self.operator, &self.cause);
        let mut response = go(ROOT);
        response.headers_mut().insert(SET_COOKIE, set_operator(client.scheme, String::new()));
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_a_page_here_and_nowhere_else() {
        for own in ["/admin/", "/admin/sessions?q=a%40b.c&site=x", "/admin/users/7"] {
            assert_eq!(own_page(own), own);
        }
        for other in [
            "",
            "/",
            "//evil.example/admin/",
            "https://evil.example/admin/",
            "/admin",
            "/admin/../v1/users",
            "/admin/\\evil.example",
            "/admin/\r\nSet-Cookie: a=b",
            "/admin/\t",
            "javascript:alert(1)",
            " /admin/",
            "/v1/admin/",
        ] {
            assert_eq!(own_page(other), ROOT, "{other:?}");
        }
    }
}
