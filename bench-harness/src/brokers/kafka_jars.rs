//! Apache Kafka's server and what it needs, from Maven Central, once into a folder.
//!
//! Maven finds them as the user's own settings say, mirrors and proxies included.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// What is fetched unless another one is asked for.
pub const KAFKA_VERSION: &str = "4.3.1";
/// Of the Scala library that Kafka's server is built with.
const SCALA: &str = "2.13";
const COPY_DEPENDENCIES: &str =
    "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Where Kafka's jars are, or go.
#[derive(Clone, Debug)]
pub struct KafkaJars {
    pub version: String,
    pub folder: PathBuf,
}

impl KafkaJars {
    /// `~/.cache/corelane-bench/kafka-VERSION`, unless a folder is named.
    #[must_use]
    pub fn at(version: &str, named: Option<&Path>) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
            let home = std::env::var_os("HOME")?;
            Some(Path::new(&home).join(".cache"))
        });
        let folder = named.map(Path::to_path_buf).unwrap_or_else(|| {
            let cache = cache.unwrap_or_else(std::env::temp_dir);
            cache.join("corelane-bench").join(format!("kafka-{version}"))
        });
        Self { version: version.to_owned(), folder }
    }

    #[must_use]
    pub fn are_there(&self) -> bool {
        self.folder.join(format!("kafka_{SCALA}-{}.jar", self.version)).is_file()
    }

    /// As Java's `-cp` takes it.
    #[must_use]
    pub fn class_path(&self) -> String {
        self.folder.join("*").display().to_string()
    }

    /// Fetches them. A folder is there only when all of it is there.
    pub fn fetch(&self) -> Result<(), Failure> {
        let partial = PathBuf::from(format!("{}.partial", self.folder.display()));
        let result = self.fetch_into(&partial);
        if result.is_err() {
            let _ = fs::remove_dir_all(&partial);
        }
        result
    }

    fn fetch_into(&self, partial: &Path) -> Result<(), Failure> {
        let cannot = |error: io::Error| {
            Failure::new(format!(
                "{} cannot be written: {error}; name another folder with --kafka-dir",
                self.folder.display()
            ))
        };
        let _ = fs::remove_dir_all(partial);
        fs::create_dir_all(partial).map_err(cannot)?;
        fs::write(partial.join("pom.xml"), self.pom()).map_err(cannot)?;
        let done = Command::new("mvn")
            .args(["--batch-mode", "--quiet", COPY_DEPENDENCIES])
            .arg("-DoutputDirectory=.")
            .current_dir(partial)
            .stdin(Stdio::null())
            .output()
            .map_err(|_| {
                Failure::new(
                    "mvn is not installed, and fetches Apache Kafka; install it with `sudo apt-get \
                     install maven openjdk-17-jre-headless`, or name a folder that has Kafka's \
                     jars with --kafka-dir",
                )
            })?;
        if !done.status.success() {
            let said = [done.stdout, done.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            let first = said.lines().find(|line| line.contains("ERROR")).unwrap_or("no reason");
            return Err(Failure::new(format!(
                "mvn cannot fetch Apache Kafka {}: {}; does `mvn {COPY_DEPENDENCIES}` reach Maven \
                 Central? Otherwise name a folder with Kafka's jars with --kafka-dir",
                self.version,
                first.trim()
            )));
        }
        let _ = fs::remove_dir_all(&self.folder);
        fs::rename(partial, &self.folder).map_err(cannot)
    }

    /// Kafka logs through slf4j, and needs something that it logs to.
    fn pom(&self) -> String {
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">
  <modelVersion>4.0.0</modelVersion>
  <groupId>corelane.bench</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_{SCALA}</artifactId>
      <version>{}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
",
            self.version
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::KafkaJars;

    #[test]
    fn jars_are_there_when_the_servers_own_is() {
        let program = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let jars = KafkaJars::at("9.9.9", Some(folder.path()));
        assert!(!jars.are_there());
        std::fs::write(folder.path().join("kafka_2.13-9.9.9.jar"), "").unwrap();
        assert!(jars.are_there());
        assert!(jars.class_path().ends_with("/*"));
        let unnamed = KafkaJars::at("9.9.9", None);
        assert!(unnamed.folder.ends_with(Path::new("corelane-bench/kafka-9.9.9")));
    }
}
