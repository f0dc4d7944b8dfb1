//! All numbers of a node as Prometheus text.

use std::fmt::Write;
use std::time::Duration;

use engine::engine::EngineMetrics;
use engine::recovery::FromJournal;
use net::CloseReason;
use protocol::ApiKey;
use tuning::KernelWorkers;

use super::groups::{self, Times};
use super::stages;
use crate::error_code;
use crate::shard::mail::DirectorySpace;
use crate::shard::metrics::ShardSnapshot;
use crate::shard::start::NodeFacts;

/// What stands beside the shards' snapshots.
pub(crate) struct NodeNumbers<'a> {
    pub(crate) facts: &'a NodeFacts,
    pub(crate) space: &'a [DirectorySpace],
    /// From the start of the process to the end of recovery, and to being ready.
    pub(crate) recovery: Duration,
    /// What this start owes to the journal before it.
    pub(crate) from_journal: FromJournal,
    pub(crate) ready_after: Duration,
    pub(crate) uptime: Duration,
    pub(crate) directories_failed: usize,
    pub(crate) kernel_workers: KernelWorkers,
    /// Of groups' first unread records.
    pub(crate) times: &'a Times,
    pub(crate) now_ms: i64,
}

const PREFIX: &str = "corelane_";

/// One metric's rows: labels and value of each.
pub(super) struct Family<'a> {
    /// `corelane_`, or what others call the same.
    prefix: &'a str,
    name: &'a str,
    kind: &'a str,
    help: &'a str,
}

const fn counter<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family { prefix: PREFIX, name, kind: "counter", help }
}

pub(super) const fn gauge<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family { prefix: PREFIX, name, kind: "gauge", help }
}

/// As Kafka's exporters call it.
pub(super) const fn kafka<'a>(name: &'a str, help: &'a str) -> Family<'a> {
    Family { prefix: "kafka_", name, kind: "gauge", help }
}

impl Family<'_> {
    pub(super) fn rows<V: std::fmt::Display>(
        &self,
        out: &mut String,
        rows: impl IntoIterator<Item = (String, V)>,
    ) {
        let Self { prefix, name, kind, help } = self;
        let _ = writeln!(out, "# HELP {prefix}{name} {help}\n# TYPE {prefix}{name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(out, "{prefix}{name}{labels} {value}");
        }
    }
}

fn shard_label(snapshot: &ShardSnapshot) -> String {
    format!("{{shard=\"{}\"}}", snapshot.name)
}

fn with(snapshot: &ShardSnapshot, name: &str, value: &str) -> String {
    format!("{{shard=\"{}\",{name}=\"{value}\"}}", snapshot.name)
}

/// The text for these snapshots.
pub(crate) fn text(node: &NodeNumbers<'_>, snapshots: &[ShardSnapshot]) -> String {
    let mut out = String::with_capacity(32 << 10);
    node_rows(&mut out, node);
    request_rows(&mut out, snapshots);
    connection_rows(&mut out, snapshots);
    engine_rows(&mut out, snapshots);
    memory_rows(&mut out, snapshots);
    shell_rows(&mut out, snapshots);
    groups::text(&mut out, snapshots, node.times, node.now_ms);
    out
}

fn node_rows(out: &mut String, node: &NodeNumbers<'_>) {
    let version = env!("CARGO_PKG_VERSION");
    let labels = format!("{{version=\"{version}\",node=\"{}\"}}", node.facts.broker);
    gauge("build_info", "The node's version and id.").rows(out, [(labels, 1)]);
    let seconds = |duration: Duration| [(String::new(), duration.as_secs_f64())];
    gauge("recovery_seconds", "From the process's start to the end of recovery.")
        .rows(out, seconds(node.recovery));
    gauge(
        "recovered_entries",
        "Journal entries that this start needed, because they reach beyond the last checkpoint of their \
         partition. 0 after an orderly end: the fragments of last blocks that it leaves in the journal \
         repeat what segments have.",
    )
    .rows(out, [(String::new(), node.from_journal.entries)]);
    gauge("recovered_bytes", "Bytes of logs beyond those checkpoints, brought by these entries.")
        .rows(out, [(String::new(), node.from_journal.bytes)]);
    gauge("start_seconds", "From the process's start to being ready for clients.")
        .rows(out, seconds(node.ready_after));
    gauge("uptime_seconds", "Since the process's start.").rows(out, seconds(node.uptime));
    gauge("log_directories_failed", "Log directories that failed since the start.")
        .rows(out, [(String::new(), node.directories_failed)]);
    gauge("kernel_workers", "Kernel threads that do what the rings cannot do without blocking.")
        .rows(out, [(String::new(), node.kernel_workers.threads)]);
    gauge("kernel_worker_wakeups", "Of those that live: about one for each such operation.")
        .rows(out, [(String::new(), node.kernel_workers.wakeups)]);
    let labels = |at: usize| format!("{{directory=\"{}\"}}", node.facts.directories[at].path);
    let space = || node.space.iter().enumerate();
    gauge("storage_free_bytes", "Free space of a log directory.")
        .rows(out, space().map(|(at, space)| (labels(at), space.usable_bytes)));
    gauge("storage_total_bytes", "Size of a log directory's file system.")
        .rows(out, space().map(|(at, space)| (labels(at), space.total_bytes)));
}

fn request_rows(out: &mut String, snapshots: &[ShardSnapshot]) {
    let apis = || {
        snapshots.iter().flat_map(|snapshot| {
            let apis = snapshot.shard_metrics.apis.iter();
            apis.map(move |(api, numbers): (&ApiKey, _)| {
                (with(snapshot, "api", api.name()), *numbers)
            })
        })
    };
    counter("requests_total", "Requests by API.")
        .rows(out, apis().map(|(labels, api)| (labels, api.requests)));
    counter("answers_total", "Answered requests by API.")
        .rows(out, apis().map(|(labels, api)| (labels, api.answers)));
    let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    counter("request_seconds_total", "Time from a request's last byte to its answer, by API.")
        .rows(out, apis().map(|(labels, api)| (labels, seconds(api.total_ns))));
    counter("request_queued_seconds_total", "Of that, the time before the handler began.")
        .rows(out, apis().map(|(labels, api)| (labels, seconds(api.queued_ns))));
    stages::text(out, snapshots);
    let errors = snapshots.iter().flat_map(|snapshot| {
        snapshot
            .shard_metrics
            .errors
            .iter()
            .map(move |(code, count)| (with(snapshot, "code", error_code::name(*code)), *count))
    });
    counter("errors_total", "Error codes in answers.").rows(out, errors);
    let rows = |value: fn(&ShardSnapshot) -> u64| {
        snapshots.iter().map(move |snapshot| (shard_label(snapshot), value(snapshot)))
    };
    counter("malformed_requests_total", "Frames that are no request that is served here.")
        .rows(out, rows(|one| one.shard_metrics.malformed));
    counter("fetches_parked_total", "Long polls that owners parked, each count they told.")
        .rows(out, rows(|one| one.shard_metrics.fetches_parked));
    gauge("requests_in_progress", "Requests that wait for an answer.")
        .rows(out, rows(|one| one.requests_in_progress as u64));
    gauge("frames_waiting", "Requests that wait for a place.")
        .rows(out, rows(|one| one.frames_waiting as u64));
    gauge("fetch_sessions", "Fetch sessions.").rows(out, rows(|one| one.sessions as u64));
    gauge("fetch_session_partitions", "Partitions in fetch sessions.")
        .rows(out, rows(|one| one.session_partitions as u64));
}

fn connection_rows(out: &mut String, snapshots: &[ShardSnapshot]) {
    let rows = |value: fn(&net::Metrics) -> u64| {
        snapshots.iter().map(move |snapshot| (shard_label(snapshot), value(&snapshot.net)))
    };
    gauge("connections", "Open connections.").rows(out, rows(|net| net.connections_now));
    counter(
        "connections_opened_total",
        "Connections that the shard took, from listeners or other shards.",
    )
    .rows(out, rows(|net| net.connections_opened));
    let moved = |snapshot: &ShardSnapshot| (shard_label(snapshot), snapshot.connections_moved);
    counter(
        "connections_moved_total",
        "Connections that went to the shard that owns what they use.",
    )
    .rows(out, snapshots.iter().map(moved));
    let closed = snapshots.iter().flat_map(|snapshot| {
        let counts = CloseReason::LABELS.iter().zip(snapshot.net.connections_closed);
        counts.map(move |(reason, count)| (with(snapshot, "reason", reason), count))
    });
    counter("connections_closed_total", "Closed connections by reason.").rows(out, closed);
    counter("received_bytes_total", "Bytes received from clients.")
        .rows(out, rows(|net| net.bytes_received));
    counter("sent_bytes_total", "Bytes sent to clients.").rows(out, rows(|net| net.bytes_sent));
    counter("sends_total", "Vectored sends.").rows(out, rows(|net| net.sends));
    counter("sends_zero_copy_total", "Of these, without a copy by the kernel.")
        .rows(out, rows(|net| net.sends_zero_copy));
    counter("request_memory_waits_total", "Times a request had to wait for memory.")
        .rows(out, rows(|net| net.memory_waits));
    counter(
        "record_bytes_copied_total",
        "Record bytes sent to plaintext sockets from elsewhere than the log's memory: stays 0.",
    )
    .rows(out, rows(|net| net.record_bytes_copied));
}

fn engine_rows(out: &mut String, snapshots: &[ShardSnapshot]) {
    let rows = |value: fn(&ShardSnapshot) -> u64| {
        snapshots.iter().map(move |snapshot| (shard_label(snapshot), value(snapshot)))
    };
    gauge("partitions", "Partitions of a shard.").rows(out, rows(|one| one.partitions as u64));
    gauge(
        "partitions_suspect",
        "Partitions that are read-only because acknowledged records are damaged.",
    )
    .rows(out, rows(|one| one.partitions_suspect as u64));
    counter("appends_total", "Record batches appended.").rows(out, rows(|one| one.engine.appends));
    counter("append_bytes_total", "Bytes of record batches appended.")
        .rows(out, rows(|one| one.engine.append_bytes));
    counter("append_duplicates_total", "Idempotent batches that were there already.")
        .rows(out, rows(|one| one.engine.duplicates));
    counter("append_waits_total", "Appends that had to wait for room.")
        .rows(out, rows(|one| one.engine.append_waits));
    counter("journal_groups_total", "Journal groups written.")
        .rows(out, rows(|one| one.journal.groups));
    counter("journal_bytes_total", "Bytes of journal groups.")
        .rows(out, rows(|one| one.journal.bytes));
    counter("journal_entries_total", "Entries of journal groups.")
        .rows(out, rows(|one| one.journal.entries));
    counter("journal_rotations_total", "Journal files begun.")
        .rows(out, rows(|one| one.journal.rotations));
    counter("journal_stalls_total", "Times appends waited because no journal file was free.")
        .rows(out, rows(|one| one.journal.stalls));
    counter("direct_runs_total", "Large runs written straight to their segment.")
        .rows(out, rows(|one| one.engine.direct_runs));
    counter("direct_bytes_total", "Bytes of these runs.")
        .rows(out, rows(|one| one.engine.direct_bytes));
    counter("write_behind_bytes_total", "Bytes written to segments behind the journal.")
        .rows(out, rows(|one| one.engine.write_behind_bytes));
    counter("checkpoints_total", "Checkpoints.").rows(out, rows(|one| one.engine.checkpoints));
    counter("segments_created_total", "Segments begun.")
        .rows(out, rows(|one| one.engine.segments_created));
    counter("segments_deleted_total", "Segments deleted.")
        .rows(out, rows(|one| one.engine.segments_deleted));
    counter("cleaner_rounds_total", "Rounds of log compaction.")
        .rows(out, rows(|one| one.engine.cleaner_rounds));
    counter("cleaner_failures_total", "Rounds of log compaction that ended with damage.")
        .rows(out, rows(|one| one.engine.cleaner_failures));
    counter("cleaner_read_bytes_total", "Bytes that log compaction read.")
        .rows(out, rows(|one| one.engine.cleaner_read_bytes));
    counter("cleaner_written_bytes_total", "Bytes that log compaction wrote.")
        .rows(out, rows(|one| one.engine.cleaner_written_bytes));
    counter("cleaner_removed_bytes_total", "Bytes by which log compaction made segments smaller.")
        .rows(out, rows(|one| one.engine.cleaner_removed_bytes));
    gauge("cleaner_dirty_ppm_max", "Millionths of the compacted log with the most that are dirty.")
        .rows(out, rows(|one| one.engine.cleaner_dirty_ppm_max));
    gauge("cleaner_uncleanable_partitions", "Logs that are not compacted: they are damaged.")
        .rows(out, rows(|one| one.engine.cleaner_uncleanable));
    gauge("cleaner_last_round_seconds", "When a round of log compaction ended last, since 1970.")
        .rows(out, rows(|one| last_round_seconds(&one.engine)));
    counter("tail_reads_total", "Reads served from memory.")
        .rows(out, rows(|one| one.engine.tail_reads));
    counter("tail_read_bytes_total", "Bytes served from memory.")
        .rows(out, rows(|one| one.engine.tail_read_bytes));
    counter("disk_reads_total", "Reads from segments.")
        .rows(out, rows(|one| one.engine.disk_reads));
    counter("disk_read_bytes_total", "Bytes served from segments.")
        .rows(out, rows(|one| one.engine.disk_read_bytes));
    counter("corrupt_reads_total", "Reads of bytes that turned out to be damaged.")
        .rows(out, rows(|one| one.engine.corrupt_reads));
}

/// 0: none did since the start.
fn last_round_seconds(engine: &EngineMetrics) -> u64 {
    u64::try_from(engine.cleaner_last_round_ms.unwrap_or(0) / 1_000).unwrap_or(0)
}

fn memory_rows(out: &mut String, snapshots: &[ShardSnapshot]) {
    let rows = |value: fn(&ShardSnapshot) -> usize| {
        snapshots.iter().map(move |snapshot| (shard_label(snapshot), value(snapshot)))
    };
    gauge("tail_bytes", "Memory of log tails.").rows(out, rows(|one| one.tail_bytes));
    gauge("request_bytes", "Memory that requests hold.").rows(out, rows(|one| one.request_bytes));
    gauge("response_bytes", "Response bytes that clients have not taken yet.")
        .rows(out, rows(|one| one.response_bytes));
    gauge("fetches_parked", "Long polls parked at their owners.")
        .rows(out, rows(|one| one.fetches_parked));
}

fn shell_rows(out: &mut String, snapshots: &[ShardSnapshot]) {
    let shells = || {
        snapshots.iter().filter_map(|snapshot| {
            snapshot.shell.as_ref().map(|shell| (shard_label(snapshot), shell))
        })
    };
    counter("ring_enters_total", "System calls of a shard's ring.")
        .rows(out, shells().map(|(labels, shell)| (labels, shell.ring.enters)));
    counter("ring_completions_total", "Completions of a shard's ring.")
        .rows(out, shells().map(|(labels, shell)| (labels, shell.ring.completions)));
    counter("ring_receives_starved_total", "Receives that had to wait for a buffer.")
        .rows(out, shells().map(|(labels, shell)| (labels, shell.ring.receives_starved)));
    gauge("ring_operations", "Operations of a shard's ring in flight.")
        .rows(out, shells().map(|(labels, shell)| (labels, shell.operations_in_flight)));
    gauge("disk_operations", "Disk operations that have not completed.")
        .rows(out, shells().map(|(labels, shell)| (labels, shell.disk_operations)));
    gauge("disk_caps_halved", "How often disk caps are halved, because journal writes take long.")
        .rows(out, shells().map(|(labels, shell)| (labels, shell.disk_caps_halved)));
    gauge("ring_buffers_registered", "1: the shard's memory is registered with the kernel.")
        .rows(out, shells().map(|(labels, shell)| (labels, u8::from(shell.buffers_registered))));
    let accepts =
        || shells().filter_map(|(labels, shell)| shell.accept.as_ref().map(|one| (labels, one)));
    counter("accepted_total", "Connections accepted for the whole node.")
        .rows(out, accepts().map(|(labels, accept)| (labels, accept.accepted)));
    counter("accept_back_offs_total", "Times accepting paused: most often no descriptor was left.")
        .rows(out, accepts().map(|(labels, accept)| (labels, accept.back_offs)));
}
