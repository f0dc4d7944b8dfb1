//! Host facts turned into explicit limits.
