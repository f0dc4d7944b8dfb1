//! `report`: one HTML page of results that needs nothing but itself.
//!
//! * `source`: what is read from a result's folder
//! * `columns`: the columns of our CSV files
//! * `run_section`: one run: figures, charts, latencies
//! * `comparison_section`: the ratios of a comparison
//! * `search_section`: the steps of `ramp` and `slo`
//! * `machine_section`: the manifest: machine, disk, versions, commands
//! * `chart`: drawings; `axis`: values to places
//! * `page`: the page around it, its style, tables
//!
//! What matters comes first: is it verified and valid, then throughput and latency, then where they come from. All
//! but `source` is pure: the page is a function of the files.

mod axis;
mod chart;
mod columns;
mod comparison_section;
mod machine_section;
mod page;
mod run_section;
mod search_section;
mod source;
#[cfg(test)]
mod tests;

use std::fmt::Write;

pub use source::Source;

use page::escaped;
use source::Kind;

/// The whole page.
#[must_use]
pub fn html(sources: &[Source]) -> String {
    let title = match sources {
        [one] => one.title(),
        several => format!("{} results", several.len()),
    };
    let mut body = String::new();
    let runs: Vec<&source::Run> = sources.iter().filter_map(Source::run).collect();
    if sources.len() > 1 {
        let _ = writeln!(body, "<h1>{}</h1>", escaped(&title));
        if runs.len() > 1 {
            body.push_str(&run_section::side_by_side(&runs));
        }
    }
    for source in sources {
        let heading = if sources.len() > 1 { "h2" } else { "h1" };
        let _ = writeln!(body, "<{heading}>{}</{heading}>", escaped(&source.title()));
        body.push_str(&match &source.kind {
            Kind::Run(run) => run_section::section(run),
            Kind::Comparison(comparison) => comparison_section::section(comparison),
            Kind::Search(search, manifest) => search_section::section(search, manifest),
        });
    }
    page::page(&title, &body)
}
