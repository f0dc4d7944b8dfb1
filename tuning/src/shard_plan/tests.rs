//! Plans for machines from one core to many.

use runtime::limits::{EXECUTOR_LOCKED_BYTES, PAGE_BYTES};

use crate::byte_count::ByteCount;
use crate::cpu_set::{CpuId, CpuSet};
use crate::host::HostFacts;
use crate::process_limits::RLimit;
use crate::recorded_tree::{DOCKER, NUMA_SERVER, RecordedTree};
use crate::shard_plan::{MEMORY_MIN, MemorySource, ShardPlan, ShardPlanError, plan_shards};

/// A machine with plain cores and nothing else to say.
fn machine(cores: u32, memory: ByteCount) -> HostFacts {
    sized(HostFacts::read(&RecordedTree::unpack("").root()), cores, memory)
}

fn sized(mut facts: HostFacts, cores: u32, memory: ByteCount) -> HostFacts {
    facts.cpus.online = (0..cores).map(CpuId).collect::<CpuSet>();
    facts.cpus.allowed = facts.cpus.online.clone();
    facts.memory.total = memory;
    facts.memory.available = memory;
    facts
}

fn recorded(tree: &str) -> HostFacts {
    HostFacts::read(&RecordedTree::unpack(tree).root())
}

fn cpus(plan: &ShardPlan) -> Vec<u32> {
    plan.data_shards.iter().map(|shard| shard.cpu.0).collect()
}

#[test]
fn below_four_cores_every_core_has_a_data_shard() {
    for (cores, expected) in [(1, vec![0]), (2, vec![0, 1]), (3, vec![0, 1, 2])] {
        let plan = plan_shards(&machine(cores, ByteCount::gib(16)), None, None).expect("a plan");
        assert_eq!((cpus(&plan), plan.control_cpu), (expected, CpuId(0)));
        assert_eq!(plan.notes, [""; 0]);
    }
}

#[test]
fn from_four_cores_on_one_is_left_to_control() {
    for cores in [4, 8, 64] {
        let plan = plan_shards(&machine(cores, ByteCount::gib(512)), None, None).expect("a plan");
        assert_eq!(cpus(&plan), (1..cores).collect::<Vec<_>>());
        assert_eq!(plan.control_cpu, CpuId(0));
        assert_eq!(plan.notes, [""; 0]);
    }
}

#[test]
fn the_default_memory_is_half_but_at_most_four_gib_a_shard() {
    for (cores, memory, expected) in [
        (1, ByteCount::mib(256), ByteCount::mib(128)),
        (2, ByteCount::gib(1), ByteCount::mib(512)),
        (2, ByteCount::gib(24), ByteCount::gib(8)),
        (64, ByteCount::gib(256), ByteCount::gib(128)),
        (64, ByteCount::gib(1024), ByteCount::gib(4 * 63)),
    ] {
        let plan = plan_shards(&machine(cores, memory), None, None).expect("a plan");
        assert_eq!(plan.memory, expected, "{cores} cores, {memory}");
    }
}

#[test]
fn one_core_with_256_mib_runs_one_shard() {
    let plan = plan_shards(&machine(1, ByteCount::mib(256)), None, None).expect("a plan");
    assert_eq!(plan.data_shard_memory, ByteCount::mib(80));
    assert_eq!(plan.dedicated_shard_memory, ByteCount::mib(16));
    assert_eq!(plan.groups_memory, ByteCount::mib(16));
    assert_eq!(plan.notes, [""; 0]);
}

#[test]
fn the_least_memory_is_taken_from_a_machine_that_has_little_more() {
    let plan = plan_shards(&machine(1, ByteCount::mib(128)), None, None).expect("a plan");
    assert_eq!(plan.memory, MEMORY_MIN);
    assert_eq!(plan.notes, ["104 MiB of 128 MiB are used: a node needs that much"]);
}

#[test]
fn too_little_memory_reduces_the_shards_and_says_so() {
    let plan = plan_shards(&machine(16, ByteCount::gib(16)), None, Some(ByteCount::mib(512)));
    let plan = plan.expect("a plan");
    assert_eq!(plan.data_shards.len(), 6);
    assert_eq!(
        plan.notes,
        ["512 MiB of memory carry 6 data shards of 64 MiB, not 15: give --memory more for more \
          shards"]
    );
}

#[test]
fn more_shards_than_cores_share_them_in_turn() {
    let plan = plan_shards(&machine(2, ByteCount::gib(64)), Some(8), None).expect("a plan");
    assert_eq!(cpus(&plan), [0, 1, 0, 1, 0, 1, 0, 1]);
    assert_eq!(
        plan.notes,
        ["8 data shards share 2 cores in turn: more shards than cores are slower"]
    );
    let plan = plan_shards(&machine(2, ByteCount::gib(64)), Some(256), None).expect("a plan");
    assert_eq!(plan.data_shards.len(), 256);
    let plan = plan_shards(&machine(64, ByteCount::gib(512)), Some(256), None).expect("a plan");
    assert_eq!(cpus(&plan)[60..68], [60, 61, 62, 63, 0, 1, 2, 3]);
}

#[test]
fn a_shard_on_every_one_of_four_cores_shares_one_with_control() {
    let plan = plan_shards(&machine(4, ByteCount::gib(64)), Some(4), None).expect("a plan");
    assert_eq!((cpus(&plan), plan.control_cpu), (vec![0, 1, 2, 3], CpuId(0)));
    assert_eq!(
        plan.notes,
        [
            "every core has a data shard: the controller and the coordinator share core 0 with shard 0"
        ]
    );
}

#[test]
fn fewer_shards_than_cores_leave_the_first_to_control() {
    let plan = plan_shards(&machine(2, ByteCount::gib(64)), Some(1), None).expect("a plan");
    assert_eq!((cpus(&plan), plan.control_cpu), (vec![1], CpuId(0)));
}

#[test]
fn a_quota_bounds_the_cores() {
    let plan = plan_shards(&recorded(DOCKER), None, None).expect("a plan");
    assert_eq!((cpus(&plan), plan.memory), (vec![0, 1, 2], ByteCount::mib(512)));
    assert_eq!(plan.notes, ["the cgroup grants 2.500 CPUs of 8: 3 are used"]);
}

#[test]
fn shards_know_their_node_and_hardware_threads_are_noted() {
    let plan = plan_shards(&recorded(NUMA_SERVER), None, None).expect("a plan");
    assert_eq!(plan.data_shards.len(), 63);
    let nodes = |node| plan.data_shards.iter().filter(|s| s.numa_node == Some(node)).count();
    assert_eq!((nodes(0), nodes(1)), (31, 32));
    let [note] = &plan.notes[..] else { panic!("one note, not {:?}", plan.notes) };
    assert!(note.starts_with("63 hardware threads of 32 physical cores are used"), "{note}");
    let physical = plan_shards(&recorded(NUMA_SERVER), Some(31), None).expect("a plan");
    assert_eq!((cpus(&physical), physical.notes.len()), ((1..32).collect(), 0));
}

/// Half of a machine's memory was planned where the kernel gives that of one node alone.
#[test]
fn a_cpuset_bounds_the_memory_and_prefers_the_cores_near_it() {
    let status = "Cpus_allowed_list:\t0-63\nMems_allowed_list:\t1\n";
    let mut tree = RecordedTree::unpack(NUMA_SERVER).with("/proc/self/status", status);
    for (node, kib) in [(0, 67_108_864), (1, 33_554_432)] {
        let text = format!("Node {node} MemTotal:       {kib} kB\nNode {node} MemFree: 5 kB\n");
        tree = tree.with(&format!("/sys/devices/system/node/node{node}/meminfo"), &text);
    }
    let facts = HostFacts::read(&tree.root());
    assert_eq!(facts.memory.limit(), Some(ByteCount::gib(32)));
    let near = plan_shards(&facts, Some(15), None).expect("a plan");
    assert_eq!(near.memory, ByteCount::gib(16), "half of what the node has");
    assert!(near.data_shards.iter().all(|shard| shard.numa_node == Some(1)), "{near:?}");
    assert_eq!((facts.cpus.node_of(near.control_cpu), near.notes.len()), (Some(1), 0));
    let both = plan_shards(&facts, Some(31), None).expect("a plan");
    let far = both.notes.iter().find(|note| note.contains("cpuset.mems")).expect("a note");
    assert!(far.starts_with("cores 0-15 have no memory near them"), "{far}");
    // A list without a node of this machine is a misread.
    let tree = tree.with("/proc/self/status", "Mems_allowed_list:\t7\n");
    assert_eq!(HostFacts::read(&tree.root()).memory.cpuset_limit, None);
}

/// It came first of all second threads, where interrupts and coordinators run beside it.
#[test]
fn the_hardware_thread_beside_control_is_the_last_to_have_a_shard() {
    let of = |wanted| cpus(&plan_shards(&recorded(NUMA_SERVER), wanted, None).expect("a plan"));
    assert_eq!(of(Some(40))[30..33], [31, 33, 34], "others first");
    assert!(!of(Some(62)).contains(&32), "the sibling of core 0");
    assert_eq!((of(None).len(), of(None).last()), (63, Some(&32)), "by default it has one");
    // Two cores with two threads each.
    let mut small = machine(4, ByteCount::gib(16));
    small.cpus.core_of = (0..4).map(|cpu| (CpuId(cpu), CpuId(cpu % 2))).collect();
    let plan = plan_shards(&small, None, None).expect("a plan");
    assert_eq!((cpus(&plan), plan.control_cpu), (vec![1, 3, 2], CpuId(0)));
}

#[test]
fn memory_beyond_the_machine_is_given_with_a_warning() {
    let wanted = Some(ByteCount::gib(8));
    let plan = plan_shards(&machine(1, ByteCount::gib(4)), None, wanted).expect("a plan");
    assert_eq!(plan.memory, ByteCount::gib(8));
    assert!(plan.notes[0].starts_with("--memory 8 GiB is more than the 4 GiB"), "{:?}", plan.notes);
}

#[test]
fn an_unknown_memory_is_taken_small_and_said() {
    let plan = plan_shards(&machine(4, ByteCount(0)), None, None).expect("a plan");
    assert!(plan.memory >= MEMORY_MIN && plan.memory <= ByteCount::gib(1));
    assert!(plan.notes[0].starts_with("the size of the memory is unknown"), "{:?}", plan.notes);
}

#[test]
fn impossible_wishes_are_refused_with_what_would_do() {
    let facts = machine(4, ByteCount::gib(8));
    let small = Some(ByteCount::mib(103));
    for (shards, memory, expected) in [
        (Some(0), None, ShardPlanError::NoShards),
        (Some(1025), None, ShardPlanError::TooManyShards { wanted: 1025, max: 1024 }),
        (
            None,
            small,
            ShardPlanError::TooLittleMemory {
                given: ByteCount::mib(103),
                least: MEMORY_MIN,
                source: MemorySource::Option,
            },
        ),
    ] {
        assert_eq!(plan_shards(&facts, shards, memory), Err(expected));
    }
    let error = plan_shards(&facts, None, small).expect_err("too little");
    assert_eq!(error.to_string(), "--memory 103 MiB is too little: give 104 MiB or more");
    let tiny = plan_shards(&machine(1, ByteCount::mib(64)), None, None).expect_err("too little");
    assert!(tiny.to_string().starts_with("this machine or container has 64 MiB of memory"));
}

/// The plan's own assertions run at each point of the grid.
#[test]
fn every_machine_and_wish_has_a_plan_that_holds_together() {
    let any = machine(1, ByteCount::mib(104));
    for cores in [1, 2, 3, 4, 5, 16, 64, 200] {
        for mib in [104, 105, 128, 255, 256, 1000, 4096, 65_536, 1 << 20] {
            for wanted in [None, Some(1), Some(2), Some(7), Some(64), Some(256), Some(1024)] {
                let facts = sized(any.clone(), cores, ByteCount::mib(mib));
                for memory in [None, Some(ByteCount::mib(mib))] {
                    let plan = plan_shards(&facts, wanted, memory).expect("a plan");
                    let count = u32::try_from(plan.data_shards.len()).expect("a count");
                    assert!(wanted.is_none_or(|wanted| count <= wanted));
                    let reduced = wanted.is_some_and(|wanted| count < wanted);
                    assert!(!reduced || !plan.notes.is_empty(), "a reduction is said");
                }
            }
        }
    }
}

fn with_locked_memory(bytes: u64) -> HostFacts {
    let mut facts = machine(2, ByteCount::gib(1024));
    facts.process.memlock = Some(RLimit { soft: Some(bytes), hard: Some(bytes) });
    facts
}

/// Every limit from 512 KiB up carries two shards, and 8 MiB carry any number that is asked for on a
/// machine of today: fewer than are asked for are named, and what is planned fits.
#[test]
fn all_shards_of_a_plan_fit_into_what_may_be_locked() {
    let mut facts = machine(2, ByteCount::gib(1024));
    for limit in (512 << 10..9 << 20).step_by(50_021).chain([8 << 20]) {
        facts.process.memlock = Some(RLimit { soft: Some(limit), hard: Some(limit) });
        for wanted in [1, 2, 3, 7, 11, 12, 13, 16, 32, 64, 224, 1024] {
            let plan = plan_shards(&facts, Some(wanted), None).expect("a plan");
            let shards = plan.data_shards.len() as u64;
            let each = plan.ring_locked_bytes_max + EXECUTOR_LOCKED_BYTES + PAGE_BYTES as u64;
            assert!((shards + 1) * each <= limit, "{wanted} shards in {limit} bytes");
            let all = u64::from(wanted) == shards;
            assert!(all || (wanted > 11 && limit < 1 << 20) || wanted > 224 || limit < 8 << 20);
            let named = plan.notes.iter().any(|note| note.contains("of locked memory carry"));
            assert_eq!(named, !all, "{:?}", plan.notes);
        }
    }
}

#[test]
fn few_shards_on_a_stock_login_are_planned_without_a_word() {
    for shards in [1, 2, 3, 16, 64] {
        let mut facts = with_locked_memory(8 << 20);
        facts.cpus = machine(shards, ByteCount::gib(1)).cpus;
        let plan = plan_shards(&facts, Some(shards), None).expect("a plan");
        assert!(!plan.notes.iter().any(|note| note.contains("locked memory")), "{:?}", plan.notes);
    }
}

#[test]
fn short_queues_and_fewer_shards_name_the_command_that_lifts_the_limit() {
    let notes = |bytes, shards| {
        let plan = plan_shards(&with_locked_memory(bytes), Some(shards), None).expect("a plan");
        plan.notes.into_iter().find(|note| note.contains("locked memory")).expect("a note")
    };
    let short = notes(8 << 20, 100);
    assert!(
        short.starts_with("8 MiB of locked memory make the queues of 100 data shards' rings short")
    );
    let fewer = notes(512 << 10, 64);
    assert!(fewer.starts_with("512 KiB of locked memory carry 12 data shards, not 64"), "{fewer}");
    assert!(short.contains("memlock unlimited") && fewer.contains("LimitMEMLOCK=infinity"));
}
