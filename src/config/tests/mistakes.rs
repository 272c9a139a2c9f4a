//! Everything that can be wrong with a file, and what is said about it and where.

use super::read;

/// Files that are wrong, parted by `----`. Behind each `#! ` stands how a fault about that line
/// begins; there must be these faults and no others. None may show the secret `hunter2`, which is
/// also what the variable HIDDEN holds.
const FILES: &str = include_str!("mistakes.txt");

#[test]
fn each_mistake_is_named_where_it_stands() {
    for text in FILES.split("----\n") {
        let faults = read(text).expect_err(text);
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
        let found = faults.iter().map(|fault| {
            let shown = fault.to_string();
            let place = format!("config.toml:{}: ", fault.line());
            (fault.line(), shown.strip_prefix(&place).expect(&shown).to_owned())
        });
        let mut found: Vec<(usize, String)> = found.collect();
        let expected = text.lines().enumerate().flat_map(|(index, line)| {
            let parts = line.split("#! ").skip(1);
            parts.map(move |part| (index + 1, part.trim()))
        });
        for (line, start) in expected {
            let is_it = |(at, fault): &(usize, String)| *at == line && fault.starts_with(start);
            let position = found.iter().position(is_it);
            let position = position.unwrap_or_else(|| panic!("line {line}: {start}\nis not in\n{faults}"));
            found.remove(position);
        }
        assert!(found.is_empty(), "{text}\nwas not to have {found:?}");
    }
}

#[test]
fn faults_stand_in_the_order_of_their_lines() {
    let text = "[store]\nkind = 1\n[control]\nx = 1\n[server]\nhttp = []\n";
    let faults = read(text).unwrap_err();
    assert_eq!(faults.iter().map(crate::config::Fault::line).collect::<Vec<_>>(), [1, 2, 4, 6]);
    let second = faults.iter().nth(1).unwrap();
    assert_eq!((second.file(), second.key()), ("config.toml", "store.kind"));
    assert_eq!(
        (second.problem(), second.remedy()),
        ("expected a string, found a number", "write one string in quotes")
    );
}

#[test]
fn one_run_tells_everything() {
    let text = r#"[server]
http = ["localhost:80", 8080]
worker = 4
header_timeout = "10 s"
[control]
listen = "0.0.0.0:8081"
[store]
kind = "redis"
[[api_key]]
name = "login-page"
secret = "${NOT_SET}"
scopes = ["write:sso", "write:all"]
[[site]]
name = "demo"
hosts = ["demo.example.com"]
upstream = ["http://127.0.0.1:9000"]
[site.cookie]
same_site = "laks"
[[site.route]]
path = "/a/../b"
access = "off"
"#;
    insta::assert_snapshot!(read(text).unwrap_err(), @r#"
    config.toml:2: server.http[0]: "localhost:80" is not an address with a port — write an address and a port, such as "127.0.0.1:8080" or "[::]:8080"
    config.toml:2: server.http[1]: expected a string, found a number — write one string in quotes
    config.toml:3: server.worker: there is no such key — did you mean workers?
    config.toml:4: server.header_timeout: "10 s" is not a duration — write a whole number with one of the units d, h, m, s, ms, in quotes, such as "30m"
    config.toml:6: control.listen: "0.0.0.0:8081" is reachable from other machines, and this listener speaks plain HTTP, which would expose the API keys on the way — listen on loopback, such as "127.0.0.1:8081", or add cert and key
    config.toml:7: store.url: is missing — add url = "redis://127.0.0.1:6379/"
    config.toml:11: api_key.login-page.secret: the environment variable NOT_SET is not set — set it before starting: export NOT_SET=… (the packaged service reads /etc/tollgate/environment)
    config.toml:12: api_key.login-page.scopes[1]: "write:all" is not one of write:sso, read:sessions, write:sessions, read:users, write:users, admin — write one of these words
    config.toml:13: site.demo.login_url: is missing — add login_url = "https://login.example.com/"
    config.toml:18: site.demo.cookie.same_site: "laks" is not one of lax, strict, none — write one of these words
    config.toml:20: site.demo.route[0].path: "/a/../b" cannot be matched: the path has a dot segment — write it plainly, with a slash first, such as "/public/"
    "#);
}
