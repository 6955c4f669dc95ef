//! Completions for zsh, as a file for `$fpath`.

use super::super::help::PROGRAM;
use super::super::row::{CommandRow, Count};
use super::super::table::COMMANDS;
use super::{Flag, Hint, IDS, flags_of, hints_of, quoted, settings};

const HEAD: &str = r#"_gstack-dispatch-daemon() {
  local program=${(Q)words[1]} command=${words[2]}
  if (( CURRENT == 2 )) && [[ $command != -* ]]; then
    _describe -t commands command _gstack_dispatch_commands
    return
  fi
  if [[ $command == -* ]]; then
    command=run
  else
    shift words
    (( CURRENT-- ))
  fi
  case $command in
"#;

pub(super) fn script() -> String {
    let mut script = format!("#compdef {PROGRAM}\n\nlocal -a _gstack_dispatch_commands");
    script += " _gstack_dispatch_settings\n_gstack_dispatch_commands=(\n";
    for row in COMMANDS {
        script += &format!("  {}\n", quoted(&format!("{}:{}", row.name, row.help)));
    }
    script += ")\n_gstack_dispatch_settings=(\n";
    script +=
        &settings().iter().flat_map(specs).map(|spec| format!("  {spec}\n")).collect::<String>();
    script += ")\n\n_gstack_dispatch_ids() {\n  local -a ids\n";
    script += &format!("  ids=(${{(f)\"$(${{program}} {IDS} 2>/dev/null)\"}})\n");
    script += "  compadd -V ids -a ids\n}\n\n";
    script += HEAD;
    for row in COMMANDS {
        script += &format!("    {})\n      _arguments", row.name);
        for spec in flags_of(row).iter().flat_map(specs).chain(words(row)) {
            script += &format!(" \\\n        {spec}");
        }
        script += if row.takes_settings {
            " \\\n        $_gstack_dispatch_settings ;;\n"
        } else {
            " ;;\n"
        };
    }
    script + "  esac\n}\n\n_gstack-dispatch-daemon \"$@\"\n"
}

/// The words of `_arguments` for an option: each may be typed again.
fn specs(flag: &Flag) -> Vec<String> {
    let help = escaped(&flag.help);
    let value = flag.value.as_ref();
    let value = value.map(|(label, hint)| format!(":{}:{}", escaped(label), action(hint)));
    let equals = if value.is_some() { "=" } else { "" };
    let value = value.unwrap_or_default();
    let long = quoted(&format!("*{}{equals}[{help}]{value}", flag.name));
    let short = flag.short.map(|letter| quoted(&format!("*-{letter}[{help}]{value}")));
    [long].into_iter().chain(short).collect()
}

fn words(row: &CommandRow) -> Vec<String> {
    let hints = hints_of(row);
    let words = row.words.iter().zip(&hints).enumerate();
    let word = words.map(|(at, (word, hint))| {
        let place = match word.count {
            Count::One => format!("{}:", at + 1),
            Count::AtMostOne => format!("{}::", at + 1),
            Count::OneOrMore | Count::Any => "*:".to_string(),
        };
        quoted(&format!("{place}{}:{}", escaped(word.label), action(hint)))
    });
    word.collect()
}

fn action(hint: &Hint) -> String {
    match hint {
        Hint::Nothing => " ".into(),
        Hint::Words(words) => format!("({})", words.join(" ")),
        Hint::Ids => "_gstack_dispatch_ids".into(),
        Hint::Files => "_files".into(),
        Hint::Directories => "_directories".into(),
    }
}

/// What ends a part of such a word has a backslash in front.
fn escaped(text: &str) -> String {
    let special = |c: char| matches!(c, '[' | ']' | ':' | '\\' | '(' | ')');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}
