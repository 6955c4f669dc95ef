//! What all attempts of a dispatch cost together, and how many tokens they used.
//!
//! Each attempt's tokens are its own. Its cost is what the agent says, and agents, and even
//! versions of one agent, differ in what they say of a session that was resumed: some tell the cost
//! of the resumption, some that of the whole session. So a driver hands on the tokens that a cost
//! pays for: the cost of a whole session comes with the tokens of the whole session. Must not know
//! which agent it is.

use super::Tokens;
use crate::pure::report::AttemptReport;

/// The cost of all attempts, which stand in order. `last_counted`: the tokens of which the last
/// one's cost is made up, as the agent says. `None`: no attempt has told its cost.
pub fn in_all(attempts: &[AttemptReport], last_counted: Option<Tokens>) -> Option<f64> {
    let sessions: Vec<&[AttemptReport]> = attempts.chunk_by(|_, next| next.resumed).collect();
    let sums_up = sums_up(sessions.last()?, last_counted);
    let costs = sessions.iter().filter_map(|attempts| of_session(attempts, sums_up));
    costs.reduce(|sum, cost| sum + cost).map(to_the_digit)
}

/// What each attempt added to that cost, in order: of one that was resumed the agent may have told
/// the cost of the whole session.
pub fn of_each(attempts: &[AttemptReport], last_counted: Option<Tokens>) -> Vec<Option<f64>> {
    let mut before = 0.0;
    let of = |number: usize| {
        let counted = last_counted.filter(|_| number + 1 == attempts.len());
        let so_far = in_all(&attempts[..=number], counted);
        let added = so_far.map(|so_far| (so_far - before).max(0.0));
        before = so_far.unwrap_or(before);
        added.filter(|_| attempts[number].total_cost_usd.is_some())
    };
    (0..attempts.len()).map(of).collect()
}

/// Whether the agent's cost of a resumed session is that of the whole session. `None`: it cannot be
/// told.
fn sums_up(session: &[AttemptReport], counted: Option<Tokens>) -> Option<bool> {
    let (counted, own) = (counted?, tokens(session)?);
    (session.len() > 1).then_some(counted.input >= own.input && counted.output >= own.output)
}

/// The cost of one session and its resumptions.
fn of_session(attempts: &[AttemptReport], sums_up: Option<bool>) -> Option<f64> {
    let costs: Vec<f64> = attempts.iter().filter_map(|attempt| attempt.total_cost_usd).collect();
    // The cost of a whole session never falls. Where nothing else tells, too little is said rather
    // than too much.
    let last = costs.last().copied()?;
    let is_sum = sums_up.unwrap_or_else(|| costs.is_sorted());
    Some(if is_sum { last } else { costs.iter().sum() })
}

/// The tokens of all attempts, as far as they are known, cached ones included.
pub fn tokens(attempts: &[AttemptReport]) -> Option<Tokens> {
    let known = attempts.iter().filter(|a| a.input_tokens.is_some() || a.output_tokens.is_some());
    let of = known.map(|attempt| Tokens {
        input: attempt.input_tokens.unwrap_or_default(),
        output: attempt.output_tokens.unwrap_or_default(),
    });
    of.reduce(|sum, more| Tokens {
        input: sum.input.saturating_add(more.input),
        output: sum.output.saturating_add(more.output),
    })
}

/// Rounds off what adding up leaves behind the digits that mean something.
fn to_the_digit(usd: f64) -> f64 {
    (usd * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(resumed: bool, cost: Option<f64>, tokens: Option<u64>) -> AttemptReport {
        AttemptReport {
            resumed,
            total_cost_usd: cost,
            input_tokens: tokens,
            output_tokens: tokens.map(|n| n / 2),
            ..AttemptReport::default()
        }
    }

    #[test]
    fn the_cost_of_all_attempts_is_counted_once() {
        let counted = |n: u64| Some(Tokens { input: n, output: n / 2 });
        let new = |cost| attempt(false, Some(cost), Some(1000));
        let resumed = |cost| attempt(true, Some(cost), Some(1000));
        let (cut, unsaid) = (attempt(true, None, Some(7)), attempt(false, None, None));
        for (attempts, last_counted, want) in [
            (vec![], None, None),
            (vec![unsaid.clone()], None, None),
            (vec![new(0.1)], counted(1000), Some(0.1)),
            // Two sessions; then a session and its resumption, as each of the two recorded versions
            // tells it.
            (vec![new(0.1), new(0.2)], counted(1000), Some(0.3)),
            (vec![new(0.0175), resumed(0.0175)], counted(1000), Some(0.035)),
            (vec![new(0.014), resumed(0.028)], counted(2000), Some(0.028)),
            // Another session comes before the resumed one; then one session is resumed twice.
            (vec![new(0.1), new(0.014), resumed(0.028)], counted(2000), Some(0.128)),
            (vec![new(0.1), resumed(0.2), resumed(0.3)], counted(3000), Some(0.3)),
            (vec![new(0.1), resumed(0.2), resumed(0.3)], counted(1000), Some(0.6)),
            // The last attempt was cut off: what came before it counts, and nothing counts twice.
            (vec![new(0.014), resumed(0.028), cut.clone()], None, Some(0.028)),
            (vec![new(0.5), resumed(0.2), cut], None, Some(0.7)),
            (vec![unsaid, resumed(0.2)], counted(9), Some(0.2)),
        ] {
            assert_eq!(in_all(&attempts, last_counted), want, "{attempts:?} {last_counted:?}");
        }
    }

    #[test]
    fn each_attempt_adds_what_it_cost_itself() {
        let counted = Some(Tokens { input: 2000, output: 1000 });
        let new = attempt(false, Some(0.014), Some(1000));
        let whole = attempt(true, Some(0.028), Some(1000));
        let own = attempt(true, Some(0.010), Some(1000));
        let unsaid = attempt(true, None, Some(7));
        for (attempts, counted, want) in [
            (vec![], None, vec![]),
            (vec![new.clone()], None, vec![Some(0.014)]),
            (vec![new.clone(), new.clone()], None, vec![Some(0.014), Some(0.014)]),
            (vec![new.clone(), whole], counted, vec![Some(0.014), Some(0.014)]),
            (vec![new.clone(), own], None, vec![Some(0.014), Some(0.010)]),
            (vec![new, unsaid], None, vec![Some(0.014), None]),
        ] {
            let digits = |cost: Option<f64>| cost.map(to_the_digit);
            let got: Vec<_> = of_each(&attempts, counted).into_iter().map(digits).collect();
            assert_eq!(got, want, "{attempts:?}");
        }
    }

    #[test]
    fn tokens_of_all_attempts_are_added_up() {
        let attempts = [attempt(false, None, Some(10)), attempt(true, None, None)];
        assert_eq!(tokens(&attempts), Some(Tokens { input: 10, output: 5 }));
        assert_eq!(tokens(&attempts[1..]), None);
        let huge = [attempt(false, None, Some(u64::MAX)), attempt(false, None, Some(1))];
        assert_eq!(tokens(&huge).map(|t| t.input), Some(u64::MAX));
    }
}
