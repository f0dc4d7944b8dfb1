//! The topic of a command, as `--topic NAME` or as its first word.

use clap::Args;

#[derive(Args, Debug)]
pub(crate) struct TopicArgument {
    /// The topic; `--topic` may be left out.
    #[arg(short, long = "topic", value_name = "TOPIC", required_unless_present = "first_word")]
    topic: Option<String>,

    #[arg(value_name = "TOPIC", conflicts_with = "topic", hide = true)]
    first_word: Option<String>,
}

impl TopicArgument {
    pub(crate) fn name(&self) -> &str {
        let given = self.topic.as_deref().or(self.first_word.as_deref());
        given.expect("the command line has one of both")
    }
}
