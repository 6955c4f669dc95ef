//! Whether an agent's program knows the options that we pass to it, by its own help.

use crate::pure::agent::{Driver, Launch, SessionRef};
use crate::pure::config::terms::Terms;

/// The arguments of a session on these terms.
pub fn arguments(driver: &Driver, terms: &Terms) -> Vec<String> {
    let session = SessionRef::New("00000000-0000-4000-8000-000000000000".into());
    let git_dirs = Vec::new;
    let launch = Launch {
        session,
        terms,
        git_dirs: &git_dirs,
        dir: "/project",
        project: "project",
        prompt_file: "/prompt.txt",
    };
    driver.argv(&launch)
}

/// What the program is asked for its help: its own subcommands have one of their own.
pub fn help_arguments(arguments: &[String]) -> Vec<&str> {
    let words = arguments.iter().map(String::as_str).take_while(|word| !word.starts_with('-'));
    words.chain(["--help"]).collect()
}

/// Which of the long options among the arguments that help does not list. `unlisted`: those that
/// the program takes and does not tell of.
pub fn unknown_options<'a>(arguments: &'a [String], help: &str, unlisted: &[&str]) -> Vec<&'a str> {
    let options = arguments.iter().filter(|word| word.starts_with("--") && word.len() > 2);
    let names = options.map(|word| word.split('=').next().unwrap_or(word));
    let mut unknown: Vec<&str> =
        names.filter(|name| !unlisted.contains(name) && !is_listed(help, name)).collect();
    unknown.dedup();
    unknown
}

/// `--print` is not listed by a help that has `--print-config`.
fn is_listed(help: &str, name: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '-';
    help.match_indices(name).any(|(at, _)| {
        let (before, after) = (&help[..at], &help[at + name.len()..]);
        !before.ends_with('-') && !after.starts_with(goes_on)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::agent::DRIVERS;

    #[test]
    fn an_option_that_help_does_not_list_is_found() {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let help = "  -p, --print   x\n  --output-format <f>\n  --model=<name>, --print-config";
        for (arguments, want) in [
            ("--print --output-format stream-json --model x", &[][..]),
            ("--model=x -p", &[]),
            ("--print-con", &["--print-con"]),
            ("--format x", &["--format"]),
            ("--session-id 1 --max-turns 3", &["--session-id"]),
            ("exec -- --", &[]),
        ] {
            let arguments = words(arguments);
            assert_eq!(unknown_options(&arguments, help, &["--max-turns"]), want);
        }
    }

    #[test]
    fn a_subcommand_is_asked_for_its_own_help() {
        for driver in DRIVERS {
            let arguments = arguments(driver, &Terms::default());
            let asked = help_arguments(&arguments);
            let want = if driver.name == "codex" { &["exec", "--help"][..] } else { &["--help"] };
            assert_eq!(asked, want, "{}", driver.name);
        }
    }
}
