//! Lines for the operator, on standard error: text for people, JSON for programs.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::LogFormat;

#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    format: LogFormat,
}

impl Log {
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format }
    }

    pub(super) fn info(self, message: &str) {
        self.line("info", message);
    }

    pub(super) fn warn(self, message: &str) {
        self.line("warning", message);
    }

    pub(super) fn error(self, message: &str) {
        self.line("error", message);
    }

    fn line(self, level: &str, message: &str) {
        match self.format {
            LogFormat::Text => eprintln!("{level}: {message}"),
            LogFormat::Json => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                let line =
                    serde_json::json!({ "time_ms": time_ms, "level": level, "message": message });
                eprintln!("{line}");
            }
        }
    }
}
