use super::*;

fn facts(clawvisor: Option<TaskWord>, trust: Trust) -> GateFacts {
    GateFacts { misplaced: None, clawvisor, trust, has_approval: false, has_signature: false }
}

#[test]
fn each_row_of_the_table_is_decided_as_it_stands_there() {
    use ApprovedBy::{Clawvisor, TrustedProject};
    use GateDecision::{Ask, Refuse, Run, Wait};
    use PendingWhy::*;
    let covers = |names_dir, auto_execute| {
        Some(TaskWord::Covers { names_dir, auto_execute, is_for_one: true })
    };
    let no_task = |required| Some(TaskWord::NoTask { required });
    let refused = |why: &str| Refuse(why.into());
    let by_clawvisor = || Run(Some(Clawvisor));
    let require = "it names no clawvisor_task_id, and clawvisor_require_task is on";
    let denies = Some(TaskWord::Denies("clawvisor task T is denied".into()));
    // Each row: what Clawvisor says, and the decision where trust is not set, trusted, not trusted.
    for (word, not_set, trusted, untrusted) in [
        (None, Run(None), Run(Some(TrustedProject)), Wait(UntrustedProject)),
        (covers(true, true), by_clawvisor(), by_clawvisor(), by_clawvisor()),
        (covers(false, true), by_clawvisor(), by_clawvisor(), Wait(UntrustedProject)),
        (covers(false, false), Wait(PerRequest), Wait(PerRequest), Wait(PerRequest)),
        (covers(true, false), Wait(PerRequest), Wait(PerRequest), Wait(PerRequest)),
        (no_task(false), Wait(NoClawvisorTask), Wait(NoClawvisorTask), Wait(NoClawvisorTask)),
        (no_task(true), refused(require), refused(require), refused(require)),
        (
            Some(TaskWord::Undecided),
            Wait(ClawvisorPending),
            Wait(ClawvisorPending),
            Wait(ClawvisorPending),
        ),
        (
            denies,
            refused("clawvisor task T is denied"),
            refused("clawvisor task T is denied"),
            refused("clawvisor task T is denied"),
        ),
        (
            Some(TaskWord::Unreachable),
            Wait(ClawvisorUnreachable),
            Wait(ClawvisorUnreachable),
            Wait(ClawvisorUnreachable),
        ),
        (Some(TaskWord::Unasked), Ask, Ask, Ask),
    ] {
        let columns =
            [(Trust::NotSet, not_set), (Trust::Trusted, trusted), (Trust::Untrusted, untrusted)];
        for (trust, want) in columns {
            let asked = facts(word.clone(), trust);
            assert_eq!(decide(&asked), want, "{asked:?}");
            // The place comes first, whatever else is allowed.
            let misplaced = GateFacts {
                misplaced: Some("project_dir / is /".into()),
                has_approval: true,
                has_signature: true,
                ..asked.clone()
            };
            assert_eq!(decide(&misplaced), refused("project_dir / is /"), "{asked:?}");
            let approved = |by| match &want {
                Wait(UntrustedProject | PerRequest | NoClawvisorTask) => Run(Some(by)),
                other => other.clone(),
            };
            let person = GateFacts { has_approval: true, ..asked.clone() };
            assert_eq!(decide(&person), approved(ApprovedBy::Person), "{person:?}");
            let signed = GateFacts { has_signature: true, ..asked };
            assert_eq!(decide(&signed), approved(ApprovedBy::Signature), "{signed:?}");
        }
    }
}

#[test]
fn the_words_on_disk_are_the_names() {
    for why in [
        PendingWhy::UntrustedProject,
        PendingWhy::PerRequest,
        PendingWhy::NoClawvisorTask,
        PendingWhy::ClawvisorPending,
        PendingWhy::ClawvisorUnreachable,
    ] {
        assert_eq!(serde_json::to_value(why).expect("JSON"), why.name());
    }
}

#[test]
fn an_approval_holds_for_its_bytes_in_its_directory_alone() {
    let approval =
        PersonApproval { at: String::new(), sha256: "a1".into(), dir: "/srv/shop".into(), uid: 7 };
    for (sha256, dir, want) in [
        ("a1", "/srv/shop", true),
        ("a2", "/srv/shop", false),
        ("", "/srv/shop", false),
        ("a1", "/srv/shop/sub", false),
        ("a1", "/srv", false),
    ] {
        assert_eq!(approval.holds_for(sha256, dir), want, "{sha256} {dir}");
    }
}
