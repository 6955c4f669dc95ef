//! Callbacks: where one may go, what it says, whose turn it is, and what its answer means.
//!
//! `destination` reads a URL and holds it against the operator's list; `address` refuses places
//! that no callback may reach, whatever name led there; `body` and `signature` make what is sent;
//! `schedule` keeps the order; `delivery` says what follows from an answer. None of it sends
//! anything.

pub mod address;
pub mod body;
pub mod delivery;
pub mod destination;
pub mod proxy;
pub mod schedule;
pub mod signature;
