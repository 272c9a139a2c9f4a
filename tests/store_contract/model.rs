//! Random histories of one token against the simplest model there is.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tollgate::domain::token::Refusal;

use crate::tokens::{claim, grant, token};
use crate::{Kept, after, all};

#[derive(Clone, Debug)]
enum Step {
    Insert { lives: u64, bound: bool },
    Take { as_owner: bool },
    Wait { seconds: u64 },
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..400u64, any::<bool>()).prop_map(|(lives, bound)| Step::Insert { lives, bound }),
        any::<bool>().prop_map(|as_owner| Step::Take { as_owner }),
        (0..300u64).prop_map(|seconds| Step::Wait { seconds }),
        Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..40)
}

/// What should come of a claim.
#[derive(Clone, Copy)]
struct Modelled {
    expires: u64,
    bound: bool,
    used: bool,
}

#[test]
fn a_token_is_handed_out_at_most_once_and_only_while_it_is_good() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // The same for all histories: a store takes a while to make. No two have a token in common.
    let (all, last) = (all(), Cell::new(0));
    let mut runner = TestRunner::new(Config::with_source_file(file!()));
    let outcome = runner.run(&steps(), |steps| {
        for Kept { stores, .. } in &all {
            let (mut clock, mut current) = (0, None::<(u64, Modelled)>);
            for step in &steps {
                match *step {
                    Step::Insert { lives, bound } => {
                        let made = last.get() + 1;
                        last.set(made);
                        let state = bound.then_some("mine");
                        let inserting = stores.tokens.insert(token(made), grant(after(clock + lives), state));
                        runtime.block_on(inserting).unwrap();
                        current = Some((made, Modelled { expires: clock + lives, bound, used: false }));
                    }
                    Step::Wait { seconds } => clock += seconds,
                    Step::Sweep => while stores.sweep(after(clock), 2) {},
                    Step::Take { as_owner } => {
                        let Some((seed, modelled)) = &mut current else { continue };
                        let who = claim(as_owner.then_some("mine"));
                        let taken =
                            runtime.block_on(stores.tokens.take(token(*seed), who, after(clock))).unwrap();
                        let taken = taken.map(drop);
                        // A store may forget what is over, and only that.
                        if taken == Err(Refusal::Unknown) {
                            prop_assert!(clock >= modelled.expires);
                            continue;
                        }
                        let expected = match () {
                            () if modelled.used => Err(Refusal::Used),
                            () if clock >= modelled.expires => Err(Refusal::Expired),
                            () if modelled.bound && !as_owner => Err(Refusal::OtherBrowser),
                            () => Ok(()),
                        };
                        prop_assert_eq!(taken, expected);
                        modelled.used |= taken.is_ok();
                    }
                }
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
