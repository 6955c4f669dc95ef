//! The three questions that Clawvisor is asked: whether it is there, what a task says, and to
//! complete one.
//!
//! The token goes to the origin of the settings and to these paths, and nowhere else: no redirect
//! is followed, and no cookie is kept. Each question has one time limit, from the name's resolution
//! to the answer's end. What an answer means is not decided here.

use std::time::{Duration, Instant};

use super::callback::{Failure, Sender, failure};
use crate::pure::callback::destination::Origin;
use crate::pure::gate::clawvisor::TaskId;

/// More of an answer than this is none, in bytes.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Clawvisor holds a long poll for longer than it is asked to.
const POLL_GRACE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClawvisorQuestion {
    /// Nobody has to show a token for this.
    IsReady,
    /// `wait`: the answer may wait so long for a person's decision.
    Task {
        id: TaskId,
        wait: Option<Duration>,
    },
    Complete {
        id: TaskId,
    },
}

/// What came back, whoever sent it.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Its `Retry-After`, as it stands there.
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

impl ClawvisorQuestion {
    fn path(&self) -> String {
        match self {
            ClawvisorQuestion::IsReady => "/ready".into(),
            ClawvisorQuestion::Task { id, wait: None } => format!("/api/tasks/{id}"),
            ClawvisorQuestion::Task { id, wait: Some(wait) } => {
                format!("/api/tasks/{id}?wait=true&timeout={}", wait.as_secs())
            }
            ClawvisorQuestion::Complete { id } => format!("/api/tasks/{id}/complete"),
        }
    }

    fn wait(&self) -> Duration {
        match self {
            ClawvisorQuestion::Task { wait: Some(wait), .. } => *wait + POLL_GRACE,
            ClawvisorQuestion::Task { wait: None, .. }
            | ClawvisorQuestion::IsReady
            | ClawvisorQuestion::Complete { .. } => Duration::ZERO,
        }
    }
}

impl Sender {
    /// Asks once. `timeout` bounds everything but what a long poll waits.
    pub fn ask(
        &self,
        question: &ClawvisorQuestion,
        origin: &Origin,
        token: Option<&str>,
        timeout: Duration,
    ) -> Result<Reply, Failure> {
        let began = Instant::now();
        let agent = self.agent_to(origin, timeout)?;
        let url = format!("{origin}{}", question.path());
        let whole = timeout.max(question.wait()).saturating_sub(began.elapsed());
        let limit = Some(whole);
        let connect = Some(timeout.min(whole));
        let bearer = token.map(|token| format!("Bearer {token}"));
        let sent = match question {
            ClawvisorQuestion::Complete { .. } => {
                let request = agent.post(&url).config().timeout_global(limit);
                let mut request = request.timeout_connect(connect).build();
                if let Some(bearer) = bearer {
                    request = request.header("Authorization", bearer);
                }
                request.send_empty()
            }
            ClawvisorQuestion::IsReady | ClawvisorQuestion::Task { .. } => {
                let request = agent.get(&url).config().timeout_global(limit);
                let mut request = request.timeout_connect(connect).build();
                if let Some(bearer) = bearer {
                    request = request.header("Authorization", bearer);
                }
                request.call()
            }
        };
        let mut response = sent.map_err(|e| failure(origin, &e))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_string()));
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|e| failure(origin, &e))?;
        Ok(Reply { status, retry_after, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_question_has_its_path() {
        let id = TaskId::parse("7c9e-A_1").expect("an id");
        let wait = Some(Duration::from_secs(60));
        for (question, path, wait) in [
            (ClawvisorQuestion::IsReady, "/ready", 0),
            (ClawvisorQuestion::Task { id: id.clone(), wait: None }, "/api/tasks/7c9e-A_1", 0),
            (
                ClawvisorQuestion::Task { id: id.clone(), wait },
                "/api/tasks/7c9e-A_1?wait=true&timeout=60",
                75,
            ),
            (ClawvisorQuestion::Complete { id }, "/api/tasks/7c9e-A_1/complete", 0),
        ] {
            assert_eq!(question.path(), path);
            assert_eq!(question.wait(), Duration::from_secs(wait));
        }
    }
}
