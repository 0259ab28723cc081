//! Real handshakes over an in-memory pipe: which certificate, which version, who proved what.
