//! `--topic orders` is all partitions of a topic, `--topic orders:0,3` some of them.

use crate::cli::client::TopicInfo;
use crate::cli::failure::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicChoice {
    pub(super) topic: String,
    /// Empty: all.
    pub(super) partitions: Vec<i32>,
}

impl TopicChoice {
    /// The partitions' numbers. Fails where the topic does not have them.
    pub(super) fn indexes(&self, topic: &TopicInfo) -> Result<Vec<i32>, Failure> {
        let chosen = topic.select(&self.partitions)?;
        Ok(chosen.iter().map(|partition| partition.index).collect())
    }
}

pub(super) fn parse(text: &str) -> Result<TopicChoice, String> {
    let wrong = || "it is TOPIC, or TOPIC:0,1 for some of its partitions".to_owned();
    let (topic, partitions) = match text.split_once(':') {
        None => (text, Vec::new()),
        Some((topic, list)) => {
            let numbers = list.split(',').map(|number| number.parse::<i32>().ok());
            let numbers: Option<Vec<i32>> =
                numbers.map(|number| number.filter(|number| *number >= 0)).collect();
            (topic, numbers.ok_or_else(wrong)?)
        }
    };
    if topic.is_empty() {
        return Err(wrong());
    }
    Ok(TopicChoice { topic: topic.to_owned(), partitions })
}

#[cfg(test)]
mod tests {
    use super::{TopicChoice, parse};

    #[test]
    fn topics_are_chosen_whole_or_in_part() {
        let choice = |topic: &str, partitions: &[i32]| {
            Ok(TopicChoice { topic: topic.to_owned(), partitions: partitions.to_vec() })
        };
        assert_eq!(parse("orders"), choice("orders", &[]));
        assert_eq!(parse("orders:0,3"), choice("orders", &[0, 3]));
        for text in ["", ":0", "orders:", "orders:a", "orders:-1", "orders:0,,1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
