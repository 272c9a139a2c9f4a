//! Keeping what was made for one visitor from being shown to another by a cache in between: a CDN, a
//! proxy in front, the browser that two people share.
//!
//! A session is a cookie, and RFC 9111 knows nothing of those: to a shared cache an answer with
//! `max-age`, or with nothing but `Last-Modified` (§4.2.2), is good for everybody who asks for the same
//! URL. So answers to a session become `private` (§5.2.2.7), and whatever depends on who asks says so
//! (`Vary: Cookie`, §4.1), also where nobody was signed in: what is kept then is for strangers.

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};

use super::lines::listed;
use super::private_caching::PrivateCaching;
use super::response_fields::{ResponseFields, X_ACCESS_CLASS, is_targeted};
use crate::domain::access::Sharing;

static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
static BY_COOKIE: HeaderValue = HeaderValue::from_static("Cookie");
/// What most compressed answers come to.
static BY_ENCODING_AND_COOKIE: HeaderValue = HeaderValue::from_static("Accept-Encoding, Cookie");

/// Makes sure that nobody is shown what was not for them. `fields` says what there is in `headers`. What most
/// answers are to say about it in the same words is returned, and is to be said by whoever writes them.
#[must_use]
pub fn restrict(
    headers: &mut HeaderMap,
    fields: ResponseFields,
    sharing: Sharing,
) -> Option<&'static PrivateCaching> {
    match sharing {
        Sharing::AsSaid => return None,
        Sharing::WithStrangers => {}
        Sharing::Private => {
            if fields.targeted {
                remove_targeted(headers);
            }
            if !fields.cache_control && !fields.vary {
                return Some(PrivateCaching::of(fields.expires));
            }
            keep_private(headers, fields);
        }
    }
    vary_by_cookie(headers, fields.vary);
    None
}

/// Says of an answer that it may be another one for who sends another cookie.
pub fn depends_on_cookie(headers: &mut HeaderMap) {
    let varies = headers.contains_key(VARY);
    vary_by_cookie(headers, varies);
}

fn keep_private(headers: &mut HeaderMap, fields: ResponseFields) {
    if !fields.cache_control {
        headers.append(CACHE_CONTROL, PrivateCaching::of(fields.expires).cache_control());
        return;
    }
    let private = match Directives::of(headers) {
        None => NO_STORE.clone(),
        Some(directives) if directives.keep_private() => return,
        Some(directives) => directives.made_private(fields.expires),
    };
    headers.insert(CACHE_CONTROL, private);
}

fn remove_targeted(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_targeted(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Says that another cookie may get another answer. The class by which caches behind the gateway
/// tell visitors apart is nothing that visitors send: outside, the cookie stands for it.
fn vary_by_cookie(headers: &mut HeaderMap, varies: bool) {
    if !varies {
        headers.append(VARY, BY_COOKIE.clone());
        return;
    }
    let names = || listed(headers, &VARY);
    let is = |name: &[u8], own: &[u8]| name.eq_ignore_ascii_case(own);
    let class = X_ACCESS_CLASS.as_str().as_bytes();
    let has_cookie = || names().any(|name| is(name, b"cookie")) && !names().any(|name| is(name, class));
    let value = if names().any(|name| is(name, b"*")) || has_cookie() {
        return;
    } else if names().all(|name| is(name, b"accept-encoding")) {
        BY_ENCODING_AND_COOKIE.clone()
    } else {
        // In one line: there are caches that read the last one only.
        let others = names().map(<[u8]>::trim_ascii);
        let others = others.filter(|name| !name.is_empty() && !is(name, class) && !is(name, b"cookie"));
        let mut merged = others.flat_map(|name| [name, b", "]).collect::<Vec<_>>().concat();
        merged.extend_from_slice(BY_COOKIE.as_bytes());
        // What came in header values makes one.
        HeaderValue::from_bytes(&merged).unwrap_or_else(|_| HeaderValue::from_static("*"))
    };
    headers.insert(VARY, value);
}

/// What `Cache-Control` says, over all its lines (RFC 9111 §5.2).
struct Directives<'a>(Vec<&'a [u8]>);

impl<'a> Directives<'a> {
    /// Reads them; `None` if a quoted string does not end, and caches may take what is in it for
    /// what it is not.
    fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut directives = Vec::with_capacity(4);
        for line in headers.get_all(CACHE_CONTROL) {
            let (mut quoted, mut escaped) = (false, false);
            let parts = line.as_bytes().split(|byte| {
                (quoted, escaped) = match byte {
                    _ if escaped => (quoted, false),
                    b'\\' => (quoted, quoted),
                    b'"' => (!quoted, false),
                    _ => (quoted, false),
                };
                *byte == b',' && !quoted
            });
            directives.extend(parts.map(<[u8]>::trim_ascii).filter(|directive| !directive.is_empty()));
            if quoted {
                return None;
            }
        }
        Some(Self(directives))
    }

    /// Whether one of them is called `name`, and whether it stands by itself.
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|directive| name_of(directive).eq_ignore_ascii_case(name.as_bytes()))
    }

    fn has_bare(&self, name: &str) -> bool {
        self.0.iter().any(|directive| directive.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Whether no shared cache keeps the answer as it is. With `must-understand`, `no-store` counts
    /// only for caches that do not know the status (§5.2.2.3).
    fn keep_private(&self) -> bool {
        let never_stored = self.has_bare("no-store") && !self.has("must-understand");
        let invites = self.0.iter().any(|directive| is_invitation(directive));
        !invites && (self.has_bare("private") || never_stored)
    }

    /// The same for one visitor alone.
    fn made_private(&self, expires: bool) -> HeaderValue {
        let mut value = b"private".to_vec();
        for directive in self.0.iter().filter(|directive| {
            !is_invitation(directive) && !name_of(directive).eq_ignore_ascii_case(b"private")
        }) {
            value.extend_from_slice(b", ");
            value.extend_from_slice(directive);
        }
        let says_how_long = expires || ["max-age", "no-cache", "no-store"].iter().any(|name| self.has(name));
        if !says_how_long {
            value.extend_from_slice(b", no-cache");
        }
        HeaderValue::from_bytes(&value).unwrap_or_else(|_| NO_STORE.clone())
    }
}

/// Whether a directive lets shared caches keep something: `private` with names of fields lets them
/// keep the rest (§5.2.2.7).
fn is_invitation(directive: &[u8]) -> bool {
    let name = name_of(directive);
    let any_of = |names: &[&[u8]]| names.iter().any(|own| name.eq_ignore_ascii_case(own));
    any_of(&[b"public", b"s-maxage"]) || name.len() < directive.len() && name.eq_ignore_ascii_case(b"private")
}

fn name_of(directive: &[u8]) -> &[u8] {
    directive.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer with these lines of `Cache-Control`, and of these of `Vary`.
    fn restricted(name: HeaderName, lines: &[&'static str], sharing: Sharing) -> Vec<String> {
        let mut headers: HeaderMap =
            lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect();
        let fields = ResponseFields::of(&headers);
        let caching = restrict(&mut headers, fields, sharing);
        if let Some(caching) = caching {
            caching.put(&mut headers);
        }
        headers.get_all(name).into_iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_a_session_got_is_for_nobody_else() {
        for (lines, expected) in [
            (&[][..], &["private, no-cache"][..]),
            (&["public, max-age=60"], &["private, max-age=60"]),
            (&["public,max-age=60", "s-maxage=600"], &["private, max-age=60"]),
            (&["max-age=60, must-revalidate"], &["private, max-age=60, must-revalidate"]),
            (&["PUBLIC"], &["private, no-cache"]),
            (&["s-maxage=60"], &["private, no-cache"]),
            (&["no-cache"], &["private, no-cache"]),
            (&["no-transform"], &["private, no-transform, no-cache"]),
            (&[""], &["private, no-cache"]),
            // What is private as it is stays as it is.
            (&["private"], &["private"]),
            (&["Private, max-age=60"], &["Private, max-age=60"]),
            (&["no-store"], &["no-store"]),
            (&["no-store, no-cache, must-revalidate"], &["no-store, no-cache, must-revalidate"]),
            (&["max-age=0", "private"], &["max-age=0", "private"]),
            // What only seems so does not.
            (&["private, public"], &["private, no-cache"]),
            (&["private=\"x-user\", max-age=60"], &["private, max-age=60"]),
            (&["private=\"a, b\", max-age=60"], &["private, max-age=60"]),
            (&["ext=\"no-store, private\", max-age=60"], &["private, ext=\"no-store, private\", max-age=60"]),
            (&["ext=\"a\\\", private, \", max-age=1"], &["private, ext=\"a\\\", private, \", max-age=1"]),
            (&["no-store, must-understand, max-age=60"], &["private, no-store, must-understand, max-age=60"]),
            (&["no-store, public"], &["private, no-store"]),
            (&["no-cache=\"set-cookie\", max-age=60"], &["private, no-cache=\"set-cookie\", max-age=60"]),
            (&["public; max-age=60"], &["private, public; max-age=60, no-cache"]),
            (&["max-age=60, x=\"private"], &["no-store"]),
        ] {
            assert_eq!(restricted(CACHE_CONTROL, lines, Sharing::Private), expected, "{lines:?}");
            assert_eq!(restricted(CACHE_CONTROL, lines, Sharing::WithStrangers), lines, "{lines:?}");
            assert_eq!(restricted(CACHE_CONTROL, lines, Sharing::AsSaid), lines, "{lines:?}");
        }
    }

    #[test]
    fn what_depends_on_who_asks_says_so_once() {
        for (lines, expected) in [
            (&[][..], &["Cookie"][..]),
            (&["Accept-Encoding"], &["Accept-Encoding, Cookie"]),
            (&["accept-encoding , Accept"], &["accept-encoding, Accept, Cookie"]),
            (&["Accept", "Origin"], &["Accept, Origin, Cookie"]),
            (&["Accept-Encoding", "Origin"], &["Accept-Encoding, Origin, Cookie"]),
            (&["X-Access-Class"], &["Cookie"]),
            (&["x-access-class, Cookie, Accept"], &["Accept, Cookie"]),
            (&["Accept, x-access-CLASS"], &["Accept, Cookie"]),
            (&[""], &["Cookie"]),
            (&["accept, COOKIE"], &["accept, COOKIE"]),
            (&["Cookie"], &["Cookie"]),
            (&["Accept, *"], &["Accept, *"]),
        ] {
            for sharing in [Sharing::Private, Sharing::WithStrangers] {
                assert_eq!(restricted(VARY, lines, sharing), expected, "{lines:?}");
            }
            assert_eq!(restricted(VARY, lines, Sharing::AsSaid), lines, "{lines:?}");
        }
    }

    #[test]
    fn no_cache_is_told_in_private_that_an_answer_is_public() {
        let head = || -> HeaderMap {
            let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
            [
                ("cdn-cache-control", "max-age=600"),
                ("surrogate-control", "max-age=600"),
                ("x-accel-expires", "600"),
                ("expires", "Thu, 01 Dec 2044 16:00:00 GMT"),
            ]
            .map(field)
            .into_iter()
            .collect()
        };
        let mut headers = head();
        let fields = ResponseFields::of(&headers);
        let caching = restrict(&mut headers, fields, Sharing::Private).unwrap();
        caching.put(&mut headers);
        let left: Vec<String> = headers.keys().map(ToString::to_string).collect();
        assert_eq!(left.len(), 3, "{left:?}");
        assert_eq!(headers.get(CACHE_CONTROL).unwrap(), "private");
        let mut headers = head();
        assert!(restrict(&mut headers, fields, Sharing::WithStrangers).is_none());
        assert_eq!(headers.len(), 5);
    }
}
