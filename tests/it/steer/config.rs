//! `config show` and `config check`: the daemon's own settings, and the daemon's own words.

use serde_json::json;

use super::*;

fn write(lab: &Lab, text: &str) -> PathBuf {
    fs::create_dir_all(lab.ours()).expect("create");
    let path = lab.ours().join("config.json");
    fs::write(&path, text).expect("write");
    path
}

#[test]
fn each_setting_is_shown_with_its_value_and_where_it_is_from() {
    let lab = Lab::new();
    let path = write(
        &lab,
        r#"{"max_turns": 7, "model": "m", "claude_args": ["--token=abcdefghijklmnop"]}"#,
    );
    let words = ["config", "show", "--max-concurrent", "5", "--local-only", "--json"];
    let out = command(&lab, &words).env("GSTACK_DISPATCHD_MODEL", "n").output();
    assert_eq!(out.code, 0, "{out:?}");
    let shown = one_document(&out.stdout);
    assert_eq!(shown["config_file"], json!(path));
    for (key, value, origin) in [
        ("max_concurrent", json!(5), "flag"),
        ("local_only", json!(true), "flag"),
        ("model", json!("n"), "environment"),
        ("max_turns", json!(7), "file"),
        ("claude_args", json!(["--token=[redacted]"]), "file"),
        ("heartbeat_seconds", json!(30), "default"),
    ] {
        assert_eq!(shown["settings"][key], json!({ "value": value, "origin": origin }), "{key}");
    }
    assert_eq!(shown["settings"]["launcher"], json!({ "origin": "default" }));
    let out = run(&lab, &["config", "show"]);
    assert_eq!(out.code, 0, "{out:?}");
    let row = |key: &str| {
        let line = out.stdout.lines().find(|line| line.starts_with(key)).expect(key);
        line.split_whitespace().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(row("max_turns "), ["max_turns", "7", "file"]);
    assert_eq!(row("launcher "), ["launcher", "none", "default"]);
    assert_eq!(out.stdout.lines().count(), shown["settings"].as_object().expect("all").len());
}

#[test]
fn a_mistake_is_told_in_the_words_of_the_daemon_with_its_line() {
    for (text, why) in [
        (
            "{\n  \"max_concurent\": 2\n}",
            "line 2: unknown setting max_concurent (did you mean max_concurrent?)",
        ),
        ("{\"model\": \"m\",\n\n\"max_turns\": 0}", "line 3: max_turns: must be at least 1, not 0"),
        ("{\n\"max_turns\" 1}", "it is not JSON: expected `:` at line 2 column"),
        ("{\n\"agents\": {\n\"claude\": {\"output\": \"text\"}}}", "line 3: agents: claude: "),
        ("{\n\"projects\": {\n\"/p\": {\n\"model\": 7}}}", "line 4: projects: /p: model: 7"),
        ("{\"\\u001b[2J\\n\": 7}", "line 1: unknown setting"),
    ] {
        let lab = Lab::new();
        let path = write(&lab, text);
        let shown = run(&lab, &["config", "show"]);
        refused(&shown, 1, why);
        let checked = run(&lab, &["config", "check", &path.display().to_string()]);
        assert_eq!((checked.code, &checked.stderr), (1, &shown.stderr), "{checked:?}");
        assert!(!shown.stderr.contains('\u{1b}'), "{shown:?}");
        let daemon = lab.plain_daemon().output();
        let said = shown.stderr.strip_prefix("gstack-dispatch-daemon: ").expect("a note");
        assert!(daemon.code == 1 && daemon.stderr.ends_with(said), "{daemon:?}\n{said}");
        refused(&run(&lab, &["submit", "--task", "t"]), 1, why);
    }
}

#[test]
fn a_file_without_a_mistake_is_right_whatever_the_daemons_own_is() {
    let lab = Lab::new();
    write(&lab, "{");
    fs::write(lab.path("new.json"), "{\"max_concurrent\": 4}").expect("write");
    let out = run(&lab, &["config", "check", "new.json"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "no mistake in new.json\n"), "{out:?}");
    refused(&run(&lab, &["config", "check", "nothing.json"]), 1, "nothing.json");
    fs::write(lab.path("wall.json"), "{\"confine\": true,\n\"launcher\": [\"srun\"]}")
        .expect("write");
    refused(&run(&lab, &["config", "check", "wall.json"]), 1, "confine and launcher");
    for words in
        [&["config"][..], &["config", "check"], &["config", "shwo"], &["config", "show", "x"]]
    {
        assert_eq!(run(&lab, words).code, 2, "{words:?}");
    }
    refused(&run(&lab, &["config", "show", "--max-concurent", "3"]), 2, "--max-concurrent");
}

#[test]
fn without_a_file_there_is_no_folder_afterwards() {
    let lab = Lab::new();
    assert_eq!(json(&lab, &["config", "show"])["settings"]["max_concurrent"]["value"], 2);
    assert!(!lab.gstack.exists());
}
