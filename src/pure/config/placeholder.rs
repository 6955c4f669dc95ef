//! Placeholders in arguments that an operator writes: `{name}`, replaced inside of one argument.
//!
//! Owns how they are found, filled in and checked. Must not know what a name stands for. No shell
//! sees the arguments, so a value needs no quoting; but an argument must not become an option by
//! what stands in it, since a dispatch chooses some of the values.

use crate::pure::text::nearest::nearest;

/// Longest name of a project in an argument, in characters.
const NAME_CHARS_MAX: usize = 128;

/// The names in braces in one argument. Other braces mean nothing.
pub fn placeholders(arg: &str) -> impl Iterator<Item = &str> {
    arg.split('{').skip(1).filter_map(|rest| {
        let name = rest.split_once('}')?.0;
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
        (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
    })
}

/// Replaces every placeholder at once, so that what a value holds is never taken for one.
pub fn fill<'v>(arg: &str, value: &dyn Fn(&str) -> &'v str) -> String {
    let mut filled = String::new();
    let mut rest = arg;
    for name in placeholders(arg) {
        let Some((before, behind)) = rest.split_once(&format!("{{{name}}}")) else { break };
        filled.push_str(before);
        filled.push_str(value(name));
        rest = behind;
    }
    filled + rest
}

/// A project's name as an argument may hold it. A dispatch chooses the name, and an argument must
/// not become an option or a path by it.
pub fn plain_name(project: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = project.chars().filter(is_plain).take(NAME_CHARS_MAX).collect();
    let name = name.trim_start_matches(['-', '.']);
    if name.is_empty() { "project".to_string() } else { name.to_string() }
}

/// The error if an argument has a placeholder that is none of these.
pub(super) fn check_known<'a>(
    args: impl Iterator<Item = &'a String>,
    known: &[&str],
) -> Result<(), String> {
    for name in args.flat_map(|arg| placeholders(arg)) {
        if !known.contains(&name) {
            let meant = nearest(name, known.iter().copied());
            let meant = meant.map(|known| format!(" (did you mean {{{known}}}?)"));
            return Err(format!("unknown placeholder {{{name}}}{}", meant.unwrap_or_default()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_becomes_a_plain_name() {
        for (project, want) in [
            ("--rf", "rf"),
            ("..", "project"),
            ("\u{c4}", "project"),
            ("a.b", "a.b"),
            ("", "project"),
        ] {
            assert_eq!(plain_name(project), want);
        }
    }

    #[test]
    fn what_a_value_holds_is_no_placeholder() {
        let value = |name: &str| if name == "a" { "{b}" } else { "2" };
        assert_eq!(fill("x{a}{b}{}{C}", &value), "x{b}2{}{C}");
    }
}
