//! What every accepted socket is set to.

use std::time::Duration;

use runtime::socket::ConnectionOptions;

/// `keepalive`: a peer that is silent for a minute is asked whether it is still there, so that the
/// connection of a machine that vanished ends within four minutes, also while a request is in progress.
///
/// `unacknowledged_max`: as long as a response may stand still (`send_stall_ms_max`). It also bounds how
/// long the kernel can keep the memory of zero-copy sends to a peer that vanished.
///
/// Buffer sizes are left to the kernel: setting one switches its own tuning off.
pub(super) const CONNECTION_OPTIONS: ConnectionOptions = ConnectionOptions {
    keepalive: Some(Duration::from_secs(60)),
    unacknowledged_max: Some(Duration::from_secs(30)),
};
