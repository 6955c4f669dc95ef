//! The same at a terminal: colours, widths, and a picture that is drawn over itself.

use super::*;

fn columns(line: &str) -> usize {
    // The rest of what is shown here is narrow.
    line.chars().map(|c| if ('\u{2e80}'..='\u{ffdc}').contains(&c) { 2 } else { 1 }).sum()
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("\u{1b}[") {
        plain += before;
        rest = behind.split_once('m').expect("the end of a colour").1;
    }
    plain + rest
}

fn scene(lab: &Lab) {
    let mut daemon = lab.daemon().start();
    for (name, task) in [
        ("done", "日本語で書かれたとても長いタスクの最初の行です、これは全部は入りません"),
        ("other", "hello"),
    ] {
        lab.send(&lab.task(name, task));
        lab.completed(name);
    }
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("waits", "x".repeat(300)));
}

#[test]
fn no_line_is_wider_than_the_terminal_and_a_pipe_gets_all_of_it() {
    let lab = Lab::new();
    scene(&lab);
    for width in [20, 40, 80, 200] {
        for word in ["list", "status"] {
            let Some(out) = at_terminal(&lab, (width, 24), "", &[word], &[]) else { return };
            assert_eq!(out.code, 0, "{out:?}");
            let is_coloured = out.stdout.contains("\u{1b}[") || width < 40;
            assert!(is_coloured, "{word} has colours: {}", out.stdout);
            for line in without_colours(&out.stdout).lines() {
                let line = line.trim_end_matches('\r');
                assert!(columns(line) <= width as usize, "{word} {width}: {line}");
            }
            let whole = |id: &str| without_colours(&out.stdout).contains(id);
            assert!(width < 40 || whole(&id("waits")), "{word} {width}: {}", out.stdout);
        }
    }
    let all = said(&lab, &["list"]);
    assert!(all.contains("これは全部は入りません") && all.contains(&"x".repeat(79)), "{all}");
    assert!(!all.contains('\u{1b}'), "{all}");
}

#[test]
fn colours_are_there_when_they_are_wanted() {
    let lab = Lab::new();
    scene(&lab);
    let is_coloured = |words: &[&str], env: &[(&str, &str)]| {
        let out = at_terminal(&lab, (80, 24), "", &[&["list"], words].concat(), env);
        out.map(|out| out.stdout.contains("\u{1b}["))
    };
    let Some(plain) = is_coloured(&[], &[]) else { return };
    assert!(plain);
    for (words, env, want) in [
        (&[][..], ("NO_COLOR", "1"), false),
        (&[], ("NO_COLOR", ""), true),
        (&[], ("TERM", "dumb"), false),
        (&["--color=never"], ("TERM", "xterm"), false),
        (&["--color", "always"], ("TERM", "dumb"), true),
        (&["--color", "always"], ("NO_COLOR", "1"), true),
    ] {
        assert_eq!(is_coloured(words, &[env]), Some(want), "{words:?} {env:?}");
    }
    assert!(said(&lab, &["list", "--color=always"]).contains("\u{1b}["));
    assert!(!said(&lab, &["list", "--color=auto"]).contains("\u{1b}["));
}

#[test]
fn a_watched_page_fits_is_drawn_over_itself_and_gives_the_terminal_back() {
    let lab = Lab::new();
    scene(&lab);
    for signal in ["INT", "TERM"] {
        let steps = format!(
            "see FINISHED\nsize 50 4\nsee … \nsize 100 30\nsee FINISHED\ntouch {}\nsee PAUSED\nkill {signal}",
            lab.ours().join("control/pause").display()
        );
        let words = ["status", "--watch"];
        let Some(out) = at_terminal(&lab, (80, 24), &steps, &words, &[]) else { return };
        std::fs::remove_file(lab.ours().join("control/pause")).expect("the pause");
        assert_eq!(out.code, 0, "{out:?}");
        let shown = out.stdout.as_str();
        assert!(shown.starts_with("\u{1b}[?1049h\u{1b}[?25l"), "{shown:?}");
        assert!(shown.ends_with("\u{1b}[0m\u{1b}[?25h\u{1b}[?1049l"), "{shown:?}");
        // The terminal itself adds the second return. Nothing is cleared, and every frame fits one of the sizes.
        assert!(!shown.contains("\u{1b}[2J") && !shown.contains("\u{1b}[J"), "{shown:?}");
        for frame in shown.split("\u{1b}[H").skip(1) {
            let frame = frame.split("\u{1b}[0m\u{1b}[?25h").next().expect("a frame");
            let plain = without_colours(frame);
            let lines: Vec<usize> = plain.split("\r\r\n").map(columns).collect();
            let fits = |(width, rows)| lines.len() == rows && lines.iter().all(|l| *l == width);
            assert!([(80, 24), (50, 4), (100, 30)].into_iter().any(fits), "{lines:?}: {plain}");
        }
    }
}

#[test]
fn a_page_cannot_be_watched_in_a_pipe_but_its_changes_can() {
    let lab = Lab::new();
    let out = ask(&lab, &["status", "--watch"]);
    assert_eq!((out.code, out.stdout.as_str()), (2, ""), "{out:?}");
    assert!(out.stderr.contains("--json --watch"), "{out:?}");
}
