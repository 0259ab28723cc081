//! A whole installation with XMPP servers inside and outside: two sites, two pools, two gateways, two controllers.

mod alone;
mod changes;
mod clocks;
mod crash;
mod disaster;
mod dns;
mod faults;
mod full;
mod large;
mod load;
mod moments;
mod moves;
mod outside;
mod perimeter;
mod probe;
mod runbook;
mod signed;
mod target;
