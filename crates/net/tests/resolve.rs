//! From domains to targets with a real DNS server, one that also loops, lies, is late or silent.

mod resolve {
    mod answers;
    mod bad;
    mod guard;
    mod rig;
}
