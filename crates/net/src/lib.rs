//! Sockets, TLS and the certificate rule, resolver, dialer, streams over sockets, links, trunk.
