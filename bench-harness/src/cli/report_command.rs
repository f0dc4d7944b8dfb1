//! `report`: one HTML page of results.

use std::path::PathBuf;

use clap::Args;

use super::{Format, print};
use crate::failure::{Exit, Failure};
use crate::report::{Source, html};

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench report bench-results/1760000000-smoke         writes report.html into that folder
  corelane bench report bench-results/* --out all.html         several results in one page
  corelane bench report results/knee/ramp.json --out knee.html

The page needs nothing but itself: it can be mailed, printed and read in light and dark. `run` writes one
into its folder, too.";

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Folders that `run`, `ramp`, `slo` or `compare` wrote.
    #[arg(required = true, value_name = "FOLDER")]
    results: Vec<PathBuf>,

    /// Where the page goes (default: report.html in the one folder; ./report.html for several).
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    pub(super) fn run(&self, format: Format) -> Result<Exit, Failure> {
        let sources: Vec<Source> =
            self.results.iter().map(|path| Source::read(path)).collect::<Result<_, _>>()?;
        let out = self.out.clone().unwrap_or_else(|| match self.results.as_slice() {
            [folder] if folder.is_dir() => folder.join("report.html"),
            [file] => file.with_file_name("report.html"),
            _ => PathBuf::from("report.html"),
        });
        std::fs::write(&out, html(&sources)).map_err(|error| {
            let out = out.display();
            Failure::new(format!("{out} cannot be written: {error}; name another with --out"))
        })?;
        print(&match format {
            Format::Text => format!("{}\n", out.display()),
            Format::Json => format!("{}\n", serde_json::json!({ "report": out })),
        })?;
        Ok(Exit::Done)
    }
}
