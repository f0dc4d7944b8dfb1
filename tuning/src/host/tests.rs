//! The facts of recorded machines.

use crate::byte_count::ByteCount;
use crate::container::{Container, Seccomp};
use crate::cpu_set::{CpuId, CpuSet};
use crate::host::HostFacts;
use crate::host_root::HostRoot;
use crate::kernel::KernelVersion;
use crate::memory::HugePages;
use crate::process_limits::RLimit;
use crate::recorded_tree::{DOCKER, NUMA_SERVER, RecordedTree, VIRTUAL_MACHINE};

fn facts(text: &str) -> HostFacts {
    HostFacts::read(&RecordedTree::unpack(text).root())
}

fn set(list: &str) -> CpuSet {
    CpuSet::parse(list).expect("a list")
}

#[test]
fn cgroup_v1_limits_of_any_ancestor_count() {
    let facts = facts(VIRTUAL_MACHINE);
    assert_eq!(facts.memory.cgroup_limit, Some(ByteCount::gib(12)));
    assert_eq!(facts.memory.limit(), Some(ByteCount::gib(12)));
    assert_eq!(facts.cpus.quota_millis, None);
    assert_eq!(facts.cpus.usable_count(), 2);
}

#[test]
fn a_virtual_machine_is_read_whole() {
    let facts = facts(VIRTUAL_MACHINE);
    assert_eq!(facts.kernel.version, Some(KernelVersion { major: 6, minor: 18 }));
    assert_eq!(facts.kernel.sysctls.io_uring_disabled, Some(0));
    assert_eq!((facts.cpus.online.clone(), facts.cpus.allowed.clone()), (set("0-1"), set("0-1")));
    assert_eq!(facts.cpus.core(CpuId(1)), CpuId(0));
    assert_eq!(facts.process.memlock, Some(RLimit { soft: Some(8 << 20), hard: Some(8 << 20) }));
    assert!(facts.process.may_lock_without_limit && facts.process.may_administer);
    assert_eq!(facts.process.lockable(), None);
    assert_eq!(facts.container.container, None);
    assert_eq!(facts.container.seccomp, Seccomp::Off);
    assert_eq!(facts.memory.transparent_huge_pages, Some(HugePages::Madvise));
}

#[test]
fn a_container_is_its_quota_its_cpuset_and_its_memory() {
    let facts = facts(DOCKER);
    assert_eq!(facts.container.container, Some(Container::Docker));
    assert_eq!(facts.container.seccomp, Seccomp::Filtered);
    assert_eq!(facts.cpus.allowed, set("0-3,8-11"));
    assert_eq!(facts.cpus.quota_millis, Some(2500));
    assert_eq!(facts.cpus.usable_count(), 3);
    assert_eq!(facts.memory.limit(), Some(ByteCount::gib(1)));
    assert_eq!(facts.process.lockable(), Some(ByteCount::kib(64)));
    assert_eq!(facts.kernel.sysctls.io_uring_disabled, None);
}

#[test]
fn a_container_without_a_group_namespace_sees_the_part_of_its_group_that_is_mounted() {
    let tree = RecordedTree::unpack(DOCKER)
        .with("/proc/self/cgroup", "0::/system.slice/docker-3f1c.scope")
        .with(
            "/proc/self/mountinfo",
            "603 602 0:27 /system.slice/docker-3f1c.scope /sys/fs/cgroup ro - cgroup2 cgroup rw",
        );
    let facts = HostFacts::read(&tree.root());
    assert_eq!(facts.cpus.quota_millis, Some(2500));
}

#[test]
fn the_smallest_limit_of_the_hierarchy_binds() {
    let slice = "/sys/fs/cgroup/user.slice";
    let tree = RecordedTree::unpack(NUMA_SERVER)
        .with(&format!("{slice}/memory.max"), "8589934592")
        .with(&format!("{slice}/user-1000.slice/memory.max"), "max")
        .with(&format!("{slice}/user-1000.slice/memory.high"), "4294967296")
        .with(&format!("{slice}/cpu.max"), "max 100000")
        .with(&format!("{slice}/user-1000.slice/session-1.scope/cpu.max"), "50000 100000");
    let facts = HostFacts::read(&tree.root());
    assert_eq!(facts.memory.limit(), Some(ByteCount::gib(4)));
    assert_eq!((facts.cpus.quota_millis, facts.cpus.usable_count()), (Some(500), 1));
}

#[test]
fn physical_cores_come_before_second_hardware_threads() {
    let facts = facts(NUMA_SERVER);
    let order = facts.cpus.by_preference();
    assert_eq!(order[..32], (0..32).map(CpuId).collect::<Vec<_>>()[..]);
    assert_eq!(order[32..], (32..64).map(CpuId).collect::<Vec<_>>()[..]);
    assert_eq!((facts.cpus.node_of(CpuId(15)), facts.cpus.node_of(CpuId(48))), (Some(0), Some(1)));
    assert_eq!(facts.cpus.model.as_deref(), Some("AMD EPYC 9354P 32-Core Processor"));
}

#[test]
fn a_second_thread_whose_first_is_not_allowed_is_a_core_of_its_own() {
    let status = "Cpus_allowed_list:\t1,32-33";
    let tree = RecordedTree::unpack(NUMA_SERVER).with("/proc/self/status", status);
    let facts = HostFacts::read(&tree.root());
    assert_eq!(facts.cpus.by_preference(), [CpuId(1), CpuId(32), CpuId(33)]);
}

#[test]
fn groups_and_capabilities_of_an_ordinary_user_are_read() {
    let process = facts(NUMA_SERVER).process;
    assert_eq!((process.may_lock_without_limit, process.may_administer), (false, false));
    assert_eq!((process.groups, process.user_id), (vec![1000, 1000], Some(1000)));
    assert_eq!(process.nofile, Some(RLimit { soft: Some(1024), hard: Some(524_288) }));
}

#[test]
fn containers_are_told_apart() {
    for (path, content, expected) in [
        ("/run/.containerenv", "", Container::Podman),
        ("/.dockerenv", "", Container::Docker),
        ("/proc/1/cgroup", "0::/kubepods.slice/pod1", Container::Kubernetes),
        ("/proc/1/cgroup", "4:cpu:/docker/3f1c", Container::Docker),
        ("/proc/1/cgroup", "4:cpu:/lxc/web", Container::Lxc),
        ("/proc/self/environ", "A=1\0KUBERNETES_SERVICE_HOST=10.0.0.1\0", Container::Kubernetes),
        ("/proc/self/environ", "container=systemd-nspawn\0", Container::SystemdNspawn),
        ("/proc/self/environ", "container=oci\0", Container::Unnamed),
    ] {
        let tree = RecordedTree::unpack("").with(path, content);
        let facts = HostFacts::read(&tree.root());
        assert_eq!(facts.container.container, Some(expected), "{path} {content}");
    }
}

#[test]
fn a_machine_made_from_a_containers_image_is_no_container() {
    let tree = RecordedTree::unpack(VIRTUAL_MACHINE).with("/.dockerenv", "");
    assert_eq!(HostFacts::read(&tree.root()).container.container, None);
}

#[test]
fn a_host_that_shows_nothing_still_has_one_cpu() {
    let facts = facts("");
    assert_eq!(facts.cpus.usable_count(), 1);
    assert_eq!(facts.memory.limit(), None);
    assert_eq!(facts.kernel.version, None);
    assert_eq!(facts.container.seccomp, Seccomp::Unknown);
}

#[test]
fn malformed_files_are_unknown_facts() {
    let tree = RecordedTree::unpack(VIRTUAL_MACHINE)
        .with("/proc/meminfo", "MemTotal: lots\nMemAvailable 5")
        .with("/proc/self/mountinfo", "1 2 3 -\n - \n1 1 a:b / / rw - ext4 x rw\n\\\n")
        .with("/proc/self/cgroup", "::\n0\n1:cpu\n")
        .with("/proc/self/limits", "Max open files\nMax locked memory 1")
        .with("/proc/self/status", "Cpus_allowed_list:\t9-1\nCapEff:\tzz\nGid:\t1")
        .with("/sys/devices/system/cpu/online", "x");
    let facts = HostFacts::read(&tree.root());
    assert_eq!(facts.memory.limit(), None);
    assert_eq!((facts.process.memlock, facts.process.nofile), (None, None));
    assert_eq!(facts.cpus.allowed, set("0"));
}

#[test]
fn the_machine_that_runs_this_can_be_read() {
    let facts = HostFacts::read(&HostRoot::live());
    assert!(facts.cpus.usable_count() > 0);
    assert!(facts.memory.limit().is_some_and(|limit| limit > ByteCount::mib(16)));
    assert!(facts.kernel.version.is_some());
}
