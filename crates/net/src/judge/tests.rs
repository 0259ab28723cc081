//! Every fault that a certificate can have, each with a chain that has it.
