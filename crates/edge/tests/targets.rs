//! Targets that misbehave: fedge finds its way to one that works, holds what it can't deliver yet, and the
//! internal server notices nothing.

mod targets {
    mod comeback;
    mod first;
    mod hold;
    mod rig;
}
