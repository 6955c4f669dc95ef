//! What runs when: the queue's order, and the holds that keep an agent's dispatches waiting.
//!
//! Both are values that intake owns. They must not know a clock, so that time is always an
//! argument.

pub mod budget;
mod held;
pub mod hold;
pub mod pause;
pub mod queue;
