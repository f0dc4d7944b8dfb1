//! State machines that live in a log: the controller's metadata.
