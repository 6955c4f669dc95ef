//! What is done to both daemons: dispatch files good and bad, agents that end in every way, and
//! what an operator does to the daemon. Each case is one function of a [`Side`], the same for both.
//!
//! `Common` cases share a daemon, one after the other (the seed loses audit lines of dispatches
//! that run at once); `Own` cases have one of their own; `Slow` ones too, and run beside everything
//! else, since the seed takes 30 or 60 seconds in them. Every dispatch has a project of its own.

mod agents;
mod callbacks;
mod content;
mod inbox;
mod operators;

use super::side::Side;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Common,
    Own,
    Slow,
}

type Act = Box<dyn Fn(&mut Side) + Send + Sync>;

pub struct Case {
    pub name: &'static str,
    pub place: Place,
    pub act: Act,
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(content::valid());
    cases.extend(content::wrong_fields());
    cases.extend(content::ids());
    cases.extend(content::files());
    cases.extend(agents::agents());
    cases.extend(agents::projects());
    cases.extend(callbacks::callbacks());
    cases.extend(inbox::inbox());
    cases.extend(operators::operators());
    cases.extend(operators::slow());
    cases
}

fn case(place: Place, name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    Case { name, place, act: Box::new(act) }
}

fn common(name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    case(Place::Common, name, act)
}

fn own(name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    case(Place::Own, name, act)
}

/// What the fake agent is to do, one order a line.
fn orders(orders: &[&str]) -> String {
    orders.iter().map(|order| format!("\nfake: {order}")).collect()
}
