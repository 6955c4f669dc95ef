//! Reads what git knows of a project: before a session from the repository's files alone, after it
//! with git itself.
//!
//! A repository's own configuration can name programs to run (file-system monitor, hooks). Git is
//! therefore called with those off, without optional locks and with a time limit, and only after
//! the session.

use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::process::{Helper, Processes};
use super::project::WorkTree;
use super::store::Store;
use crate::pure::report::GitFacts;
use dirty::Answers;

mod dirty;
mod own_dirs;

pub use own_dirs::own_dirs;
mod identity;

pub use identity::identity_variables;

/// HEAD, refs and packed refs are read up to this size, in bytes.
const REF_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most of them fit into this many bytes.
const REF_BYTES_USUAL: usize = 512;
/// A symbolic ref that points further than this is a loop.
const SYMREF_DEPTH_MAX: usize = 5;

/// Reads branch and commit without starting a process. `None`: there is no repository.
pub fn before(dir: &Path) -> Option<GitFacts> {
    let (branch, head) = read_head(&WorkTree::of(dir)?)?;
    Some(GitFacts { branch, head_before: head, ..GitFacts::default() })
}

/// Completes what [`before`] saw. A git process costs more than all else that a short session costs
/// us. So the working tree is left alone (and `dirty_files` unknown) if `may_have_changed` is false
/// and nothing near its root is newer than `since_ms`.
pub fn after(
    processes: &Processes,
    store: &Store,
    dir: &Path,
    before: &GitFacts,
    look: &GitProbe,
) -> Option<GitFacts> {
    let tree = WorkTree::of(dir)?;
    let git = |arguments: &[&str]| run_git(processes, store, tree.root, arguments, look.timeout);
    let (branch, head) = read_head(&tree)
        .filter(|(_, head)| head.is_some())
        .or_else(|| Some((None, git(&["rev-parse", "--verify", "HEAD"]).and_then(|t| line(&t)))))?;
    let range = Range { before, after: head.as_deref() };
    let Steps { commits, is_rewritten } = range.steps(&git);
    let changed =
        look.may_have_changed || commits != Some(0) || looks_touched(&tree, look.since_ms);
    let status =
        changed.then(|| git(&["status", "--porcelain=v1", "--no-renames", "-z"])).flatten();
    let may_look_back = look.used_tools && !look.clock_was_set && !is_rewritten;
    let found = status.as_ref().filter(|_| may_look_back).and_then(|status| {
        let committed = if commits == Some(0) { Vec::new() } else { range.changes(&git)? };
        let answers = Answers { status, committed: &committed };
        Some(dirty::look(tree.root, &answers, look.since_ms - STAMP_SLACK_MS, look.timeout))
    });
    Some(GitFacts {
        dirty_files: status.map(|s| s.iter().filter(|b| **b == 0).count() as u64),
        dirty_before: found.as_ref().map(|found| found.before),
        dirty_committed: found.filter(|_| commits > Some(0)).map(|found| found.committed),
        branch: branch.or_else(|| before.branch.clone()),
        head_before: before.head_before.clone(),
        head_after: head,
        commits,
    })
}

/// The commits from the one before the session to the one after it.
struct Range<'a> {
    before: &'a GitFacts,
    after: Option<&'a str>,
}

struct Steps {
    commits: Option<u64>,
    /// What was there before is no longer part of the history.
    is_rewritten: bool,
}

impl Range<'_> {
    fn steps(&self, git: &impl Fn(&[&str]) -> Option<Vec<u8>>) -> Steps {
        let count = |range: &str| {
            let counted = line(&git(&["rev-list", "--left-right", "--count", range, "--"])?)?;
            let (gone, new) = counted.split_once('\t')?;
            Some((gone.parse::<u64>().ok()?, new.parse::<u64>().ok()?))
        };
        let counted = match (self.before.head_before.as_deref(), self.after) {
            (Some(before), Some(after)) if before == after => Some((0, 0)),
            (Some(before), Some(after)) => count(&format!("{before}...{after}")),
            // These are the first commits of a new repository.
            (None, Some(after)) if self.before.branch.is_some() => count(after),
            (None, None) => return Steps { commits: None, is_rewritten: false },
            _ => None,
        };
        Steps {
            commits: counted.map(|(_, new)| new),
            is_rewritten: counted.is_none_or(|(gone, _)| gone > 0),
        }
    }

    /// All that the new commits changed, as `X\0path\0…`.
    fn changes(&self, git: &impl Fn(&[&str]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let Some(after) = self.after else { return Some(Vec::new()) };
        match self.before.head_before.as_deref() {
            Some(before) => git(&[
                "diff-tree",
                "-r",
                "-z",
                "--name-status",
                "--no-renames",
                before,
                after,
                "--",
            ]),
            None => {
                let names = git(&["ls-tree", "-r", "-z", "--name-only", "--full-tree", after])?;
                let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
                Some(names.flat_map(|name| [b"A\0", name, b"\0"].concat()).collect())
            }
        }
    }
}

/// Whether a git that was ended in the middle left the lock of the index behind.
pub fn index_is_locked(dir: &Path) -> bool {
    let git_dir = WorkTree::of(dir).and_then(|tree| git_dir(&tree));
    git_dir.is_some_and(|dir| dir.join("index.lock").symlink_metadata().is_ok())
}

/// How closely [`after`] looks.
pub struct GitProbe {
    /// The project may be different now.
    pub may_have_changed: bool,
    /// The session used tools, so it matters what it found in the project.
    pub used_tools: bool,
    /// The wall clock was set since the session started.
    pub clock_was_set: bool,
    /// When the session started, in milliseconds since 1970.
    pub since_ms: i64,
    /// The time limit for each call of git.
    pub timeout: Duration,
}

/// At most this many entries of a tree's root are looked at.
const ROOT_ENTRIES_MAX: usize = 200;
/// Time stamps of files come from a clock that ticks this coarsely, in milliseconds.
const STAMP_SLACK_MS: i64 = 20;

/// Whether the index, the root or anything directly in it has a time stamp from the session. Only a
/// yes is certain.
fn looks_touched(tree: &WorkTree, since_ms: i64) -> bool {
    let touched = |meta: std::io::Result<fs::Metadata>| {
        meta.is_ok_and(|m| {
            m.mtime() * 1000 + m.mtime_nsec() / 1_000_000 >= since_ms - STAMP_SLACK_MS
        })
    };
    if touched(fs::metadata(tree.root)) || touched(fs::metadata(tree.dot_git.join("index"))) {
        return true;
    }
    let Ok(entries) = fs::read_dir(tree.root) else { return true };
    let mut entries = entries.flatten().filter(|entry| entry.file_name() != ".git");
    entries.by_ref().take(ROOT_ENTRIES_MAX).any(|entry| touched(entry.metadata()))
        || entries.next().is_some()
}

fn run_git(
    processes: &Processes,
    store: &Store,
    tree: &Path,
    arguments: &[&str],
    timeout: Duration,
) -> Option<Vec<u8>> {
    let mut out = store.scratch_file().ok()?;
    let careful =
        ["--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
    let helper = Helper {
        program: "git",
        arguments: &[&careful, arguments].concat(),
        directory: tree,
        variables: &[("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C")],
        removed_prefix: "GIT_",
        stdout: out.try_clone().ok()?.into(),
        timeout,
    };
    match processes.run(helper) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(e) => {
            log::debug!("cannot run git in {}: {e}", tree.display());
            return None;
        }
    }
    let mut bytes = Vec::new();
    out.rewind().ok()?;
    out.take(REF_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_string())
}

/// Reads `(branch, commit)` from the files of `.git`. A detached HEAD has no branch, a new
/// repository no commit.
fn read_head(tree: &WorkTree) -> Option<(Option<String>, Option<String>)> {
    let git_dir = git_dir(tree)?;
    // Only a git directory that a `.git` file points to shares refs with another one.
    let is_main = git_dir == tree.dot_git;
    let common = if is_main { git_dir.clone() } else { common_dir(&git_dir) };
    let head = read_line(&git_dir.join("HEAD"))?;
    let Some(target) = head.strip_prefix("ref: ") else { return Some((None, commit_id(&head))) };
    let branch = target.strip_prefix("refs/heads/").map(str::to_string);
    // With reftable the file HEAD is a stub, and only git can read the rest.
    if branch.as_deref() == Some(".invalid") {
        return Some((None, None));
    }
    Some((branch, read_ref(&git_dir, &common, target, 0)))
}

/// `.git` is a directory, or in a worktree or submodule a file that names one
/// (gitrepository-layout(5)).
fn git_dir(tree: &WorkTree) -> Option<PathBuf> {
    if tree.has_git_dir || tree.dot_git.is_dir() {
        return Some(tree.dot_git.clone());
    }
    let pointer = read_line(&tree.dot_git)?;
    Some(tree.root.join(pointer.strip_prefix("gitdir: ")?))
}

/// Where a worktree's shared refs are.
fn common_dir(git_dir: &Path) -> PathBuf {
    read_line(&git_dir.join("commondir")).map_or_else(|| git_dir.into(), |to| git_dir.join(to))
}

fn read_ref(git_dir: &Path, common: &Path, name: &str, depth: usize) -> Option<String> {
    if depth > SYMREF_DEPTH_MAX || name.split('/').any(|part| part == "..") {
        return None;
    }
    let loose = read_line(&git_dir.join(name)).or_else(|| read_line(&common.join(name)));
    match loose {
        Some(text) => match text.strip_prefix("ref: ") {
            Some(target) => read_ref(git_dir, common, target, depth + 1),
            None => commit_id(&text),
        },
        None => packed_ref(common, name),
    }
}

fn packed_ref(common: &Path, name: &str) -> Option<String> {
    let packed = read_capped(&common.join("packed-refs"))?;
    let found = packed.lines().filter(|l| !l.starts_with(['#', '^'])).find_map(|line| {
        let (id, of) = line.split_once(' ')?;
        (of == name).then_some(id)
    });
    commit_id(found?)
}

/// A SHA-1 or SHA-256 object name.
fn commit_id(text: &str) -> Option<String> {
    let legal = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
    legal.then(|| text.to_string())
}

fn read_line(path: &Path) -> Option<String> {
    read_capped(path)?.lines().next().map(|line| line.trim().to_string())
}

fn read_capped(path: &Path) -> Option<String> {
    // A FIFO planted as HEAD would block for ever.
    let without_waiting = OFlags::NONBLOCK.bits() as i32;
    let file = fs::OpenOptions::new().read(true).custom_flags(without_waiting).open(path).ok()?;
    let mut piece = [0; REF_BYTES_USUAL];
    let length = (&file).read(&mut piece).ok()?;
    let mut bytes = piece[..length].to_vec();
    // Only a plain file is read on: anything else may never end.
    if length == REF_BYTES_USUAL && file.metadata().ok()?.is_file() {
        file.take(REF_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
