//! Why a command did not do what was asked: one sentence that says what to do next, and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

use super::output::Format;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The command was understood and could not be done, or found damage.
    Failed,
    /// The command itself is wrong.
    Usage,
    /// A command with exit codes of its own.
    Code(u8),
    /// Whoever read our output has had enough of it: that is no failure.
    NobodyListens,
}

/// The end of a command that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Empty where everything was said already.
    sentence: String,
    exit: Exit,
}

impl Failure {
    /// The command failed.
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit: Exit::Failed }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit: Exit::Usage }
    }

    /// The command failed and its output says why.
    pub(crate) fn said() -> Self {
        Self { sentence: String::new(), exit: Exit::Failed }
    }

    /// The output says what there is to say, and the code is the command's own.
    pub(crate) fn said_with_code(code: u8) -> Self {
        Self { sentence: String::new(), exit: Exit::Code(code) }
    }

    /// With this code, for commands with exit codes of their own; where they chose one it stays.
    pub(crate) fn or_with_code(self, code: u8) -> Self {
        match self.exit {
            Exit::Failed | Exit::Usage => Self { exit: Exit::Code(code), ..self },
            Exit::Code(_) | Exit::NobodyListens => self,
        }
    }

    /// Writing our own output failed.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Self { sentence: String::new(), exit: Exit::NobodyListens }
            }
            _ => Self::failed(format!("the output cannot be written: {error}")),
        }
    }

    /// Says the sentence and gives the exit code.
    pub(crate) fn report(&self, format: Format) -> ExitCode {
        if !self.sentence.is_empty() {
            match format {
                Format::Text => eprintln!("corelane: {}", self.sentence),
                Format::Json => eprintln!("{}", self.json()),
            }
        }
        match self.exit {
            Exit::Failed => ExitCode::from(1),
            Exit::Usage => ExitCode::from(2),
            Exit::Code(code) => ExitCode::from(code),
            Exit::NobodyListens => ExitCode::SUCCESS,
        }
    }
}

impl Failure {
    /// `next` is what to do, where the sentence ends with it; `message` is what stands before.
    fn json(&self) -> serde_json::Value {
        let (message, next) = parts(&self.sentence);
        serde_json::json!({
            "error": {
                "kind": match self.exit {
                    Exit::Usage => "usage",
                    Exit::Failed | Exit::Code(_) | Exit::NobodyListens => "failed",
                },
                "message": message,
                "next": next,
            }
        })
    }
}

/// Our sentences say what is wrong, then what to do: behind a semicolon, or behind a colon where a command or a
/// flag is named.
fn parts(sentence: &str) -> (&str, Option<&str>) {
    if let Some((message, next)) = sentence.rsplit_once("; ") {
        return (message, Some(next));
    }
    match sentence.rsplit_once(": ") {
        Some((message, next)) if next.contains('`') || next.contains("--") => (message, Some(next)),
        _ => (sentence, None),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_failure_as_json_has_what_is_wrong_and_what_to_do_apart() {
        for (sentence, next) in [
            (
                "nothing listens on a:1; start a node with `corelane`",
                "start a node with `corelane`",
            ),
            ("a:1 is taken: `ss -l` names it; stop it", "stop it"),
            ("the disk is slow: put --data-dir on another", "put --data-dir on another"),
        ] {
            let json = Failure::failed(sentence).json();
            let message = sentence.strip_suffix(next).unwrap().trim_end_matches([' ', ';', ':']);
            assert_eq!(json["error"]["message"], message);
            assert_eq!(json["error"]["next"], next);
            assert_eq!(json["error"]["kind"], "failed");
        }
        let json = Failure::usage("file.txt: not found").json();
        assert_eq!(json["error"]["next"], serde_json::Value::Null);
        assert_eq!(json["error"]["kind"], "usage");
    }
}
