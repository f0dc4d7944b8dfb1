//! `null-broker`: a broker that keeps nothing, until it is stopped.

use std::io::{self, Write};

use clap::Args;

use crate::failure::{Exit, Failure};
use crate::null_broker::NullBroker;

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench null-broker
  corelane bench null-broker --listen 127.0.0.1:19092
  corelane bench run saturate-1k -b 127.0.0.1:9192        in another terminal

It receives batches, checks their CRCs, assigns offsets and forgets them. What a client reaches against it is the ceiling
of client, loopback and CRC on this machine. There are no groups, and a fetch finds nothing: runs against it have no
consumers, and their results say that acknowledgements alone were verified. Ctrl-C ends it.";

#[derive(Args, Debug)]
pub(super) struct NullBrokerArgs {
    /// Where clients connect; port 0 is any that is free.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9192")]
    listen: String,
}

impl NullBrokerArgs {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let broker = NullBroker::start(&self.listen)?;
        let _ = writeln!(
            io::stderr(),
            "a null broker listens on {0}; try: corelane bench run saturate-1k -b {0}",
            broker.address()
        );
        broker.serve();
        Ok(Exit::Done)
    }
}
