#!/usr/bin/env python3
"""tests/mutants.py [--part N/M] [NAME...]: takes one safeguard at a time out of a copy of the source, and demands that a test goes red.

Fsyncs are not here: `without_any_one_of_its_fsyncs_something_is_lost_or_doubled` leaves out each kind of them without
building anything. Here are locks, markers, comparisons, orders and sweeps. A row whose text is not found exactly once
stops the run: the list must follow the source. `--part 1/2` runs every second row, for two runs side by side, each with a
CARGO_TARGET_DIR of its own. Exit: 0 at least 95 % caught or explained, 1 less.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COPY = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "target")), "mutants")

# Most tests wait.
TEST_THREADS = "4"
IT = "it"
FAULTS = "faults"
# The unit tests.
LIB = "lib"
# name, file, text, what it becomes, tests that should notice: (target, filter)
ROWS = [
    ("the place is judged before anybody's word", "pure/gate/mod.rs", "if let Some(why) = &facts.misplaced {",
     "if let Some(why) = facts.misplaced.as_ref().filter(|_| !facts.has_approval) {", [(LIB, "gate::")]),
    ("an approval is for these bytes", "pure/gate/mod.rs", "self.sha256 == sha256 && self.dir == dir", "self.dir == dir", [(LIB, "gate::")]),
    ("what comes out of the queue is what was accepted", "threads/worker/mod.rs", "known| hex(&known) == sha256_hex(&contents.bytes))", "_| true)",
     [(IT, "gate::approval")]),
    ("what was signed is known without the files", "threads/intake/gate.rs", "contents.bytes.as_slice(), claim.signed.as_deref());",
     "contents.bytes.as_slice(), contents.accepted.signed.as_ref());", [(IT, "gate::approval")]),
    ("an approval is for its directory", "threads/shared/gate.rs", "given.holds_for(&sha256_hex(self.bytes), &dir)",
     "given.holds_for(&sha256_hex(self.bytes), &given.dir)", [(IT, "gate::approval")]),
    ("what is trusted is compared by component", "pure/gate/trust.rs", "let Ok(below) = dir.strip_prefix(leads_to) else { return false };",
     "let below = Path::new(dir.to_str().and_then(|d| d.strip_prefix(leads_to.to_str()?)).unwrap_or(\"?\")); if below == Path::new(\"?\") { return false }",
     [(LIB, "gate::trust")]),
    ("no leading dot behind a star", "pure/gate/trust.rs", "if glob.first() == Some(&b'*') && name.first() == Some(&b'.') {",
     "if false {", [(LIB, "gate::trust")]),
    ("a home that a place contains", "pure/gate/place.rs", "find(|inner| inner.starts_with(dir));", "find(|_| false);", [(LIB, "gate::place")]),
    ("the gate at the turn", "threads/worker/gate.rs", "GateWord::Waits(record) => Err(NotStarted::Waits(record)),",
     "GateWord::Waits(_) => Ok(None),", [(IT, "gate::")]),
    ("no session goes to another place at a retry", "threads/worker/gate.rs", "if plan.dir.as_deref() == Some(&*dir) {",
     "if plan.dir.is_some() {", [(IT, "gate::places")]),
    ("what was judged is what is entered", "effects/project_dir.rs", "if held.exists() { held } else { self.path.clone() }",
     "self.path.clone()", [(LIB, "project_dir")]),
    ("an opened directory is the one that was resolved", "effects/project_dir.rs", "if leads_elsewhere(&file, &path) {",
     "if false {", [(LIB, "project_dir")]),
    ("the bytes that wait are compared when they are approved", "threads/intake/gate.rs",
     "read.is_some_and(|read| sha256_hex(&read.bytes) == approval.sha256);", "read.is_some();", [(IT, "gate::approval")]),
    ("the digest that was approved", "threads/intake/gate.rs", "known.is_some_and(|known| hex(&known) == sha256)",
     "known.is_some() && !sha256.is_empty()", [(IT, "gate::approval")]),
    ("a no wins over a yes", "effects/store/pending.rs", "if let Some((text, _)) = self.read_request(&self.deny_path(id))? {",
     "if let Some((text, _)) = self.read_request(&self.deny_path(id))?.filter(|_| !self.approve_path(id).exists()) {",
     [(IT, "gate::approval")]),
    ("how many may wait", "threads/intake/gate.rs", "self.ledger.pending.len() >= self.context.settings().pending_max",
     "false", [(IT, "gate::waiting")]),
    ("a changed copy at the start", "threads/recover_pending.rs",
     "contents.filter(|read| sha256_hex(&read.bytes) == read.accepted.sha256);", "contents.filter(|_| true);", [(IT, "gate::approval")]),
    ("an approval before its request goes", "threads/intake/gate.rs", "self.context.store.write_approval(&pending.claim, approval)?;",
     "let _ = (&pending.claim, approval);", [(IT, "gate::"), (FAULTS, "forgets_no_approval")]),
    ("a file has one name", "effects/store/drop_zone/inbox.rs", "if stamp.links > 1 {", "if false {", [(IT, "gate::files")]),
    ("the directories above while the daemon runs", "threads/intake/rescan.rs",
     "let safe = self.context.store.check_above(user_home);", "let safe = Ok(()); let _ = user_home;", [(IT, "ownership")]),
    ("no command of a person in a session", "commands/mod.rs", "if let Some(name) = &self.environment.session {", "if let Some(name) = None::<&String> {",
     [(IT, "gate::commands"), (IT, "signatures::commands")]),
    ("the lock of the directory", "effects/store/lock.rs", "match file.try_lock() {",
     "match Ok::<(), TryLockError>(()) {", [(IT, "cli::")]),
    ("whose the lock's name is", "effects/store/lock.rs", "if named == Some(held.identity) {",
     "if named.is_some() {", [(IT, "lock::")]),
    ("the lock before a file is looked at", "threads/intake/mod.rs", "has_room && self.context.has_lock();", "has_room;",
     [(IT, "lock::")]),
    ("the lock before a request is looked at", "threads/intake/mod.rs",
     "if !self.context.has_lock() => {}", "if self.context.level.is_lost() => {}", [(IT, "lock::")]),
    ("what the holder of the lock answers", "threads/conclude.rs", "context.has_lock() || is_unknown()", "context.has_lock() || true",
     [(IT, "lock::")]),
    ("a rule holds where its key leads when it is used", "effects/project.rs", "let resolved = resolve_nearest(&written);",
     "let resolved = written.clone();", [(IT, "places::")]),
    ("two ways to what comes later are one lane", "effects/project.rs", "lane_of_resolved(&resolve_nearest(dir))",
     "lane_of_resolved(&dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf()))", [(IT, "places::")]),
    ("a check is that of its session's start", "threads/session/verify.rs", "let Some(verify) = self.verify.as_ref().filter(",
     "let now = self.context.verify_in(std::path::Path::new(&self.start.project_dir), &claim.project, &claim.id);\n        let Some(verify) = now.as_ref().filter(",
     [(IT, "places::"), (IT, "reload::")]),
    ("another user's directory is refused", "pure/upkeep/ownership.rs", "Guarded::Private if !is_ours => Verdict::Foreign,", "", [(IT, "ownership::")]),
    ("settings that others may write are refused", "pure/upkeep/ownership.rs",
     "Guarded::Config if mode & OTHERS_WRITE != 0 => Verdict::TooOpen,", "", [(IT, "ownership::")]),
    ("a key that turned wrong still counts as one", "effects/store/keys.rs", "!self.keys.is_empty() || !self.complaints.is_empty()",
     "!self.keys.is_empty()", [(IT, "signatures::keys")]),
    ("a key that others may read is not used", "pure/upkeep/ownership.rs", "Guarded::Secret if mode & OTHERS_ALL != 0 => Verdict::TooOpen,", "",
     [(IT, "signatures::keys")]),
    ("a key with a second name is not used", "effects/store/secret_file.rs", "if meta.nlink() != 1 {", "if meta.nlink() == 0 {",
     [(IT, "signatures::keys")]),
    ("only a strong signature is one where it is required", "pure/gate/signature.rs", "if facts.is_required && !is_strong {",
     "if facts.is_required && found.is_none() {", [(LIB, "gate::"), (IT, "signatures::table")]),
    ("a signature runs out", "pure/gate/signature.rs", "is_now && iat < exp", "iat < exp", [(LIB, "gate::"), (IT, "signatures::table")]),
    ("a signature is valid for a day at most", "pure/gate/signature.rs", " && exp <= iat + TTL_SECONDS_MAX", "", [(LIB, "gate::")]),
    ("a public key is no shared secret for the seed's form", "pure/gate/signature.rs",
     "filter(|key| matches!(key.id, KeyId::Hmac(_)))", "filter(|_| true)", [(LIB, "gate::")]),
    ("a signature has one spelling", "pure/text/base64.rs", "read(text, Alphabet::Url).filter(|bytes| encode_url(bytes) == text)",
     "read(text, Alphabet::Url)", [(LIB, "gate::")]),
    ("a number that libraries write differently makes a signature wrong", "pure/gate/canonical.rs",
     "fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {\n        Err(no_plain_integer(number))",
     "fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {\n        Ok(number.to_string())", [(LIB, "gate::")]),
    ("the signature before an id is known to be taken", "threads/intake/accept.rs",
     "Ok(SignatureVerdict::Rejected(rejection)) => return self.refuse(&dropped, &rejection),",
     "Ok(SignatureVerdict::Rejected(_)) => None,", [(IT, "signatures::")]),
    ("a signed id outlives its pruned dispatch", "effects/store/archive.rs", "Shelf::Finished => self.note_spent(name)?,",
     "Shelf::Finished => {}", [(IT, "signatures::replay")]),
    ("a signed id outlives its records", "effects/store/spent.rs", "None if identity::find(&self.keys)?.is_some() =>", "None if self.keys.as_os_str().is_empty() =>",
     [(IT, "signatures::replay")]),
    ("a claim from its file keeps its signature", "effects/store/claims/accept.rs", "signed: claim.signed.as_deref().cloned(),",
     "signed: None,", [(IT, "signatures::replay")]),
    ("a spent id is looked for", "effects/store/claims/accept.rs", "if let Some(sha256) = self.find_spent(id)? {",
     "if let Some(sha256) = self.find_spent(id)?.filter(|_| false) {", [(IT, "signatures::replay")]),
    ("a spent id is found after a restart", "effects/store/mod.rs", "        self.spent.look()?;\n", "", [(IT, "signatures::replay")]),
    ("no session signs", "commands/mod.rs", "if let Some(name) = &self.environment.session {", "if let Some(name) = None::<&String> {",
     [(IT, "signatures::")]),
    ("half a pair of keys is taken back", "commands/keygen.rs", "remove_secret(path).map_err(Refusal::not_done)?;", "let _ = remove_secret;",
     [(IT, "signatures::commands")]),
    ("a key that stands twice is refused", "pure/config/strict_json.rs", "if entries.contains_key(&key) {", "if entries.contains_key(&key) && false {",
     [(IT, "settings::")]),
    ("the lock on a session's stdout", "effects/store/claims/attempts.rs",
     'files\n            .stdout\n            .try_lock()\n            .map_err(|e| Error::new("lock", dir.join("stdout.jsonl"), e.into()))?;', "",
     [(IT, "leftovers::"), (IT, "recovery::"), (IT, "sessions::")]),
    ("attempt.json marks a start", "effects/store/claims/attempts.rs",
     'Ok(identity::find(&attempt.join("attempt.json"))?.is_some())', "Ok(attempt.is_dir())", [(IT, "recovery::")]),
    ("an attempt counts at the next start", "effects/store/claims/attempts.rs", "let last = numbers(&self.claim_dir(id))?.pop();\n        Ok(last.map",
     "let last = numbers(&self.claim_dir(id))?.pop().filter(|_| false);\n        Ok(last.map", [(IT, "recovery::")]),
    ("taking back an attempt that never was", "effects/store/claims/attempts.rs",
     'files::remove(&attempt.dir.join("attempt.json"))?;\n        files::sync_dir(&attempt.dir)?;\n        tree::remove_tree(&attempt.dir)',
     "let _ = attempt;\n        Ok(())", [(IT, "sessions::"), (IT, "disk::"), (FAULTS, "errors::")]),
    ("why we end a session, before we do", "threads/session/watch.rs",
     "self.attempt.write_stop(&StopRecord { cause, at: clock::stamp() })", "crate::effects::error::Result::Ok(())",
     [(IT, "recovery::"), (IT, "shutdown::"), (IT, "clocks::"), (IT, "control::")]),
    ("the mark of a death at reading", "threads/session/mod.rs", "self.attempt.note_reading()",
     "crate::effects::error::Result::Ok(())", [(IT, "recovery::"), (IT, "clocks::"), (IT, "sessions::")]),
    ("how an attempt ended, before what follows", "threads/session/mod.rs",
     "persist(self.context, || self.attempt.write_end(&end))", "persist(self.context, || Ok(()))",
     [(IT, "recovery::"), (IT, "sessions::"), (FAULTS, "crash::a_daemon_killed_before")]),
    ("the sweep after a session", "threads/session/mod.rs",
     "        let swept = self.sweep(claim);\n        // A crash in here", "        let swept = Swept::default();\n        // A crash in here",
     [(IT, "leftovers::"), (IT, "sessions::")]),
    ("the sweep before a recorded end is answered", "threads/worker/resume.rs", "running.sweep_only(&id);", "",
     [(IT, "recovery::"), (IT, "leftovers::"), (FAULTS, "crash::a_daemon_killed_before")]),
    ("a second look of the sweep", "effects/process/sweep.rs", "while quiet_looks < 2 {", "while quiet_looks < 1 {",
     [(IT, "leftovers::"), (IT, "sessions::"), (FAULTS, "storm::two")]),
    ("withdrawal by removing the file", "effects/store/claims/names.rs", "            let Some(stamp) = self.stamp_inbox(name)? else { continue };",
     "            let Some(stamp) = self.stamp_inbox(name)? else { return Ok(true) };", [(IT, "names::"), (IT, "intake::")]),
    ("only the bytes that were answered are removed", "effects/store/claims/names.rs", "Ok(sha256_hex(&bytes) == sha256)", "Ok(!sha256.is_empty())",
     [(IT, "names::")]),
    ("a file that has changed is read again", "effects/store/disk/identity.rs", "(s.identity, s.kind, s.size, s.mtime_ns)", "(s.identity, s.kind)",
     [(IT, "names::")]),
    ("what was written anew withdraws nothing", "effects/store/claims/names.rs", "if claim.is_detached || !self.is_drop_zone(&accepted.inbox_dir)? {",
     "if !self.is_drop_zone(&accepted.inbox_dir)? {", [(IT, "names::")]),
    ("detached, through a restart", "threads/recover.rs", "context.store.is_detached(&id, room)",
     "!context.store.is_detached(&id, room) && id.as_str().is_empty()",
     [(IT, "names::")]),
    ("a scan before anything is withdrawn", "threads/intake/nameless.rs", "if *scans == self.scans { None }", "if *scans > self.scans { None }",
     [(IT, "names::")]),
    ("a cancel is asked of the disk when its dispatch comes", "threads/intake/requests.rs", "let is_asked = self.context.store.is_cancel_asked(id);",
     "let is_asked = !id.is_empty();", [(IT, "requests::")]),
    ("a pause holds retries back", "threads/worker/mod.rs", "match (self.context.is_paused(), left_ms)", "match (false, left_ms)",
     [(IT, "requests::")]),
    ("the digest of an acceptance", "effects/store/claims/accept.rs", "\n            && sha256_hex(&bytes) == accepted.sha256", "",
     [(IT, "recovery::")]),
    ("an empty report is none", "effects/store/claims/publish.rs", "let report = serde_json::from_slice::<Report>(&bytes);\n    let Ok(report)",
     "let whole = format!(r#\"{{\"dispatch_id\":\"{id}\",\"project\":\"b\",\"target_agent\":\"claude\",\"status\":\"completed\",\"duration\":0}}\"#);\n    let report = serde_json::from_slice::<Report>(&bytes).or(serde_json::from_str(&whole));\n    let Ok(report)",
     [(IT, "recovery::")]),
    ("a taken id", "effects/store/claims/accept.rs", "return Ok(IdOwner::Dispatch { sha256: sha256_in(&finished)?, is_answered: true });", "let _ = sha256_in(&finished)?;",
     [(IT, "intake::"), (IT, "recovery::")]),
    ("an id that the daemon does not know of is met by the acceptance", "effects/store/claims/accept.rs",
     "files::rename_to_free(&building, &place)", "files::rename(&building, &place)", [(IT, "recovery::claims")]),
    ("a claim's folder is the one that it was", "effects/store/disk/files.rs", "known.is_none_or(|known| known == *now)", "known.is_none_or(|known| known.ino != u64::MAX && now.ino > 0)",
     [(IT, "blast::"), (IT, "hostile::")]),
    ("a folder in the way is moved", "effects/store/disk/aside.rs", "may_be_due && identity::of_path(path).is_ok()", "may_be_due && false && identity::of_path(path).is_ok()",
     [(IT, "recovery::claims")]),
    ("only a plain file is a record", "effects/store/disk/files.rs", "    if file.metadata()?.is_file() {", "    if true {",
     [(IT, "blast::"), (IT, "hostile::")]),
    ("what was started is known outside of its folder", "threads/worker/start.rs", "context.store.note_start(&claim.id)", "crate::effects::error::Result::Ok(())",
     [(IT, "blast::"), (IT, "hostile::")]),
    ("plain text succeeds only by its exit code", "pure/agent/generic/mod.rs", "Output::Text && code == 0 =>", "Output::Text && code <= 1 =>",
     [(IT, "own_agent::")]),
    ("a program is asked once", "threads/shared/abilities.rs", ".filter(|(known, _)| *known == identity)", ".filter(|_| false)",
     [(IT, "agent_settings::")]),
    ("a prompt in a file leaves stdin empty", "threads/worker/start.rs", "if driver.reads_prompt_file() {", "if false {",
     [(IT, "own_agent::")]),
    ("an accepted dispatch keeps its agent", "pure/agent/drivers.rs", "with(&self.names, self.made.clone())", "with(&self.names, Vec::new())",
     [(IT, "own_agent::")]),
    ("a silent agent is no failed start", "threads/session/follow.rs", "!is_known || may_be_silent ||", "!is_known || may_be_silent && false ||",
     [(IT, "own_agent::")]),
    ("what cannot be resumed starts anew", "pure/attempt/retry.rs", "summary.assistant_turns > 0 && driver.can_resume()", "summary.assistant_turns > 0",
     [(IT, "own_agent::")]),
    ("an answer from memory", "threads/conclude.rs", "Err(e) if !e.fault().is_everywhere() => {", "Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {",
     [(IT, "blast::"), (IT, "hostile::")]),
    ("what fails for one is tried a few times only", "threads/shared/persist.rs", "if own_tries >= OWN_TRIES {", "if own_tries >= u32::MAX {",
     [(IT, "blast::"), (IT, "hostile::")]),
    ("a pid that a session wrote is not its agent's", "effects/process/sweep.rs", "Some(false) => return holds(),", "Some(false) => return true,",
     [(IT, "blast::"), (IT, "hostile::")]),
    ("a result that was seen stands", "threads/session/follow.rs", "Some(before) if summary.result.is_none() && before.result.is_some() => before,", "",
     [(IT, "blast::")]),
    ("stderr counts as output", "threads/session/watch.rs", "output_bytes: seen.bytes.max(seen.stderr_bytes),", "output_bytes: seen.bytes,",
     [(IT, "blast::")]),
    ("the lane of a directory that came later", "threads/worker/gate.rs", "if lane == claim.lane { Ok(held) }", "if lane == lane { Ok(held) }",
     [(IT, "blast::")]),
    ("the place in the queue after a restart", "threads/intake/ledger.rs", "self.next_seq = self.next_seq.max(claim.seq + 1);", "",
     [(IT, "recovery::"), (FAULTS, "storm::two")]),
    ("received, before the acceptance", "threads/intake/accept.rs", "            self.audit_received(&dropped, &dispatch, signed.as_ref());\n            if let",
     "            if let", [(FAULTS, "crash::a_daemon_killed_before")]),
    ("spawned, before the start", "threads/worker/start.rs", "        self.audit_start(claim, dispatch, start);\n", "",
     [(FAULTS, "planted::"), (IT, "sessions::"), (FAULTS, "crash::a_daemon_killed_before")]),
    ("a tree is flattened, not descended into", "effects/store/disk/tree.rs", "                self.move_up(&path)?;\n",
     "                fs::remove_dir_all(&path).at(\"remove\", &path)?;\n", [(IT, "sessions::tmp")]),
    ("a place for temporary directories is ours alone", "effects/store/session_tmp.rs", "is_ours && stamp.mode & 0o777 == 0o700", "true",
     [(IT, "sessions::tmp")]),
    ("what a session left in its temporary directory goes with it", "threads/session/mod.rs",
     "        self.clear_tmp();\n        let has_exited", "        let has_exited", [(IT, "sessions::tmp")]),
    ("what a living session has stays at a start", "effects/store/session_tmp.rs",
     "is_name(name) && !in_use.contains(name)", "is_name(name)", [(IT, "sessions::tmp")]),
    ("only names of ours are removed there", "effects/store/session_tmp.rs",
     "is_name(name) && !in_use.contains(name)", "!in_use.contains(name)", [(IT, "sessions::tmp")]),
    ("no link is granted", "pure/confine/mod.rs", "                EntryKind::Link => {}", "                EntryKind::Link => grants.push(inner),", [(LIB, "confine::"), (IT, "confined::")]),
    ("what is denied stays denied where writing is allowed", "pure/confine/mod.rs",
     "        if self.denier(&grant.path).is_some() {\n            return;\n        }\n", "", [(LIB, "confine::")]),
    ("a session cannot signal from behind its wall", "effects/process/confine.rs", "            .scope(Scope::from_all(MOST))?;",
     "            .set_compatibility(CompatLevel::BestEffort);", [(IT, "confined::")]),
    ("a place is granted through no link", "effects/process/confine.rs", "let flags = (OFlags::PATH | OFlags::NOFOLLOW)", "let flags = (OFlags::PATH)",
     [(LIB, "confine::")]),
    ("the daemon's own state is denied", "threads/session/wall.rs", "let all = set.chain(own)", "let all = set.chain(own.take(0))", [(IT, "confined::")]),
    ("another session's temporary directory is denied", "threads/session/wall.rs", ".chain(store.tmp_places().iter().cloned());", ";", [(IT, "confined::")]),
    ("the acceptance command is behind the wall", "threads/session/verify.rs", "confinement: confinement.as_ref(),", "confinement: None,", [(IT, "confined::")]),
    ("git is behind the wall", "threads/session/mod.rs", "confinement: self.wall.as_ref().map(Wall::for_reading),", "confinement: None,", [(IT, "confined::")]),
    ("no wall, no start", "threads/reload.rs", "needs::unmet(settings, landlock_abi()).map_or(Ok(()), Err)", "Ok(())", [(IT, "confined::")]),
    ("published, before the inbox file goes", "threads/conclude.rs", "                    store.publish(&self.claim.id, &self.bytes)?;\n", "",
     [(IT, "recovery::")]),
    ("a session leads a group of its own", "effects/process/session.rs", "stdin(spawn.stdin).process_group(0);", "stdin(spawn.stdin);",
     [(IT, "sessions::"), (IT, "leftovers::"), (IT, "clocks::")]),
    ("a session has no terminal", "effects/process/mod.rs", "through: verb::needed(),", "through: None,", [(IT, "terminal::")]),
    ("an agent is named by its own environment", "effects/process/sweep.rs", "Some(leader) => leader == pid.to_string(),", "Some(_) => true,",
     [(IT, "terminal::")]),
    ("an agent that left its group is signalled by itself", "effects/process/session.rs", "is_ok_and(|group| group != pid)", "is_ok_and(|_| false)",
     [(IT, "leader::")]),
    ("what a check left is looked for by its own mark", "threads/session/verify.rs", "group: check, ..self.mark() }", "..self.mark() }",
     [(IT, "verify::")]),
    ("no secret in our own log", "lib.rs", "pure::text::escape::line(&effects::secrets::redact(text))", "pure::text::escape::line(text)", [(IT, "log::")]),
    ("what was spent is noted before anything follows", "threads/session/mod.rs",
     "        self.context.note_cost(&claim.id, &self.start, &end);\n", "", [(IT, "budget::")]),
    ("a budget holds until it is counted again", "pure/schedule/held.rs", "        if self.is_budget() {\n            return true;\n        }\n", "",
     [(LIB, "hold::"), (LIB, "budget::")]),
    ("no release lifts a budget", "pure/schedule/hold.rs", "!hold.is_budget() && agent.is_none_or(", "agent.is_none_or(", [(LIB, "hold::"), (IT, "budget::")]),
    ("no session that works lifts a budget", "pure/schedule/hold.rs", "!h.is_budget() && h.covers(agent, lane)", "h.covers(agent, lane)",
     [(LIB, "hold::")]),
    ("a retry waits for the budget", "threads/worker/mod.rs", "!course.ended.is_empty() && self.context.is_used_up_for(&course.claim.lane)", "false",
     [(IT, "budget::")]),
    ("what was spent is known after a restart", "threads/shared/budget.rs", "for cost in file.costs {", "for cost in file.costs.into_iter().skip(99) {",
     [(IT, "budget::")]),
    ("what was spent is counted where no file says it", "threads/shared/budget.rs", "None => self.note_answered(&mut spending, from_ms),", "None => {}",
     [(IT, "budget::")]),
    ("what a session did to the file is mended", "effects/store/costs.rs", "len() != length {", "len() > u64::MAX - length {",
     [(IT, "budget::")]),
    ("a budget is counted once", "pure/schedule/budget.rs", "if self.0.iter().rev().any(|known| known.is_same(&spent)) {", "if false {", [(LIB, "budget::")]),
    ("no secret in an audit line", "effects/store/drop_zone/audit.rs", "secrets::redact_json(&event.line(&clock::stamp(), dispatch_id))",
     "event.line(&clock::stamp(), dispatch_id)", [(IT, "secrets::")]),
    ("no secret in a record", "effects/store/disk/files.rs", "to_exact_json(value, path).map(secrets::redact_json_bytes)",
     "to_exact_json(value, path)", [(IT, "secrets::")]),
    ("no secret in a report", "effects/store/claims/publish.rs", "Ok(()) => Ok(secrets::redact_json_bytes(bytes)),", "Ok(()) => Ok(bytes),",
     [(IT, "secrets::")]),
    ("no secret in a reason", "effects/store/drop_zone/inbox.rs", "        let bytes = secrets::redact_json_bytes(bytes);\n", "", [(IT, "secrets::")]),
    ("a secret that we hold is known by value", "pure/text/redact/held.rs",
     "all.extend(text.match_indices(form.as_str()).map(|(at, _)| at..at + form.len()));", "", [(LIB, "redact::")]),
    ("an id is no secret", "pure/text/redact/shapes.rs", "(!is_in_id(bytes, at)).then_some(at..end)", "Some(at..end)", [(LIB, "redact::")]),
    ("nobody reads the daemon's memory", "lib.rs", "let is_shut = effects::secrets::shut_memory();", "let is_shut: std::io::Result<()> = Ok(());",
     [(IT, "secrets::")]),
    ("a file that may not grow is no death", "threads/signals.rs", "    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;\n", "",
     [(IT, "log::")]),
    ("an error is not an absence", "effects/store/disk/identity.rs", "Err(e) if is_nothing(&e) => Ok(None),",
     "Err(_) => Ok(None),", [(FAULTS, "errors::")]),
    ("work waits while the disk takes nothing", "threads/intake/workers.rs", "            && !self.halt.is_on()\n", "",
     [(IT, "disk::"), (FAULTS, "errors::")]),
    ("what was never durable never ran", "pure/attempt/recovery.rs", "if !attempt.readable && !attempt.traces && !found.accepted =>",
     "if !attempt.readable && attempt.traces && !found.accepted =>", [(IT, "recovery::")]),
    ("a fork on its way to an exec is no leftover", "effects/process/sweep.rs",
     "\n            && !is_fork_of_ours(pid, stat)", "",
     [(IT, "leftovers::"), (IT, "sessions::"), (FAULTS, "storm::two")]),
    ("no stranger is told while a fork is under way", "effects/process/mod.rs",
     "let _forking = self.forking.read().unwrap_or_else(PoisonError::into_inner);", "",
     [(IT, "leftovers::"), (IT, "sessions::"), (FAULTS, "storm::two")]),
    ("orphans come to us", "effects/process/mod.rs", "subreaper: become_subreaper(),", "subreaper: false,",
     [(IT, "leftovers::"), (IT, "sessions::"), (IT, "recovery::")]),
    ("a pid is only who it was", "effects/process/session.rs", "stat.start_time == start_time && !stat.is_dead()", "!stat.is_dead() || start_time == 0",
     [(LIB, "process::")]),
    ("no variable of ours reaches an agent's own daemon", "effects/process/session.rs", "            command.env_remove(name);", "            let _ = name;",
     [(IT, "sessions::")]),
    ("one project at a time", "pure/schedule/queue.rs", "let per_lane_max = if per_lane_max == 0 { usize::MAX } else { per_lane_max };", "let per_lane_max = usize::MAX.max(per_lane_max);", [(IT, "sessions::"), (IT, "afternoon::")]),
    ("no kill tears a line of the audit log", "pure/upkeep/rotation.rs", "if left < line_bytes && line_bytes <= PIECE_BYTES { left }",
     "if false { left }", [(LIB, "rotation::"), (IT, "rotation::")]),
    ("a torn line of the audit log is closed", "effects/store/drop_zone/audit.rs", "    if torn {\n        file.write_all", "    if torn && bytes == 0 {\n        file.write_all",
     [(IT, "rotation::"), (IT, "disk::"), (IT, "intake::")]),
    ("part of a line is cut off again", "effects/store/drop_zone/audit.rs", "file.set_len(length.saturating_sub(written as u64))?;", "let _ = length;",
     [(IT, "disk::"), (FAULTS, "errors::")]),
    ("folders of claims keep their parent", "effects/store/disk/group_sync.rs", "if rounds.good > asked_at {", "if rounds.good > 0 {",
     [(FAULTS, "synced::")]),
    ("a file that may be half-written is waited for", "threads/intake/reject.rs", "if rejection.reason.may_be_half_written()", "if false",
     [(IT, "intake::")]),
    ("a clock that was set is not believed", "pure/upkeep/retention.rs", "monotonic_ms >= self.doubted_until_ms", "monotonic_ms >= 0",
     [(FAULTS, "clock::")]),
    ("a pause decided under a wrong clock", "threads/courier/mod.rs", "Duration::from_millis(left_ms).min(decided)",
     "Duration::from_millis(left_ms)", [(IT, "callback::")]),
    ("one callback at a time for each host", "pure/callback/schedule.rs", "!host.is_busy && (", "(", [(IT, "delivery::")]),
    ("no proxy of the environment", "threads/shared/sources.rs", "if settings.use_env_proxy {", "if true {", [(IT, "delivery::"), (IT, "callback_policy::")]),
    ("no proxy for this machine", "effects/http/callback.rs", "proxy.filter(|_| !lookup::is_loopback(&addresses))", "proxy", [(IT, "callback_policy::")]),
    ("every address of a host is judged", "effects/http/lookup.rs", "addresses.iter().find_map(|address| forbidden(address.ip()))",
     "addresses.first().and_then(|address| forbidden(address.ip()))", [(LIB, "lookup::")]),
    ("no callback goes to a forbidden address", "effects/http/lookup.rs", "find_map(|address| forbidden(address.ip()))",
     "find_map(|_| None::<crate::pure::callback::address::ForbiddenAddress>)", [(IT, "callback_policy::")]),
    ("callbacks go where callback_allow says", "pure/callback/destination.rs", "Some(allow) if !allow.iter()", "Some(allow) if false && !allow.iter()",
     [(IT, "callback_policy::")]),
    ("a 4xx ends a callback", "pure/callback/delivery.rs", "400..=499 => Delivery::Final,", "", [(IT, "callback_policy::")]),
    ("what is given up goes some day", "threads/heartbeat/retention.rs", "all(spent), all(forget)]",
     "all(spent), all(ShelfLimits { keep: Duration::ZERO, ..forget })]", [(IT, "retention::")]),
    ("what is given up is kept", "effects/store/outbox.rs", "        self.asides.rename_over(&from, &to, &entry.dispatch_id)",
     "        let _ = to;\n        files::remove(&from)", [(IT, "callback_policy::")]),
    ("what is taken back is tried anew", "threads/courier/mod.rs", "(entry.tries, entry.next_at_ms, entry.asked_pause_ms) = (0, 0, 0);", "",
     [(IT, "callback_policy::")]),
    ("a longer pause that the receiver asks for", "threads/courier/mod.rs", "pause.map(|pause| pause.max(asked.unwrap_or_default()))", "pause",
     [(IT, "callback_policy::")]),
    ("and it outlives a restart", "threads/courier/mod.rs", "decided.max(asked_pause(entry))", "decided", [(IT, "callback_policy::")]),
    ("a token goes to its own origin", "threads/courier/secrets.rs", "self.tokens.get(origin)", "self.tokens.values().next()", [(IT, "callback_signed::")]),
    ("a secret that is wrong is not none", "threads/courier/secrets.rs", "if let Some(secret) = self.signing.as_ref().ok()? {",
     "if let Ok(Some(secret)) = &self.signing {", [(IT, "callback_signed::")]),
    ("a secret is closed to others", "pure/upkeep/ownership.rs", "Guarded::Secret if mode & OTHERS_ALL != 0 => Verdict::TooOpen,", "", [(IT, "callback_signed::")]),
    ("a secret has one name", "effects/store/secret_file.rs", "if meta.nlink() != 1 {", "if false {", [(IT, "callback_signed::")]),
    ("no report goes to a task of Clawvisor", "threads/conclude.rs", "        if is_relayed_to_nobody(context, url) {\n            return Ok(());\n        }\n", "",
     [(IT, "callback_policy::")]),
    ("a report is noted before its dispatch is retired", "threads/conclude.rs", "store.put_finishing(&self.claim.id, &self.bytes)?;",
     "let _ = &self.bytes;", [(IT, "on_finish::")]),
    ("what was told is noted no more", "threads/on_finish.rs", "self.log(id, end, failure, began.elapsed());\n        store.remove_finishing(id)",
     "self.log(id, end, failure, began.elapsed());\n        Ok(())", [(IT, "on_finish::")]),
    ("what an earlier daemon did not tell", "threads/on_finish.rs", "Ok(ids) => finisher.waiting.extend(ids),", "Ok(ids) => drop(ids),",
     [(IT, "on_finish::")]),
    ("what is cut at the end is told anew", "threads/on_finish.rs", "Ran::Cut => return Ok(()),", "Ran::Cut => return store.remove_finishing(id),",
     [(IT, "on_finish::")]),
    ("the group of a program that hangs", "effects/process/hook.rs", "let _ = kill_process_group(pid, Signal::KILL);",
     "let _ = rustix::process::kill_process(pid, Signal::KILL);", [(IT, "on_finish::")]),
    ("a program's log stays small", "effects/process/hook.rs", "let _ = hook.log.set_len(hook.log_bytes_max);", "", [(IT, "on_finish::")]),
    ("no token in a program's environment", "effects/process/hook.rs", "command.env_remove(name);", "let _ = name;", [(IT, "on_finish::")]),
    ("an order of a receiver's is no field of ours", "pure/callback/body.rs", "fields.retain(|key, _| !NEVER.contains(&key.as_str()));", "", [(LIB, "body::")]),
    ("what the session changed was not dirty before", "effects/git/dirty.rs",
     "ms(meta.mtime(), meta.mtime_nsec()) < self.since_ms\n            && ms(meta.ctime(), meta.ctime_nsec()) < self.since_ms",
     "ms(meta.mtime(), meta.mtime_nsec()) < self.since_ms", [(IT, "told::")]),
    ("a history that was rewritten", "effects/git/mod.rs", " && !is_rewritten", "", [(IT, "told::")]),
    ("a git directory that lies elsewhere points back", "effects/git/own_dirs.rs", "if back != tree.dot_git.canonicalize().ok()? {",
     "if false {", [(IT, "codex::stand_in")]),
    ("the reset of a limit is in the agent's record", "pure/agent/codex/rollout.rs", "summary.limit = limit.or(summary.limit.take());",
     "let _ = limit;", [(IT, "codex::stand_in")]),
    ("a set CODEX_HOME is where its record is", "threads/session/wall.rs", "set.or_else(|| context.processes.inherited(name))",
     "set.and(None).or_else(|| context.processes.inherited(name))", [(IT, "codex::stand_in::what_the")]),
    ("what a permission mode does without is not asked", "threads/shared/self_checks.rs", "terms.launcher.is_none() && !does_without(check))",
     "terms.launcher.is_none() && (!does_without(check) || true))", [(IT, "codex::stand_in::what_the")]),
    ("a resumed turn's tokens are its own", "pure/agent/codex/rollout.rs", "summary.tokens = tokens(usage);", "let _ = tokens(usage);",
     [(IT, "codex::stand_in")]),
    ("a start may fail after its first line", "pure/attempt/outcome.rs", "(1..=e.driver.start_lines).contains(&e.summary.lines)", "false",
     [(IT, "codex::stand_in")]),
    ("a reconnection is not the end", "pure/agent/codex/stream.rs", "summary.last_error = Some(one_line(message, ERROR_CHARS_MAX));",
     "self.end_turn(ResultEvent { failure: Some(errors::failure(None, message)), ..ResultEvent::default() }, summary);",
     [(IT, "codex::stand_in")]),
    ("a first answer is waited for no longer than its limit", "pure/attempt/limits.rs",
     "is_over(look.unanswered_since_ms, limits.first_answer_ms)", "is_over(None, limits.first_answer_ms)", [(IT, "first_answer::")]),
    ("a model that works may take its time", "pure/attempt/limits.rs", "summary.init_seen && !has_spoken && summary.result.is_none()",
     "summary.init_seen && summary.result.is_none()", [(IT, "first_answer::")]),
    ("an agent that tells of no work is not held to a first answer", "threads/session/follow.rs", "self.driver.tells_of_work() && ", "",
     [(IT, "first_answer::")]),
    ("an answer that came as its session was ended stands", "pure/attempt/outcome.rs",
     "Some(StopCause::ResultGrace | StopCause::Unanswered)", "Some(StopCause::ResultGrace)", [(LIB, "outcome::")]),
    ("a line for a shell has single words", "pure/agent/resume_line.rs", '"cd".to_string(), escape::shell_word(launch.dir)',
     '"cd".to_string(), launch.dir.to_string()', [(IT, "resume::")]),
    ("a line for a shell is one plain line", "pure/agent/resume_line.rs", "(escape::line(&line) == line && redact(&line) == line)",
     "(!line.is_empty())", [(IT, "resume::")]),
    ("a session that told no id is not offered", "threads/session/resume_line.rs",
     "summary.session_id.clone().filter(|_| !summary.session_is_unknown)?",
     "summary.session_id.clone().or(Some(self.start.session_id.clone()))?", [(IT, "resume::")]),
    ("a program is asked with its variables", "threads/shared/abilities.rs", "variables: &borrowed(env),", "variables: &[],",
     [(IT, "agent_settings::")]),
    ("a program is checked with its variables", "threads/shared/self_checks.rs", "variables: &borrowed(env),", "variables: &[],",
     [(IT, "agent_settings::")]),
    ("another's pull request is not the session's", "pure/agent/gemini/stream.rs", " && !output.contains(OPENED_EARLIER)", "", [(LIB, "pull_request::")]),
    ("only the answer to the call that opens it names a pull request", "pure/agent/pull_request.rs",
     "id.is_some_and(|id| self.0.remove(&id))", "id.is_some()", [(LIB, "pull_request::")]),
    ("a cancel of what is left of a dispatch is heeded", "threads/intake/answers.rs",
     "self.requests.remove_cancel(id.as_str());\n                let names: Vec<OsString> =", "let names: Vec<OsString> =", [(IT, "requests::")]),
    ("what was accepted stays a dispatch", "effects/store/claims/accept.rs", "parse(agents).or_else(by_past_agent)?", "parse(agents).or_else(|| None.or_else(by_past_agent).filter(|_| false))?",
     [(IT, "gone_agent::")]),
    ("a session keeps the dialect that it was started with", "pure/agent/drivers.rs", "if now.dialect == *then => row,", "if now.dialect == *then || true => row,",
     [(IT, "gone_agent::")]),
    ("what is built in no record can change", "pure/agent/drivers.rs", "(Some(None), _) | (_, None) => row,",
     "(_, None) => row,\n            (Some(None), Some(then)) => Some(leaked(agent, Template::of_dialect(then.clone()))),", [(LIB, "drivers::")]),
    ("a success in which the agent did nothing is none", "pure/agent/gemini/stream.rs", "if summary.assistant_turns > 0 {\n        return None;",
     "if summary.results < 99 {\n        return None;", [(IT, "gemini::recorded")]),
    ("an exit code tells what the words do not", "pure/attempt/outcome.rs", "failed_as(&by_exit(e).unwrap_or_else(|| failure.clone()))",
     "failed_as(failure)", [(IT, "gemini::fake::what_only")]),
    ("the engine's command before our signals", "threads/session/engine.rs", "    pub(super) fn stop(&mut self) -> Option<Exit> {\n        self.end_in_engine();",
     "    pub(super) fn stop(&mut self) -> Option<Exit> {", [(IT, "launcher::engine")]),
    ("time for the launcher to end by itself", "threads/session/engine.rs", "if ends_itself && let Some(exit)", "if ends_itself && false && let Some(exit)",
     [(IT, "launcher::engine")]),
    ("the engine's command after an end that is not ours", "threads/session/mod.rs", "        self.end_in_engine();\n        let swept = self.sweep(claim);\n        // A crash",
     "        let swept = self.sweep(claim);\n        // A crash", [(IT, "launcher::engine")]),
    ("the engine's command before what is given up", "threads/session/mod.rs", "        self.end_in_engine();\n        let swept = self.sweep(claim);\n        self.follower",
     "        let swept = self.sweep(claim);\n        self.follower", [(IT, "launcher::engine")]),
    ("the engine's command before a recorded end is answered", "threads/worker/resume.rs", "running.end_in_engine();", "",
     [(IT, "launcher::engine")]),
    ("the engine's command where the records are gone", "threads/worker/resume.rs", "engine::end_in_engine(self.context, &launcher.filled(&words))",
     "None", [(IT, "launcher::engine")]),
    ("a report that a session may have written, and its engine", "threads/recover.rs", "if may_run_elsewhere(context, &claim, &contents)\n                || recovered",
     "if may_run_elsewhere(context, &claim, &contents) && false\n                || recovered", [(IT, "launcher::engine")]),
    ("no second session beside one that may still run", "threads/session/engine.rs", "if !is_unknown || next", "if !is_unknown || true || next",
     [(IT, "launcher::engine")]),
    ("a fail code counts only without an event", "pure/attempt/outcome.rs", "is_fail_code && !has_begun(summary)", "is_fail_code",
     [(LIB, "outcome")]),
    ("one more try for a launcher that failed", "pure/attempt/retry.rs", "error_type == ErrorType::SpawnFailed && !start.relaunched",
     "error_type == ErrorType::SpawnFailed", [(LIB, "retry")]),
    ("the beginning that is on record moves no deadline beyond its bound", "pure/attempt/limits.rs", "latest_ms.min(begun_ms.saturating_add(ttl_ms))",
     "begun_ms.saturating_add(ttl_ms)", [(LIB, "limits")]),
    ("a recorded deadline is no later than that of a new session", "pure/attempt/limits.rs", "recorded_ms.min(now_ms.saturating_add(ttl_ms).saturating_add(wait_ms))",
     "recorded_ms.max(ttl_ms.saturating_add(wait_ms).min(now_ms))", [(LIB, "limits")]),
    ("the beginning of a queued session is on record", "threads/session/watch.rs", "self.attempt.write_begun(&BegunRecord { monotonic_ms })",
     "crate::effects::error::Result::Ok(drop(BegunRecord { monotonic_ms }))", [(IT, "launcher::limits")]),
    ("a launched session's leftovers may be anywhere", "threads/worker/start.rs", "is_below_us: launcher.is_none(),", "is_below_us: true,",
     [(IT, "launcher::passes")]),
    ("no option and no path by a project's name", "pure/config/placeholder.rs", "name.trim_start_matches(['-', '.'])", "name.as_str()",
     [(LIB, "placeholder")]),
    ("a session without a mark is known by its output", "effects/process/sweep.rs", "Some(false) => return holds(),", "Some(false) => return false,",
     [(IT, "launcher::engine::a_session_without")]),
    ("a session with another token is not this one", "effects/process/sweep.rs", "mark.stdout.as_ref().filter(|_| !has_token)",
     "mark.stdout.as_ref().filter(|_| !has_token || true)", [(IT, "blast::forged")]),
    ("an identity is set only where the repository has none", "pure/agent/git_identity.rs", "|| repository != Said::default()",
     "", [(IT, "gemini::fake::who_commits")]),
    ("an engine is asked again after its launcher was signalled", "threads/session/engine.rs", "        self.engine_end = None;\n", "",
     [(IT, "launcher::")]),
    ("the watchdog's word is intake's own", "threads/intake/mod.rs", "recv(watchdog) -> _ => self.context.service_manager.tell_alive(),",
     "recv(watchdog) -> _ => {}", [(IT, "service_manager")]),
    ("another process is asked", "pure/upkeep/watchdog.rs", "filter(|us| *us > 0 && is_for_us)", "filter(|us| *us > 0 || is_for_us)", [(LIB, "watchdog")]),
    ("the manager's socket is the daemon's", "pure/agent/environment.rs", '"NOTIFY_SOCKET",\n    "WATCHDOG_USEC",', '"WATCHDOG_USEC",', [(LIB, "environment")]),
    ("a manager that does not read", "effects/service_manager.rs", "socket.set_nonblocking(true)?;", "", [(IT, "service_manager")]),
]
# Names of rows that no test can notice, and why.
EXPLAINED = {
    "no stranger is told while a fork is under way": "the kernel lists a thread's children with that thread, and the main thread, whose list is"
    " read, forks nothing; the lock is for a system that would list them all",
    "two ways to what comes later are one lane": "the start asks for the lane again, when the directory exists: before"
    " that the lane only saves a claim the way to a worker and back",
    "a second look of the sweep": "where the kernel hands orphans to us one look without any is enough; the second is for a process that forks"
    " and ends just while /proc is being read, which no test can time",
}


def run(words, **more):
    # A file, no pipe: what a mutated daemon leaves behind may hold its output for hours.
    with tempfile.TemporaryFile("w+") as out:
        done = subprocess.run(words, cwd=COPY, stdout=out, stderr=subprocess.STDOUT, text=True, **more)
        out.seek(0)
        done.stdout = out.read()
    return done


def cargo(*words):
    environ = dict(os.environ, CARGO_TARGET_DIR=os.path.join(COPY, "target"))
    return run(["cargo", "test", "--locked", "--features", "failpoints", *words], env=environ)


def fresh_copy():
    os.makedirs(COPY, exist_ok=True)
    # What was moved since the last run must not be there twice. The built things stay.
    for name in os.listdir(COPY):
        path = os.path.join(COPY, name)
        if name != "target":
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        target = os.path.join(COPY, name)
        os.makedirs(os.path.dirname(target) or COPY, exist_ok=True)
        shutil.copy2(os.path.join(HERE, name), target)


def is_caught(row):
    name, file, text, mutant, tests = row
    path = os.path.join(COPY, "src", file)
    source = open(path).read()
    if source.count(text) != 1:
        sys.exit(f"the row {name!r} is stale: its text stands {source.count(text)} times in {file}")
    open(path, "w").write(source.replace(text, mutant))
    try:
        built = cargo("--no-run", "--lib", "--test", IT, "--test", FAULTS)
        if built.returncode:
            sys.exit(f"the row {name!r} is stale: with it nothing builds:\n{built.stdout[-1500:]}")
        for target, wanted in tests:
            chosen = ["--lib"] if target == LIB else ["--test", target]
            if cargo(*chosen, wanted, "--", "--test-threads", TEST_THREADS).returncode:
                return f"caught by {target} {wanted}"
        return None
    finally:
        open(path, "w").write(source)


def main():
    words = sys.argv[1:]
    part, parts = 1, 1
    if words[:1] == ["--part"]:
        part, parts = map(int, words[1].split("/"))
        words = words[2:]
    rows = [row for row in ROWS if not words or any(word in row[0] for word in words)][part - 1 :: parts]
    fresh_copy()
    missed = []
    for number, row in enumerate(rows, 1):
        began = time.time()
        caught = is_caught(row)
        if caught is None and row[0] not in EXPLAINED:
            missed.append(row[0])
        said = caught or f"MISSED{': ' + EXPLAINED[row[0]] if row[0] in EXPLAINED else ''}"
        print(f"[{number}/{len(rows)}] {row[0]}: {said} ({time.time() - began:.0f} s)", flush=True)
    print(f"{len(rows) - len(missed)} of {len(rows)} caught or explained; missed: {missed}")
    return 1 if len(missed) > len(rows) * 0.05 else 0


if __name__ == "__main__":
    sys.exit(main())
