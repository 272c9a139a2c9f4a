//! Logins as the API makes them, a token issued and redeemed for each, and what a process then holds.

use std::sync::Arc;

use tollgate::config::Site;
use tollgate::domain::email::Email;
use tollgate::domain::identity::Details;
use tollgate::domain::user::PersonName;
use tollgate::sso::{Cause, Member, Redemption, Sso, TokenOrder};

/// One site, and nothing else that would not have its default.
pub(crate) const CONFIG: &str = r#"
[[site]]
name = "intranet"
hosts = ["intranet.example.com"]
upstream = ["http://127.0.0.1:9000"]
login_url = "https://login.example.com/"
"#;

/// Signs in the person with this number.
pub(crate) async fn sign_in(sso: &Arc<Sso>, site: &Arc<Site>, number: u64) {
    let member = Member {
        email: Email::parse(&format!("jane.doe{number}@example.com")).unwrap(),
        name: PersonName::from_parts("Jane", &format!("Doe{number}")),
        details: Details::default(),
    };
    let issued = sso.issue_for_member(site, member, TokenOrder::default(), &Cause::GATEWAY).await.unwrap();
    let attempt = Redemption {
        site: Arc::clone(site),
        token: issued.token,
        kind: None,
        browser: None,
        current: None,
        bound: false,
        cause: Cause::GATEWAY,
    };
    sso.redeem(attempt).await.unwrap();
}

/// What the process has in memory. Blocks that are free but not yet given back count too.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}
