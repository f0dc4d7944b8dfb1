//! One core: executor, ring, aligned memory, mailboxes, clock.
