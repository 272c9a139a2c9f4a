//! Work that never ends, and is begun again if it does: an error of the program in what keeps the certificates
//! is no reason to let them run out in silence.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::counters::AcmeCounters;
use super::trouble::tidy;

/// The wait before it is begun again the first time, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// Has the `work` done for as long as this is polled. Between two ends of it more and more time passes.
pub(super) async fn without_end<W: Future<Output = ()>>(
    counters: &AcmeCounters,
    mut work: impl FnMut() -> W,
) {
    let (mut pause, longest) = PAUSES;
    loop {
        // What it holds is dropped with it, and what it shares is changed in single steps.
        let end = AssertUnwindSafe(work()).catch_unwind().await;
        let reason = end.err().map_or_else(|| "it returned".to_owned(), |payload| told(&*payload));
        counters.restarts.increment();
        tracing::error!(
            target: "tollgate::acme", reason, again_in_seconds = pause.as_secs(),
            "the certificate task failed and is being restarted; existing certificates stay in use: \
             please report this"
        );
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(longest);
    }
}

fn told(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    tidy(text.unwrap_or("a panic without a word"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_or_ends_is_begun_again_and_counted() {
        let (counters, began, start) = (AcmeCounters::default(), RefCell::new(Vec::new()), Instant::now());
        let work = || {
            let count = began.borrow().len();
            began.borrow_mut().push(start.elapsed().as_secs());
            async move {
                match count {
                    0 => panic!("at once"),
                    1 => {}
                    2 => {
                        sleep(Duration::from_secs(100)).await;
                        std::panic::panic_any(3);
                    }
                    _ => std::future::pending().await,
                }
            }
        };
        let never = timeout(Duration::from_hours(1), without_end(&counters, work)).await;
        assert!(never.is_err());
        assert_eq!((began.take(), counters.restarts.value()), (vec![0, 5, 15, 135], 3));
    }

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        for (payload, expected) in [
            (Box::new("a\nb") as Box<dyn Any + Send>, "a b"),
            (Box::new("c".to_owned()), "c"),
            (Box::new(1), "a panic without a word"),
        ] {
            assert_eq!(told(&*payload), expected);
        }
    }
}
