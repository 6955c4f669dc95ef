//! The threats to who may run what, and the tests that try each through the real binary. A row
//! without a test has its reason under "What it does not promise" in README.md.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use super::*;

/// The attack, and the names of its tests; or the words in README.md that say why there is none.
const THREATS: &[(&str, &[&str])] = &[
    (
        "A1: a link to another file",
        &[
            "a_symlink_is_refused_even_when_it_leads_to_a_good_dispatch",
            "a_dangling_symlink_is_refused",
        ],
    ),
    ("A2: a FIFO", &["a_fifo_is_refused_and_nobody_waits_for_its_writer"]),
    (
        "A3: a hard link",
        &[
            "a_file_with_another_name_is_refused_once_it_has_stood_still",
            "a_sender_may_link_a_file_into_place_and_unlink_it_elsewhere",
        ],
    ),
    (
        "A4: another owner, or writable by others",
        &[
            "a_file_of_somebody_else_is_refused_without_an_answer",
            "a_file_that_others_may_have_written_before_the_inbox_was_shut_is_refused",
            "an_allowed_user_may_own_the_drop_zone_and_send",
        ],
    ),
    (
        "A5: a huge file, a device",
        &[
            "a_file_over_one_mebibyte_is_refused_and_one_of_just_that_size_is_not",
            "a_sparse_file_of_ten_gigabytes_is_refused_unread",
            "a_device_is_refused",
        ],
    ),
    (
        "A6: another content between the check and the use",
        &[
            "an_edit_after_acceptance_changes_nothing",
            "a_copy_that_was_changed_never_runs",
            "what_was_approved_is_all_that_runs_whatever_becomes_of_its_folder_in_the_queue",
        ],
    ),
    ("A7: endless nesting", &["bytes_that_are_no_utf8_and_endless_nesting_are_refused"]),
    ("A8: a key that stands twice", &["a_key_that_stands_twice_is_refused"]),
    (
        "A9: an id that is a path",
        &["ids_that_are_no_safe_names_are_refused_and_write_nothing_outside"],
    ),
    (
        "A10: NUL, controls, turning characters",
        &[
            "texts_with_a_nul_are_refused_and_answered",
            "no_line_of_the_log_is_forged_by_what_a_sender_wrote",
            "approve_shows_the_whole_dispatch_so_that_nothing_in_it_can_hide",
        ],
    ),
    (
        "A11: a link at the answer's place, or at its folder's",
        &[
            "what_stands_in_the_place_of_an_answer_is_moved_aside_and_the_next_dispatch_runs",
            "a_link_in_place_of_the_folder_of_answers_is_refused",
            "an_answer_goes_nowhere_else_whatever_an_allowed_user_puts_in_the_place_of_all_answers",
            "the_audit_log_is_written_through_nothing_that_was_planted_there",
        ],
    ),
    (
        "A12: a directory that others may write to",
        &[
            "a_home_that_others_may_write_to_is_tightened_and_a_sticky_one_is_not",
            "a_directory_that_another_user_put_in_place_of_ours_is_refused",
            "a_directory_that_another_user_puts_in_place_of_ours_later_stops_new_work",
            "a_directory_above_that_others_may_write_to_is_refused_up_to_the_home_directory",
            "a_directory_above_that_opens_while_the_daemon_runs_keeps_everything_new_out",
            "a_drop_zone_that_is_too_open_is_tightened",
        ],
    ),
    (
        "P1: a project where no session may work, or one that is swapped",
        &[
            "no_session_works_where_it_could_give_itself_orders",
            "a_directory_that_everybody_can_write_to_is_refused_unless_it_is_trusted",
            "a_directory_of_another_user_is_refused_unless_it_is_trusted",
            "a_directory_that_leads_elsewhere_at_its_turn_is_refused",
            "a_link_that_is_changed_all_the_time_leads_no_session_into_another_directory",
            "a_retry_does_not_follow_a_link_that_leads_elsewhere_by_now",
            "a_project_directory_that_is_none_fails_the_dispatch_and_not_the_daemon",
        ],
    ),
    (
        "P2: a repository with hooks and servers of its own",
        &[
            "each_project_has_its_own_terms",
            "a_trusted_project_runs_at_once_and_another_waits_until_it_is_approved",
        ],
    ),
    ("P3: words of a dispatch that the agent takes for orders", &[]),
    (
        "P4: a task that is an option",
        &["the_agent_is_started_with_fixed_arguments_and_nothing_from_the_dispatch"],
    ),
    (
        "P5: a prompt that every user can read",
        &["no_other_user_reads_the_prompt_in_the_list_of_processes"],
    ),
    ("P6: another program under the agent's name", &["claude_is_looked_for_in_order"]),
    (
        "P7: variables and descriptors of ours",
        &[
            "the_session_has_our_marks_and_neither_our_secrets_nor_those_of_an_outer_session",
            "the_session_inherits_no_descriptor_of_the_daemon",
        ],
    ),
    (
        "P8: options that the agent does not have",
        &[
            "with_nothing_configured_a_session_has_these_words_and_variables_and_no_others",
            "an_agent_that_refuses_its_arguments_is_not_tried_again",
        ],
    ),
    (
        "R1: a flood of files",
        &[
            "soak_twenty_thousand_files_at_once",
            "many_files_from_several_senders_are_run_once_each",
            "while_too_many_wait_a_file_that_might_have_to_wait_stays_in_the_inbox",
        ],
    ),
    (
        "R2: an agent that prints without end",
        &[
            "a_session_that_floods_its_output_is_ended",
            "a_session_that_writes_too_much_on_stderr_is_ended",
            "a_check_that_floods_its_log_is_ended",
        ],
    ),
    ("R3: processes and memory without end", &[]),
    (
        "R4: servers that an agent leaves behind",
        &["what_a_session_that_ended_well_left_behind_is_ended_and_named"],
    ),
    (
        "L1: words that move the cursor or forge a line",
        &[
            "no_line_of_the_log_is_forged_by_what_a_sender_wrote",
            "approve_shows_the_whole_dispatch_so_that_nothing_in_it_can_hide",
        ],
    ),
    ("U1: a daemon that runs as root", &["a_daemon_that_runs_as_root_says_so"]),
    (
        "U2: a core, and another process that reads our memory",
        &["nobody_reads_the_daemon_and_it_still_finds_and_adopts_its_sessions"],
    ),
    ("U3: a heartbeat or an audit line that a session wrote", &[]),
    (
        "U4: a session that has work of its own run",
        &[
            "a_session_cannot_have_a_dispatch_of_its_own_run",
            "no_session_approves_by_accident",
            "what_has_its_answer_neither_waits_nor_runs_again_whatever_stands_in_pending",
        ],
    ),
    (
        "N1: a callback into the machine or its cloud",
        &[
            "no_spelling_of_a_forbidden_address_is_connected_to",
            "only_hosts_of_callback_allow_are_told",
            "entries_that_a_session_wrote_hold_up_nobody_and_go_nowhere_else",
        ],
    ),
    (
        "N2: a redirect",
        &[
            "a_redirect_is_not_followed_and_is_no_answer",
            "a_redirect_to_another_port_carries_nothing_there",
        ],
    ),
    (
        "N3: an answer without end",
        &[
            "an_answer_without_end_and_one_that_would_unpack_to_one_are_answers_all_the_same",
            "a_receiver_that_hangs_delays_nobody",
        ],
    ),
    (
        "N4: somebody in between",
        &[
            "a_server_that_vouches_for_itself_is_not_believed",
            "a_proxy_counts_only_where_it_is_asked_for_and_never_for_this_machine",
        ],
    ),
    (
        "N5: secrets in a report",
        &[
            "sixty_secrets_in_all_that_others_say_are_in_no_file_of_ours_and_no_callback",
            "a_token_goes_to_its_own_origin_and_nowhere_else",
        ],
    ),
    (
        "S1: a field that was swapped",
        &["a_swap_of_any_field_is_refused_and_another_spelling_is_not"],
    ),
    (
        "S2: a signature that is shown again",
        &[
            "the_same_bytes_again_are_a_redelivery_whatever_became_of_their_time_and_answer",
            "a_signed_id_stays_taken_after_all_of_its_dispatch_was_pruned",
            "a_signature_that_is_shown_again_starts_nothing_whatever_the_clock_says",
        ],
    ),
    ("S3: an oracle", &["one_text_is_said_of_all_that_is_wrong_with_a_signature"]),
    ("S4: a weaker form", &["what_follows_from_a_signature_is_the_table"]),
    (
        "S5: a key that others know",
        &[
            "a_key_that_turns_wrong_is_never_used_and_still_counts_as_one",
            "a_wrong_key_at_the_start_is_told_with_what_to_type",
        ],
    ),
];

/// What README.md says of a row without a test.
const UNTRIED: &[(&str, &str)] = &[
    ("P3", "- Orders that hide in a dispatch's words"),
    ("R3", "- Limits on a session's processes and memory"),
    ("U3", "- Protection from processes of the same user"),
];

fn tests_of(dir: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(dir)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|end| end == "rs") => text += &text_file(path),
                _ => {}
            }
        }
    }
    text
}

#[test]
fn each_threat_has_a_test_or_a_reason() {
    let tests = tests_of("tests/it") + &tests_of("tests/faults");
    let readme = include_str!("../../../README.md");
    for (threat, names) in THREATS {
        let row = threat.split(':').next().unwrap_or_default();
        let reason = UNTRIED.iter().find(|(untried, _)| *untried == row);
        assert!(!names.is_empty() || reason.is_some(), "{threat}");
        assert!(reason.is_none_or(|(_, words)| readme.contains(words)), "{threat}");
        for name in *names {
            assert!(tests.contains(&format!("fn {name}()")), "{threat}: there is no test {name}");
        }
    }
}

#[test]
fn a_sparse_file_of_ten_gigabytes_is_refused_unread() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let beside = lab.gstack.join(".being-written");
    let file = fs::File::create(&beside).expect("create");
    if file.set_len(10 << 30).is_err() {
        return skipped("no file of that size can be made here");
    }
    fs::rename(&beside, lab.dropped("huge")).expect("rename");
    let (_, why) = lab.rejected("dispatch-huge.json");
    assert_eq!(why["reason"], "too_large", "{why}");
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let good = String::from_utf8(lab.task("a", "hello").bytes()).expect("UTF-8");
    for (name, key) in [("id", r#""id": "dispatch-other","#), ("task", r#""task": "evil","#)] {
        let file = format!("dispatch-twice-{name}.json");
        lab.place(&file, good.replacen('{', &format!("{{{key}"), 1).as_bytes());
        let (_, why) = lab.rejected(&file);
        assert!(why["error"].to_string().contains("stands twice"), "{why}");
    }
    drop(daemon);
}

#[test]
fn no_line_of_the_log_is_forged_by_what_a_sender_wrote() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    let evil = "\u{1b}[2J\r\nforged line\u{202e}\u{200b}";
    let dispatch = lab.task("a", "hello").with("project", evil).with("dispatched_by", evil);
    lab.send(&dispatch);
    waits(&lab, "a");
    lab.send(&lab.task("b", "hello").with("project_dir", format!("/no/{evil}")));
    waits(&lab, "b");
    for name in ["a", "b"] {
        approve(&lab, name);
        lab.report(name);
    }
    let log = daemon.stderr();
    assert!(log.contains("forged line") && !log.contains("\nforged line"), "{log}");
    assert!(!log.contains(['\u{1b}', '\r', '\u{202e}', '\u{200b}']), "{log:?}");
    drop(daemon);
}

#[test]
fn a_link_in_place_of_the_folder_of_answers_is_refused() {
    let lab = Lab::new();
    let victim = lab.project("victim");
    fs::create_dir_all(lab.inbox()).expect("create");
    symlink(&victim, lab.inbox().join("completed")).expect("symlink");
    let out = lab.daemon().output();
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("completed") && out.stderr.contains("mv "), "{out:?}");
    assert_eq!(fs::read_dir(&victim).expect("its content").count(), 0);
}

#[test]
fn no_other_user_reads_the_prompt_in_the_list_of_processes() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let gate = lab.gate("gate");
    lab.send(&lab.task("a", format!("very secret words\nfake: block {}", gate.display())));
    let hold = gate.held();
    let mut ps = Command::new("ps");
    if is_root() {
        ps = Command::new("setpriv");
        ps.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "ps"]);
    }
    let seen = ps.args(["-eo", "args", "-ww"]).output().expect("ps");
    let seen = String::from_utf8_lossy(&seen.stdout);
    assert!(seen.contains("stream-json") && !seen.contains("very secret words"), "{seen}");
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_daemon_that_runs_as_root_says_so() {
    if !is_root() {
        return skipped("this test does not run as root");
    }
    let lab = Lab::new();
    let said = "running as root: every dispatch runs with root's rights";
    let daemon = lab.daemon().start();
    assert!(daemon.stderr().contains(said), "{}", daemon.stderr());
    drop(daemon);
    for dir in [&lab.dir, &lab.home, &lab.gstack] {
        chown(dir, Some(65534), Some(65534)).expect("chown");
    }
    fs::remove_dir_all(&lab.gstack).expect("remove");
    fs::set_permissions(&lab.dir, fs::Permissions::from_mode(0o755)).expect("chmod");
    let prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut daemon = lab.daemon().under(&prefix).spawn();
    daemon.wait_ready();
    assert!(!daemon.stderr().contains("running as root"), "{}", daemon.stderr());
    drop(daemon);
}
