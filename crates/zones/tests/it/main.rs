//! Zones at real name servers: Debian's BIND and Knot, each in a network of its own.

mod bulk;
mod documented;
mod refused;
mod rig;
mod secondary;
mod swap;
