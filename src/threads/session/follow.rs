//! Reads what a running session says of itself, as it comes, for its limits and for the heartbeat.
//!
//! The stream is read once: what was read while the session ran is not read again at its end. The
//! answer never needs anything to have been read early, so whatever goes wrong here only means that
//! less is known until the end.

use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{Attempt, Stream};
use crate::pure::agent::{Driver, Summary, Transcript};
use crate::pure::attempt::limits::{self, Cpu, Stillness};
use crate::threads::shared::board::Progress;

pub struct Follower {
    driver: &'static Driver,
    transcript: Transcript,
    stream: Option<Stream>,
    /// False if an earlier daemon died at reading it. Then it is read only once more, at its end.
    may_read: bool,
    in_trouble: bool,
    stillness: Stillness,
    last_output_at_ms: Option<i64>,
    /// What the stream had said before the session cut it off.
    before_cut: Option<Summary>,
    pub seen: Vitals,
}

/// What the limits are held against. Until the first look nothing speaks against the session.
#[derive(Clone, Copy, Debug)]
pub struct Vitals {
    pub bytes: u64,
    pub stderr_bytes: u64,
    pub has_begun: bool,
    pub final_since_ms: Option<i64>,
    pub still_since_ms: Option<i64>,
}

impl Follower {
    pub fn new(driver: &'static Driver, may_read: bool) -> Follower {
        Follower {
            driver,
            transcript: Transcript::new(driver),
            stream: None,
            may_read,
            in_trouble: false,
            stillness: Stillness::default(),
            last_output_at_ms: None,
            before_cut: None,
            seen: Vitals {
                bytes: 0,
                stderr_bytes: 0,
                has_begun: true,
                final_since_ms: None,
                still_since_ms: None,
            },
        }
    }

    /// True if there is something new. `cpu` is asked only if the answer matters.
    pub fn look(
        &mut self,
        attempt: &Attempt,
        stall_ms: Option<i64>,
        cpu: impl FnOnce() -> Option<Cpu>,
    ) -> bool {
        let bytes_before = self.seen.bytes;
        self.seen.stderr_bytes = attempt.stderr_bytes();
        let followed = self.read_news(attempt);
        let now_ms = clock::monotonic_ms();
        if let Err(e) = &followed
            && !self.in_trouble
        {
            log::warn!("{e}: less is known of a running session");
        }
        self.in_trouble = followed.is_err();
        let is_known = self.may_read && !self.in_trouble;
        let summary = self.transcript.summary();
        let may_be_silent = self.driver.may_be_silent();
        self.seen.has_begun = !is_known || may_be_silent || limits::has_begun(summary);
        let is_final = is_known && limits::is_final(summary);
        self.seen.final_since_ms = is_final.then(|| self.seen.final_since_ms.unwrap_or(now_ms));
        let has_news = self.seen.bytes != bytes_before;
        if let Some(stall_ms) = stall_ms {
            self.seen.still_since_ms = self.stillness.look(now_ms, has_news, stall_ms, cpu);
        }
        if has_news {
            self.last_output_at_ms = Some(clock::unix_ms());
        }
        has_news
    }

    /// Whether an event of the session was seen.
    pub fn has_begun(&self) -> bool {
        self.may_read && limits::has_begun(self.transcript.summary())
    }

    fn read_news(&mut self, attempt: &Attempt) -> Result<()> {
        if self.stream.is_none() {
            self.stream = Stream::open(attempt);
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let news = stream.look()?;
        if news.is_cut {
            begin_anew(&mut self.transcript, &mut self.before_cut, self.driver);
        }
        self.seen.bytes = news.size;
        if self.may_read && news.is_more {
            stream.read_some(&mut |piece| self.transcript.feed(piece))?;
        }
        Ok(())
    }

    /// Reads the rest after the session's end, or as much as a session may write.
    pub fn finish(&mut self, attempt: &Attempt, bytes_max: Option<u64>) -> Summary {
        self.seen.bytes = attempt.stdout_bytes();
        self.seen.stderr_bytes = attempt.stderr_bytes();
        let mut transcript = std::mem::replace(&mut self.transcript, Transcript::new(self.driver));
        let stream = self.stream.take().or_else(|| Stream::open(attempt));
        let read = stream.map_or(Ok(()), |mut stream| {
            if stream.look()?.is_cut {
                begin_anew(&mut transcript, &mut self.before_cut, self.driver);
            }
            let bytes_max = bytes_max.unwrap_or(u64::MAX);
            stream.read_rest(bytes_max, &mut |piece| transcript.feed(piece))
        });
        if let Err(e) = read {
            log::error!("{e}");
        }
        let summary = transcript.finish();
        // A result that was seen stands, whatever the session does to its own output afterwards.
        match self.before_cut.take() {
            Some(before) if summary.result.is_none() && before.result.is_some() => before,
            _ => summary,
        }
    }

    /// What the heartbeat tells of the session.
    pub fn progress(&self) -> Progress {
        let summary = self.transcript.summary();
        Progress {
            output_bytes: self.seen.bytes,
            last_activity_ms: self.last_output_at_ms,
            turns: summary.assistant_turns,
            last_tool: summary.last_tool.clone(),
            tokens: summary.tokens,
            cost_usd: summary.result.as_ref().and_then(|result| result.total_cost_usd),
        }
    }
}

fn begin_anew(transcript: &mut Transcript, before: &mut Option<Summary>, driver: &'static Driver) {
    let cut = std::mem::replace(transcript, Transcript::new(driver)).finish();
    if cut.result.is_some() || before.is_none() {
        *before = Some(cut);
    }
}
