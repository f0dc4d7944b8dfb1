//! Findings about recorded machines and directories.

use std::path::PathBuf;

use rustix::io::Errno;

use crate::byte_count::ByteCount;
use crate::check::{Check, Severity, Status};
use crate::checks::{DirectoryContents, DurabilityWanted, directory_checks, host_checks};
use crate::directory::{DirectoryFacts, DirectoryStat};
use crate::directory_probe::{DirectoryProbe, DirectoryProbeError, WritePath};
use crate::host::{HostFacts, RingProbe};
use crate::mounts::DeviceNumber;
use crate::recorded_tree::{DOCKER, NUMA_SERVER, RecordedTree, VIRTUAL_MACHINE};

/// A machine that tells little more than who we are.
const ORDINARY_USER: &str = "= /proc/self/status\nGid:\t1000\t1000\t1000\t1000\nSeccomp:\t0\n";

fn host(tree: &RecordedTree, ring: RingProbe) -> Vec<Check> {
    host_checks(&HostFacts::read(&tree.root()), ring)
}

fn refused(errno: Errno) -> RingProbe {
    RingProbe::Refused { call: "io_uring_setup", errno: errno.raw_os_error() }
}

fn by_id<'checks>(checks: &'checks [Check], id: &str) -> &'checks Check {
    checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}"))
}

fn fatal(checks: &[Check]) -> Vec<&str> {
    checks.iter().filter(|check| check.is_fatal()).map(|check| check.id.as_str()).collect()
}

fn mend(check: &Check) -> &str {
    check.mend.as_deref().unwrap_or_default()
}

#[test]
fn a_fit_machine_has_no_fatal_finding() {
    let checks = host(&RecordedTree::unpack(VIRTUAL_MACHINE), RingProbe::Works);
    assert_eq!(fatal(&checks), [""; 0]);
    assert_eq!(by_id(&checks, "process.nofile").status, Status::Failed);
    assert_eq!(by_id(&checks, "memory.swap").status, Status::Passed);
}

#[test]
fn what_failed_and_matters_most_comes_first_and_ids_are_unique() {
    let checks = host(&RecordedTree::unpack(DOCKER), refused(Errno::PERM));
    let order: Vec<(Status, Severity)> = checks.iter().map(|c| (c.status, c.severity)).collect();
    assert_eq!(order[0], (Status::Failed, Severity::Fatal));
    let passed = order.iter().position(|(status, _)| *status == Status::Passed);
    assert!(
        order[passed.expect("some pass")..].iter().all(|(status, _)| *status == Status::Passed)
    );
    let mut ids: Vec<&str> = checks.iter().map(|check| check.id.as_str()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn the_kernel_must_be_6_1() {
    for (release, status) in [
        ("6.1.0", Status::Passed),
        ("6.0.19", Status::Failed),
        ("5.15.0-91-generic", Status::Failed),
        ("?", Status::Unknown),
    ] {
        let tree =
            RecordedTree::unpack(VIRTUAL_MACHINE).with("/proc/sys/kernel/osrelease", release);
        let checks = host(&tree, RingProbe::NotTried);
        assert_eq!(by_id(&checks, "kernel.version").status, status, "{release}");
    }
}

#[test]
fn io_uring_disabled_is_read_with_its_group() {
    for (setting, group, status) in [
        ("0", "-1", Status::Passed),
        ("1", "1000", Status::Passed),
        ("1", "-1", Status::Failed),
        ("1", "44", Status::Failed),
        ("2", "1000", Status::Failed),
    ] {
        let tree = RecordedTree::unpack(ORDINARY_USER)
            .with("/proc/sys/kernel/io_uring_disabled", setting)
            .with("/proc/sys/kernel/io_uring_group", group);
        let checks = host(&tree, RingProbe::NotTried);
        let check = by_id(&checks, "io_uring.disabled");
        assert_eq!(check.status, status, "{setting} {group}");
        assert_eq!(check.mend.is_none(), status == Status::Passed);
    }
    let tree = RecordedTree::unpack(ORDINARY_USER);
    let checks = host(&tree, RingProbe::NotTried);
    assert_eq!(by_id(&checks, "io_uring.disabled").status, Status::Passed);
}

#[test]
fn a_refused_ring_names_its_cause_and_what_lifts_it() {
    let docker = || RecordedTree::unpack(DOCKER);
    let server = || RecordedTree::unpack(ORDINARY_USER);
    let disabled = || server().with("/proc/sys/kernel/io_uring_disabled", "2");
    let filtered = || server().with("/proc/self/status", "Seccomp:\t2\nGid:\t1000\t1000");
    for (tree, errno, cause, command) in [
        (docker(), Errno::PERM, "seccomp profile", "docker run --security-opt seccomp=unconfined"),
        (docker(), Errno::NOSYS, "seccomp profile", "docker run --security-opt"),
        (docker(), Errno::NOMEM, "locked memory", "docker run --ulimit memlock=-1"),
        (disabled(), Errno::PERM, "io_uring_disabled", "sudo sysctl --system"),
        (filtered(), Errno::PERM, "seccomp filter", "SystemCallFilter=@io-event"),
        (server(), Errno::NOSYS, "without io_uring", "CONFIG_IO_URING"),
        (server(), Errno::MFILE, "open files", "limits.d"),
        (server(), Errno::PERM, "security module", "dmesg"),
    ] {
        let checks = host(&tree, refused(errno));
        let check = by_id(&checks, "io_uring.ring");
        assert!(check.is_fatal());
        assert!(check.current.contains(cause), "{errno:?}: {}", check.current);
        assert!(mend(check).contains(command), "{errno:?}: {}", mend(check));
    }
}

/// A kernel that made a ring has io_uring: what it then refuses is forbidden by somebody.
#[test]
fn a_ring_that_may_not_be_used_is_not_a_kernel_without_io_uring() {
    let filtered =
        RecordedTree::unpack(ORDINARY_USER).with("/proc/self/status", "Seccomp:\t2\nGid:\t1000");
    for tree in [RecordedTree::unpack(ORDINARY_USER), filtered] {
        let errno = Errno::NOSYS.raw_os_error();
        let checks = host(&tree, RingProbe::Refused { call: "io_uring_enter", errno });
        let check = by_id(&checks, "io_uring.ring");
        assert!(check.is_fatal() && check.current.starts_with("io_uring_enter refused"));
        assert!(!check.current.contains("without io_uring"), "{}", check.current);
    }
}

#[test]
fn locked_memory_below_512_kib_is_fatal_unless_a_capability_lifts_it() {
    let checks = host(&RecordedTree::unpack(DOCKER), RingProbe::Works);
    assert_eq!(fatal(&checks), ["process.memlock"]);
    assert_eq!(
        by_id(&checks, "process.memlock").sentence(),
        "the limit on locked memory: 64 KiB, wanted: 512 KiB or more; to mend it: docker run \
         --ulimit memlock=-1 …"
    );
    let ordinary = host(&RecordedTree::unpack(NUMA_SERVER), RingProbe::Works);
    assert_eq!(fatal(&ordinary), [""; 0]);
    let buffers = by_id(&ordinary, "process.registered_buffers");
    assert_eq!((buffers.severity, buffers.status), (Severity::Info, Status::Failed));
    let root = RecordedTree::unpack(DOCKER).with("/proc/self/status", "CapEff:\t0000000000004000");
    assert_eq!(fatal(&host(&root, RingProbe::Works)), [""; 0]);
}

#[test]
fn a_container_is_told_what_to_change_on_its_host() {
    let checks = host(&RecordedTree::unpack(DOCKER), RingProbe::Works);
    assert!(mend(by_id(&checks, "network.somaxconn")).starts_with("on the host: echo "));
    assert_eq!(by_id(&checks, "cpu.quota").current, "2.500 CPUs");
    assert_eq!(by_id(&checks, "memory.huge_pages").status, Status::Failed);
}

const GOOD_PROBE: DirectoryProbe = DirectoryProbe {
    write_path: WritePath::DirectStable,
    memory_alignment: Some(ByteCount(512)),
    position_alignment: Some(ByteCount(512)),
    no_copy_on_write: false,
};

fn directory(tree: &str, path: &str, magic: u64) -> DirectoryFacts {
    let stat = DirectoryStat {
        device: DeviceNumber { major: 253, minor: 3 },
        magic,
        free: ByteCount::gib(50),
        total: ByteCount::gib(100),
    };
    DirectoryFacts::from_stat(&RecordedTree::unpack(tree).root(), path.into(), stat)
}

fn with_probe(facts: &DirectoryFacts, write_path: WritePath) -> Vec<Check> {
    let probe = Ok(DirectoryProbe { write_path, ..GOOD_PROBE });
    directory_checks(facts, &probe, DurabilityWanted::Fsync, DirectoryContents::Nothing)
}

#[test]
fn xfs_with_good_options_has_nothing_but_its_disks_cache_to_say() {
    let facts = directory(NUMA_SERVER, "/data", 0x5846_5342);
    let checks = with_probe(&facts, WritePath::DirectStable);
    let failed: Vec<&str> =
        checks.iter().filter(|c| c.status != Status::Passed).map(|c| c.id.as_str()).collect();
    assert_eq!(failed, ["disk.write_cache:nvme1n1"]);
}

#[test]
fn what_is_no_disk_is_refused_unless_memory_will_do() {
    let facts = directory(NUMA_SERVER, "/data", 0x0102_1994);
    let probe = Ok(GOOD_PROBE);
    let strict =
        directory_checks(&facts, &probe, DurabilityWanted::Fsync, DirectoryContents::Nothing);
    assert_eq!(fatal(&strict), ["directory.stable_writes"]);
    assert!(mend(by_id(&strict, "directory.stable_writes")).contains("--durability memory"));
    let lax =
        directory_checks(&facts, &probe, DurabilityWanted::Memory, DirectoryContents::Nothing);
    assert_eq!(fatal(&lax), [""; 0]);
}

#[test]
fn a_volatile_overlay_is_refused() {
    let facts = directory(NUMA_SERVER, "/layers", 0x794c_7630);
    let checks = with_probe(&facts, WritePath::DirectStable);
    assert_eq!(fatal(&checks), ["directory.stable_writes"]);
    assert_eq!(by_id(&checks, "directory.file_system").current, "overlayfs over xfs");
}

#[test]
fn refused_direct_or_stable_writes_are_fatal() {
    let facts = directory(NUMA_SERVER, "/data", 0x5846_5342);
    let errno = Errno::INVAL.raw_os_error();
    let checks = with_probe(&facts, WritePath::NotDirect { errno });
    assert_eq!(fatal(&checks), ["directory.direct_io"]);
    let checks = with_probe(&facts, WritePath::DirectWithoutStable { errno });
    assert_eq!(fatal(&checks), ["directory.stable_writes"]);
    let error = DirectoryProbeError { path: PathBuf::from("/data"), errno: Errno::ACCESS };
    let checks =
        directory_checks(&facts, &Err(error), DurabilityWanted::Fsync, DirectoryContents::Nothing);
    assert_eq!(fatal(&checks), ["directory.writable"]);
    assert!(
        mend(by_id(&checks, "directory.writable")).contains("'/data'`, or give another --data-dir")
    );
}

#[test]
fn advice_for_an_unwritable_directory_fits_its_reason() {
    let facts = directory(NUMA_SERVER, "/data", 0x5846_5342);
    for (errno, expected) in [
        (Errno::ROFS, "findmnt -T '/data'"),
        (Errno::NOTDIR, "move it away"),
        (Errno::NOSPC, "df -h '/data'"),
        (Errno::ACCESS, "sudo install -d"),
    ] {
        let error = DirectoryProbeError { path: PathBuf::from("/data"), errno };
        let (durability, contents) = (DurabilityWanted::Fsync, DirectoryContents::NodeData);
        let checks = directory_checks(&facts, &Err(error), durability, contents);
        assert_eq!(fatal(&checks), ["directory.writable"]);
        assert!(mend(by_id(&checks, "directory.writable")).contains(expected), "{errno}");
    }
}

#[test]
fn a_node_may_start_on_the_disk_that_it_filled() {
    let mut facts = directory(NUMA_SERVER, "/data", 0x5846_5342);
    facts.free = ByteCount::mib(60);
    let (durability, contents) = (DurabilityWanted::Fsync, DirectoryContents::NodeData);
    let checks = directory_checks(&facts, &Ok(GOOD_PROBE), durability, contents);
    assert_eq!(fatal(&checks), [""; 0]);
    assert_eq!(by_id(&checks, "directory.room").status, Status::Failed);
}

#[test]
fn copy_on_write_is_mended_by_exempting_the_directory() {
    let facts = directory(NUMA_SERVER, "/copy here", 0x9123_683e);
    let checks = with_probe(&facts, WritePath::DirectStable);
    let check = by_id(&checks, "directory.copy_on_write");
    assert_eq!(check.status, Status::Failed);
    assert!(mend(check).starts_with("chattr +C '/copy here'"));
    let exempt = Ok(DirectoryProbe { no_copy_on_write: true, ..GOOD_PROBE });
    let checks =
        directory_checks(&facts, &exempt, DurabilityWanted::Fsync, DirectoryContents::Nothing);
    assert_eq!(by_id(&checks, "directory.copy_on_write").status, Status::Passed);
}

#[test]
fn dangerous_and_slow_mount_options_are_named() {
    let mut facts = directory(NUMA_SERVER, "/data", 0xef53);
    facts.mount_options = ["rw", "nobarrier", "data=journal", "discard"].map(str::to_owned).into();
    let checks = with_probe(&facts, WritePath::DirectStable);
    for id in ["barriers", "data_journal", "discard", "lazytime"] {
        assert_eq!(by_id(&checks, &format!("directory.{id}")).status, Status::Failed, "{id}");
    }
    assert!(mend(by_id(&checks, "directory.barriers")).contains("remount,barrier=1 '/data'"));
}

#[test]
fn a_full_disk_is_fatal_and_a_nearly_full_one_is_not() {
    let mut facts = directory(NUMA_SERVER, "/data", 0x5846_5342);
    facts.free = ByteCount::mib(100);
    assert_eq!(fatal(&with_probe(&facts, WritePath::DirectStable)), ["directory.room"]);
    facts.free = ByteCount::gib(12);
    let checks = with_probe(&facts, WritePath::DirectStable);
    assert_eq!(fatal(&checks), [""; 0]);
    assert_eq!(by_id(&checks, "directory.space").current, "12 GiB (12 %)");
}

#[test]
fn a_finding_is_written_for_programs_too() {
    let checks = host(&RecordedTree::unpack(DOCKER), RingProbe::Works);
    let json = serde_json::to_value(by_id(&checks, "process.memlock")).expect("JSON");
    assert_eq!(json["severity"], "fatal");
    assert_eq!(json["status"], "failed");
    assert_eq!(json["id"], "process.memlock");
}
