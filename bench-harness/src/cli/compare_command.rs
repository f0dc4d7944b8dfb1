//! `compare`: brokers side by side, a table of ratios, and `compare.json`.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::compare_progress::CompareLines;
use super::progress::Watching;
use super::{Format, compare_progress, compare_table, load_args, print};
use crate::brokers::corelane::{self, Corelane};
use crate::brokers::kafka::{HEAP_DEFAULT, Kafka, java_version};
use crate::brokers::kafka_jars::{KAFKA_VERSION, KafkaJars};
use crate::brokers::null::Null;
use crate::brokers::{DATA_FOLDER_DEFAULT, Place, keeper};
use crate::compare::contender::Contender;
use crate::compare::plan::CasePlan;
use crate::compare::standard::{
    CONTROL_SECONDS, FULL, NamedWorkload, SHORT, Timing, WARM_UP_SECONDS_MIN, ceilings, full,
    named, settings, short,
};
use crate::compare::{CompareRequest, compare};
use crate::failure::{Exit, Failure};
use crate::machine::{Group, LimitsRequest, measure};
use crate::results::folder;
use crate::workload::Durability;

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench compare --against kafka            15 to 20 minutes: fetches Apache Kafka, starts and stops it
  corelane bench compare --against kafka --full     every mode and eight blocks: some hours
  corelane bench compare --against null             how much of the client's ceiling: 1 KiB, 100 B, 5,000 partitions
  corelane bench compare --against ../before/corelane --workload saturate-1k      a change beside what was before it
  corelane bench compare --against broker:9092 --workload telemetry-1k --blocks 6
  corelane bench compare --against kafka --workload my-workload.yaml --duration 20 --out results/tuesday

Ours is the `corelane` beside this program, started anew with an empty data directory for each run, as Kafka is. Runs are
interleaved, A B B A; first, ours is compared with itself (A/A): what it differs by is noise. With --against kafka, mvn
and java are needed: sudo apt-get install maven openjdk-17-jre-headless.

Exit codes are those of `run`; 3 where any run did not verify, 4 where a block stayed invalid after its repeats.";

#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    /// `kafka`, `null` (a broker that keeps nothing), another build of ours, or the address of somebody else's broker.
    #[arg(long, value_name = "kafka|null|PATH|HOST:PORT")]
    against: String,

    /// A workload file or the name of a shipped one, at the rate that it says; may be repeated.
    #[arg(long = "workload", value_name = "WORKLOAD")]
    workloads: Vec<String>,

    /// Blocks, each a run of every broker (default: 4; 8 with --full).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    blocks: Option<u32>,

    /// Every mode: ours with fsync and memory, Kafka with its default flush and with flush.messages=1; not beside another build.
    #[arg(long)]
    full: bool,

    /// Measured seconds of each run (default: 10; 30 with --full).
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,

    /// Replaces a key of the --workload files; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,

    /// Leaves the A/A control out.
    #[arg(long)]
    no_control: bool,

    /// Folder for compare.json and the files of all runs (default: bench-results/<time>-compare).
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Where brokers keep their data while they run, on the disk to be measured.
    #[arg(long, value_name = "FOLDER", default_value = DATA_FOLDER_DEFAULT)]
    data_dir: PathBuf,

    /// `limits.json` of `corelane bench limits` (default: measured first, in less than a minute).
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,

    /// Measures no limits: figures have no fraction of them.
    #[arg(long, conflicts_with = "limits")]
    no_limits: bool,

    /// Our server (default: beside this program).
    #[arg(long, value_name = "PATH")]
    corelane: Option<PathBuf>,

    /// Memory of our node, and of the other build, as `corelane serve --memory` takes it (default: as much as Kafka's heap,
    /// 1 GiB; the node's own default beside a broker that keeps nothing).
    #[arg(long, value_name = "SIZE")]
    corelane_memory: Option<String>,

    #[arg(long, value_name = "VERSION", default_value = KAFKA_VERSION)]
    kafka_version: String,

    /// Folder of Kafka's jars (default: ~/.cache/corelane-bench/kafka-VERSION, fetched once).
    #[arg(long, value_name = "FOLDER")]
    kafka_dir: Option<PathBuf>,

    /// Java's heap for Kafka; the default is that of Kafka's start script.
    #[arg(long, value_name = "SIZE", default_value = HEAP_DEFAULT)]
    kafka_heap: String,
}

/// In place of an address.
const NULL: &str = "null";

/// What Kafka's start script gives its heap, as `corelane serve` reads it.
const MEMORY_DEFAULT: &str = "1GiB";

/// `limits.json`, or why there is none.
type Limits = (Option<serde_json::Value>, Option<String>);

impl CompareArgs {
    pub(super) fn run(&self, format: Format, watching: Watching) -> Result<Exit, Failure> {
        let request = self.request()?;
        let mut lines = CompareLines::new(watching);
        let compared = compare(&request, &mut |event| lines.show(event))?;
        let out = request.out.as_deref();
        print(&match format {
            Format::Text => compare_table::text(&compared.comparison, out),
            Format::Json => {
                let value = serde_json::json!({ "result": compared.comparison, "folder": out });
                format!("{value}\n")
            }
        })?;
        Ok(compared.exit)
    }

    fn request(&self) -> Result<CompareRequest, Failure> {
        let extent = if self.full { FULL } else { SHORT };
        let timing = Timing {
            measured_seconds: self.duration.unwrap_or(extent.measured_seconds),
            warm_up_seconds_min: WARM_UP_SECONDS_MIN,
        };
        // What is asked for, before anything is fetched.
        let named_workloads = self.named_workloads(timing)?;
        let contenders = self.contenders()?;
        let (limits, limits_missing) = self.limits()?;
        let cases: Vec<CasePlan> = if !named_workloads.is_empty() {
            let plans = named_workloads.iter().map(|workload| named(workload, &contenders));
            plans.collect::<Result<_, _>>()?
        } else if self.against == NULL {
            ceilings(&contenders, timing)?
        } else if self.full {
            full(&contenders, timing)?
        } else {
            short(&contenders, timing)?
        };
        Ok(CompareRequest {
            contenders,
            cases,
            control_seconds: (!self.no_control).then_some(CONTROL_SECONDS),
            blocks: self.blocks.unwrap_or(extent.blocks),
            measured_seconds: timing.measured_seconds,
            warm_up_seconds_min: timing.warm_up_seconds_min,
            place: Place { keeper: own_program()?, folder: self.data_dir.clone() },
            out: Some(self.out()),
            arguments: std::env::args().collect(),
            limits,
            limits_missing,
        })
    }

    /// In the order that the standard cases know.
    fn contenders(&self) -> Result<Vec<Contender>, Failure> {
        let program = corelane::find(self.corelane.as_deref())?;
        let ours_of = |program: &Path, durability| {
            let beside_kafka = (self.against != NULL).then(|| MEMORY_DEFAULT.to_owned());
            let memory = self.corelane_memory.clone().or(beside_kafka);
            let version = corelane::version(program)?;
            let corelane = Corelane { program: program.to_owned(), durability, memory };
            Ok::<_, Failure>(Contender::corelane(corelane, &version))
        };
        let mut contenders = vec![ours_of(&program, Durability::Fsync)?];
        let theirs_flushed = if self.against == "kafka" {
            let kafka = self.kafka()?;
            contenders.push(Contender::kafka(kafka.clone(), false));
            Some(Contender::kafka(kafka, true))
        } else if self.against == NULL {
            contenders.push(Contender::null(Null { program: own_program()? }));
            None
        } else if Path::new(&self.against).is_file() {
            if self.full {
                return Err(Failure::new(
                    "--full has every mode of ours and Kafka; beside another build name workloads \
                     with --workload",
                ));
            }
            let program =
                std::path::absolute(&self.against).unwrap_or_else(|_| PathBuf::from(&self.against));
            contenders.push(ours_of(&program, Durability::Fsync)?.as_other_build());
            None
        } else {
            if !self.against.contains(':') {
                return Err(Failure::new(format!(
                    "--against {} is neither `kafka`, `null`, a program that is there, nor HOST:PORT",
                    self.against
                )));
            }
            contenders.push(Contender::address(&self.against));
            None
        };
        if self.full {
            contenders.push(ours_of(&program, Durability::Memory)?);
            contenders.extend(theirs_flushed);
        }
        Ok(contenders)
    }

    fn kafka(&self) -> Result<Kafka, Failure> {
        let java = java_version()?;
        let jars = KafkaJars::at(&self.kafka_version, self.kafka_dir.as_deref());
        if !jars.are_there() {
            compare_progress::tell(&format!(
                "fetching Apache Kafka {} from Maven Central into {}, once",
                jars.version,
                jars.folder.display()
            ));
            jars.fetch()?;
        }
        compare_progress::tell(&format!(
            "Apache Kafka {} on Java {java}, heap {}",
            jars.version, self.kafka_heap
        ));
        Ok(Kafka { jars, java, heap: self.kafka_heap.clone() })
    }

    fn named_workloads(&self, timing: Timing) -> Result<Vec<NamedWorkload>, Failure> {
        if !self.settings.is_empty() && self.workloads.is_empty() {
            return Err(Failure::new("--set changes what --workload names; give one"));
        }
        let named = self.workloads.iter().map(|name| {
            let (text, directory) = load_args::workload_text(name)?;
            let mut settings = settings(timing);
            settings.extend(self.settings.iter().cloned());
            let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
            Ok(NamedWorkload { name: stem.unwrap_or_default(), text, directory, settings })
        });
        named.collect()
    }

    fn limits(&self) -> Result<Limits, Failure> {
        if self.no_limits {
            return Ok((None, Some("not measured (--no-limits)".to_owned())));
        }
        let Some(path) = &self.limits else { return self.measured_limits() };
        load_args::limits(path).map(|limits| (Some(limits), None))
    }

    /// Of the disk that the brokers will use.
    fn measured_limits(&self) -> Result<Limits, Failure> {
        compare_progress::tell("measuring what the machine can do at most");
        let directory = self.data_dir.ancestors().find(|path| path.is_dir());
        let request = LimitsRequest {
            directory: directory.unwrap_or(Path::new(".")).to_owned(),
            is_thorough: false,
            groups: Group::ALL.into(),
        };
        let measured = measure(&request, &mut |_| {})?;
        let value = serde_json::to_value(&measured)
            .map_err(|error| Failure::new(format!("the limits cannot be told: {error}")))?;
        Ok((Some(value), None))
    }

    fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs());
            folder::fresh(Path::new("bench-results"), "compare", now)
        })
    }
}

/// Ourselves: the keeper of what is started.
fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(format!("{} cannot be started: {error}", keeper::COMMAND)))
}
