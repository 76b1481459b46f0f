//! Filesystems whose times of change can be relied on.

use std::fs::File;

/// Filesystems of this machine that set the time of change of a file's metadata themselves at every
/// write, by the numbers that `statfs` gives: ext2 to ext4, XFS, Btrfs, tmpfs, ZFS, F2FS and
/// bcachefs.
///
/// Every other filesystem is not trusted. In images (squashfs, erofs, ISO 9660) these times are
/// whatever their maker wrote; FUSE mounts of buckets give the time of the content; network
/// filesystems (NFS, SMB, Lustre, Ceph, GPFS) answer out of caches or with clocks of other
/// machines; overlayfs does not tell which filesystem is below.
#[cfg(target_os = "linux")]
const TRUSTED: [u32; 7] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x0102_1994, // tmpfs
    0x2fc1_2fc1, // ZFS
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
];

/// True if a file lies on a filesystem that is known to keep its times of change, mounted so that
/// it can be written: a read-only mount may be an image, whatever is in it.
#[cfg(target_os = "linux")]
pub(super) fn keeps_change_time(file: &File) -> bool {
    use rustix::fs::{StatVfsMountFlags, fstatfs, fstatvfs};
    let is_known = fstatfs(file).is_ok_and(|found| TRUSTED.contains(&(found.f_type as u32)));
    let is_writable =
        || fstatvfs(file).is_ok_and(|found| !found.f_flag.contains(StatVfsMountFlags::RDONLY));
    is_known && is_writable()
}

/// Elsewhere no filesystem is known.
#[cfg(not(target_os = "linux"))]
pub(super) fn keeps_change_time(_: &File) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_filesystems_that_are_known_are_trusted() {
        let is_trusted = |path: &str| File::open(path).map(|file| keeps_change_time(&file));
        assert!(!is_trusted("/proc/self/status").unwrap(), "a filesystem that is not known");
        if let Ok(memory) = is_trusted("/dev/shm") {
            assert!(memory, "tmpfs is known");
        }
    }
}
