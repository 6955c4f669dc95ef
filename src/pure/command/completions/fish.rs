//! Completions for fish.

use super::super::help::PROGRAM;
use super::super::table::COMMANDS;
use super::{Flag, Hint, IDS, flags_of, hints_of, quoted, settings};

const HEAD: &str = r#"# fish completion of PROGRAM
function __gstack_dispatch_none
    test (count (commandline -opc)) -eq 1
end
function __gstack_dispatch_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; or return 1
    contains -- $words[2] $argv; and return 0
    # The daemon's own flags need no command.
    contains -- run $argv; and string match -q -- '-*' $words[2]
end
function __gstack_dispatch_ids
    set -l words (commandline -opc)
    type -q $words[1]; and $words[1] IDS 2>/dev/null
end
complete -c PROGRAM -f
"#;

pub(super) fn script() -> String {
    let mut script = HEAD.replace("PROGRAM", PROGRAM).replace("IDS", IDS);
    let none = format!("complete -c {PROGRAM} -n __gstack_dispatch_none");
    let with_settings = COMMANDS.iter().filter(|row| row.takes_settings).map(|row| row.name);
    let with_settings = with_settings.collect::<Vec<_>>().join(" ");
    for row in COMMANDS {
        script += &format!("{none} -a {} -d {}\n", row.name, quoted(row.help));
    }
    for row in COMMANDS {
        let at = format!("complete -c {PROGRAM} -n '__gstack_dispatch_is {}'", row.name);
        for hint in hints_of(row) {
            script += &action(&hint).map(|action| format!("{at} {action}\n")).unwrap_or_default();
        }
        script += &flags_of(row).iter().map(|flag| option(&at, flag)).collect::<String>();
    }
    let at = format!("complete -c {PROGRAM} -n '__gstack_dispatch_is {with_settings}'");
    for flag in settings() {
        script += &option(&none, &flag);
        script += &option(&at, &flag);
    }
    script
}

fn option(at: &str, flag: &Flag) -> String {
    let short = flag.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
    let value = match &flag.value {
        None => String::new(),
        Some((_, hint)) => format!(" -r {}", action(hint).unwrap_or_else(|| "-f".into())),
    };
    let name = flag.name.trim_start_matches('-');
    format!("{at}{short} -l {name} -d {}{value}\n", quoted(&flag.help))
}

fn action(hint: &Hint) -> Option<String> {
    match hint {
        Hint::Nothing => None,
        Hint::Words(words) => Some(format!("-f -a {}", quoted(&words.join(" ")))),
        Hint::Ids => Some("-f -k -a '(__gstack_dispatch_ids)'".into()),
        Hint::Files => Some("-F".into()),
        Hint::Directories => Some("-f -a '(__fish_complete_directories)'".into()),
    }
}
