//! What goes wrong with certificates that are asked for, and what stays in force meanwhile.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::acme::{serial, serial_soon, until};
use crate::acme_double::{Double, Orders};
use crate::support::{Client, TestGateway, minutes, seconds};
use tollgate::domain::clock::Clock as _;

const DAY: Duration = Duration::from_hours(24);
const DAYS: u64 = 24 * 60 * 60;

/// Waits until it was looked at what is due, and what is new is shown.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(2500)).await;
}

fn now(gateway: &TestGateway) -> u64 {
    gateway.clock.now().as_secs()
}

/// A directory whose certificates are good for ninety days from now on.
async fn double() -> Double {
    let double = Double::start().await;
    let now = tollgate::domain::clock::SystemClock.now().as_secs();
    double.behave(|manners| manners.life = (now, now + 90 * DAYS));
    double
}

async fn attempts(gateway: &TestGateway, outcome: &str) -> String {
    let figures = gateway.api().get("/metrics").await.text();
    let start = format!("tollgate_acme_attempts_total{{outcome=\"{outcome}\"}} ");
    figures.lines().find_map(|line| line.strip_prefix(&start)).expect("is told").to_owned()
}

#[tokio::test]
async fn a_certificate_that_is_no_good_replaces_none() {
    let double = double().await;
    let gateway = double.plan().start().await;
    let client = Client::blind();
    assert_eq!(serial_soon(&gateway, &client, "site.test").await, [1]);
    gateway.advance(DAY * 61);
    let today = now(&gateway);
    let (mut count, mut pause) = (1, 0);
    for (names, life) in [
        (vec!["site.test"], (today - 90 * DAYS, today - 1)),
        (vec!["site.test"], (today + 2 * DAYS, today + 90 * DAYS)),
        (vec!["elsewhere.test"], (today, today + 90 * DAYS)),
        (vec!["site.test", "elsewhere.test"], (today, today + 90 * DAYS)),
    ] {
        double.behave(|manners| (manners.names, manners.life) = (names.clone(), life));
        gateway.advance(minutes(pause));
        count += 1;
        double.called("/finalize", count).await;
        a_while().await;
        assert_eq!(serial(&gateway, &client, "site.test").await, Some(vec![1]), "{names:?} {life:?}");
        assert_eq!(attempts(&gateway, "failed").await, (count - 1).to_string());
        // As after any failure, the authority is left alone for longer and longer.
        assert_eq!(double.calls("/order").len(), count);
        pause = 13 << (count - 2);
    }
    let tomorrow = now(&gateway) + 90 * DAYS;
    double.behave(|manners| (manners.names, manners.life) = (vec!["site.test"], (today, tomorrow)));
    gateway.advance(minutes(pause));
    let renewed = async || serial(&gateway, &client, "site.test").await.filter(|serial| *serial != [1]);
    assert_eq!(until("it is renewed", renewed).await, [6]);
}

#[tokio::test]
async fn what_could_not_be_written_down_is_in_force_and_written_later() {
    let double = double().await;
    let file = double.folder().join("site.test.pem");
    // A file cannot take the place of a folder with something in it.
    std::fs::create_dir_all(file.join("in the way")).unwrap();
    let mut gateway = double.plan().start().await;
    let client = Client::blind();
    assert_eq!(serial_soon(&gateway, &client, "site.test").await, [1]);
    // It outlives whatever has the files read again.
    gateway.reload_certificates();
    a_while().await;
    assert_eq!(serial(&gateway, &client, "site.test").await, Some(vec![1]));
    gateway.reload(&double.plan_saying("renew_before = \"20d\"\n")).await.expect("comes into force");
    a_while().await;
    assert_eq!(serial(&gateway, &client, "site.test").await, Some(vec![1]));
    gateway.advance(minutes(10));
    a_while().await;
    assert!(file.is_dir());

    std::fs::remove_dir_all(&file).unwrap();
    // While another process asks for its own, the folder is left to it.
    let lock = std::fs::File::open(double.folder().join("lock")).unwrap();
    lock.lock().unwrap();
    gateway.advance(minutes(10));
    a_while().await;
    assert!(!file.exists());
    lock.unlock().unwrap();
    until("it is written down", async || file.is_file().then_some(())).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    a_while().await;
    assert_eq!(serial(&gateway, &client, "site.test").await, Some(vec![1]));
    gateway.stop().await;
    let gateway = double.plan_saying("renew_before = \"20d\"\n").start().await;
    assert_eq!(serial(&gateway, &client, "site.test").await, Some(vec![1]));
    double.called("/order", 1).await;
}

#[tokio::test]
async fn an_attempt_without_end_is_given_up() {
    let double = double().await;
    double.behave(|manners| manners.orders = Orders::NeverAnswered);
    let gateway = double.plan().start().await;
    double.called("/order", 1).await;
    assert_eq!(attempts(&gateway, "failed").await, "0");
    gateway.advance(minutes(21));
    until("it is given up", async || (attempts(&gateway, "failed").await == "1").then_some(())).await;
    double.behave(|manners| manners.orders = Orders::Taken);
    a_while().await;
    double.called("/order", 1).await;
    gateway.advance(minutes(13));
    assert_eq!(serial_soon(&gateway, &Client::blind(), "site.test").await, [1]);
    assert_eq!(attempts(&gateway, "issued").await, "1");
}

#[tokio::test]
async fn failures_are_remembered_over_a_restart() {
    let double = double().await;
    let remembered = double.folder().join("site.test.attempts.json");
    double.behave(|manners| manners.orders = Orders::Refused);
    let gateway = double.plan().start().await;
    until("it failed", async || (attempts(&gateway, "failed").await == "1").then_some(())).await;
    for _ in 0..2 {
        let again = double.plan().start().await;
        a_while().await;
        double.called("/order", 1).await;
        again.stop().await;
    }
    gateway.stop().await;
    // Who asks otherwise is not held back, and neither is who has lost the file, or finds it damaged.
    let mut orders = 1;
    for (lines, content) in [
        ("contact = [\"mailto:a@site.test\"]\n", None),
        ("contact = [\"mailto:a@site.test\"]\n", Some("{\"asked\":")),
        ("contact = [\"mailto:a@site.test\"]\n", Some("")),
    ] {
        if let Some(content) = content {
            std::fs::write(&remembered, content).unwrap();
        }
        let gateway = double.plan_saying(lines).start().await;
        orders += 1;
        double.called("/order", orders).await;
        until("it failed", async || (attempts(&gateway, "failed").await == "1").then_some(())).await;
        gateway.stop().await;
    }
    let gateway = double.plan_saying("contact = [\"mailto:a@site.test\"]\n").start().await;
    double.behave(|manners| manners.orders = Orders::Taken);
    gateway.advance(minutes(13));
    serial_soon(&gateway, &Client::blind(), "site.test").await;
    until("it is forgotten", async || (!remembered.exists()).then_some(())).await;
}

#[tokio::test]
async fn who_ends_in_the_midst_of_an_attempt_does_not_begin_the_next_at_once() {
    let double = double().await;
    double.behave(|manners| manners.orders = Orders::NeverAnswered);
    let gateway = double.plan().start().await;
    double.called("/order", 1).await;
    gateway.stop().await;
    double.behave(|manners| manners.orders = Orders::Taken);
    let gateway = double.plan().start().await;
    a_while().await;
    double.called("/order", 1).await;
    gateway.advance(seconds(40));
    serial_soon(&gateway, &Client::blind(), "site.test").await;
}

fn window(start: u64, end: u64) -> String {
    let [start, end] =
        [start, end].map(|time| tollgate::domain::clock::Timestamp::from_millis(time * 1000).to_rfc3339());
    format!("{{\"suggestedWindow\":{{\"start\":\"{start}\",\"end\":\"{end}\"}}}}")
}

#[tokio::test]
async fn an_authority_may_say_when_to_renew() {
    for orders in [Orders::Taken, Orders::TakenAsTheFirst] {
        let double = double().await;
        let gateway = double.plan().start().await;
        let today = now(&gateway);
        let advice = window(today + 10 * DAYS, today + 11 * DAYS);
        double.behave(|manners| (manners.advice, manners.orders) = (Some(advice), orders));
        let client = Client::blind();
        serial_soon(&gateway, &client, "site.test").await;
        // It may have been asked for its news before it had any.
        gateway.advance(DAY);
        let asked = async || double.below("/advice/").first().cloned();
        let certificate = until("it is asked for advice", asked).await;
        gateway.advance(DAY * 8);
        a_while().await;
        double.called("/order", 1).await;
        assert_eq!(double.calls("/order")[0].get("replaces"), None);

        double.behave(|manners| manners.life.1 += 30 * DAYS);
        gateway.advance(DAY * 2 + minutes(1));
        let renewed = async || serial(&gateway, &client, "site.test").await.filter(|serial| *serial == [2]);
        until("it is renewed", renewed).await;
        let sent = double.calls("/order");
        assert_eq!(sent[1]["replaces"], certificate.as_str());
        // Where that is not taken it is ordered without.
        assert_eq!(sent.len(), if orders == Orders::Taken { 2 } else { 3 });
        assert_eq!(sent[sent.len() - 1].get("replaces").is_some(), orders == Orders::Taken);
    }
}

#[tokio::test]
async fn advice_outlives_an_authority_that_has_nothing_to_say_for_a_while() {
    let double = double().await;
    let today = tollgate::domain::clock::SystemClock.now().as_secs();
    double.behave(|manners| manners.advice = Some(window(today + 10 * DAYS, today + 11 * DAYS)));
    let gateway = double.plan().start().await;
    serial_soon(&gateway, &Client::blind(), "site.test").await;
    gateway.advance(DAY);
    until("it is asked for advice", async || double.below("/advice/").first().cloned()).await;
    double.behave(|manners| (manners.advice, manners.life.1) = (Some(String::new()), today + 120 * DAYS));
    for _ in 0..2 {
        double.asked_again_after(&gateway, DAY).await;
        a_while().await;
    }
    double.called("/order", 1).await;
    gateway.advance(DAY * 9);
    double.called("/order", 2).await;
}

#[tokio::test]
async fn advice_that_makes_no_sense_changes_nothing() {
    let double = double().await;
    let gateway = double.plan().start().await;
    let client = Client::blind();
    serial_soon(&gateway, &client, "site.test").await;
    let today = now(&gateway);
    for (day, advice) in [
        String::new(),
        "{}".to_owned(),
        window(today, today),
        window(today + DAYS, today),
        window(today + DAYS, today + 900 * DAYS),
        "{\"suggestedWindow\":{\"start\":0,\"end\":1}}".to_owned(),
        "{\"suggestedWindow\":{\"start\":\"soon\",\"end\":\"later\"}}".to_owned(),
        "[".repeat(100_000),
    ]
    .into_iter()
    .enumerate()
    {
        double.behave(|manners| manners.advice = Some(advice.clone()));
        double.asked_again_after(&gateway, DAY).await;
        a_while().await;
        assert_eq!(double.calls("/order").len(), 1, "{day} {advice:.80}");
    }
    gateway.advance(DAY * 51);
    a_while().await;
    double.called("/order", 1).await;
    gateway.advance(DAY * 2);
    double.called("/order", 2).await;
}

#[tokio::test]
async fn a_clock_that_was_years_ahead_keeps_no_certificate_waiting() {
    let double = double().await;
    double.behave(|manners| manners.orders = Orders::Refused);
    let remembered = double.folder().join("site.test.attempts.json");
    let years = DAY * 3650;
    let failed = async |gateway: &TestGateway, times: &str| {
        until("it failed", async || (attempts(gateway, "failed").await == times).then_some(())).await;
    };
    let gateway = double.plan().start().await;
    failed(&gateway, "1").await;
    gateway.advance(years);
    failed(&gateway, "2").await;
    // It is put right while the gateway runs ...
    gateway.clock.set_back(years);
    a_while().await;
    gateway.advance(minutes(26));
    failed(&gateway, "3").await;
    gateway.advance(years);
    failed(&gateway, "4").await;
    gateway.stop().await;
    // ... or while it does not.
    assert!(std::fs::read_to_string(&remembered).unwrap().contains("\"next\":\"203"));
    double.behave(|manners| manners.orders = Orders::Taken);
    let gateway = double.plan().start().await;
    a_while().await;
    double.called("/order", 4).await;
    gateway.advance(DAY);
    a_while().await;
    gateway.advance(minutes(1));
    assert_eq!(serial_soon(&gateway, &Client::blind(), "site.test").await, [1]);
}

#[tokio::test]
async fn no_account_is_made_that_could_not_be_kept() {
    let double = double().await;
    let in_the_way = double.folder().join("account.json.new");
    std::fs::create_dir_all(in_the_way.join("a")).unwrap();
    let gateway = double.plan().start().await;
    until("it failed", async || (attempts(&gateway, "failed").await == "1").then_some(())).await;
    assert_eq!(double.calls("/account").len(), 0);
    std::fs::remove_dir_all(&in_the_way).unwrap();
    gateway.advance(minutes(1));
    assert_eq!(serial_soon(&gateway, &Client::blind(), "site.test").await, [1]);
    double.called("/account", 1).await;
}
