//! Random bytes, from the system.

use ring::rand::{SecureRandom, SystemRandom};

/// 128 bits. Without a source of randomness nothing that we name would be safe: the process ends.
pub fn bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("invariant: the system gives random bytes");
    bytes
}
