//! The user unit of systemd, written and read (systemd.service(5), systemd.exec(5),
//! systemd.syntax(7)).
//!
//! A word is quoted unless it is plain. `%` begins a specifier everywhere, `$` a variable in the
//! arguments of a command but not in its path, and C escapes count within quotes.

use std::collections::BTreeMap;

use super::installed::{InstalledService, is_our_program};
use super::{MARK, Service, ServiceKind};

/// The daemon is taken for hanging when intake has not been heard for so long. A slow disk is
/// slower than anything else that intake waits for.
const WATCHDOG_SECONDS: u32 = 300;
/// Between two starts of a daemon that fails.
const RESTART_SECONDS: u32 = 10;

/// The unit's text. The error says which part of it cannot be written.
pub fn unit(service: &Service) -> Result<String, String> {
    service.check()?;
    if service.program.contains(['"', '\'', '\\']) {
        let program = &service.program;
        return Err(format!(
            "systemd takes no program with a quote or a backslash in its path: {program}"
        ));
    }
    let mut command = word(&service.program, Dollar::Stands);
    for argument in service.arguments() {
        command += " ";
        command += &word(argument, Dollar::BeginsVariable);
    }
    let mut environment = variable("PATH", &service.path);
    if let Some(home) = &service.gstack_home {
        environment += &variable("GSTACK_HOME", home);
    }
    let stop = service.stop_seconds();
    Ok(format!(
        "# {MARK} systemd, which replaces it when it is called again with --install.
[Unit]
Description=gstack dispatch daemon: hands dropped dispatches to coding agents

[Service]
Type=notify
NotifyAccess=main
WatchdogSec={WATCHDOG_SECONDS}
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
{environment}UMask=0077
# Sessions outlive the daemon, and the next one adopts them.
KillMode=process
OOMPolicy=continue
TimeoutStopSec={stop}
Restart=on-failure
RestartSec={RESTART_SECONDS}
RestartPreventExitStatus=2

[Install]
WantedBy=default.target
"
    ))
}

fn variable(name: &str, value: &str) -> String {
    format!("Environment={}\n", word(&format!("{name}={value}"), Dollar::Stands))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dollar {
    Stands,
    BeginsVariable,
}

fn word(text: &str, dollar: Dollar) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' => out += "%%",
            '$' if dollar == Dollar::BeginsVariable => out += "$$",
            c => out.push(c),
        }
    }
    out + "\""
}

/// What a unit says, if it starts the daemon. `home` is what `%h` means.
pub fn read(text: &str, home: &str) -> Option<InstalledService> {
    // What the manager of a user's services gives to each of them; its own PATH depends on how it
    // was built (systemd-path(1), search-binaries-default).
    let mut variables = BTreeMap::from([
        ("HOME".to_string(), home.to_string()),
        ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin".into()),
    ]);
    let (mut argv, mut spares_sessions) = (Vec::new(), false);
    for (key, value) in settings(text) {
        match key {
            "ExecStart" => {
                argv = words(&value, home);
                if let Some(program) = argv.first_mut() {
                    *program = program.trim_start_matches(['@', '-', ':', '+', '!']).to_string();
                }
            }
            "Environment" => {
                for word in words(&value, home) {
                    if let Some((name, value)) = word.split_once('=') {
                        variables.insert(name.into(), value.into());
                    }
                }
            }
            "KillMode" => spares_sessions = matches!(value.trim(), "process" | "none"),
            _ => {}
        }
    }
    // In arguments a doubled sign stands for itself.
    argv.iter_mut().skip(1).for_each(|word| *word = word.replace("$$", "$"));
    let is_daemon = argv.first().is_some_and(|program| is_our_program(program));
    let kind = ServiceKind::Systemd;
    is_daemon.then_some(InstalledService { kind, argv, variables, spares_sessions })
}

/// The settings of `[Service]`, with continued lines put together.
fn settings(text: &str) -> Vec<(&str, String)> {
    let (mut found, mut is_service) = (Vec::<(&str, String)>::new(), false);
    let mut goes_on = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            continue;
        }
        let (part, goes_on_now) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        if goes_on && let Some((_, value)) = found.last_mut() {
            *value += " ";
            *value += part;
        } else if line.starts_with('[') {
            is_service = line == "[Service]";
        } else if is_service && let Some((key, value)) = part.split_once('=') {
            found.push((key.trim(), value.trim_start().into()));
        }
        goes_on = goes_on_now;
    }
    found
}

/// The words of a value, without quotes, escapes and the specifiers that our own texts have.
fn words(value: &str, home: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            ('\\', _) => match chars.next() {
                Some('n') => word.get_or_insert_default().push('\n'),
                Some('t') => word.get_or_insert_default().push('\t'),
                Some('s') => word.get_or_insert_default().push(' '),
                Some(other) => word.get_or_insert_default().push(other),
                None => {}
            },
            ('%', _) => match chars.next() {
                Some('h') => word.get_or_insert_default().push_str(home),
                Some('%') | None => word.get_or_insert_default().push('%'),
                Some(other) => word.get_or_insert_default().extend(['%', other]),
            },
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HARD, hard, plain};
    use super::*;

    #[test]
    fn the_unit_keeps_sessions_alive_and_tells_when_it_is_ready() {
        let service = Service { flags: vec!["--max-concurrent".into(), "3".into()], ..plain() };
        assert_eq!(
            unit(&service).expect("a unit"),
            "# Written by gstack-dispatch-daemon service systemd, which replaces it when it is called again with --install.
[Unit]
Description=gstack dispatch daemon: hands dropped dispatches to coding agents

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=300
ExecStart=/opt/bin/gstack-dispatch-daemon --on-shutdown leave --max-concurrent 3
ExecReload=/bin/kill -HUP $MAINPID
Environment=PATH=/opt/agent/bin:/usr/bin
UMask=0077
# Sessions outlive the daemon, and the next one adopts them.
KillMode=process
OOMPolicy=continue
TimeoutStopSec=95
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2

[Install]
WantedBy=default.target
"
        );
    }

    #[test]
    fn words_are_quoted() {
        for (text, path, argument) in [
            ("/plain-1.2/x", "/plain-1.2/x", "/plain-1.2/x"),
            ("", "\"\"", "\"\""),
            ("/a b", "\"/a b\"", "\"/a b\""),
            ("50%", "\"50%%\"", "\"50%%\""),
            ("$HOME", "\"$HOME\"", "\"$$HOME\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\""),
            ("it's", "\"it's\"", "\"it's\""),
            (";", "\";\"", "\";\""),
            ("é", "\"é\"", "\"é\""),
        ] {
            assert_eq!(word(text, Dollar::Stands), path, "{text}");
            assert_eq!(word(text, Dollar::BeginsVariable), argument, "{text}");
        }
    }

    #[test]
    fn what_is_hard_to_write_reads_back() {
        assert!(unit(&hard()).is_err_and(|e| e.contains("a quote or a backslash")));
        let program = "/a b/%h $HOME ${x};é/gstack-dispatch-daemon".to_string();
        let service = Service { program, ..hard() };
        let text = unit(&service).expect("a unit");
        let read = read(&text, "/home/u").expect("our unit");
        assert_eq!(read.argv[0], service.program);
        let want: Vec<&str> = service.arguments().collect();
        assert_eq!(read.argv[1..], want);
        assert_eq!(read.variables["PATH"], service.path);
        assert_eq!(read.variables["GSTACK_HOME"], HARD);
        assert!(read.spares_sessions && read.leaves_sessions());
    }

    #[test]
    fn a_unit_of_somebody_else_is_understood() {
        let text = "[Unit]\nDescription=x\n[Service]\nExecStart=-%h/.local/bin/gstack-dispatch-daemon \\\n  --local-only\n\
                    # no\nEnvironment=\"A=b c\" PATH=%h/bin:/bin\nEnvironment=B='d'\n[Install]\nKillMode=process\n";
        let read = read(text, "/home/u").expect("a unit");
        assert_eq!(read.argv, ["/home/u/.local/bin/gstack-dispatch-daemon", "--local-only"]);
        assert_eq!(read.variables["PATH"], "/home/u/bin:/bin");
        assert_eq!(
            (read.variables["A"].as_str(), read.variables["HOME"].as_str()),
            ("b c", "/home/u")
        );
        assert!(!read.spares_sessions && !read.leaves_sessions());
        assert_eq!(super::read("[Service]\nExecStart=/usr/bin/other\n", "/home/u"), None);
    }
}
