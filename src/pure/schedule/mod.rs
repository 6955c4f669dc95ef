//! What runs when: the queue's order, and the holds that keep an agent's dispatches waiting.

pub mod hold;
pub mod queue;
