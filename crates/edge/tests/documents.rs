//! What the documents say is so: configurations are good, commands parse and print what is quoted, keys and
//! defaults are those of the code, links lead somewhere, and the units fit the daemons.

mod documents {
    mod commands;
    mod configurations;
    mod described;
    mod keys;
    mod lines;
    mod links;
    mod metrics;
    mod reading;
    mod site;
    mod units;
}
