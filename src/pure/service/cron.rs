//! Our lines of a crontab, written, put among those of others, and read (crontab(5)).
//!
//! A variable that a crontab sets holds for all lines below, and those are not ours: what the
//! daemon needs stands in the command itself. In a command `%` ends the line and `\` hides it, and
//! what is left goes to a shell.

use std::collections::BTreeMap;

use super::installed::{InstalledService, is_our_program};
use super::{MARK, SERVICE_NAME, Service, ServiceKind};

const BEGIN: &str = "# BEGIN gstack-dispatch-daemon.";
const END: &str = "# END gstack-dispatch-daemon.";
/// Debian's cron takes no longer command (`MAX_COMMAND` in its `cron.h`).
const COMMAND_BYTES_MAX: usize = 998;

/// Our lines. The error says which part of them cannot be written.
pub fn block(service: &Service) -> Result<String, String> {
    service.check()?;
    let mut command = format!("PATH={}", word(&service.path));
    // Cron sets no USER everywhere, and Claude Code finds no login without it.
    let variables = [("USER", &service.user), ("GSTACK_HOME", &service.gstack_home)];
    for (name, value) in variables {
        if let Some(value) = value {
            command += &format!(" {name}={}", word(value));
        }
    }
    command += &format!(" {}", word(&service.program));
    for argument in service.arguments() {
        command += &format!(" {}", word(argument));
    }
    command += &format!(" 2>>{}", word(&format!("{}/{SERVICE_NAME}.log", service.home)));
    if command.len() > COMMAND_BYTES_MAX {
        let length = command.len();
        return Err(format!(
            "the command has {length} bytes, and cron takes {COMMAND_BYTES_MAX}: put the flags into config.json"
        ));
    }
    // A second daemon ends at once, so that the line of every minute starts it when it is gone.
    Ok(format!(
        "{BEGIN} {MARK} cron, which replaces these lines.\n@reboot {command}\n* * * * * {command}\n{END}\n"
    ))
}

/// One word for cron and then for the shell. A quote behind each backslash keeps it from cron,
/// which hides the sign behind it in some versions and in others does not.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => out += "'\\''",
            '\\' => out += "\\''",
            '%' => out += "\\%",
            c => out.push(c),
        }
    }
    out + "'"
}

/// The table with these lines of ours in place of the earlier ones, or at its end.
pub fn with_block(table: &str, block: &str) -> Result<String, String> {
    let (before, after) = match find_block(table)? {
        Some((from, to)) => (&table[..from], &table[to..]),
        None => (table, ""),
    };
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{before}{gap}{block}{after}"))
}

/// The table without our lines. `None`: they are not there.
pub fn without_block(table: &str) -> Result<Option<String>, String> {
    Ok(find_block(table)?.map(|(from, to)| format!("{}{}", &table[..from], &table[to..])))
}

/// Where our lines begin and end.
fn find_block(table: &str) -> Result<Option<(usize, usize)>, String> {
    let (mut begin, mut found, mut at) = (None, None, 0);
    for line in table.split_inclusive('\n') {
        let is_broken = match (line.starts_with(BEGIN), line.starts_with(END), begin) {
            (true, _, None) if found.is_none() => {
                begin = Some(at);
                false
            }
            (_, true, Some(from)) => {
                (begin, found) = (None, Some((from, at + line.len())));
                false
            }
            (is_begin, is_end, _) => is_begin || is_end,
        };
        if is_broken {
            return Err(torn());
        }
        at += line.len();
    }
    if begin.is_some() { Err(torn()) } else { Ok(found) }
}

fn torn() -> String {
    format!(
        "the crontab has one of the lines \"{BEGIN} …\" and \"{END}\" without the other: to mend it: crontab -e"
    )
}

/// The first line of a table that starts the daemon. `home` and `user`: those of its owner.
pub fn read(table: &str, home: &str, user: Option<&str>) -> Option<InstalledService> {
    let mut variables = BTreeMap::from([
        ("HOME".to_string(), home.to_string()),
        ("PATH".into(), "/usr/bin:/bin".into()),
        ("SHELL".into(), "/bin/sh".into()),
    ]);
    variables.extend(user.map(|user| ("LOGNAME".into(), user.into())));
    for line in table.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let Some(command) = command_of(line) else {
            if let Some((name, value)) = line.split_once('=') {
                let value = value.trim().trim_matches(['"', '\'']);
                variables.insert(name.trim().into(), value.into());
            }
            continue;
        };
        let mut words = words(&through_cron(command), &variables).into_iter().peekable();
        let mut own = variables.clone();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('='))
            && !name.contains('/')
        {
            own.insert(name.into(), value.into());
            words.next();
        }
        let argv: Vec<String> = words.skip_while(|word| word == "exec").collect();
        if argv.first().is_some_and(|program| is_our_program(program)) {
            let kind = ServiceKind::Cron;
            // Cron ends nothing that it started.
            return Some(InstalledService { kind, argv, variables: own, spares_sessions: true });
        }
    }
    None
}

/// The command of a line of a table, if it is one that says when.
fn command_of(line: &str) -> Option<&str> {
    let fields = match line.as_bytes().first()? {
        b'@' => 1,
        b'0'..=b'9' | b'*' => 5,
        _ => return None,
    };
    (0..fields)
        .try_fold(line, |rest, _| rest.split_once([' ', '\t']).map(|(_, rest)| rest.trim_start()))
}

/// What cron gives to the shell.
fn through_cron(command: &str) -> String {
    let mut out = String::new();
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek() == Some(&'%') => out.extend(chars.next()),
            '%' => break,
            c => out.push(c),
        }
    }
    out
}

/// The words of a simple command, up to where the shell would do something with its output.
fn words(command: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some('\'')) => word.get_or_insert_default().push(c),
            ('\\', _) => word.get_or_insert_default().extend(chars.next()),
            ('$', _) => {
                let mut name = String::new();
                let is_braced = chars.next_if_eq(&'{').is_some();
                while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                chars.next_if(|c| is_braced && *c == '}');
                word.get_or_insert_default().push_str(variables.get(&name).map_or("", |v| v));
            }
            ('~', None) if word.is_none() => {
                word.get_or_insert_default().push_str(variables.get("HOME").map_or("~", |v| v));
            }
            ('>' | '<' | '|' | ';' | '&', None) => {
                // A number in front of it names a descriptor.
                word = word.filter(|word| !word.bytes().all(|b| b.is_ascii_digit()));
                break;
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
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

    const PLAIN: &str = "PATH=/opt/agent/bin:/usr/bin USER=u /opt/bin/gstack-dispatch-daemon --on-shutdown leave \
                         2>>/home/u/gstack-dispatch-daemon.log";

    #[test]
    fn it_is_started_at_boot_and_again_every_minute() {
        assert_eq!(
            block(&plain()).expect("lines"),
            format!(
                "# BEGIN gstack-dispatch-daemon. Written by gstack-dispatch-daemon service cron, which replaces these lines.\n\
                 @reboot {PLAIN}\n* * * * * {PLAIN}\n# END gstack-dispatch-daemon.\n"
            )
        );
    }

    #[test]
    fn words_are_safe_from_cron_and_from_the_shell() {
        for (text, want) in [
            ("/plain/x-1", "/plain/x-1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("50%", "'50\\%'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("\\%", "'\\''\\%'"),
            ("a\\\\b", "'a\\''\\''b'"),
            ("é", "'é'"),
        ] {
            assert_eq!(word(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_hard_to_write_reads_back() {
        let program = "/h%m e/gstack-dispatch-daemon".to_string();
        let service = Service { program, home: "/h".into(), ..hard() };
        let lines = block(&service).expect("lines");
        let read = read(&lines, "/home/u", None).expect("our line");
        assert_eq!(read.argv[0], service.program);
        assert_eq!(read.argv[1..], service.arguments().collect::<Vec<_>>());
        assert_eq!(read.variables["PATH"], service.path);
        assert_eq!(read.variables["GSTACK_HOME"], HARD);
        assert_eq!(read.variables["USER"], "it's");
        assert!(read.spares_sessions && read.leaves_sessions());
    }

    #[test]
    fn a_command_that_cron_would_cut_is_refused() {
        let service = Service { flags: vec!["x".repeat(1000)], ..plain() };
        assert!(block(&service).is_err_and(|e| e.contains("config.json")));
    }

    #[test]
    fn the_lines_of_others_stay() {
        let (ours, newer) = (block(&plain()).expect("lines"), block(&hard()).expect("lines"));
        for table in ["", "MAILTO=me\n0 3 * * * /bin/backup\n", "# no newline at the end"] {
            let with = with_block(table, &ours).expect("a table");
            assert!(with.starts_with(table) && with.ends_with(&ours), "{with}");
            assert_eq!(with_block(&with, &ours).expect("the same"), with);
            let more = format!("{with}5 4 * * * after\n");
            let replaced = with_block(&more, &newer).expect("a table");
            assert_eq!(replaced, more.replace(&ours, &newer));
            let without = without_block(&replaced).expect("a table").expect("our lines");
            assert_eq!(without, more.replace(&ours, ""));
            assert_eq!(without_block(&without), Ok(None));
        }
    }

    #[test]
    fn half_of_our_lines_are_nobody_s_to_replace() {
        let ours = block(&plain()).expect("lines");
        let (begin, end) = (ours.lines().next().expect("a line"), END);
        for table in [
            format!("{begin}\n"),
            format!("{end}\n"),
            format!("{end}\n{begin}\n"),
            format!("{ours}{begin}\n"),
            format!("{begin}\n{begin}\n{end}\n"),
            format!("{ours}{ours}"),
        ] {
            assert!(with_block(&table, &ours).is_err_and(|e| e.contains("crontab -e")), "{table}");
            assert!(without_block(&table).is_err(), "{table}");
        }
    }

    #[test]
    fn a_line_of_somebody_else_is_understood() {
        let table = "PATH = \"/opt/bin:/bin\"\nX=1\n# * * * * * gstack-dispatch-daemon --no\n0 1 * * * other\n\
                     */5 * * * *\t$HOME/.local/bin/gstack-dispatch-daemon --local-only 2>>$HOME/log\n";
        let found = read(table, "/home/u", Some("u")).expect("a line");
        assert_eq!(found.argv, ["/home/u/.local/bin/gstack-dispatch-daemon", "--local-only"]);
        assert_eq!(found.variables["PATH"], "/opt/bin:/bin");
        assert_eq!((found.variables["LOGNAME"].as_str(), found.variables.get("USER")), ("u", None));
        assert!(found.spares_sessions && !found.leaves_sessions());
        assert_eq!(read("0 1 * * * other\n", "/home/u", None), None);
    }
}
