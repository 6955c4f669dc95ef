//! Puts a wall around the present process with Landlock (landlock(7)): no privileges, no
//! namespaces, and whatever it starts is behind the same wall.
//!
//! Only the hidden verbs call [`restrict`], right before they become the session's program. Which
//! paths are granted is decided in [`crate::pure::confine`]; here they are listed and opened, never
//! through a link. Where there is no Landlock, this says so and does nothing.

#[cfg(target_os = "linux")]
pub use linux::{landlock_abi, restrict};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{landlock_abi, restrict};

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
        NetPort, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated,
        RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    };
    use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

    use crate::pure::confine::{Access, Confinement, Entry, EntryKind, Grant};

    /// What every wall has: no kernel with less is used.
    const LEAST: ABI = ABI::V1;
    /// What a wall has where the kernel knows it: moves between folders (ABI 2), truncation (3),
    /// devices' own commands (5), signals and abstract sockets (6).
    const MOST: ABI = ABI::V6;

    /// Devices that programs write to, and that give nobody anything.
    const DEVICES: [&str; 8] = ["full", "null", "ptmx", "pts", "random", "tty", "urandom", "zero"];

    /// The kernel's version of Landlock. `None`: it has none, or it is switched off. This is asked
    /// once, by a thread that walls itself in and ends.
    pub fn landlock_abi() -> Option<u32> {
        static ABI: OnceLock<Option<u32>> = OnceLock::new();
        *ABI.get_or_init(|| std::thread::spawn(probe).join().ok().flatten())
    }

    fn probe() -> Option<u32> {
        let ruleset = Ruleset::default().handle_access(AccessFs::MakeBlock).ok()?.create().ok()?;
        match ruleset.restrict_self().ok()?.landlock {
            LandlockStatus::Available { effective_abi, kernel_abi } => {
                let known = effective_abi as i32;
                u32::try_from(kernel_abi.unwrap_or(known)).ok()
            }
            LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
        }
    }

    /// Walls this thread in, and all that it starts from now on. There is no way back.
    pub fn restrict(confinement: &Confinement) -> Result<(), String> {
        let status = wall(confinement).map_err(|e| e.to_string())?;
        match status.ruleset {
            RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
            RulesetStatus::NotEnforced => Err("this kernel has no Landlock".into()),
        }
    }

    fn wall(confinement: &Confinement) -> Result<RestrictionStatus, RulesetError> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(LEAST))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(MOST))?
            .scope(Scope::from_all(MOST))?;
        if confinement.connect.is_some() {
            ruleset = ruleset
                .set_compatibility(CompatLevel::HardRequirement)
                .handle_access(AccessNet::ConnectTcp)?;
        }
        let mut created = ruleset.create()?.set_compatibility(CompatLevel::BestEffort);
        for port in confinement.connect.iter().flatten() {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        let mut places = Places::default();
        for Grant { path, access, kind } in confinement.grants(&mut list) {
            let rights = match access {
                Access::Read => AccessFs::from_read(MOST),
                Access::Write => AccessFs::from_all(MOST),
            };
            created = places.grant(created, &path, kind, rights)?;
        }
        let use_device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        for device in DEVICES {
            created = places.grant(created, &Path::new("/dev").join(device), None, use_device)?;
        }
        created.restrict_self()
    }

    /// Opens what is granted. Most of it are the hundreds of entries of a few folders, so that the
    /// last one's folder is kept open: the walk down to it is half of what a wall costs.
    #[derive(Default)]
    struct Places {
        folder: Option<(PathBuf, OwnedFd)>,
    }

    impl Places {
        /// What is not there any more, or cannot be reached, needs no grant.
        fn grant(
            &mut self,
            ruleset: RulesetCreated,
            path: &Path,
            kind: Option<EntryKind>,
            rights: BitFlags<AccessFs>,
        ) -> Result<RulesetCreated, RulesetError> {
            let Some(place) = self.open(path) else { return Ok(ruleset) };
            let is_folder = match kind {
                Some(kind) => kind == EntryKind::Folder,
                None => {
                    fstat(&place).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
                }
            };
            let rights = if is_folder { rights } else { rights & AccessFs::from_file(MOST) };
            ruleset.add_rule(PathBeneath::new(place, rights))
        }

        /// Only a name for the place, which nothing can be read through. No link is followed: a
        /// grant for a link itself gives nothing.
        fn open(&mut self, path: &Path) -> Option<OwnedFd> {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return openat(CWD, path, flags, Mode::empty()).ok();
            };
            let is_known = |(known, _): &(PathBuf, _)| known.as_os_str() == parent.as_os_str();
            if !self.folder.as_ref().is_some_and(is_known) {
                let folder = openat(CWD, parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                self.folder = Some((parent.to_path_buf(), folder.ok()?));
            }
            let (_, folder) = self.folder.as_ref()?;
            openat(folder, name, flags, Mode::empty()).ok()
        }
    }

    /// A folder that cannot be read has nothing that could be granted.
    fn list(folder: &Path) -> Vec<Entry> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let entry = |entry: fs::DirEntry| {
            let kind = entry.file_type().ok()?;
            let kind = match (kind.is_dir(), kind.is_symlink()) {
                (true, _) => EntryKind::Folder,
                (_, true) => EntryKind::Link,
                (false, false) => EntryKind::Other,
            };
            Some(Entry { name: entry.file_name(), kind })
        };
        entries.filter_map(entry).collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use crate::pure::confine::Confinement;

    pub fn landlock_abi() -> Option<u32> {
        None
    }

    pub fn restrict(_confinement: &Confinement) -> Result<(), String> {
        Err("this system has no Landlock".into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::thread;

    use super::*;
    use crate::pure::confine::Confinement;

    #[test]
    fn a_link_in_the_place_of_a_file_grants_nothing() {
        if landlock_abi().is_none() {
            return;
        }
        let top = std::env::temp_dir().canonicalize().expect("temporary directory");
        let top = top.join(format!("dispatch-wall-{}", std::process::id()));
        let (secret, own, link) = (top.join("secret"), top.join("own"), top.join("link"));
        fs::create_dir_all(&secret).expect("create");
        fs::write(secret.join("key"), "a key").expect("write");
        fs::write(&own, "its own").expect("write");
        symlink(secret.join("key"), &link).expect("symlink");
        let confinement = Confinement {
            denied: vec![top.clone()],
            own_readable: vec![own.clone(), link.clone()],
            ..Confinement::default()
        };
        // The wall is around this thread only, and goes with it.
        let behind = thread::spawn(move || {
            restrict(&confinement).expect("a wall");
            [own, link, secret.join("key")].map(|path| fs::read(path).map_err(|e| e.kind()))
        });
        let denied = Err(ErrorKind::PermissionDenied);
        let want = [Ok(b"its own".to_vec()), denied.clone(), denied];
        assert_eq!(behind.join().expect("the thread"), want);
        fs::remove_dir_all(&top).expect("remove it");
    }
}
