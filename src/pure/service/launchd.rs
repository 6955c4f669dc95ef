//! The property list of launchd's user agent, written and read (launchd.plist(5)).
//!
//! It is XML, so that texts are escaped as XML wants it and there is no other quoting: launchd runs
//! no shell. Only lists in XML are read; what `plutil -convert binary1` made is nobody's here.

use std::collections::BTreeMap;

use super::installed::{InstalledService, is_our_program};
use super::{MARK, SERVICE_NAME, Service, ServiceKind};

/// The list's text. The error says which part of it cannot be written.
pub fn plist(service: &Service) -> Result<String, String> {
    service.check()?;
    let words = [service.program.as_str()].into_iter().chain(service.arguments());
    let words: String = words.map(|word| format!("    <string>{}</string>\n", xml(word))).collect();
    let home = service.gstack_home.as_ref().map(|home| variable("GSTACK_HOME", home));
    let environment = variable("PATH", &service.path) + &home.unwrap_or_default();
    let (log, stop) =
        (xml(&format!("{}/Library/Logs/{SERVICE_NAME}.log", service.home)), service.stop_seconds());
    Ok(format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- {MARK} launchd, which replaces it when it is called again with the option to install. -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{SERVICE_NAME}</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
  <key>EnvironmentVariables</key>
  <dict>
{environment}  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>AbandonProcessGroup</key>
  <true/>
  <key>ExitTimeOut</key>
  <integer>{stop}</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardErrorPath</key>
  <string>{log}</string>
</dict>
</plist>
"#
    ))
}

fn variable(name: &str, value: &str) -> String {
    format!("    <key>{name}</key>\n    <string>{}</string>\n", xml(value))
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c => out.push(c),
        }
    }
    out
}

fn plain(text: &str) -> String {
    // The ampersand comes last, or else `&amp;lt;` would be read twice.
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    names.iter().fold(text.to_string(), |text, (name, sign)| text.replace(name, sign))
}

/// What a list says, if it starts the daemon. `home` is the user's home directory.
pub fn read(text: &str, home: &str) -> Option<InstalledService> {
    let argv: Vec<String> = strings(part(text, "ProgramArguments", "array")?).collect();
    let mut variables = BTreeMap::from([
        ("HOME".to_string(), home.to_string()),
        ("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into()),
    ]);
    if let Some(dict) = part(text, "EnvironmentVariables", "dict") {
        let names = elements(dict, "key").map(plain);
        variables.extend(names.zip(strings(dict)));
    }
    let after = text.split_once("<key>AbandonProcessGroup</key>").map(|(_, after)| after);
    let spares_sessions = after.is_some_and(|after| after.trim_start().starts_with("<true"));
    let is_daemon = argv.first().is_some_and(|program| is_our_program(program));
    let kind = ServiceKind::Launchd;
    is_daemon.then_some(InstalledService { kind, argv, variables, spares_sessions })
}

/// What stands in the element that follows that key.
fn part<'a>(text: &'a str, key: &str, element: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<key>{key}</key>"))?;
    let within = after.trim_start().strip_prefix(&format!("<{element}>"))?;
    within.split_once(&format!("</{element}>")).map(|(within, _)| within)
}

/// What stands in each element of that name, in order.
fn elements<'a>(text: &'a str, element: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let after: Vec<&str> = text.split(open.as_str()).skip(1).collect();
    after.into_iter().filter_map(move |rest| rest.split_once(&close).map(|(within, _)| within))
}

fn strings(text: &str) -> impl Iterator<Item = String> {
    elements(text, "string").map(plain)
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HARD, hard, plain};
    use super::*;

    #[test]
    fn the_list_keeps_sessions_alive_and_gives_a_stop_its_time() {
        let text = plist(&plain()).expect("a list");
        for part in [
            "<key>Label</key>\n  <string>gstack-dispatch-daemon</string>",
            "<string>/opt/bin/gstack-dispatch-daemon</string>\n    <string>--on-shutdown</string>\n    <string>leave</string>\n  </array>",
            "<key>PATH</key>\n    <string>/opt/agent/bin:/usr/bin</string>",
            "<key>RunAtLoad</key>\n  <true/>",
            "<key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>",
            "<key>AbandonProcessGroup</key>\n  <true/>",
            "<key>ExitTimeOut</key>\n  <integer>95</integer>",
            "<string>/home/u/Library/Logs/gstack-dispatch-daemon.log</string>",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // Two hyphens end a comment too early.
        let comment = text.split_once("<!-- ").and_then(|(_, rest)| rest.split_once(" -->"));
        assert!(comment.is_some_and(|(comment, _)| !comment.contains("--")), "{text}");
    }

    #[test]
    fn what_is_hard_to_write_reads_back() {
        let service = Service { program: format!("{HARD}/{SERVICE_NAME}"), ..hard() };
        let read = read(&plist(&service).expect("a list"), "/home/u").expect("our list");
        assert_eq!(read.argv[0], service.program);
        assert_eq!(read.argv[1..], service.arguments().collect::<Vec<_>>());
        assert_eq!(read.variables["PATH"], service.path);
        assert_eq!(read.variables["GSTACK_HOME"], HARD);
        assert_eq!(read.variables["HOME"], "/home/u");
        assert!(read.spares_sessions && read.leaves_sessions());
    }

    #[test]
    fn a_list_of_somebody_else_is_understood() {
        let text = "<plist><dict><key>ProgramArguments</key><array><string>/b/gstack-dispatch-daemon</string></array>\
                    <key>AbandonProcessGroup</key> <false/></dict></plist>";
        let read = read(text, "/h").expect("a list");
        assert_eq!((read.argv.len(), read.spares_sessions), (1, false));
        assert_eq!(super::read("bplist00", "/h"), None);
        assert_eq!(super::read(&text.replace("/b/gstack", "/b/x"), "/h"), None);
    }
}
