//! Splits a byte stream, fed in pieces of any size, into lines, in constant memory.
//!
//! Owns the bounds on a line; knows JSON strings but no events, and judges nothing. A long line is
//! not thrown away, since the one line that matters (`result`) grows with the tool inputs it
//! repeats: it is compacted while it streams, by cutting its long strings, so that what is left
//! still parses. The machine works on bytes: bad UTF-8, NUL bytes and broken JSON pass through it
//! unharmed, and a line that is no JSON at all costs no more memory than any other.

/// A line up to this size is handed on as it is.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// In a longer line, a string is cut at this many bytes, escapes included.
pub const STRING_BYTES_MAX: usize = 16 * 1024;
/// A line with a hundred long strings must keep its other fields: once this much is kept, strings
/// are cut earlier.
pub const TIGHT_FROM_BYTES: usize = 512 * 1024;
pub const TIGHT_STRING_BYTES_MAX: usize = 512;
/// A line that is larger than this even when compacted is dropped and counted.
pub const COMPACT_BYTES_MAX: usize = 1024 * 1024;
/// One step adds at most this much between two looks at the limit.
const STEP_BYTES_MAX: usize = 64 * 1024;

/// How many lines were not handed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    pub too_long: u64,
}

#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line whose end was not fed yet, as long as it is short.
    partial: Vec<u8>,
    /// The same for a line that has become long.
    compactor: Compactor,
    is_long: bool,
    skipped: Skipped,
}

impl Lines {
    pub fn new() -> Self {
        Lines::default()
    }

    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(at) = find(rest, b'\n', b'\n') {
            let line = &rest[..at];
            if !self.is_long && self.partial.is_empty() && line.len() <= LINE_BYTES_MAX {
                hand_on(line, each);
            } else {
                self.hold(line);
                self.end_line(each);
            }
            rest = &rest[at + 1..];
        }
        self.hold(rest);
    }

    /// What was not handed on so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Hands on the last line, which may lack its newline.
    pub fn finish(mut self, each: &mut dyn FnMut(&[u8])) -> Skipped {
        self.end_line(each);
        self.skipped
    }

    fn hold(&mut self, piece: &[u8]) {
        if !self.is_long && self.partial.len() + piece.len() <= LINE_BYTES_MAX {
            self.partial.extend_from_slice(piece);
            return;
        }
        if !self.is_long {
            self.is_long = true;
            self.compactor.push(&self.partial);
            self.partial.clear();
        }
        self.compactor.push(piece);
    }

    fn end_line(&mut self, each: &mut dyn FnMut(&[u8])) {
        if !self.is_long {
            hand_on(&self.partial, each);
            self.partial.clear();
            return;
        }
        self.compactor.look_at_limit();
        if self.compactor.overflowed {
            self.skipped.too_long += 1;
        } else {
            hand_on(&self.compactor.kept, each);
        }
        self.compactor.restart();
        self.is_long = false;
    }
}

/// Blank lines, and the runs of NUL bytes that a crash or a truncation leaves, are no lines.
fn hand_on(line: &[u8], each: &mut dyn FnMut(&[u8])) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().any(|byte| *byte > b' ') {
        each(line);
    }
}

/// The first place of either byte. After a short look the search goes on in blocks, because the
/// compiler turns a search without an early exit into vector instructions.
fn find(bytes: &[u8], a: u8, b: u8) -> Option<usize> {
    const NEAR_BYTES: usize = 16;
    const BLOCK_BYTES: usize = 64;
    let is_hit = |byte: &u8| (*byte == a) | (*byte == b);
    let (near, far) = bytes.split_at(bytes.len().min(NEAR_BYTES));
    if let Some(at) = near.iter().position(is_hit) {
        return Some(at);
    }
    let blocks = far.chunks_exact(BLOCK_BYTES);
    let tail_at = far.len() - blocks.remainder().len();
    let from = blocks
        .enumerate()
        .find(|(_, block)| block.iter().fold(false, |hit, byte| hit | is_hit(byte)))
        .map_or(tail_at, |(index, _)| index * BLOCK_BYTES);
    far[from..].iter().position(is_hit).map(|at| near.len() + from + at)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    Keep,
    KeepEscape,
    /// The rest of a string that was cut is dropped.
    Drop,
    DropEscape,
}

/// Copies one line without what is beyond the limit in each of its strings, and without the white
/// space between tokens.
#[derive(Debug, Default)]
struct Compactor {
    kept: Vec<u8>,
    state: State,
    /// Bytes still to be kept of the present string.
    room: usize,
    /// An escape is kept whole or not at all: `\n` or `\u1234`.
    escape: Vec<u8>,
    /// The last thing kept was the first half of a surrogate pair, which must not stand alone.
    after_high_surrogate: bool,
    overflowed: bool,
}

impl Compactor {
    fn restart(&mut self) {
        self.kept.clear();
        self.escape.clear();
        (self.state, self.after_high_surrogate) = (State::Outside, false);
        self.overflowed = false;
    }

    fn push(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && !self.overflowed {
            let rest = &bytes[at..];
            at += match self.state {
                State::Outside => self.outside(rest),
                State::Keep => self.keep(rest),
                State::KeepEscape => self.keep_escape(rest[0]),
                State::Drop => self.drop_string(rest),
                State::DropEscape => {
                    self.state = State::Drop;
                    1
                }
            };
            // The limit is not looked at within a string, whose cut may take some bytes back: where
            // a piece ends would then decide about the line.
            if self.state == State::Outside {
                self.look_at_limit();
            }
        }
    }

    fn look_at_limit(&mut self) {
        if self.kept.len() > COMPACT_BYTES_MAX {
            self.overflowed = true;
            self.kept.clear();
        }
    }

    /// Each of these functions takes some of `rest`, which is not empty, and says how many bytes.
    fn outside(&mut self, rest: &[u8]) -> usize {
        let rest = &rest[..rest.len().min(STEP_BYTES_MAX)];
        let quote = find(rest, b'"', b'"');
        let tokens = &rest[..quote.unwrap_or(rest.len())];
        self.kept.extend(tokens.iter().filter(|byte| **byte > b' '));
        if quote.is_none() {
            return tokens.len();
        }
        self.kept.push(b'"');
        self.state = State::Keep;
        self.after_high_surrogate = false;
        let is_tight = self.kept.len() > TIGHT_FROM_BYTES;
        self.room = if is_tight { TIGHT_STRING_BYTES_MAX } else { STRING_BYTES_MAX };
        tokens.len() + 1
    }

    fn keep(&mut self, rest: &[u8]) -> usize {
        let window = &rest[..rest.len().min(self.room)];
        let special = find(window, b'"', b'\\');
        let plain = &window[..special.unwrap_or(window.len())];
        if !plain.is_empty() {
            self.kept.extend_from_slice(plain);
            self.room -= plain.len();
            self.after_high_surrogate = false;
        }
        match rest.get(plain.len()) {
            None => plain.len(),
            Some(b'"') => {
                self.kept.push(b'"');
                self.state = State::Outside;
                plain.len() + 1
            }
            Some(b'\\') => {
                self.escape.clear();
                self.escape.push(b'\\');
                self.state = State::KeepEscape;
                plain.len() + 1
            }
            // The window ended before the string did.
            Some(next) => {
                self.cut(*next);
                plain.len()
            }
        }
    }

    fn keep_escape(&mut self, byte: u8) -> usize {
        let is_unicode = self.escape.get(1) == Some(&b'u');
        // A broken escape must not swallow the quote that ends its string.
        let is_broken = is_unicode && !byte.is_ascii_hexdigit();
        if !is_broken {
            self.escape.push(byte);
            let wanted = if self.escape[1] == b'u' { 6 } else { 2 };
            if self.escape.len() < wanted {
                return 1;
            }
        }
        if self.escape.len() > self.room {
            self.cut(b'\\');
        } else {
            self.kept.extend_from_slice(&self.escape);
            self.room -= self.escape.len();
            self.after_high_surrogate = matches!(
                self.escape[..],
                [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]
            );
            self.state = State::Keep;
        }
        usize::from(!is_broken)
    }

    /// Ends what is kept of a string at the last whole character before `next`.
    fn cut(&mut self, next: u8) {
        self.state = State::Drop;
        if self.after_high_surrogate {
            self.kept.truncate(self.kept.len() - r"\ud83d".len());
        } else if is_continuation(next) {
            for _ in 0..3 {
                match self.kept.pop() {
                    Some(byte) if is_continuation(byte) => {}
                    Some(byte) if byte >= 0xC0 => break,
                    // It was no UTF-8 anyway: this byte belongs to what stands before.
                    Some(byte) => {
                        self.kept.push(byte);
                        break;
                    }
                    None => break,
                }
            }
        }
    }

    fn drop_string(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        while at < rest.len() {
            let Some(special) = find(&rest[at..], b'"', b'\\') else {
                return rest.len();
            };
            at += special;
            if rest[at] == b'"' {
                self.kept.push(b'"');
                self.state = State::Outside;
                return at + 1;
            }
            at += r"\n".len();
        }
        // The escape may go on in the next piece.
        if at > rest.len() {
            self.state = State::DropEscape;
        }
        rest.len()
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
