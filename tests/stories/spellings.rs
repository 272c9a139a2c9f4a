//! However a request is spelled, what reaches the upstream is open to whoever sent it: judged by a
//! second opinion on what the upstream received (see `tests/laws/rules.rs` for the same of the rules
//! alone, at greater length).

use serde_json::json;

use crate::reference::{Dice, Exception, GROUPS, House, target};
use crate::support::{FakeUpstream, Plan, SITE, SitePlan, Visitor};

const HOUSES: u64 = 24;
const REQUESTS: usize = 125;

/// `house` as a site.
fn site(house: &House, plan: SitePlan) -> SitePlan {
    let slash = house.allow_encoded_slash.to_string();
    let plan = plan.with("access", &format!("{:?}", house.default)).with("allow_encoded_slash", &slash);
    house.exceptions.iter().fold(plan, |plan, one| {
        let mut keys = vec![
            ("path", format!("{:?}", one.prefix())),
            ("methods", format!("{:?}", one.methods)),
            ("access", format!("{:?}", one.level)),
        ];
        if !one.groups.is_empty() {
            keys.push(("require", format!("{{ groups = {:?} }}", one.groups)));
        }
        plan.route_with(&keys)
    })
}

/// What a request says besides, to have another path or another method judged than is served.
fn misleading(dice: &mut Dice) -> String {
    const FIELDS: [&str; 6] = [
        "X-HTTP-Method-Override: DELETE",
        "x_http_method_override: PUT",
        "X-Method-Override: POST",
        "X-Original-URL: /admin/",
        "X-Rewrite-URL: /admin/",
        "X-Forwarded-Uri: /public/",
    ];
    if dice.roll(2) == 0 { format!("{}\r\n", dice.pick(&FIELDS)) } else { String::new() }
}

#[tokio::test]
async fn whatever_is_let_through_is_open_under_every_reading() {
    let (mut passed, mut refused) = (0, 0);
    for seed in 0..HOUSES {
        let mut dice = Dice(seed);
        let mut house = House::any(&mut dice);
        let upstream = FakeUpstream::start().await;
        let gateway = Plan::new(&upstream).site(|plan| site(&house, plan)).start().await;
        // What every site of the stories has.
        for (name, level) in [("public", "off"), ("optional", "optional")] {
            let (methods, groups) = (Vec::new(), Vec::new());
            house.exceptions.push(Exception { segments: vec![name], methods, level, groups });
        }
        let mut everybody: Vec<(Option<&[&str]>, String)> = vec![(None, String::new())];
        for groups in [&[][..], &GROUPS[..1], &GROUPS] {
            let order = json!({ "email": "a@example.com", "full_name": "A", "groups": groups });
            let token = gateway.login_page().token(order).await;
            let mut visitor = Visitor::at(&gateway);
            assert_eq!(visitor.get(&format!("{SITE}/public/?sso={token}")).await.status, 302);
            let cookie = format!("Cookie: tollgate={}\r\n", visitor.session_cookie().expect("signed in"));
            everybody.push((Some(groups), cookie));
        }
        let visitor = Visitor::at(&gateway);
        for _ in 0..REQUESTS {
            let (_, spelled) = target(&house, &mut dice);
            let (groups, cookie) = &everybody[dice.roll(everybody.len())];
            let method = dice.pick(&["GET", "POST", "PUT", "DELETE", "PATCH", "post", "HEAD"]);
            let form = dice.pick(&["", "", "", SITE, "HTTP://SITE.test", "http://site.test:80"]);
            let tail =
                dice.pick(&["", "", "?x=/admin/", "?/../admin", "#/public/", "/#", "?", "%23/public/"]);
            let fields = misleading(&mut dice);
            let request =
                format!("{method} {form}{spelled}{tail} HTTP/1.1\r\nHost: site.test\r\n{cookie}{fields}\r\n");
            let before = upstream.count();
            let answer = visitor.send_raw(request.as_bytes()).await;
            if upstream.count() == before {
                refused += 1;
                assert!(answer.is_none_or(|answer| answer.status >= 300), "{request}");
                continue;
            }
            passed += 1;
            let received = upstream.last();
            let what = format!("{request}\ncame as {} {} at {house:#?}", received.method, received.target);
            let path = received.target.split('?').next().unwrap_or_default();
            assert!(path.starts_with('/') && !path.contains('#'), "{what}");
            assert!(house.admits_every_reading(path.as_bytes(), &received.method, *groups), "{what}");
            let knows_methods = house.exceptions.iter().any(|one| !one.methods.is_empty());
            let overrides = received.headers.0.iter().any(|(name, _)| {
                let name = name.to_lowercase().replace('_', "-");
                name.contains("method") && knows_methods || name.ends_with("-url") || name.ends_with("-uri")
            });
            assert!(!overrides, "{what}");
        }
    }
    // A law that nothing meets would say nothing.
    assert!(passed > 300 && refused > 300, "{passed} passed, {refused} were refused");
}
