//! A session's stream, `stdout.jsonl`: it is read once, from front to back, while the session still
//! writes it or after its end.
//!
//! This module knows no events. The daemon sets a mark before it reads and takes it back after
//! ([`super::reading`]); a command that shows the stream marks nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::reading::ReadingMark;
use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};
use crate::effects::store::Attempt;

/// How many bytes are read at once.
const PIECE_BYTES: usize = 32 * 1024;
/// How many bytes one look at a running session reads at most: its limits must not wait for a
/// flood.
const LOOK_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub struct Stream {
    file: Arc<File>,
    path: PathBuf,
    read: u64,
    /// The attempt whose mark is set. `None`: a command reads, and may die as it likes.
    of: Option<Attempt>,
    /// The mark of a running session, from the first reading on.
    mark: Option<ReadingMark>,
}

/// What is new since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// Bytes on the stream, read or not.
    pub size: u64,
    /// Some of them have not been read.
    pub is_more: bool,
    /// The stream is shorter than what was read of it: it begins anew.
    pub is_cut: bool,
}

impl Stream {
    /// Opens the stream at its beginning. `None` if nothing is left of it.
    pub fn open(attempt: &Attempt) -> Option<Stream> {
        let (file, path) = (attempt.stdout()?, attempt.stdout_path());
        Some(Stream { file, path, read: 0, of: Some(attempt.clone()), mark: None })
    }

    /// The stream in this file, for a command.
    pub(in crate::effects::store) fn of_file(file: File, path: PathBuf) -> Stream {
        Stream { file: Arc::new(file), path, read: 0, of: None, mark: None }
    }

    /// How long the stream is, in bytes.
    pub fn size(&self) -> Result<u64> {
        Ok(self.file.metadata().at("look at", &self.path)?.len())
    }

    /// Leaves out what stands before the first line that begins within the last `bytes`. False if
    /// no line begins there.
    pub fn begin_near_end(&mut self, bytes: u64) -> Result<bool> {
        let size = self.size()?;
        if bytes >= size {
            self.read = 0;
            return Ok(true);
        }
        // One byte earlier: a line may begin with the first byte that counts.
        let mut at = size - bytes - 1;
        let mut piece = [0; PIECE_BYTES];
        while at < size {
            let read = self.file.read_at(&mut piece, at).at("read", &self.path)?;
            if let Some(end) = piece[..read].iter().position(|byte| *byte == b'\n') {
                self.read = at + end as u64 + 1;
                return Ok(self.read < size);
            }
            at += (read as u64).max(1);
        }
        Ok(false)
    }

    /// Looks how long the stream is. One that was cut is read from its beginning.
    pub fn look(&mut self) -> Result<News> {
        let size = self.size()?;
        let is_cut = size < self.read;
        if is_cut {
            self.read = 0;
        }
        Ok(News { size, is_more: size > self.read, is_cut })
    }

    /// Feeds the unread part to `each`, in pieces, but not all of it if it is long.
    pub fn read_some(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        if let (None, Some(of)) = (&self.mark, &self.of) {
            self.mark = Some(of.reading_mark()?);
        }
        self.mark(ReadingMark::set)?;
        let read = self.read(LOOK_BYTES_MAX, each);
        self.mark(ReadingMark::take_back)?;
        read
    }

    /// Feeds the rest to `each` without a mark, for a session that has ended: to the end, or until
    /// `bytes_max` of the stream have been read.
    pub fn read_rest(&mut self, bytes_max: u64, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.read(bytes_max.saturating_sub(self.read), each)
    }

    fn mark(&mut self, deed: fn(&mut ReadingMark) -> Result<()>) -> Result<()> {
        self.mark.as_mut().map_or(Ok(()), deed)
    }

    fn read(&mut self, bytes_max: u64, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut piece = [0; PIECE_BYTES];
        let end = self.read.saturating_add(bytes_max);
        while self.read < end {
            let read = failpoint::before(Effect::Read)
                .and_then(|()| self.file.read_at(&mut piece, self.read));
            match read {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    self.read += n as u64;
                    each(&piece[..n]);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).at("read", &self.path),
            }
        }
        Ok(())
    }
}
