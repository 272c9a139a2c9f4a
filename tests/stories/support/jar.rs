//! A browser's cookie jar (RFC 6265bis §5.7 and §5.8), as far as a story can notice.

use httpdate::parse_http_date;
use tollgate::domain::clock::Timestamp;

/// A cookie that the jar holds.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    /// The host that set it, which alone gets it back.
    pub(crate) host: String,
    /// What a `Domain` attribute said: only recorded.
    pub(crate) domain: Option<String>,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: Option<String>,
    pub(crate) partitioned: bool,
    pub(crate) expires_at: Option<Timestamp>,
}

/// The cookies of one browser.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(Vec<Cookie>);

impl Jar {
    /// Takes in a `Set-Cookie` value that `host` sent at `now`.
    pub(crate) fn store(&mut self, set_cookie: &str, host: &str, over_https: bool, now: Timestamp) {
        let cookie = read(set_cookie, host, now);
        let host_prefix_kept = !cookie.name.starts_with("__Host-") || cookie.secure && cookie.path == "/";
        let secure_prefix_kept = !cookie.name.starts_with("__Secure-") || cookie.secure;
        if !host_prefix_kept || !secure_prefix_kept || cookie.secure && !over_https {
            return;
        }
        self.0.retain(|own| (&own.name, &own.host, &own.path) != (&cookie.name, &cookie.host, &cookie.path));
        self.0.push(cookie);
        self.sweep(now);
    }

    /// The `Cookie` value for a request, if there is any cookie to send.
    pub(crate) fn for_request(
        &mut self,
        host: &str,
        path: &str,
        over_https: bool,
        now: Timestamp,
    ) -> Option<String> {
        self.sweep(now);
        let path = path.split('?').next().unwrap_or_default();
        let fits = |cookie: &&Cookie| {
            cookie.host == host && path_matches(path, &cookie.path) && (over_https || !cookie.secure)
        };
        let pairs: Vec<String> =
            self.0.iter().filter(fits).map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The cookie `name` of `host`.
    pub(crate) fn cookie(&self, host: &str, name: &str) -> Option<Cookie> {
        self.0.iter().find(|cookie| cookie.host == host && cookie.name == name).cloned()
    }

    /// Every cookie.
    pub(crate) fn cookies(&self) -> &[Cookie] {
        &self.0
    }

    fn sweep(&mut self, now: Timestamp) {
        self.0.retain(|cookie| cookie.expires_at.is_none_or(|end| now < end));
    }
}

/// Reads a `Set-Cookie` value.
pub(crate) fn read(set_cookie: &str, host: &str, now: Timestamp) -> Cookie {
    let mut parts = set_cookie.split(';').map(str::trim);
    let pair = parts.next().unwrap_or_default();
    // Without a `=` the cookie has no name.
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let mut cookie = Cookie {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        host: host.to_owned(),
        domain: None,
        path: "/".to_owned(),
        secure: false,
        http_only: false,
        same_site: None,
        partitioned: false,
        expires_at: None,
    };
    let mut has_max_age = false;
    for attribute in parts {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match key.to_ascii_lowercase().as_str() {
            "path" => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "samesite" => cookie.same_site = Some(value.to_owned()),
            "partitioned" => cookie.partitioned = true,
            "max-age" => {
                has_max_age = true;
                let seconds: i64 = value.parse().expect("Max-Age in seconds");
                let seconds = u64::try_from(seconds).unwrap_or(0);
                cookie.expires_at = Some(now.after(std::time::Duration::from_secs(seconds)));
            }
            "expires" if !has_max_age => {
                let date = parse_http_date(value).expect("an HTTP date");
                let since = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                cookie.expires_at = Some(Timestamp::from_millis(0).after(since));
            }
            "domain" => cookie.domain = Some(value.to_owned()),
            _ => {}
        }
    }
    cookie
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}
