//! What a run came to, for people and for programs.

use std::fmt::Write as _;

use crate::engine_world::{CutPhase, Tally};
use crate::options::{Format, Options, WorldKind};
use crate::plant::Plant;
use crate::violation::Violation;

/// What a whole run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) worlds: u64,
    pub(crate) tally: Tally,
    pub(crate) trace_hash: u64,
    pub(crate) failed: Option<(u64, Violation)>,
}

/// What became of one planted fault.
#[derive(Clone, Debug)]
pub(crate) struct PlantResult {
    pub(crate) plant: Plant,
    /// How worlds of each kind found it; `None`: they did not.
    pub(crate) found: Vec<(WorldKind, Option<String>)>,
}

impl PlantResult {
    /// Each kind of world has to find it.
    pub(crate) fn is_found(&self) -> bool {
        self.found.iter().all(|(_, found)| found.is_some())
    }

    /// Of the table: one for each kind of world.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        for (world, found) in &self.found {
            let found = shortened(found.as_deref().unwrap_or("NOT FOUND"));
            let _ = writeln!(lines, "{:<26}{:<8}{found}", self.plant.name(), world.name());
        }
        lines
    }
}

/// The command that runs the world of this seed again.
pub(crate) fn command(seed: u64, options: &Options) -> String {
    let mut line = format!("simulation --cuts 1 --seed {seed} --steps {} --trace", options.steps);
    if options.world != WorldKind::Engine {
        let _ = write!(line, " --world {}", options.world.name());
    }
    if options.plant != Plant::Nothing {
        let _ = write!(line, " --plant {}", options.plant.name());
    }
    line
}

impl Report {
    /// Phases that cuts interrupted less often than asked.
    fn rare_phases(&self, minimum: u64) -> Vec<CutPhase> {
        let is_rare = |phase: &CutPhase| self.tally.phases.count(*phase) < minimum;
        CutPhase::ALL.into_iter().filter(|phase| phase.is_required() && is_rare(phase)).collect()
    }

    /// Whether the run is a success: a planted fault is to be found.
    pub(crate) fn is_well(&self, options: &Options) -> bool {
        match options.plant {
            Plant::Nothing => {
                self.failed.is_none() && self.rare_phases(options.phase_minimum).is_empty()
            }
            _ => self.failed.is_some(),
        }
    }

    pub(crate) fn print(&self, options: &Options, seconds: f64) -> String {
        match options.format {
            Format::Text => self.text(options, seconds),
            Format::Json => self.json(options, seconds),
        }
    }

    fn text(&self, options: &Options, seconds: f64) -> String {
        let Tally { cuts, kills, stops, failures, damages, .. } = self.tally;
        let Tally { appends, duplicates, reads, batches_checked, virtual_ms, .. } = self.tally;
        let mebibytes = self.tally.appended_bytes >> 20;
        let told = self.tally.told_damage + self.tally.told_losses;
        let Tally { cleaned, moved_connections, .. } = self.tally;
        let mut text = format!(
            "{} worlds from seed {}: {cuts} power cuts, {kills} kills, {stops} orderly stops, {failures} failed \
             disks, {damages} damaged disks\n\
             {appends} appends ({mebibytes} MiB, {duplicates} sent again), {reads} reads, {batches_checked} batches \
             compared, {told} losses by failed or damaged disks told, {cleaned} records compacted away, \
             {moved_connections} connections moved, {} s of virtual time\n\
             power cuts that interrupted\n",
            self.worlds,
            options.seed,
            virtual_ms / 1000
        );
        for phase in CutPhase::ALL {
            let count = self.tally.phases.count(phase);
            let is_rare = phase.is_required() && count < options.phase_minimum;
            let remark = if is_rare { "  too few" } else { "" };
            let _ = writeln!(text, "  {:<28}{count:>7}{remark}", phase.name());
        }
        let rate = cuts as f64 / seconds.max(0.001);
        let trace = self.trace_hash;
        let _ = writeln!(text, "trace {trace:016x}, {seconds:.1} s, {rate:.0} cuts/s");
        if !self.rare_phases(options.phase_minimum).is_empty() {
            let _ = writeln!(text, "TOO FEW cuts of some phases: make more, or other seeds");
        }
        match &self.failed {
            Some((seed, violation)) => {
                let again = command(*seed, options);
                let _ = writeln!(text, "FOUND in the world of seed {seed}: {violation}");
                let _ = writeln!(text, "see it again: {again}");
            }
            None => text.push_str("nothing was found\n"),
        }
        text
    }

    fn json(&self, options: &Options, seconds: f64) -> String {
        let Tally { cuts, kills, stops, failures, damages, .. } = self.tally;
        let Tally { appends, appended_bytes, reads, batches_checked, .. } = self.tally;
        let phases = CutPhase::ALL.map(|phase| {
            format!("{}:{}", json_string(phase.name()), self.tally.phases.count(phase))
        });
        let failed = self.failed.as_ref().map_or("null".to_owned(), |(seed, violation)| {
            let checker = json_string(&format!("{:?}", violation.checker));
            let what = json_string(&violation.what);
            let again = json_string(&command(*seed, options));
            format!("{{\"seed\":{seed},\"checker\":{checker},\"what\":{what},\"again\":{again}}}")
        });
        format!(
            "{{\"world\":\"{}\",\"seed\":{},\"worlds\":{},\"cuts\":{cuts},\"kills\":{kills},\"stops\":{stops},\
             \"failed_disks\":{failures},\"damaged_disks\":{damages},\"appends\":{appends},\
             \"appended_bytes\":{appended_bytes},\"reads\":{reads},\"batches_compared\":{batches_checked},\
             \"phases\":{{{}}},\"trace\":\"{:016x}\",\"seconds\":{seconds:.1},\"well\":{},\"found\":{failed}}}\n",
            options.world.name(),
            options.seed,
            self.worlds,
            phases.join(","),
            self.trace_hash,
            self.is_well(options),
        )
    }
}

/// What became of all planted faults; in text, the table's lines were told one by one.
pub(crate) fn print_plants(results: &[PlantResult], format: Format) -> String {
    let missed = results.iter().filter(|result| !result.is_found()).count();
    if format == Format::Json {
        let rows = results.iter().map(|PlantResult { plant, found }| {
            let found = found.iter().map(|(world, found)| {
                let found = found.as_deref().map_or("null".to_owned(), json_string);
                format!(",\"{}\":{found}", world.name())
            });
            format!("{{\"plant\":{}{}}}", json_string(plant.name()), found.collect::<String>())
        });
        let rows: Vec<String> = rows.collect();
        return format!("{{\"plants\":[{}],\"missed\":{missed}}}\n", rows.join(","));
    }
    format!(
        "{} of {} found by each kind of world that can show them\n",
        results.len() - missed,
        results.len()
    )
}

/// One line of a terminal.
fn shortened(line: &str) -> String {
    const CHARACTERS_MAX: usize = 84;
    match line.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{} …", &line[..at]),
        None => line.to_owned(),
    }
}

fn json_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{PlantResult, Report, WorldKind, json_string, print_plants};
    use crate::options::{Format, Options};
    use crate::plant::Plant;
    use crate::violation::Checker;

    #[test]
    fn a_run_is_well_when_nothing_was_found_often_enough() {
        let mut report = Report::default();
        assert!(report.is_well(&Options::default()));
        let asked = Options { phase_minimum: 1, ..Options::default() };
        assert!(!report.is_well(&asked), "no phase was ever interrupted");
        assert!(report.print(&asked, 1.0).contains("TOO FEW"));
        let planted = Options { plant: Plant::NoFragments, ..Options::default() };
        assert!(!report.is_well(&planted), "what was planted is to be found");
        report.failed = Some((7, Checker::OrderIsKept.violated("a \"b\"")));
        assert!(!report.is_well(&Options::default()));
        assert!(report.is_well(&planted));
        let again = "simulation --cuts 1 --seed 7 --steps 120 --trace --plant no-fragments";
        assert!(report.print(&planted, 1.0).contains(again));
    }

    #[test]
    fn programs_get_json() {
        assert_eq!(json_string("a \"b\"\\\n"), "\"a \\\"b\\\"\\\\\\u000a\"");
        let found = vec![(WorldKind::Engine, Some("it".to_owned())), (WorldKind::Node, None)];
        let results = [PlantResult { plant: Plant::NoFragments, found }];
        let expected = "{\"plants\":[{\"plant\":\"no-fragments\",\"engine\":\"it\",\"node\":null}],\"missed\":1}\n";
        assert_eq!(print_plants(&results, Format::Json), expected);
        assert!(results[0].lines().contains("NOT FOUND"));
        assert!(!results[0].is_found());
        assert!(print_plants(&results, Format::Text).contains("0 of 1 found"));
    }
}
