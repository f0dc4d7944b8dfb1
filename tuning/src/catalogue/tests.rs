//! The catalogue on recorded machines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use runtime::probe::CardFacts;

use crate::catalogue::{Examined, entries, examine};
use crate::check::{Severity, Status};
use crate::directory::DirectoryFacts;
use crate::finding::{Action, Finding, Group, Scope};
use crate::host::{HostFacts, RingProbe};
use crate::profile::Profile;
use crate::recorded_tree::{
    DOCKER, NUMA_SERVER, RecordedTree, TUNABLE_NUMA_SERVER, TUNABLE_VIRTUAL_MACHINE,
};

pub(super) fn look(tree: &RecordedTree, directory: &str, profile: Profile) -> Vec<Finding> {
    look_with_cards(tree, directory, profile, BTreeMap::new())
}

fn look_with_cards(
    tree: &RecordedTree,
    directory: &str,
    profile: Profile,
    cards: BTreeMap<String, CardFacts>,
) -> Vec<Finding> {
    let host = tree.root();
    let directories = vec![DirectoryFacts::recorded(&host, Path::new(directory))];
    let facts = HostFacts::read(&host);
    let (config, calibration) = (None, None);
    let ring = RingProbe::Works;
    let examined = Examined { facts, ring, cards, directories, config, calibration };
    examine(&host, &examined, profile)
}

pub(super) fn server(profile: Profile) -> Vec<Finding> {
    look(&RecordedTree::unpack(TUNABLE_NUMA_SERVER), "/data", profile)
}

/// The server, whose card answers.
pub(super) fn server_with_card(profile: Profile, card: CardFacts) -> Vec<Finding> {
    let cards = BTreeMap::from([("eth0".to_owned(), card)]);
    look_with_cards(&RecordedTree::unpack(TUNABLE_NUMA_SERVER), "/data", profile, cards)
}

pub(super) fn virtual_machine(profile: Profile) -> Vec<Finding> {
    look(&RecordedTree::unpack(TUNABLE_VIRTUAL_MACHINE), "/", profile)
}

pub(super) fn find<'findings>(findings: &'findings [Finding], id: &str) -> &'findings Finding {
    findings.iter().find(|finding| finding.id == id).unwrap_or_else(|| panic!("no {id}"))
}

/// What would be written, as `path: from > to`.
pub(super) fn writes(finding: &Finding) -> Vec<String> {
    let shown = finding.writes().map(|write| {
        format!("{}: {} > {}", write.setting.path(), write.from.replace('\t', " "), write.to)
    });
    shown.map(|text| text.replace('\t', " ")).collect()
}

#[test]
fn every_entry_teaches_and_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for entry in entries() {
        assert!(ids.insert(entry.id), "{} twice", entry.id);
        assert!(!entry.why.is_empty() && !entry.lesson.is_empty(), "{}", entry.id);
        assert!(!entry.source.is_empty() && !entry.title.is_empty(), "{}", entry.id);
        assert!(entry.bench <= entry.prod, "{}: a bench asks for more, not for less", entry.id);
    }
    assert!(ids.len() > 100, "{} entries", ids.len());
}

#[test]
fn findings_are_of_entries_and_have_ids_of_their_own() {
    for findings in [
        server(Profile::Prod),
        virtual_machine(Profile::Bench),
        look(&RecordedTree::unpack(DOCKER), "/data", Profile::Container),
        look(&RecordedTree::unpack(""), "/data", Profile::Dev),
    ] {
        let mut ids = BTreeSet::new();
        for finding in &findings {
            assert!(ids.insert(&finding.id), "{} twice", finding.id);
            assert!(entries().iter().any(|entry| entry.id == finding.entry));
            let is_told = finding.status != Status::Unknown || finding.reason.is_some();
            assert!(is_told, "{} does not say why it is not known", finding.id);
            let is_mended = finding.status != Status::Failed || finding.command.is_some();
            assert!(is_mended, "{} fails and does not say what to do", finding.id);
            assert!(finding.status == Status::Failed || finding.actions.is_empty());
        }
        let groups: Vec<Group> = findings.iter().map(|finding| finding.group).collect();
        assert!(groups.is_sorted());
    }
}

#[test]
fn a_server_is_told_what_to_write_where() {
    let findings = server(Profile::Prod);
    for (id, expected) in [
        ("network.somaxconn", "/proc/sys/net/core/somaxconn: 128 > 4096"),
        ("memory.huge_pages", "/sys/kernel/mm/transparent_hugepage/enabled: always > madvise"),
        (
            "memory.huge_pages_defrag",
            "/sys/kernel/mm/transparent_hugepage/defrag: always > madvise",
        ),
        ("cpu.numa_balancing", "/proc/sys/kernel/numa_balancing: 1 > 0"),
        ("disk.scheduler:nvme0n1", "/sys/block/nvme0n1/queue/scheduler: mq-deadline > none"),
        ("disk.nomerges:nvme1n1", "/sys/block/nvme1n1/queue/nomerges: 0 > 2"),
        (
            "network.send_buffer",
            "/proc/sys/net/ipv4/tcp_wmem: 4096 16384 4194304 > 4096 16384 16777216",
        ),
        ("memory.watermark_scale", "/proc/sys/vm/watermark_scale_factor: 5 > 10"),
        ("memory.dirty_ratio", "/proc/sys/vm/dirty_ratio: 60 > 20"),
        ("memory.dirty_background", "/proc/sys/vm/dirty_background_ratio: 30 > 10"),
        ("network.busy_read", "/proc/sys/net/core/busy_read: 50 > 0"),
    ] {
        assert_eq!(writes(find(&findings, id)), [expected], "{id}");
    }
    let governor = find(&findings, "cpu.governor");
    assert_eq!(governor.current, "performance (1), powersave (3)");
    assert_eq!(governor.writes().count(), 3);
    assert_eq!(
        governor.command.as_deref(),
        Some(
            "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy{1..3}/scaling_governor"
        )
    );
}

/// They would be lost with the old scheduler.
#[test]
fn a_new_scheduler_notes_what_the_kernel_sets_anew() {
    let findings = virtual_machine(Profile::Prod);
    let scheduler = find(&findings, "disk.scheduler:vda");
    // It says that it spins, and mq-deadline is fine for what does.
    assert_eq!(scheduler.status, Status::Passed);
    let findings = server(Profile::Prod);
    let Action::Write(write) = &find(&findings, "disk.scheduler:nvme0n1").actions[0];
    let resets: Vec<&str> = write.resets.iter().map(|setting| setting.path()).collect();
    assert_eq!(
        resets,
        [
            "/sys/block/nvme0n1/queue/nr_requests",
            "/sys/block/nvme0n1/queue/wbt_lat_usec",
            "/sys/block/nvme0n1/queue/iosched/fifo_batch"
        ]
    );
}

#[test]
fn a_write_cache_is_reported_and_never_written() {
    for profile in Profile::ALL {
        let findings = server(profile);
        let cache = find(&findings, "disk.write_cache:nvme1n1");
        assert_eq!((cache.status, cache.severity), (Status::Failed, Severity::Info));
        assert!(cache.actions.is_empty());
        let paths = findings.iter().flat_map(Finding::writes).map(|write| write.setting.path());
        assert!(paths.into_iter().all(|path| !path.ends_with("write_cache")));
    }
}

#[test]
fn a_bench_wants_turbo_off_and_shallow_sleep_and_a_server_does_not() {
    let prod = server(Profile::Prod);
    assert_eq!(find(&prod, "cpu.turbo").status, Status::Passed);
    assert_eq!(find(&prod, "cpu.idle_states").status, Status::Passed);
    assert_eq!(find(&prod, "kernel.ptrace_scope").status, Status::Passed);
    let bench = server(Profile::Bench);
    let turbo = find(&bench, "cpu.turbo");
    assert!(turbo.is_warning());
    assert_eq!((turbo.current.as_str(), turbo.wanted.as_str()), ("on", "off"));
    assert_eq!(writes(turbo), ["/sys/devices/system/cpu/cpufreq/boost: 1 > 0"]);
    let deep = "/sys/devices/system/cpu/cpu0/cpuidle/state2/disable: 0 > 1";
    assert_eq!(writes(find(&bench, "cpu.idle_states"))[0], deep);
    // POLL and C1 are left alone.
    let command = find(&bench, "cpu.idle_states").command.as_deref();
    let disable = "/sys/devices/system/cpu/cpu{0..1}/cpuidle/state2/disable";
    assert_eq!(command, Some(format!("echo 1 | sudo tee {disable}").as_str()));
    assert!(find(&bench, "kernel.ptrace_scope").risk.is_some());
    assert!(find(&bench, "cpu.nmi_watchdog").is_warning());
}

#[test]
fn a_developers_machine_has_nothing_but_what_keeps_a_node_from_starting() {
    let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
        .with("/proc/sys/kernel/osrelease", "5.4.0")
        .with("/proc/sys/vm/overcommit_memory", "2");
    let findings = look(&tree, "/data", Profile::Dev);
    let counted: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.is_fatal() || finding.is_warning())
        .map(|finding| finding.id.as_str())
        .collect();
    assert_eq!(counted, ["kernel.version"]);
    assert!(find(&findings, "kernel.version").reboot);
}

#[test]
fn a_container_is_told_what_is_its_hosts_and_writes_nothing() {
    let findings = look(&RecordedTree::unpack(DOCKER), "/data", Profile::Container);
    assert!(findings.iter().all(|finding| finding.actions.is_empty()));
    let somaxconn = find(&findings, "network.somaxconn");
    assert!(somaxconn.command.as_deref().is_some_and(|c| c.starts_with("on the host: ")));
    assert_eq!(somaxconn.reason.as_deref(), Some("a setting of the host: `tune` it there"));
    let quota = find(&findings, "cpu.quota");
    assert!(quota.is_warning());
    assert!(!find(&findings, "service.time").supported);
    assert_eq!(find(&findings, "process.memlock").scope, Scope::Process);
}

#[test]
fn what_a_machine_does_not_have_is_not_supported_and_says_why() {
    let findings = virtual_machine(Profile::Prod);
    for (id, reason) in [
        ("cpu.governor", "the hypervisor or the firmware decides this"),
        ("cpu.numa_balancing", "all memory is in one NUMA node"),
        ("kernel.ptrace_scope", "there is no /proc/sys/kernel/yama/ptrace_scope here"),
        ("network.interface:ifb0", "a virtual interface"),
    ] {
        let finding = find(&findings, id);
        assert_eq!((finding.supported, finding.reason.as_deref()), (false, Some(reason)), "{id}");
    }
    let bond = server(Profile::Prod);
    let reason = find(&bond, "network.interface:bond0").reason.clone();
    assert_eq!(reason.as_deref(), Some("a bond of eth0 eth1: each is looked at by itself"));
    assert_eq!(
        find(&bond, "network.interface:eth1").current,
        "up, 25000 Mbit/s, MTU 9000, NUMA node 1"
    );
}

#[test]
fn interrupts_on_one_core_are_seen() {
    let findings = server(Profile::Prod);
    let crowded = find(&findings, "irq.spread:eth0");
    assert!(crowded.is_warning());
    assert_eq!(crowded.current, "4 on 0");
    assert_eq!(find(&findings, "irq.spread:eth1").status, Status::Passed);
    assert_eq!(find(&findings, "irq.balancer").current, "running");
    let vda = virtual_machine(Profile::Prod);
    // Its queue is named after the virtio device above it, and another device's is not taken for it.
    assert!(!find(&vda, "irq.spread:vda").supported);
    assert_eq!(find(&vda, "irq.spread:eth0").current, "1 on 0, 1 on 1");
}

#[test]
fn directories_disks_and_layers_are_looked_at_each_once() {
    let findings = server(Profile::Prod);
    assert_eq!(find(&findings, "directory.layers:/data").current, "dm-3");
    assert_eq!(find(&findings, "cpu.locality").current, "0: eth0, 1: nvme0n1 eth1");
    assert_eq!(find(&findings, "directory.own_disk:/data").status, Status::Unknown);
    assert_eq!(find(&findings, "directory.space:/data").status, Status::Unknown);
    assert_eq!(
        find(&findings, "disk.identity:nvme0n1").current,
        "SAMSUNG MZQL21T9HCJR, 1.7 TiB, firmware GDC5602Q, 41 °C, NUMA node 1"
    );
    let shared = virtual_machine(Profile::Prod);
    assert_eq!(find(&shared, "directory.own_disk:/").current, "shares vda with /");
    let md = RecordedTree::unpack(NUMA_SERVER)
        .with("/sys/block/dm-3/md/level", "raid0")
        .with("/sys/block/dm-3/md/chunk_size", "524288")
        .with("/sys/block/dm-3/md/degraded", "1");
    let findings = look(&md, "/data", Profile::Prod);
    let layers = find(&findings, "directory.layers:/data");
    assert_eq!(layers.current, "dm-3 (raid0, chunks of 512 KiB), degraded");
    assert!(layers.is_warning());
}

#[test]
fn a_clock_without_tsc_needs_a_new_start() {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let findings = server(Profile::Prod);
    let clock = find(&findings, "cpu.clock_source");
    assert!(clock.risk.is_some() && !clock.reboot);
    assert_eq!(writes(clock), [format!("{folder}/current_clocksource: hpet > tsc")]);
    let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
        .with(&format!("{folder}/available_clocksource"), "hpet acpi_pm");
    let findings = look(&tree, "/data", Profile::Prod);
    let clock = find(&findings, "cpu.clock_source");
    assert!(clock.reboot && clock.actions.is_empty());
}

#[test]
fn malformed_settings_are_not_known() {
    let tree = RecordedTree::unpack(TUNABLE_VIRTUAL_MACHINE)
        .with("/proc/sys/net/core/netdev_max_backlog", "many")
        .with("/proc/stat", "cpu  1 2")
        .with("/proc/interrupts", ":\nx: y\n 1:");
    let findings = look(&tree, "/", Profile::Prod);
    for id in ["network.device_backlog", "cpu.steal"] {
        assert_eq!(find(&findings, id).status, Status::Unknown, "{id}");
    }
    assert!(find(&findings, "network.device_backlog").supported);
}

#[test]
fn other_tuners_are_found() {
    let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
        .with("/proc/90/comm", "tuned\n")
        .with("/etc/tuned/active_profile", "throughput-performance\n");
    let findings = look(&tree, "/data", Profile::Prod);
    let tuners = find(&findings, "service.other_tuners");
    assert!(tuners.is_warning());
    assert_eq!(tuners.current, "tuned, profile throughput-performance");
}

/// They ran at the start of the machine and are gone: no process shows them.
#[test]
fn tuners_that_run_once_at_each_start_are_found_by_their_units() {
    let wants = "/etc/systemd/system/multi-user.target.wants";
    let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
        .with("/proc/90/comm", "tuned\n")
        .with(&format!("{wants}/tuned.service"), "")
        .with(&format!("{wants}/redpanda-tuner.service"), "")
        .with("/etc/systemd/system/scylla-server.service.requires/cpupower.service", "");
    let findings = look(&tree, "/data", Profile::Prod);
    let tuners = find(&findings, "service.other_tuners");
    assert_eq!(tuners.current, "tuned, redpanda-tuner at each start, cpupower at each start");
    let command = "keep one of them: sudo systemctl disable --now tuned";
    assert_eq!(tuners.command.as_deref(), Some(command));
}

#[test]
fn a_finding_is_written_for_programs_too() {
    let findings = server(Profile::Prod);
    let json = serde_json::to_value(find(&findings, "disk.nomerges:nvme0n1")).expect("JSON");
    assert_eq!(json["scope"], serde_json::json!({"kind": "disk", "name": "nvme0n1"}));
    assert_eq!(
        json["actions"],
        serde_json::json!([{
            "kind": "write",
            "path": "/sys/block/nvme0n1/queue/nomerges",
            "form": "plain",
            "from": "0",
            "to": "2"
        }])
    );
    assert_eq!((&json["profile"], &json["supported"]), (&"prod".into(), &true.into()));
}
