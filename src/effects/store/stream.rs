//! A session's stream, `stdout.jsonl`: read once, from front to back, while the session still writes it or after its end.
//!
//! Knows no events. What is read is an agent's own, so a byte of it may be what takes the daemon down: whoever reads while
//! the session runs sets a mark first and takes it back after, and a mark that stayed is a death at reading.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use super::files;
use super::place::ReadingMark;
use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};

/// What is read at once, in bytes.
const PIECE_BYTES: usize = 32 * 1024;
/// What one look at a running session reads at most, in bytes: its clocks must not wait for a flood.
const LOOK_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub struct Stream {
    file: File,
    path: PathBuf,
    read: u64,
    /// Of a running session.
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
    pub(super) fn open(dir: &Path) -> Result<Stream> {
        let path = dir.join("stdout.jsonl");
        let file = files::open_no_follow(&path).at("open", &path)?;
        Ok(Stream { file, path, read: 0, mark: None })
    }

    /// How long the stream is. One that was cut is read from its beginning.
    pub fn look(&mut self) -> Result<News> {
        let size = self.file.metadata().at("look at", &self.path)?.len();
        let is_cut = size < self.read;
        if is_cut {
            self.file.rewind().at("read", &self.path)?;
            self.read = 0;
        }
        Ok(News { size, is_more: size > self.read, is_cut })
    }

    /// Feeds what is there beyond what was read to `each`, in pieces; not all of it, if that is much.
    pub fn read_some(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        if self.mark.is_none() {
            let claim = self.path.ancestors().nth(2).unwrap_or(&self.path);
            self.mark = Some(ReadingMark::open(claim)?);
        }
        self.mark(ReadingMark::set)?;
        let read = self.read(LOOK_BYTES_MAX, each);
        self.mark(ReadingMark::take_back)?;
        read
    }

    /// The same to the end, without a mark: for a session that has ended. Gives the stream's length.
    pub fn read_rest(&mut self, each: &mut dyn FnMut(&[u8])) -> Result<u64> {
        self.read(u64::MAX, each)?;
        Ok(self.read)
    }

    fn mark(&mut self, deed: fn(&mut ReadingMark) -> Result<()>) -> Result<()> {
        self.mark.as_mut().map_or(Ok(()), deed)
    }

    fn read(&mut self, bytes_max: u64, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut piece = [0; PIECE_BYTES];
        let end = self.read.saturating_add(bytes_max);
        while self.read < end {
            match failpoint::before(Effect::Read).and_then(|()| self.file.read(&mut piece)) {
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
