//! The connection core against a virtual network: facts by name, random streams, garbage.

mod facts;
mod garbage;
mod streams;
mod world;
