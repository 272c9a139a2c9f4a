//! Users: one for each address, members of sites with a role there.

use std::collections::BTreeMap;

use tollgate::domain::email::Email;
use tollgate::domain::user::{Account, PersonName, Role, User};
use tollgate::store::{Stores, UserChange, UserFilter};

use crate::{Kept, START, all, site};

async fn provision(stores: &Stores, email: &str, first: &str, on: &str) -> (User, bool) {
    let (email, name) = (Email::parse(email).unwrap(), PersonName::from_parts(first, "Doe"));
    let provisioned = stores.directory.provision(email, name, site(on), START).await.unwrap();
    (provisioned.user, provisioned.created)
}

#[tokio::test]
async fn a_person_is_created_once_keeps_the_name_and_joins_sites_as_editor() {
    for Kept { stores, .. } in all() {
        let (jane, created) = provision(&stores, "Jane@Example.com", "Jane", "wiki").await;
        assert!(created);
        let (again, created) = provision(&stores, "jane@example.COM", "Janet", "intranet").await;
        assert!(!created);
        assert_eq!((again.id, again.name.first()), (jane.id, "Jane"));
        assert_eq!(again.email.as_str(), "Jane@Example.com");
        let roles: Vec<_> = again.roles.iter().map(|(site, role)| (site.as_str(), role.as_str())).collect();
        assert_eq!(roles, [("intranet", "editor"), ("wiki", "editor")]);
    }
}

#[tokio::test]
async fn a_members_role_outlives_the_next_login() {
    for Kept { stores, .. } in all() {
        let (jane, _) = provision(&stores, "jane@example.com", "Jane", "wiki").await;
        let roles = BTreeMap::from([(site("wiki"), Role::parse("admin"))]);
        let change = UserChange { roles, account: Some(Account::Full), ..UserChange::default() };
        let changed = stores.directory.update(jane.id, change).await.unwrap().unwrap();
        assert_eq!(changed.account, Account::Full);
        let (again, _) = provision(&stores, "jane@example.com", "Jane", "wiki").await;
        assert_eq!(again.roles.get(&site("wiki")), Role::parse("admin").as_ref());
        let leave = UserChange { roles: BTreeMap::from([(site("wiki"), None)]), ..UserChange::default() };
        assert!(
            stores.directory.update(jane.id, leave).await.unwrap().unwrap().roles.keys().next().is_none()
        );
    }
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_the_number_is_not_used_again() {
    for Kept { stores, .. } in all() {
        let (jane, _) = provision(&stores, "jane@example.com", "Jane", "wiki").await;
        assert!(stores.directory.remove(jane.id).await.unwrap().is_some());
        assert!(stores.directory.find(jane.id).await.unwrap().is_none());
        assert!(stores.directory.find_by_email(jane.email.key().into()).await.unwrap().is_none());
        assert!(stores.directory.update(jane.id, UserChange::default()).await.unwrap().is_none());
        let (again, created) = provision(&stores, "jane@example.com", "Jane", "wiki").await;
        assert!(created && again.id > jane.id);
    }
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    for Kept { stores, .. } in all() {
        for number in 0..5 {
            let on = if number % 2 == 0 { "wiki" } else { "intranet" };
            provision(&stores, &format!("user{number}@example.com"), "Some", on).await;
        }
        let first = stores.directory.list(UserFilter::default(), None, 3).await.unwrap();
        let rest = stores.directory.list(UserFilter::default(), first.next, 3).await.unwrap();
        assert_eq!((first.entries.len(), rest.entries.len(), rest.next), (3, 2, None));
        let wiki = UserFilter { sites: Some(vec![site("wiki")]), email_key: None };
        assert_eq!(stores.directory.list(wiki, None, 10).await.unwrap().entries.len(), 3);
        let one = UserFilter { email_key: Some("user3@example.com".into()), sites: None };
        assert_eq!(stores.directory.list(one, None, 10).await.unwrap().entries.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_logins_at_once_one_creates_the_user() {
    for Kept { stores, .. } in all() {
        let logins: Vec<_> = (0..64)
            .map(|_| {
                let stores = stores.clone();
                tokio::spawn(async move { provision(&stores, "jane@example.com", "Jane", "wiki").await.1 })
            })
            .collect();
        let mut created = 0;
        for login in logins {
            created += usize::from(login.await.unwrap());
        }
        assert_eq!(created, 1);
        assert_eq!(stores.directory.list(UserFilter::default(), None, 10).await.unwrap().entries.len(), 1);
    }
}
