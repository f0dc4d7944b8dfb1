//! The driver over real sockets and a real ring: what the seam promises, one fact a test.

#[cfg(test)]
mod facts;
#[cfg(test)]
mod node;
