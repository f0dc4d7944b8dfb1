//! The workloads inside the binary: symbolic names for what people measure.

/// A workload file and its name.
pub struct Shipped {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// In the order in which they are listed.
        pub const ALL: &[Shipped] = &[
            $(Shipped { name: $name, text: include_str!(concat!("../../workloads/", $name, ".yaml")) },)*
        ];
    };
}

shipped![
    "smoke",
    "telemetry-1k",
    "telemetry-100b",
    "saturate-1k",
    "saturate-100b",
    "saturate-raw",
    "one-record-batches",
    "partitions-1",
    "partitions-1000",
    "partitions-5000",
    "fan-out-4",
    "catch-up",
    "backlog",
    "bursts",
];

/// The file's text.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().find(|shipped| shipped.name == name).map(|shipped| shipped.text)
}

/// The comment at the top of a file, without its marks: what it is for.
#[must_use]
pub fn purpose(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let lines: Vec<&str> = lines.map(|line| line.trim_start_matches('#').trim()).collect();
    lines.join(" ")
}
