//! Random bytes from the system.
//!
//! Owns the only call to its source. Must not make anything of the bytes: session ids and run
//! tokens are made in `pure`, from bytes that a test can choose.

use ring::rand::{SecureRandom, SystemRandom};

/// Gives random bytes. Without a source of randomness no name that we make would be safe, so the
/// process ends.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("invariant: the system gives random bytes");
    bytes
}
