//! Whole files and what is read out of them.

mod mistakes;
mod properties;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::domain::access::{AccessLevel, Requirement};
use crate::domain::clock::Timestamp;
use crate::domain::email::Email;
use crate::domain::identity::{HeaderRule, Identity, Particulars};
use crate::domain::path::RequestPath;
use crate::domain::secret::SecretHash;
use crate::domain::user::{PersonName, Role};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The least that a file has to say.
const SITE: &str = "[[site]]\nname = \"demo\"\nhosts = [\"*\"]\nupstream = [\"http://127.0.0.1:9000\"]\n\
                    login_url = \"https://login.example.com/\"\n";

/// Every key there is, each with another value than its default.
const FULL: &str = include_str!("full.toml");

/// A folder with a certificate, its key, and a key that is another's.
static CERTIFICATES: LazyLock<String> = LazyLock::new(|| {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-certificates"));
    std::fs::create_dir_all(&folder).unwrap();
    let [key, other] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
    let names = vec!["intranet.example.com".to_owned()];
    let cert = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let (cert, key, other) = (cert.pem(), key.serialize_pem(), other.serialize_pem());
    for (name, text) in
        [("site.pem", &cert), ("internal.pem", &cert), ("site.key", &key), ("other.key", &other)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
});

fn read(text: &str) -> Result<Settings, Faults> {
    let environment = Environment::empty().with("LOGIN_PAGE_KEY", SECRET).with("HIDDEN", "hunter2");
    load(text, "config.toml", &environment.with("CERTIFICATES", CERTIFICATES.as_str()))
}

fn shown<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

/// The headers that tell of a person of whom everything is known.
fn identity_headers(site: &Site) -> Vec<String> {
    let who = Identity {
        email: Email::parse("jane@example.com"),
        name: Some(PersonName::from_parts("Jane", "Doe")),
        role: Role::parse("editor"),
        details: Particulars { groups: vec!["staff".into()], ..Particulars::default() }.into(),
        ..Identity::default()
    };
    let headers = site.identity.render(&who, "s1");
    let shown = |(rule, value): (&HeaderRule, &[u8])| format!("{}: {}", rule.name(), value.escape_ascii());
    site.identity.read(&headers).map(shown).collect()
}

#[test]
fn the_listeners_and_the_store_are_read() {
    let settings = read(FULL).unwrap();
    let server = &settings.server;
    assert_eq!(shown(&server.http), ["0.0.0.0:80", "[::]:80", "127.0.0.1:0"]);
    assert_eq!((server.workers, server.max_connections, server.max_header_bytes), (4, 500, 16_384));
    assert_eq!(server.header_timeout, Duration::from_secs(5));
    assert_eq!(server.body_idle_timeout, Duration::from_secs(20));
    assert_eq!(server.drain_timeout, Duration::from_secs(90));
    assert_eq!(shown(&server.trusted_proxies), ["10.0.0.0/8", "192.0.2.7/32"]);
    assert!(server.proxy_protocol);
    assert_eq!(settings.control.listen.to_string(), "192.0.2.1:9443");
    assert_eq!((shown(&server.https), server.h2c), (vec!["0.0.0.0:443".to_owned()], true));
    assert_eq!(shown(&server.certificates[0].names), ["intranet.example.com"]);
    assert!(settings.control.certificate.is_some());
    let hosts: Vec<String> = settings.control.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["gate.example.com", "*.gates.example.com"]);
    let certificate = &server.certificates[0];
    assert!(settings.warnings(certificate.not_before).is_empty());
    let late = settings.warnings(certificate.not_after.after(Duration::from_secs(1)));
    assert_eq!(late.iter().filter(|warning| warning.contains("certificate")).count(), 3, "{late:?}");
    assert!(
        matches!(&settings.store, StoreSettings::Embedded { path } if path.as_os_str() == "/var/lib/tollgate")
    );
}

#[test]
fn what_is_written_down_and_told_is_read() {
    let settings = read(FULL).unwrap();
    assert_eq!(
        settings.log,
        LogSettings {
            format: Some(LogFormat::Text),
            access: Some(AccessFormat::Combined),
            access_file: Some("/var/log/tollgate/access.log".into()),
            audit_file: Some("/var/log/tollgate/audit.log".into()),
        }
    );
    assert_eq!(settings.trace.trust, TraceTrust::Any);
    let export = settings.trace.export.as_ref().unwrap();
    assert_eq!((export.sample, export.service.as_str()), (0.25, "gate"));
    assert_eq!((export.endpoint.host.as_str(), export.endpoint.is_https), ("otel.example.com", true));
    assert!(export.ca.is_some());
    let [(name, value)] = export.headers.as_slice() else { panic!("{:?}", export.headers) };
    assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer hunter2"[..]));
    assert!(!format!("{settings:?}").contains("hunter2"));

    let settings = read(SITE).unwrap();
    assert_eq!((settings.log.lines(), settings.log.audit_file), (Some(AccessLines::Json), None));
    assert_eq!(settings.trace, TraceSettings { trust: TraceTrust::Proxies, export: None });
    for (lines, expected) in [
        ("format = \"text\"", Some(AccessLines::Text)),
        ("format = \"text\"\naccess = \"json\"", Some(AccessLines::Json)),
        ("format = \"text\"\naccess_file = \"a\"", Some(AccessLines::Json)),
        ("access = \"combined\"", Some(AccessLines::Combined)),
        ("access = \"off\"", None),
    ] {
        assert_eq!(read(&format!("[log]\n{lines}\n{SITE}")).unwrap().log.lines(), expected, "{lines}");
    }
}

#[test]
fn what_certificates_are_asked_for_is_read() {
    let settings = read(FULL).unwrap();
    let acme = settings.acme.as_ref().unwrap();
    assert_eq!((acme.directory.as_str(), acme.contact.len()), ("https://ca.example.com:14000/dir", 1));
    let folder = PathBuf::from("/var/lib/tollgate/certificates/ca.example.com%3a14000_dir");
    assert_eq!((&acme.folder, acme.challenge), (&folder, ChallengeKind::TlsAlpn01));
    assert_eq!(acme.root_ca.as_ref().map(|ca| ca.certificates.len()), Some(1));
    let account = acme.external_account.as_ref().unwrap();
    assert_eq!(
        (account.key_id.as_str(), account.key_bytes().as_slice()),
        ("kid-1", &b"key-of-the-account"[..])
    );
    assert_eq!(acme.renew_before, Some(Duration::from_hours(20 * 24)));
    let [wanted] = acme.certificates.as_slice() else { panic!("{:?}", acme.certificates) };
    assert_eq!(wanted.names, ["www.intranet.example.com", "wiki.example.com"]);
    assert_eq!(wanted.file, folder.join("www.intranet.example.com.pem"));
    // It is not there yet, and that is no fault.
    assert_eq!(settings.server.certificates.len(), 1);
}

#[test]
fn to_ask_for_certificates_takes_little() {
    let certificate = "[server]\nhttps = [\"127.0.0.1:0\"]\n[[server.certificate]]\nacme = [\"A.example\"]\n";
    let least = format!("{certificate}[acme]\nterms_of_service_agreed = true\n");
    let acme = read(&format!("{least}{SITE}")).unwrap().acme.unwrap();
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(acme.certificates[0].names, ["a.example"]);
    assert_eq!((acme.challenge, acme.renew_before), (ChallengeKind::Http01, None));
    // It is kept with all else that is.
    assert_eq!(acme.folder, PathBuf::from("data/acme/acme-v02.api.letsencrypt.org_directory"));
    let elsewhere = format!("{least}[store]\nkind = \"memory\"\n{SITE}");
    let acme = read(&elsewhere).unwrap().acme.unwrap();
    assert_eq!(acme.folder, PathBuf::from("acme/acme-v02.api.letsencrypt.org_directory"));
    assert_eq!(read(SITE).unwrap().acme, None);
}

#[test]
fn the_keys_are_read() {
    let settings = read(FULL).unwrap();
    let [login_page, old_client] = settings.api_keys.as_slice() else { panic!("{:?}", settings.api_keys) };
    assert_eq!(login_page.name, "login-page");
    let [now, before, last] = login_page.proofs.as_slice() else { panic!("{login_page:?}") };
    assert_eq!((now.bearer(), now.is_previous), (Some(SecretHash::of(SECRET.as_bytes())), false));
    let [year, earlier] = ["2028-01-01T00:00:00Z", "2027-01-31T11:00:00Z"].map(Timestamp::from_rfc3339);
    assert_eq!((now.expires_at, before.expires_at), (year, earlier));
    assert_eq!(last.expires_at, year, "with the key ends all that belonged to it");
    assert_eq!((before.bearer(), before.is_previous), (Some(SecretHash::of(&[b'x'; 16])), true));
    assert_eq!(login_page.scopes, [Scope::WriteSso, Scope::ReadSessions]);
    assert_eq!(login_page.permission, PermissionLevel::None);
    assert_eq!(login_page.sites.as_deref().map(shown), Some(vec!["intranet".to_owned()]));
    assert!(now.oauth1().is_none());

    assert_eq!((old_client.proofs.len(), old_client.permission), (2, PermissionLevel::Super));
    assert_eq!(old_client.sites, None);
    // With the same names as now, and, as the key itself has no end, an end of its own.
    let before = &old_client.proofs[1];
    assert_eq!((before.expires_at, before.is_previous), (year, true));
    assert_eq!(before.oauth1().unwrap().consumer_secret.expose(), "an-older-secret-of-this-client");
    let oauth1 = old_client.proofs[0].oauth1().unwrap();
    assert_eq!((oauth1.consumer_key.as_str(), oauth1.consumer_secret.expose()), ("ck", "kd94hf93k423kf44"));
    assert_eq!((oauth1.access_token.as_str(), oauth1.access_secret.expose()), ("at", "pfkkdhi9sl3r4s00"));
}

#[test]
fn the_sites_are_read() {
    let settings = read(FULL).unwrap();
    let [site, wiki] = settings.sites.as_slice() else { panic!("{:?}", settings.sites) };
    assert_eq!((site.name.as_str(), wiki.name.as_str()), ("intranet", "wiki"));
    assert_eq!(shown(&site.hosts), ["intranet.example.com", "*.intranet.example.com"]);
    assert_eq!(shown(site.public_url.as_slice()), ["https://intranet.example.com"]);
    let hsts = Hsts { max_age: Duration::from_hours(365 * 24), include_subdomains: true };
    assert_eq!((site.https_redirect, site.hsts), (true, Some(hsts)));
    assert_eq!((wiki.https_redirect, wiki.hsts), (false, None));
    assert_eq!(site.login_url.as_str(), "https://login.example.com/?from=intranet");
    assert_eq!(site.logout_url.as_ref().map(RemoteUrl::as_str), Some("https://login.example.com/bye"));
    assert_eq!(site.token_ttl, Some(Duration::from_mins(5)));
    assert_eq!((site.session_idle, site.session_max), (Duration::from_mins(10), Duration::from_hours(8)));
    assert!(site.allow_backend_login && site.require_state && site.allow_encoded_slash);
    assert!(!site.preserve_host && !site.resume_posts && site.keep_fragment);
    assert_eq!([site, wiki].map(|site| site.sso_group.as_deref()), [Some("houses"); 2]);
    assert_eq!((site.token_param.as_str(), site.redeem), ("ticket", RedeemMode::Confirm));
    assert_eq!(site.apis, SiteApis { session: false, sso_tokens: true });
    assert_eq!(wiki.apis, SiteApis { session: true, sso_tokens: true });
    assert_eq!((site.upstream_timeout, site.max_body), (Duration::from_secs(5), Some(10_000_000)));
    assert_eq!(shown(&site.cors_origins), ["https://app.example.com"]);
    assert_eq!(shown(&site.embed_origins), ["https://partner.example", "https://b.example:8443"]);
    assert!(!site.access_class);
    assert_eq!(site.paywall_url.as_ref().map(RemoteUrl::as_str), Some("https://login.example.com/subscribe"));
    assert_eq!(site.cookie, SiteCookie { name: "intranet".to_owned(), same_site: SameSite::None });
    assert_eq!(site.assertions, Some(Assertions { key_age: Duration::from_hours(90 * 24) }));
    assert_eq!(wiki.assertions, None);
}

#[test]
fn the_upstreams_are_read() {
    let settings = read(FULL).unwrap();
    let [site, wiki] = settings.sites.as_slice() else { panic!("{:?}", settings.sites) };
    assert_eq!(shown(&site.upstreams.all), ["https://[::1]:9000", "https://app.internal"]);
    let at = |host: &str, port| UpstreamAddress::Tcp { host: host.to_owned(), port };
    let addresses: Vec<_> = site.upstreams.all.iter().map(|upstream| upstream.address.clone()).collect();
    assert_eq!(addresses, [at("::1", 9000), at("app.internal", 443)]);
    assert!(site.upstreams.speak_http2());
    assert_eq!(site.upstreams.connect_timeout, Duration::from_millis(1500));
    let tls = &site.upstreams.tls;
    assert_eq!(tls.ca.as_ref().map(|ca| (ca.certificates.len(), ca.roots.len())), Some((1, 1)));
    assert_eq!(
        tls.identity.as_ref().map(|own| shown(&own.names)),
        Some(vec!["intranet.example.com".to_owned()])
    );
    assert_eq!(
        tls.server_name.as_ref().map(|name| name.to_str().into_owned()).as_deref(),
        Some("app.example")
    );
    let health = site.upstreams.health.as_ref().unwrap();
    assert_eq!(health.path.as_str(), "/healthz?full=1");
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(30), Duration::from_secs(5)));
    assert_eq!((health.healthy_after, health.unhealthy_after), (1, 5));

    assert_eq!(shown(&wiki.upstreams.all), ["http://wiki.internal", "unix:/run/wiki.sock"]);
    let authorities = wiki.upstreams.all.iter().map(|upstream| upstream.authority.clone());
    assert_eq!(authorities.collect::<Vec<_>>(), ["wiki.internal", "localhost"]);
    assert!(!wiki.upstreams.speak_http2() && wiki.upstreams.health.is_none());
}

#[test]
fn the_routes_are_read() {
    let settings = read(FULL).unwrap();
    let rules = &settings.sites[0].rules;
    assert_eq!(rules.default, AccessLevel::Optional);
    for (method, path, level) in [
        ("GET", "/", AccessLevel::Optional),
        ("GET", "/public/x", AccessLevel::Off),
        ("HEAD", "/public/x", AccessLevel::Off),
        ("POST", "/public/x", AccessLevel::Optional),
        ("POST", "/admin", AccessLevel::Required),
    ] {
        let parsed = RequestPath::parse(path, false).unwrap();
        assert_eq!(rules.demand(&parsed, &method.parse().unwrap()).level, level, "{method} {path}");
    }
    let desk = rules.routes.iter().find(|route| route.prefix.as_str() == "/desk").unwrap();
    assert_eq!(desk.level, AccessLevel::Required);
    let asked = Requirement {
        backend: true,
        roles: vec![Role::parse("chief").unwrap()],
        groups: vec!["press".into(), "board".into()],
        plans: vec!["plus".into()],
        email_domains: vec!["example.com".into()],
        networks: vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()],
    };
    assert_eq!(desk.require, asked);
}

#[test]
fn own_headers_come_on_top_of_the_preset() {
    let settings = read(FULL).unwrap();
    let [site, wiki] = settings.sites.as_slice() else { panic!("{:?}", settings.sites) };
    let preset = [
        "x-forwarded-user: jane@example.com",
        "x-forwarded-email: jane@example.com",
        "x-forwarded-name: Jane Doe",
        "x-forwarded-role: editor",
        "x-forwarded-groups: staff",
    ];
    assert_eq!(identity_headers(wiki), preset);
    let [user, email, name, _emptied_role, groups] = preset;
    // jane@example.com with the password out of HIDDEN.
    let basic = "authorization: Basic amFuZUBleGFtcGxlLmNvbTpodW50ZXIy";
    let own = "x-webauth-user: jane@example.com";
    assert_eq!(identity_headers(site), [user, email, name, groups, own, basic]);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let settings = read(SITE).unwrap();
    let server = &settings.server;
    assert_eq!((server.http.as_slice(), server.workers), (&["127.0.0.1:8080".parse().unwrap()][..], 0));
    assert_eq!((server.max_connections, server.max_header_bytes), (20_000, 32_768));
    assert_eq!(
        (server.header_timeout, server.drain_timeout),
        (Duration::from_secs(10), Duration::from_secs(30))
    );
    assert!(server.trusted_proxies.is_empty() && settings.api_keys.is_empty());
    assert_eq!(settings.control.listen.to_string(), "127.0.0.1:8081");
    assert!(matches!(&settings.store, StoreSettings::Embedded { path } if path.as_os_str() == "data"));
    let elsewhere = load(SITE, "/etc/tollgate/config.toml", &Environment::empty()).unwrap();
    assert!(
        matches!(&elsewhere.store, StoreSettings::Embedded { path } if path.as_os_str() == "/etc/tollgate/data")
    );
    let in_memory = read(&format!("[store]\nkind = \"memory\"\n{SITE}")).unwrap();
    assert!(matches!(in_memory.store, StoreSettings::Memory));
    let site = &settings.sites[0];
    assert_eq!((site.rules.default, site.rules.routes.len()), (AccessLevel::Required, 0));
    assert_eq!((site.session_idle, site.session_max), (Duration::from_mins(30), Duration::from_hours(24)));
    assert_eq!((site.token_ttl, site.token_param.as_str()), (None, "sso"));
    assert_eq!(site.redeem, RedeemMode::Direct);
    assert!(!site.allow_backend_login && !site.require_state && !site.allow_encoded_slash);
    assert!(site.preserve_host && site.resume_posts && !site.keep_fragment);
    assert_eq!(site.apis, SiteApis { session: true, sso_tokens: false });
    assert_eq!((site.upstream_timeout, site.max_body), (Duration::from_mins(1), None));
    assert_eq!(site.sso_group, None);
    assert!(site.embed_origins.is_empty());
    assert!(site.access_class && site.paywall_url.is_none());
    assert!(site.cors_origins.is_empty() && site.public_url.is_none() && site.logout_url.is_none());
    assert_eq!(site.cookie, SiteCookie { name: "tollgate".to_owned(), same_site: SameSite::Lax });
    assert_eq!(identity_headers(site).len(), 5);
}

#[test]
fn what_looks_like_a_mistake_and_is_none_is_valid() {
    let server = "[server]\nhttp = [\"0.0.0.0:8081\", \"[::]:8080\"]\n[control]\nlisten = \"[::1]:8081\"\n";
    let site = |more: &str| {
        format!(
            "{server}[[site]]\nname = \"demo\"\nhosts = [\"demo.example.com\"]\n\
             upstream = [\"http://127.0.0.1:9000\"]\n{more}"
        )
    };
    let elsewhere = "login_url = \"https://demo.example.com/login\"\n";
    for more in [
        elsewhere.to_owned(),
        "login_url = \"http://demo.example.com:8080/login\"\naccess = \"optional\"".to_owned(),
        "login_url = \"http://demo.example.com:8080/in?x=1\"\n[[site.route]]\npath = \"/in\"\n\
         access = \"off\""
            .to_owned(),
        format!("{elsewhere}require_state = true\napis = []"),
        format!("{elsewhere}require_state = true\napis = [\"sso_tokens\"]"),
        format!("{elsewhere}[[site.route]]\npath = \"/.tollgated/\"\naccess = \"off\""),
        // The same name is another value for the preset's header, not a second header.
        format!("{elsewhere}[site.identity.headers]\nx-forwarded-user = \"{{email}}\""),
    ] {
        let file = site(&more);
        read(&file).unwrap_or_else(|faults| panic!("{file}\n{faults}"));
    }
}

#[test]
fn whoever_may_frame_a_site_gets_cookies_that_come_along() {
    let file = format!(
        "{SITE}public_url = \"https://demo.example.com\"\nembed_origins = [\"https://partner.example\"]\n"
    );
    for more in ["", "[site.cookie]\nname = \"a\"", "[site.cookie]\nsame_site = \"none\""] {
        let settings = read(&format!("{file}{more}")).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(settings.sites[0].cookie.same_site, SameSite::None, "{more}");
    }
}

#[test]
fn the_repositorys_own_file_is_valid() {
    let settings = read(include_str!("../../../config.toml")).unwrap();
    assert_eq!(settings.sites[0].name.as_str(), "demo");
    assert_eq!(settings.api_keys[0].proofs[0].bearer(), Some(SecretHash::of(SECRET.as_bytes())));
}

#[test]
fn what_has_ended_is_no_fault_but_worth_a_word() {
    let settings = read(FULL).unwrap();
    let said = |time: &str| {
        let warnings = settings.warnings(Timestamp::from_rfc3339(time).unwrap());
        warnings.into_iter().filter(|warning| warning.contains("API key")).collect::<Vec<_>>()
    };
    assert!(said("2027-01-31T10:59:59Z").is_empty());
    let previous = "a previous secret of the API key login-page has ended: take it out of the file";
    assert_eq!(said("2027-01-31T11:00:00Z"), [previous]);
    let all = said("2028-01-01T00:00:00Z");
    assert_eq!(all[0], "the API key login-page has ended: nobody can use it");
    assert!(all[1].starts_with("a previous secret of the API key old-client"));
}

#[test]
fn a_certificate_for_no_listener_is_no_fault_but_worth_a_word() {
    let certificate = "[server]\nhttps = []\n[[server.certificate]]\n\
                       cert = \"${CERTIFICATES}/site.pem\"\nkey = \"${CERTIFICATES}/site.key\"\n";
    let settings = read(&format!("{certificate}{SITE}")).unwrap_or_else(|faults| panic!("{faults}"));
    let remark =
        "config.toml:3: server.certificate: is shown to nobody, as nothing listens for https — add https";
    assert!(settings.remarks.iter().any(|told| told.starts_with(remark)), "{:?}", settings.remarks);
}

#[test]
fn a_login_page_that_may_lie_on_its_own_closed_site_is_worth_a_word() {
    let remarks = |hosts: &str, rest: &str| {
        let text = format!(
            "[server]\nhttp = [\"127.0.0.1:8080\"]\n[[site]]\nname = \"demo\"\nhosts = [{hosts}]\n\
             upstream = [\"http://127.0.0.1:9000\"]\n{rest}\n"
        );
        read(&text).unwrap_or_else(|faults| panic!("{faults}")).remarks
    };
    let told = |remarks: Vec<String>| {
        remarks.iter().any(|told| told.contains("site.demo.login_url: may be a page of this very site"))
    };
    let own = "login_url = \"https://own.example.com/login\"";
    let open = format!("{own}\n[[site.route]]\npath = \"/login\"\naccess = \"off\"");
    for (hosts, rest, expected) in [
        // A proxy in front of it speaks TLS.
        ("\"own.example.com\"", own, true),
        ("\"own.example.com\"", &open, false),
        ("\"own.example.com\"", "login_url = \"https://own.example.com:8443/login\"", false),
        ("\"www.example.com\"", own, false),
        ("\"*.example.com\"", own, false),
        ("\"*\"", own, false),
        ("\"*\"", "login_url = \"http://own.example.com:8080/login\"", true),
        (
            "\"*\"",
            "login_url = \"http://own.example.com:8080/\"\npublic_url = \"http://a.example.com:8080\"",
            false,
        ),
    ] {
        assert_eq!(told(remarks(hosts, rest)), expected, "{hosts} {rest}");
    }
}

#[test]
fn the_documentations_examples_are_valid_and_name_every_key() {
    let text = include_str!("../../../docs/configuration.md");
    let mut examples = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let complete = examples.next().unwrap();
    assert!(read(complete).is_ok(), "{complete}");
    // The others together are one file.
    let file: String = examples.collect();
    let secrets = ["OLD_CLIENT_CONSUMER_SECRET", "OLD_CLIENT_ACCESS_SECRET"];
    let environment = Environment::new(secrets.map(|name| (name.to_owned(), SECRET.to_owned())));
    let file = file.replace("\"certs/", &format!("\"{}/", CERTIFICATES.as_str()));
    let settings =
        load(&file, "docs/configuration.md", &environment).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(settings.sites.iter().map(|site| site.rules.routes.len()).sum::<usize>(), 4);

    for key in FULL.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key) {
        let header = key.starts_with('"');
        assert!(header || text.contains(&format!("`{key}`")), "{key} is not documented");
    }
}
