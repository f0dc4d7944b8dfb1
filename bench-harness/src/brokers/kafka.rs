//! Apache Kafka as one node: KRaft in combined mode, started as its own `kafka-server-start.sh` starts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::kafka_jars::KafkaJars;
use super::{LOOPBACK, Launch, free_ports};
use crate::failure::Failure;

/// What `kafka-server-start.sh` gives the heap.
pub const HEAP_DEFAULT: &str = "1G";
/// What `kafka-run-class.sh` gives the virtual machine beside it.
const JAVA_OPTIONS: [&str; 7] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
];
/// Kafka's own logging says a line for each topic and partition; a benchmark's does not.
const LOGGING: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
/// Any 16 bytes in base64 do.
const CLUSTER_ID: &str = "Y29yZWxhbmUtYmVuY2gtMQ";

/// A node, as often as it is started.
#[derive(Clone, Debug)]
pub struct Kafka {
    pub jars: KafkaJars,
    /// Version of the `java` that runs it.
    pub java: String,
    /// As Java's `-Xmx` takes it.
    pub heap: String,
}

/// `17.0.15`; one sentence where there is no Java.
pub fn java_version() -> Result<String, Failure> {
    let missing = || {
        Failure::new(
            "java is not installed, and runs Apache Kafka; install it with `sudo apt-get install \
             openjdk-17-jre-headless`",
        )
    };
    let done = Command::new("java").arg("-version").output().map_err(|_| missing())?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if !done.status.success() {
        return Err(missing());
    }
    Ok(said.split('"').nth(1).unwrap_or("of unknown version").to_owned())
}

impl Kafka {
    /// Formats the storage, which is no part of the start.
    pub(super) fn launch(&self, folder: &Path) -> Result<Launch, Failure> {
        let [clients, controller] = free_ports()?;
        let mut configuration = properties(folder, clients, controller);
        let file = folder.join("server.properties");
        let lines = configuration.iter().map(|(name, value)| format!("{name}={value}\n"));
        fs::write(&file, lines.collect::<String>())
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let formatted = Command::new("java")
            .args(["-cp", &self.jars.class_path(), LOGGING, "kafka.tools.StorageTool"])
            .args(["format", "--cluster-id", CLUSTER_ID, "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::new(format!("java cannot be started: {error}")))?;
        if !formatted.status.success() {
            let said = [formatted.stdout, formatted.stderr].concat();
            return Err(Failure::new(format!(
                "Kafka's storage cannot be formatted: {}; with --kafka-dir, are all of its jars in \
                 {}?",
                String::from_utf8_lossy(&said).trim(),
                self.jars.folder.display()
            )));
        }
        let mut arguments = vec![format!("-Xmx{}", self.heap), format!("-Xms{}", self.heap)];
        arguments.extend(JAVA_OPTIONS.map(str::to_owned));
        arguments.push(LOGGING.to_owned());
        arguments.extend(["-cp".to_owned(), self.jars.class_path(), "kafka.Kafka".to_owned()]);
        arguments.push(file.display().to_string());
        configuration.push(("java".to_owned(), self.java.clone()));
        Ok(Launch {
            program: PathBuf::from("java"),
            arguments,
            configuration,
            bootstrap: format!("{LOOPBACK}:{clients}"),
            metrics: None,
        })
    }
}

/// What Kafka's own example configuration sets, for one node on free ports.
fn properties(folder: &Path, clients: u16, controller: u16) -> Vec<(String, String)> {
    let pairs = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@{LOOPBACK}:{controller}")),
        (
            "listeners",
            format!("PLAINTEXT://{LOOPBACK}:{clients},CONTROLLER://{LOOPBACK}:{controller}"),
        ),
        ("advertised.listeners", format!("PLAINTEXT://{LOOPBACK}:{clients}")),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("log.dirs", folder.join("data").display().to_string()),
        ("num.network.threads", "3".to_owned()),
        ("num.io.threads", "8".to_owned()),
        ("socket.send.buffer.bytes", "102400".to_owned()),
        ("socket.receive.buffer.bytes", "102400".to_owned()),
        ("socket.request.max.bytes", "104857600".to_owned()),
        ("log.segment.bytes", "1073741824".to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        // A benchmark's records are not deleted beneath it.
        ("log.retention.hours", "168".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::properties;

    #[test]
    fn a_node_listens_on_its_own_ports_and_writes_into_its_own_folder() {
        let set = properties(Path::new("/fresh"), 1_111, 2_222);
        let value = |name: &str| &set.iter().find(|(known, _)| known == name).unwrap().1;
        assert_eq!(value("log.dirs"), "/fresh/data");
        assert!(value("listeners").contains(":1111,") && value("listeners").ends_with(":2222"));
        assert!(!set.iter().any(|(name, _)| name.contains("flush")), "Kafka's own default");
    }
}
