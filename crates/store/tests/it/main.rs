//! What every store must do, tried with each of them; and what each must survive.

mod battery;
mod memory;
mod sqlite;
