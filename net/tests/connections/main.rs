//! The connection core against a virtual network: facts by name, random streams, garbage.

#[cfg(test)]
mod facts;
#[cfg(test)]
mod garbage;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod record_memory;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod world;
