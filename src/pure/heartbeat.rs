//! `.daemon-heartbeat` as a value: the daemon writes it, the commands read it.
//!
//! The fields stand in the order of their names, which is the order on disk. What is not known, or
//! does not hold just now, is absent. A reader takes what it understands: the seed's heartbeat has
//! four of the fields, and one of a newer daemon has more, so that no field makes the others
//! unreadable. Nobody reads a beat that is too long, so every text that somebody else chose is cut.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::gate::PendingWhy;
use super::gate::clawvisor::ClawvisorState;
use super::schedule::hold::HoldKind;
use super::text::time::parse_rfc3339;

/// How many parked dispatches are listed.
const PARKED_MAX: usize = 100;
/// How many dispatches that wait for approval are listed.
pub const PENDING_SHOWN_MAX: usize = 50;
/// How much of a name or a reason is shown, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// How much of a text with a path in it is shown, in characters.
const PATH_CHARS_MAX: usize = 5000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heartbeat {
    /// How many sessions run.
    #[serde(deserialize_with = "or_default")]
    pub active: usize,
    /// How many callbacks were given up and lie in `outbox/dead/`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "is_none")]
    pub callbacks_dead: usize,
    /// How well Clawvisor can be asked; absent where it is not.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub clawvisor: Option<HeartbeatClawvisor>,
    /// What is wrong with the daemon, in words.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<HeartbeatHold>,
    #[serde(deserialize_with = "or_default")]
    pub local_only: bool,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<usize>,
    /// How many sessions may run in one project; 0 = no limit.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub max_per_project: Option<usize>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<HeartbeatParked>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// When the pause ends by itself, in RFC 3339.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<String>,
    /// The oldest of the dispatches that wait for approval.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<HeartbeatPending>,
    /// How many there are of them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub pending_count: Option<usize>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(deserialize_with = "or_default")]
    pub queued: usize,
    /// The running sessions, longest first.
    #[serde(deserialize_with = "or_default")]
    pub sessions: Vec<HeartbeatSession>,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub state: Option<DaemonState>,
    /// When it was written, in RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub ts: String,
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What the daemon is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    Run,
    /// The daemon begins nothing new and ends with its last session.
    Drain,
    Stopped,
}

/// A session that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeartbeatSession {
    pub attempt: u32,
    /// Seconds since this daemon took it up.
    pub elapsed: u64,
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// When it last wrote something, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    pub project: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
}

/// An agent that is held, in one project or (without a project) in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatHold {
    /// Absent: every agent, for a budget.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    pub kind: HoldKind,
    /// The dispatch that is let through to see whether the hold is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_dir: Option<String>,
    pub reason: String,
    /// When it ends, in RFC 3339.
    pub until: String,
    /// How many dispatches wait for it.
    pub waiting: usize,
}

/// A dispatch that a trouble of its own keeps from going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatParked {
    pub id: String,
    pub reason: String,
}

/// How well Clawvisor can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatClawvisor {
    /// In RFC 3339.
    pub since: String,
    pub state: ClawvisorState,
}

/// A dispatch that waits for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatPending {
    /// When it is given up, in RFC 3339.
    pub expires_at: String,
    pub id: String,
    pub project: String,
    /// When it was accepted, in RFC 3339.
    pub since: String,
    pub why: PendingWhy,
}

impl Heartbeat {
    /// `None`: this is no heartbeat. If two fields have one name, the last counts.
    pub fn read(bytes: &[u8]) -> Option<Heartbeat> {
        let fields: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        serde_json::from_value(Value::Object(fields)).ok()
    }

    /// When it was written, in milliseconds since 1970, as it says itself.
    pub fn at_ms(&self) -> Option<i64> {
        parse_rfc3339(&self.ts)
    }

    /// The same heartbeat, cut to what somebody reads.
    pub fn bounded(mut self) -> Heartbeat {
        self.parked.truncate(PARKED_MAX);
        let parked = self.parked.iter_mut().map(|parked| &mut parked.reason);
        let holds = self.holds.iter_mut();
        let holds = holds.flat_map(|hold| [Some(&mut hold.reason), hold.project.as_mut()]);
        self.pending.truncate(PENDING_SHOWN_MAX);
        let parked = parked.chain(self.pending.iter_mut().map(|pending| &mut pending.project));
        let sessions = self.sessions.iter_mut();
        let sessions = sessions.flat_map(|one| [Some(&mut one.project), one.last_tool.as_mut()]);
        for text in parked.chain(holds.chain(sessions).flatten()) {
            cut(text, TEXT_CHARS_MAX);
        }
        let directories = self.holds.iter_mut().filter_map(|hold| hold.project_dir.as_mut());
        for text in directories.chain(&mut self.degraded) {
            cut(text, PATH_CHARS_MAX);
        }
        self
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Cuts a text. One that was cut says so at its end.
fn cut(text: &mut String, chars_max: usize) {
    if text.chars().nth(chars_max).is_some() {
        let kept = text.char_indices().nth(chars_max - 1).map_or(0, |(at, _)| at);
        text.truncate(kept);
        text.push('…');
    }
}

/// What cannot be understood counts as absent.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Heartbeat {
        let session = HeartbeatSession {
            attempt: 2,
            elapsed: 61,
            id: "dispatch-a".into(),
            input_tokens: Some(1200),
            last_activity: Some("2026-04-03T14:29:59.000Z".into()),
            last_tool: Some("Bash".into()),
            output_bytes: Some(4096),
            output_tokens: Some(34),
            project: "shop".into(),
            total_cost_usd: Some(0.1),
            turns: Some(3),
        };
        let hold = HeartbeatHold {
            agent: "claude".into(),
            kind: HoldKind::UsageLimit,
            probe: Some("dispatch-p".into()),
            project: Some("shop".into()),
            project_dir: Some("/git/shop".into()),
            reason: "five_hour: limit".into(),
            until: "2026-04-03T15:00:00.000Z".into(),
            waiting: 4,
        };
        let pending = HeartbeatPending {
            expires_at: "2026-04-04T14:30:00.000Z".into(),
            id: "dispatch-w".into(),
            project: "shop".into(),
            since: "2026-04-03T14:30:00.000Z".into(),
            why: PendingWhy::UntrustedProject,
        };
        Heartbeat {
            active: 1,
            callbacks_dead: 2,
            clawvisor: Some(HeartbeatClawvisor {
                since: "T1".into(),
                state: ClawvisorState::TokenRefused,
            }),
            degraded: Some("no space".into()),
            holds: vec![hold],
            local_only: true,
            max_concurrent: Some(2),
            max_per_project: Some(1),
            parked: vec![HeartbeatParked { id: "dispatch-q".into(), reason: "cannot".into() }],
            paused: true,
            paused_until: Some("2026-04-03T16:00:00.000Z".into()),
            pending: vec![pending],
            pending_count: Some(1),
            pid: Some(812),
            queued: 5,
            sessions: vec![session],
            state: Some(DaemonState::Drain),
            ts: "2026-04-03T14:30:00.000Z".into(),
            version: Some("0.1.0".into()),
        }
    }

    #[test]
    fn a_heartbeat_is_written_as_it_always_was_and_read_back() {
        let text = concat!(
            r#"{"active":1,"callbacks_dead":2,"clawvisor":{"since":"T1","state":"token_refused"},"#,
            r#""degraded":"no space","#,
            r#""holds":[{"agent":"claude","kind":"usage_limit","#,
            r#""probe":"dispatch-p","project":"shop","project_dir":"/git/shop","#,
            r#""reason":"five_hour: limit","until":"2026-04-03T15:00:00.000Z","waiting":4}],"#,
            r#""local_only":true,"max_concurrent":2,"max_per_project":1,"#,
            r#""parked":[{"id":"dispatch-q","reason":"cannot"}],"paused":true,"#,
            r#""paused_until":"2026-04-03T16:00:00.000Z","#,
            r#""pending":[{"expires_at":"2026-04-04T14:30:00.000Z","id":"dispatch-w","#,
            r#""project":"shop","since":"2026-04-03T14:30:00.000Z","why":"untrusted_project"}],"#,
            r#""pending_count":1,"pid":812,"#,
            r#""queued":5,"sessions":[{"attempt":2,"elapsed":61,"id":"dispatch-a","#,
            r#""input_tokens":1200,"last_activity":"2026-04-03T14:29:59.000Z","#,
            r#""last_tool":"Bash","output_bytes":4096,"output_tokens":34,"project":"shop","#,
            r#""total_cost_usd":0.1,"turns":3}],"state":"drain","#,
            r#""ts":"2026-04-03T14:30:00.000Z","version":"0.1.0"}"#,
        );
        assert_eq!(serde_json::to_string(&full()).expect("JSON"), text);
        assert_eq!(Heartbeat::read(text.as_bytes()), Some(full()));
    }

    #[test]
    fn what_is_not_so_is_absent() {
        let session = HeartbeatSession { id: "dispatch-a".into(), ..HeartbeatSession::default() };
        let beat = Heartbeat { active: 1, sessions: vec![session], ..Heartbeat::default() };
        let text = concat!(
            r#"{"active":1,"local_only":false,"queued":0,"#,
            r#""sessions":[{"attempt":0,"elapsed":0,"id":"dispatch-a","project":""}],"ts":""}"#,
        );
        assert_eq!(serde_json::to_string(&beat).expect("JSON"), text);
    }

    #[test]
    fn a_heartbeat_of_the_seed_or_of_a_newer_daemon_is_read() {
        let seed = r#"{"ts":"1970-01-01T00:00:01.000Z","active":1,"queued":2,"pid":812}"#;
        let beat = Heartbeat::read(seed.as_bytes()).expect("a heartbeat");
        assert_eq!((beat.at_ms(), beat.active, beat.queued), (Some(1000), 1, 2));
        assert_eq!((beat.pid, beat.state, beat.version.as_deref()), (Some(812), None, None));
        let newer = r#"{"ts":"1970-01-01T00:00:02.000Z","pid":-1,"pid":7,"state":"resting",
            "holds":[{"agent":"x"}],"max_concurrent":"many","moon":{"phase":"full"},"queued":2}"#;
        let beat = Heartbeat::read(newer.as_bytes()).expect("a heartbeat");
        assert_eq!((beat.at_ms(), beat.pid, beat.queued), (Some(2000), Some(7), 2));
        assert_eq!((beat.state, beat.holds, beat.max_concurrent), (None, Vec::new(), None));
        for foreign in ["", "[]", "7", "{\"ts\": \"2026", "null"] {
            assert_eq!(Heartbeat::read(foreign.as_bytes()), None, "{foreign}");
        }
        let nothing = Heartbeat::read(b"{\"ts\": 5}").expect("a heartbeat");
        assert_eq!((nothing.at_ms(), nothing.pid), (None, None));
    }

    #[test]
    fn what_others_chose_is_cut() {
        let mut beat = full();
        let long = "ü".repeat(6000);
        beat.degraded = Some(long.clone());
        beat.holds[0].project_dir = Some(long.clone());
        beat.holds[0].reason = long.clone();
        beat.sessions[0].project = "ü".repeat(200);
        beat.sessions[0].last_tool = Some("ü".repeat(201));
        beat.parked = vec![HeartbeatParked { id: "dispatch-q".into(), reason: long }; 101];
        let one = beat.pending[0].clone();
        beat.pending = vec![HeartbeatPending { project: "ü".repeat(201), ..one }; 51];
        let beat = beat.bounded();
        let is_cut = |text: &str, to| text.chars().count() == to && text.ends_with("ü…");
        assert!(is_cut(beat.degraded.as_deref().expect("a text"), 5000));
        assert!(is_cut(beat.holds[0].project_dir.as_deref().expect("a path"), 5000));
        assert!(is_cut(&beat.holds[0].reason, 200));
        assert_eq!(beat.sessions[0].project, "ü".repeat(200));
        assert!(is_cut(beat.sessions[0].last_tool.as_deref().expect("a tool"), 200));
        assert!(beat.pending.len() == 50 && is_cut(&beat.pending[49].project, 200));
        assert!(beat.parked.len() == 100 && is_cut(&beat.parked[99].reason, 200));
    }
}
