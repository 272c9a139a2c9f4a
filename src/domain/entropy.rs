//! Randomness as an argument: whatever makes a secret is handed an [`Entropy`].

use std::sync::{Mutex, PoisonError};

use rand::rngs::{SmallRng, StdRng};
use rand::{Rng, SeedableRng};

/// A source of unpredictable bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// Dice for what has to be fair and no secret: many times as fast as `entropy`, which gives the seed.
pub fn dice(entropy: &dyn Entropy) -> SmallRng {
    let mut seed = [0; 8];
    entropy.fill(&mut seed);
    SmallRng::seed_from_u64(u64::from_le_bytes(seed))
}

/// The thread's cryptographic generator, seeded by the operating system.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads real randomness")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// A repeatable sequence: for tests that need the same run twice. Never for a server.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}
