//! What drains while users of real servers talk without a pause: nobody notices.

#[path = "drain/member.rs"]
mod member;
#[path = "drain/rig.rs"]
mod rig;
#[path = "drain/service.rs"]
mod service;
