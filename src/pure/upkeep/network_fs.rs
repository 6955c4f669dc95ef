//! Knows which file systems lie on another machine. Must not look at the machine: it is given a
//! number or the mount table. On such a file system a lock may be held twice, a rename may be seen
//! half done, and no event tells of what others write.

/// statfs(2)'s `f_type` on Linux, and the name (linux/magic.h, or the file system's own source).
const MAGIC: [(u32, &str); 19] = [
    (0x6969, "nfs"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb3"),
    (0x517B, "smbfs"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "ceph"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "kafs"),
    (0x7375_7245, "coda"),
    (0x564C, "ncp"),
    (0x4750_4653, "gpfs"),
    (0x0BD0_0BD0, "lustre"),
    (0x7461_636F, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x1983_0326, "beegfs"),
    (0xAAD7_AAEA, "panfs"),
    (0x2003_0528, "orangefs"),
    (0x786F_4256, "vboxsf"),
    (0xBACB_ACBC, "vmhgfs"),
];

/// The number of all file systems that run as a program of their own, near or far: the mount table
/// has the name.
pub const FUSE_MAGIC: u32 = 0x6573_5546;

/// Types of mounts without `fuse.`; macOS names all its file systems like this.
const NAMES: [&str; 29] = [
    "afpfs",
    "blobfuse",
    "blobfuse2",
    "ceph",
    "ceph-fuse",
    "curlftpfs",
    "davfs",
    "ftp",
    "gcsfuse",
    "geesefs",
    "glusterfs",
    "goofys",
    "gvfsd-fuse",
    "httpdirfs",
    "juicefs",
    "lizardfs",
    "mfs",
    "moosefs",
    "mount-s3",
    "nfs",
    "rclone",
    "s3fs",
    "s3ql",
    "seaweedfs",
    "smbfs",
    "smbnetfs",
    "sshfs",
    "webdav",
    "yandex-disk",
];

pub fn by_magic(magic: u32) -> Option<&'static str> {
    MAGIC.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

/// Looks up the type of a mount: `fuse.sshfs`, `nfs`.
pub fn by_name(mount_type: &str) -> Option<&'static str> {
    let name = mount_type.strip_prefix("fuse.").unwrap_or(mount_type);
    NAMES.iter().find(|known| **known == name).copied()
}

/// The type of what is mounted from that device, out of /proc/self/mountinfo (proc(5)): `36 35 98:0
/// / / /mnt rw … - ext3 /dev/x …`
pub fn mount_type(mountinfo: &str, major: u32, minor: u32) -> Option<&str> {
    let device = format!("{major}:{minor}");
    let mut of_device =
        mountinfo.lines().filter(|line| line.split(' ').nth(2) == Some(device.as_str()));
    of_device.next_back()?.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_is_named_and_what_is_near_is_not() {
        for (magic, want) in [
            (0x6969, Some("nfs")),
            (0xFF53_4D42, Some("cifs")),
            (0xFE53_4D42, Some("smb3")),
            (0x0102_1997, Some("9p")),
            (0x00C3_6400, Some("ceph")),
            (0xEF53, None),      // ext4
            (0x5846_5342, None), // xfs
            (0x9123_683E, None), // btrfs
            (0x0102_1994, None), // tmpfs
            (0x794C_7630, None), // overlay
            (0x2FC1_2FC1, None), // zfs
            (FUSE_MAGIC, None),  // ask the mount table
        ] {
            assert_eq!(by_magic(magic), want, "{magic:x}");
        }
    }

    #[test]
    fn programs_that_serve_files_are_told_by_the_type_of_their_mount() {
        for (mount_type, want) in [
            ("fuse.sshfs", Some("sshfs")),
            ("fuse.glusterfs", Some("glusterfs")),
            ("fuse.rclone", Some("rclone")),
            ("nfs", Some("nfs")),
            ("smbfs", Some("smbfs")),
            ("fuse.fuse-overlayfs", None),
            ("fuse.mergerfs", None),
            ("fuseblk", None),
            ("virtiofs", None),
            ("apfs", None),
        ] {
            assert_eq!(by_name(mount_type), want, "{mount_type}");
        }
    }

    #[test]
    fn a_mounts_type_is_found_by_its_device_and_the_last_one_counts() {
        let mountinfo = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
36 22 0:31 / /mnt/a\\040b rw,nosuid - fuse.sshfs me@host:/x rw,user_id=0
37 22 0:32 / /mnt/c rw shared:7 master:1 - fuse.mergerfs a:b rw
38 22 0:32 / /mnt/d rw - fuse.rclone remote: rw
39 22 0:33 half a line";
        for (device, want) in [
            ((254, 0), Some("ext4")),
            ((0, 31), Some("fuse.sshfs")),
            ((0, 32), Some("fuse.rclone")),
            ((0, 33), None),
            ((0, 3), None),
        ] {
            assert_eq!(mount_type(mountinfo, device.0, device.1), want, "{device:?}");
        }
    }

    #[test]
    fn no_entry_stands_twice() {
        let unique = |mut list: Vec<String>| {
            let count = list.len();
            list.sort();
            list.dedup();
            list.len() == count
        };
        assert!(unique(MAGIC.iter().map(|(magic, _)| magic.to_string()).collect()));
        assert!(unique(NAMES.iter().map(|name| name.to_string()).collect()));
    }
}
