//! What /proc says of other processes (proc(5)). Everything here can be stale by the time it is
//! read: a pid is only trusted together with its start time. Where there is no /proc every function
//! says so by giving nothing.

/// The part of /proc/PID/stat that we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub name: String,
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Processor time of the process and of those children that it waited for, in clock ticks.
    pub cpu_ticks: u64,
    /// When the process started, in clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Reads `812 (name with ) in it) S 1 812 … start_time …`, counting fields from the last
/// parenthesis.
#[cfg(any(target_os = "linux", test))]
fn parse_stat(text: &str) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_string();
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, parent, group and session are 4 to 6, times 14 to 17, the start time is
    // field 22.
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let mut cpu_ticks: u64 = fields.nth(7)?.parse().ok()?;
    for _ in 0..3 {
        // A child's times are signed.
        cpu_ticks += fields.next()?.parse::<i64>().ok()?.max(0) as u64;
    }
    let start_time = fields.nth(4)?.parse().ok()?;
    Some(Stat { name, state, parent, group, session, cpu_ticks, start_time })
}

#[cfg(target_os = "linux")]
pub(super) use linux::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::io::{self, Read};
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::sync::OnceLock;

    use super::{Stat, parse_stat};

    pub fn stat(pid: i32) -> Option<Stat> {
        // One line, of 52 numbers at most: the kernel gives it at once.
        let mut line = [0; 2048];
        let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
        parse_stat(&String::from_utf8_lossy(&line[..length]))
    }

    pub fn all_pids() -> Vec<i32> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Whether the environment that the process was started with has all of `variables`
    /// (`NAME=value`). `None`: it is not known, either because the process is in the middle of an
    /// exec, when the environment reads as empty (for up to 2 ms, seen), or because the process is
    /// dying, when it cannot be read at all (100 ms for a large one).
    pub fn has_variables(pid: i32, variables: &[String]) -> Option<bool> {
        let environ = match fs::read(format!("/proc/{pid}/environ")) {
            // This is another user's process.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Some(false),
            read => read.unwrap_or_default(),
        };
        let has =
            |wanted: &String| environ.split(|b| *b == 0).any(|entry| entry == wanted.as_bytes());
        // An empty mark matches no process.
        let has_all = !variables.is_empty() && variables.iter().all(has);
        (!environ.is_empty()).then_some(has_all)
    }

    /// Whether we may not read the process's environment.
    pub fn is_hidden(pid: i32) -> bool {
        let read = File::open(format!("/proc/{pid}/environ"));
        read.is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The value of a variable in the environment that the process was started with. The outer
    /// `None`: it is not known just now.
    pub fn variable(pid: i32, name: &str) -> Option<Option<String>> {
        let environ =
            fs::read(format!("/proc/{pid}/environ")).ok().filter(|all| !all.is_empty())?;
        let value = |entry: &[u8]| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        Some(environ.split(|b| *b == 0).find_map(value))
    }

    /// Whether the process has this very file open.
    pub fn holds(pid: i32, file: &File) -> bool {
        let Ok(wanted) = file.metadata() else { return false };
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let same = |m: fs::Metadata| (m.dev(), m.ino()) == (wanted.dev(), wanted.ino());
        entries.flatten().any(|entry| fs::metadata(entry.path()).is_ok_and(same))
    }

    /// Whether the process still runs this very program, and so is a fork of ours before its exec.
    /// The program of a copy is as hidden as ours ([`crate::effects::secrets::shut_memory`]); what
    /// it was started with never is.
    pub fn is_copy_of_us(pid: i32) -> bool {
        let program = |who: &str| fs::read_link(format!("/proc/{who}/exe"));
        let arguments = |who: &str| fs::read(format!("/proc/{who}/cmdline")).ok();
        match program(&pid.to_string()) {
            Ok(theirs) => program("self").is_ok_and(|ours| ours == theirs),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                let theirs = arguments(&pid.to_string()).filter(|theirs| !theirs.is_empty());
                theirs.is_some() && theirs == arguments("self")
            }
            Err(_) => false,
        }
    }

    /// Children of our main thread. The kernel gives an orphan to the first living thread of its
    /// reaper, and the main thread lives as long as we do. `None`: the kernel does not list them
    /// (CONFIG_PROC_CHILDREN).
    pub fn main_thread_children() -> Option<Vec<i32>> {
        static LIST: OnceLock<Option<File>> = OnceLock::new();
        let open = || File::open(format!("/proc/self/task/{}/children", std::process::id())).ok();
        let file = LIST.get_or_init(open).as_ref()?;
        let (mut list, mut piece) = (Vec::new(), [0; 1024]);
        loop {
            let read = file.read_at(&mut piece, list.len() as u64).ok()?;
            list.extend_from_slice(&piece[..read]);
            if read < piece.len() {
                break;
            }
        }
        let list = String::from_utf8_lossy(&list);
        Some(list.split_ascii_whitespace().flat_map(str::parse).collect())
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::*;

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::fs::File;

    use super::Stat;

    pub fn stat(_pid: i32) -> Option<Stat> {
        None
    }
    pub fn all_pids() -> Vec<i32> {
        Vec::new()
    }
    pub fn has_variables(_pid: i32, _variables: &[String]) -> Option<bool> {
        Some(false)
    }
    pub fn is_hidden(_pid: i32) -> bool {
        false
    }
    pub fn variable(_pid: i32, _name: &str) -> Option<Option<String>> {
        None
    }
    pub fn holds(_pid: i32, _file: &File) -> bool {
        false
    }
    pub fn is_copy_of_us(_pid: i32) -> bool {
        false
    }
    pub fn main_thread_children() -> Option<Vec<i32>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_copy_of_us_is_told_from_another_program() {
        assert!(is_copy_of_us(std::process::id() as i32));
        let mut other = std::process::Command::new("sleep").arg("7777").spawn().expect("sleep");
        // The child's exec is over when spawn returns.
        let told = is_copy_of_us(other.id() as i32);
        other.kill().and_then(|()| other.wait()).expect("end it");
        assert!(!told && !is_copy_of_us(-1));
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line = "812 (a) b (c)) S 1 812 812 0 -1 4194560 1 0 0 0 4 3 2 1 20 0 1 0 987654 0 0";
        let stat = parse_stat(line).expect("a stat line");
        assert_eq!((stat.name.as_str(), stat.state, stat.start_time), ("a) b (c)", 'S', 987_654));
        assert_eq!((stat.parent, stat.group, stat.cpu_ticks), (1, 812, 10));
        assert_eq!(parse_stat("812 (x"), None);
    }
}
