//! No spelling of a path gets through that the same rules refuse in its plain form: told by a second
//! opinion that judges whatever a server may make of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use proptest::prelude::*;
use tollgate::domain::access::{Access, AccessLevel, Requirement, Route, Rules, decide};
use tollgate::domain::clock::Timestamp;
use tollgate::domain::entropy::SeededEntropy;
use tollgate::domain::identity::{Identity, Particulars, ReadyHeaders};
use tollgate::domain::opaque::SessionKey;
use tollgate::domain::path::{PathPrefix, RequestPath};
use tollgate::domain::session::{LiveSession, Session, SessionId};
use tollgate::domain::site::SiteName;
use tollgate::domain::token::RolePolicy;

use crate::reference::{Dice, GROUPS, House, target};

/// Requests for each site: together with the number of sites a hundred thousand.
const REQUESTS: usize = 50;
const SITES: u32 = 2_000;

fn rules(house: &House) -> Rules {
    let level = |text: &str| AccessLevel::parse(text).unwrap();
    let routes = house.exceptions.iter().map(|one| Route {
        prefix: PathPrefix::parse(&one.prefix()).unwrap(),
        methods: one.methods.iter().map(|method| method.parse().unwrap()).collect(),
        level: level(one.level),
        require: Requirement {
            groups: one.groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Requirement::default()
        },
    });
    Rules { default: level(house.default), routes: routes.collect() }
}

fn session(groups: &[&str]) -> Arc<LiveSession> {
    let (now, entropy) = (Timestamp::from_millis(1_000_000), SeededEntropy::new(1));
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    let details = Particulars { groups, ..Particulars::default() }.into();
    let session = Session {
        id: SessionId::mint(now, &entropy),
        site: SiteName::parse("s").unwrap(),
        identity: Identity { details, ..Identity::default() },
        role_policy: RolePolicy::Always,
        expires_at: now.after(Duration::from_mins(1)),
        idle: Duration::from_mins(1).into(),
        backend: false,
    };
    Arc::new(LiveSession::new(SessionKey::mint(&entropy).hash(), session, ReadyHeaders::default(), now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(SITES))]

    #[test]
    fn no_spelling_gets_through_that_is_refused_in_its_plain_form(seed: u64) {
        let mut dice = Dice(seed);
        let house = House::any(&mut dice);
        let rules = rules(&house);
        let everybody: [Option<&[&str]>; 4] = [None, Some(&[]), Some(&GROUPS[..1]), Some(&GROUPS)];
        let sessions = everybody.map(|groups| groups.map(session));
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let lets = |path: &str, method: &str, visitor: usize| {
            let method: Method = method.parse().unwrap();
            let judged = RequestPath::parse(path, house.allow_encoded_slash);
            judged.is_ok_and(|path| {
                let demand = rules.demand(&path, &method);
                matches!(decide(&demand, sessions[visitor].clone(), address), Access::Allow(_))
            })
        };
        for _ in 0..REQUESTS {
            let (plain, spelled) = target(&house, &mut dice);
            let method = dice.pick(&["GET", "POST", "PUT", "DELETE", "PATCH"]);
            let visitor = dice.roll(everybody.len());
            if lets(&spelled, method, visitor) {
                let open = house.admits_every_reading(spelled.as_bytes(), method, everybody[visitor]);
                prop_assert!(open, "{method} {spelled} by {:?} at {house:#?}", everybody[visitor]);
            }
            // And nobody is kept out who comes by the plain way.
            if house.admits_every_reading(plain.as_bytes(), method, everybody[visitor]) {
                let let_in = lets(&plain, method, visitor);
                prop_assert!(let_in, "{method} {plain} by {:?} at {house:#?}", everybody[visitor]);
            }
        }
    }
}
