//! `probe`: what fedge-edge says of good servers, of everything that real ones do wrong, and of itself; and what it leaves
//! alone.

mod probe {
    mod bounds;
    mod faults;
    mod good;
    mod refused;
    mod rig;
    mod targets;
}
