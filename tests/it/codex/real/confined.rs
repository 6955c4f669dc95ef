//! The real Codex behind the wall of `--confine`, its own sandbox off.

use super::*;

#[test]
fn a_confined_task_commits_and_reaches_nothing_else() {
    let Some((program, _turn)) = cli() else { return };
    if !can_confine() {
        return;
    }
    let lab = Lab::new();
    let project = lab.repository("shop");
    let other = lab.project("other");
    fs::create_dir_all(lab.home.join(".ssh")).expect("create");
    fs::write(lab.home.join(".ssh/id_x"), "a private key").expect("write");
    let commit = "echo x >x.txt; git add -A; git -c user.name=t -c user.email=t@t commit -qm x";
    let tries = [
        format!("echo planted >>{}/.bashrc", lab.home.display()),
        format!("echo planted >{}/file", other.display()),
        format!("echo {{}} >{}/dispatch-planted.json", lab.inbox().display()),
        format!("echo {{}} >{}/config.json", lab.ours().display()),
        format!("cat {}/.ssh/id_x", lab.home.display()),
        "kill -TERM $(cat pid)".to_string(),
    ];
    let mut steps = vec![Step::Shell(commit.into())];
    steps.extend(tries.iter().map(|command| Step::Shell(command.clone())));
    steps.push(Step::Text("That is what I could do."));
    let api = Api::start(steps);
    let daemon = daemon(&lab, &api, &program).word("--confine").start();
    fs::write(project.join("pid"), daemon.pid.to_string()).expect("write");
    lab.send(&task(&lab, "a").in_dir(&project));
    let report = report(&lab, "a");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
    assert_eq!(report["commits"], 1, "{report:#}");
    let refused = report["confined"]["refused"].as_array().map_or(&[][..], Vec::as_slice);
    for command in &tries {
        let told =
            |call: &Value| call["input"].as_str().is_some_and(|input| input.contains(command));
        assert!(refused.iter().any(told), "{command} is not told of: {report:#}");
    }
    assert!(!lab.home.join(".bashrc").exists() && !other.join("file").exists());
    assert!(!lab.inbox().join("dispatch-planted.json").exists());
    assert!(!lab.ours().join("config.json").exists() && alive(daemon.pid));
    // What it keeps of the session says what it used.
    assert_eq!(report["output_tokens"], 50 * (tries.len() as u64 + 2), "{report:#}");
}
