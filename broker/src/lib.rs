//! The node: shards, handlers, configuration, command line.
