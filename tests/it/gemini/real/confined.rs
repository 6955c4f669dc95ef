//! The real Gemini CLI behind the wall of `--confine`.

use super::*;

#[test]
fn a_confined_task_commits_and_reaches_nothing_else() {
    with_cli(|program| {
        if !can_confine() {
            return;
        }
        let lab = Lab::new();
        let (project, other) = (lab.repository("shop"), lab.project("other"));
        git(&project, "config user.name Agent");
        git(&project, "config user.email agent@localhost");
        fs::create_dir_all(lab.home.join(".ssh")).expect("create");
        fs::write(lab.home.join(".ssh/id_x"), "a private key").expect("write");
        let tries = [
            format!("echo planted >>{}/.bashrc", lab.home.display()),
            format!("echo planted >{}/file", other.display()),
            format!("cat {}/.ssh/id_x", lab.home.display()),
            // It runs no command that has another one within.
            "sh end.sh".to_string(),
        ];
        let write = json!({"file_path": "hello.txt", "content": "from gemini\n"});
        let mut steps =
            vec![Step::Tool("write_file", write), shell("git add -A"), shell("git commit -qm x")];
        steps.extend(tries.iter().map(|command| shell(command)));
        steps.push(Step::Text("That is what I could do."));
        let api = Api::start(steps);
        let daemon =
            daemon(&lab, &api, program).set("--allow-tools", "Bash").word("--confine").start();
        fs::write(project.join("end.sh"), format!("kill -TERM {}", daemon.pid)).expect("write");
        lab.send(&task(&lab, "a", "Commit it.").in_dir(&project));
        let report = report(&lab, "a", "completed");
        assert_eq!(report["commits"], 1, "{report:#}");
        let refused = report["confined"]["refused"].as_array().map_or(&[][..], Vec::as_slice);
        for command in &tries {
            assert!(refused.iter().any(|call| call["input"] == *command), "{command}: {report:#}");
        }
        assert!(!lab.home.join(".bashrc").exists() && !other.join("file").exists());
        assert!(alive(daemon.pid));
    });
}
