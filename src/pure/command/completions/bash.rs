//! Completions for bash 3.2 and newer, without the package bash-completion.

use super::super::help::PROGRAM;
use super::super::table::COMMANDS;
use super::{Flag, Hint, IDS, flags_of, hints_of, settings};

/// Bash breaks words at `=`, so that `--x=V` is three of them.
const HEAD: &str = r#"    local cur=${COMP_WORDS[COMP_CWORD]} prev= option= at
    if [[ $cur == '=' ]]; then
        cur= option=${COMP_WORDS[COMP_CWORD-1]}
    elif [[ ${COMP_WORDS[COMP_CWORD-1]} == '=' ]]; then
        option=${COMP_WORDS[COMP_CWORD-2]}
    else
        prev=${COMP_WORDS[COMP_CWORD-1]}
    fi
    local program=${COMP_WORDS[0]/#\~/$HOME} command=${COMP_WORDS[1]}
    if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
        return
    fi
    [[ $command == -* ]] && command=run
"#;

const MIDDLE: &str = r#"    [[ " $values " == *" $prev "* ]] && option=$prev
    local kind= count=0 skip=
    if [[ -n $option ]]; then
        _gstack_dispatch_daemon_value "$command" "$option"
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
        return
    else
        for ((at = 2; at < COMP_CWORD; at++)); do
            if [[ -n $skip ]]; then
                skip=
            elif [[ " $values " == *" ${COMP_WORDS[at]} "* ]]; then
                [[ ${COMP_WORDS[at+1]} == '=' ]] && ((at++))
                skip=1
            elif [[ ${COMP_WORDS[at]} != -* ]]; then
                ((count++))
            fi
        done
        _gstack_dispatch_daemon_word "$command" "$count"
    fi
    case $kind in
        ids)
            local ids; ids=$("$program" IDS 2>/dev/null)
            COMPREPLY=($(compgen -W "$ids" -- "$cur")) ;;
        files) COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null ;;
        directories) COMPREPLY=($(compgen -d -- "$cur")); compopt -o filenames 2>/dev/null ;;
        *) COMPREPLY=($(compgen -W "$kind" -- "$cur")) ;;
    esac
}
"#;

pub(super) fn script() -> String {
    let settings = settings();
    let names: Vec<&str> = COMMANDS.iter().map(|row| row.name).collect();
    let mut script = format!("# bash completion of {PROGRAM}\n_gstack_dispatch_daemon() {{\n");
    script += &format!("    local commands='{}'\n", names.join(" "));
    script += &format!("    local settings='{}'\n", all(&settings));
    script += &format!("    local setting_values='{}'\n", with_value(&settings));
    script += HEAD;
    script += "    local options= values=\n    case $command in\n";
    for row in COMMANDS {
        let flags = flags_of(row);
        let (more, more_values) = match row.takes_settings {
            true => (" $settings", " $setting_values"),
            false => ("", ""),
        };
        script += &format!("        {}) options=\"{}{more}\"", row.name, all(&flags));
        script += &format!(" values=\"{}{more_values}\" ;;\n", with_value(&flags));
    }
    script += "    esac\n";
    script += &MIDDLE.replace("IDS", IDS);
    script += "\n_gstack_dispatch_daemon_value() {\n    case $1:$2 in\n";
    for row in COMMANDS {
        script += &flags_of(row).iter().map(|flag| value(row.name, flag)).collect::<String>();
    }
    script += &settings.iter().map(|flag| value("*", flag)).collect::<String>();
    script += "    esac\n}\n\n_gstack_dispatch_daemon_word() {\n    case $1:$2 in\n";
    for row in COMMANDS {
        for (at, hint) in hints_of(row).iter().enumerate() {
            let is_last = at + 1 == row.words.len();
            let at = if is_last { "*".to_string() } else { at.to_string() };
            script += &one(&format!("{}:{at}", row.name), hint);
        }
    }
    script + &format!("    esac\n}}\n\ncomplete -F _gstack_dispatch_daemon {PROGRAM}\n")
}

fn all(flags: &[Flag]) -> String {
    let short = |flag: &Flag| flag.short.map(|letter| format!(" -{letter}")).unwrap_or_default();
    let names: Vec<String> =
        flags.iter().map(|flag| format!("{}{}", flag.name, short(flag))).collect();
    names.join(" ")
}

fn with_value(flags: &[Flag]) -> String {
    let named = flags.iter().filter(|flag| flag.value.is_some());
    named.map(|flag| flag.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn value(command: &str, flag: &Flag) -> String {
    let hint = flag.value.as_ref().map(|(_, hint)| hint);
    hint.map(|hint| one(&format!("{command}:{}", flag.name), hint)).unwrap_or_default()
}

fn one(place: &str, hint: &Hint) -> String {
    let kind = match hint {
        Hint::Nothing => return String::new(),
        Hint::Words(words) => words.join(" "),
        Hint::Ids => "ids".into(),
        Hint::Files => "files".into(),
        Hint::Directories => "directories".into(),
    };
    format!("        {place}) kind='{kind}' ;;\n")
}
