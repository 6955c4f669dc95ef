//! Completions, asked for as a person does who presses the tab key: in bash, zsh and fish.

use std::fs;
use std::process::Command;

use super::{answer, said};
use crate::util::*;

/// A shell that is here; where it is not, that is said.
fn is_here(shell: &str) -> bool {
    let is_here = Command::new(shell).args(["-c", "exit 0"]).output();
    let is_here = is_here.is_ok_and(|run| run.status.success());
    if !is_here {
        skipped(&format!("{shell} is not here"));
    }
    is_here
}

/// Where our program lies, so that it is found as it is when it is installed.
fn folder_of_ours() -> String {
    let folder = std::path::Path::new(DAEMON).parent().expect("a folder");
    folder.display().to_string()
}

/// What is offered behind these words, of which the last is being typed.
type Offered<'a> = &'a dyn Fn(&[&str]) -> Vec<String>;

fn offers_what_can_stand_there(shell: &str, offered: Offered) {
    let has = |words: &[&str], wanted: &[&str]| {
        let offered = offered(words);
        for one in wanted {
            assert!(offered.iter().any(|offer| offer == one), "{shell}: {words:?}: {offered:?}");
        }
    };
    let none = |words: &[&str], unwanted: &str| {
        let offered = offered(words);
        assert!(!offered.iter().any(|offer| offer == unwanted), "{shell}: {words:?}: {offered:?}");
    };
    has(&["app"], &["approve"]);
    has(&["schema", ""], &["dispatch", "completion", "config", "status"]);
    has(&["schema", "st"], &["status"]);
    none(&["schema", "st"], "dispatch");
    has(&["schema", "--j"], &["--json"]);
    has(&["schema", "--color", ""], &["auto", "always", "never"]);
    has(&["help", "exi"], &["exit-codes"]);
    has(&["help", "appr"], &["approve"]);
    has(&["deny", "--rea"], &["--reason"]);
    none(&["deny", "--"], "--max-concurrent");
    has(&["run", "--max-conc"], &["--max-concurrent"]);
    has(&["--on-shutdown", ""], &["end", "leave"]);
    has(&["completions", "z"], &["zsh"]);
}

#[test]
fn bash_completes() {
    if !is_here("bash") {
        return;
    }
    let lab = Lab::new();
    let script = lab.path("completion.bash");
    fs::write(&script, said(&lab, &["completions", "bash"])).expect("write the script");
    let offered = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "source '{}'\nCOMP_WORDS=('{DAEMON}' {})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _gstack_dispatch_daemon\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            script.display(),
            words.join(" ")
        );
        let output = answer(Command::new("bash").args(["--norc", "-s"]), &ask);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(String::from).collect()
    };
    offers_what_can_stand_there("bash", &offered);
    // Bash breaks words at the sign.
    assert_eq!(offered(&["schema", "--color", "=", "al"]), ["always"]);
    assert_eq!(offered(&["schema", "--color", "="]), ["auto", "always", "never"]);
}

#[test]
fn fish_completes() {
    if !is_here("fish") {
        return;
    }
    let lab = Lab::new();
    let script = lab.path("gstack-dispatch-daemon.fish");
    fs::write(&script, said(&lab, &["completions", "fish"])).expect("write the script");
    let offered = |words: &[&str]| {
        let ask = format!(
            "source '{}'\ncomplete -C 'gstack-dispatch-daemon {}'\n",
            script.display(),
            words.join(" ")
        );
        let mut fish = Command::new("fish");
        fish.args(["--no-config"]).env("HOME", &lab.home).env("XDG_CONFIG_HOME", &lab.home);
        fish.env("PATH", format!("{}:/usr/bin:/bin", folder_of_ours()));
        let output = answer(&mut fish, &ask);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        out.lines().map(|line| line.split('\t').next().unwrap_or_default().to_string()).collect()
    };
    offers_what_can_stand_there("fish", &offered);
}

/// Presses the tab key in a zsh of its own and lists what it offers.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "HOME=$HOME zsh -f -i"
say() { zpty -w shell "$1" }
say "PS1= PS2= ; fpath=($FOLDER \$fpath); autoload -Uz compinit; compinit -D -u"
say "zstyle ':completion:*' list-colors no=; zstyle ':completion:*:default' list-prompt ''"
say "LISTMAX=0; bindkey -e; bindkey '^I' complete-word"
say "compadd() { builtin compadd -O offered \"\$@\"; (( \$#offered )) && print -rl -- OFFER\$^offered >>$OUT; builtin compadd \"\$@\" }"
say "finish() { zle kill-whole-line; print END >>$OUT }; zle -N finish; bindkey '^X' finish"
zpty -w -n shell "gstack-dispatch-daemon $WORDS"$'\t'
zpty -w -n shell $'\x18'
repeat 200; do
  zpty -r -t shell line >/dev/null 2>&1
  [[ -e $OUT ]] && grep -q END $OUT && break
  sleep 0.05
done
zpty -d shell
"#;

#[test]
fn zsh_completes() {
    if !is_here("zsh") {
        return;
    }
    let lab = Lab::new();
    let folder = lab.path("zfunc");
    fs::create_dir(&folder).expect("create a folder");
    let script = said(&lab, &["completions", "zsh"]);
    fs::write(folder.join("_gstack-dispatch-daemon"), script).expect("write the file");
    let asked = std::cell::Cell::new(0);
    let offered = |words: &[&str]| {
        asked.set(asked.get() + 1);
        let out = lab.path(&format!("offered-{}", asked.get()));
        let mut zsh = Command::new("zsh");
        zsh.env("PATH", format!("{}:/usr/bin:/bin", folder_of_ours()));
        zsh.args(["-f", "-s"]).env("HOME", &lab.home).env("FOLDER", &folder).env("OUT", &out);
        let output = answer(zsh.env("WORDS", words.join(" ")), ZSH);
        let said = fs::read_to_string(&out).unwrap_or_default();
        assert!(said.contains("END"), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said.lines().filter_map(|line| line.strip_prefix("OFFER")).map(String::from).collect()
    };
    offers_what_can_stand_there("zsh", &offered);
}
