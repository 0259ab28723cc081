//! Finds the first application data in one direction of a TLS connection (RFC 8446 §5.1).

/// The type of a record that holds, or claims to hold, application data.
const APPLICATION_DATA: u8 = 23;
const HANDSHAKE: u8 = 22;

/// Where the reading of records is. Before the first handshake record there may be plaintext, as with
/// STARTTLS, where nobody sends more before the other side has agreed to TLS.
#[derive(Debug, Default)]
pub(super) struct Records {
    started: bool,
    /// What has been read of the current record's header.
    header: Vec<u8>,
    /// How much of the current record is still to come.
    rest: usize,
}

impl Records {
    /// How much of `chunk`, the next bytes, comes before the first record of application data.
    pub(super) fn before_application_data(&mut self, chunk: &[u8]) -> usize {
        self.started |= chunk.first() == Some(&HANDSHAKE);
        if !self.started {
            return chunk.len();
        }
        let mut at = 0;
        while at < chunk.len() {
            if self.rest > 0 {
                let step = self.rest.min(chunk.len() - at);
                (at, self.rest) = (at + step, self.rest - step);
                continue;
            }
            if self.header.is_empty() && chunk[at] == APPLICATION_DATA {
                return at;
            }
            self.header.push(chunk[at]);
            at += 1;
            if let [_, _, _, high, low] = self.header[..] {
                self.rest = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::Records;

    const HELLO: &[u8] = &[22, 3, 1, 0, 4, 23, 23, 23, 23];
    const CHANGE: &[u8] = &[20, 3, 3, 0, 1, 1];
    const DATA: &[u8] = &[23, 3, 3, 0, 2, 7, 7];

    #[test]
    fn application_data_is_found_however_the_bytes_come() {
        let stream = [HELLO, CHANGE, DATA].concat();
        for size in 1..=stream.len() {
            let mut records = Records::default();
            let mut passed = 0;
            for chunk in stream.chunks(size) {
                let allowed = records.before_application_data(chunk);
                passed += allowed;
                if allowed < chunk.len() {
                    break;
                }
            }
            assert_eq!(passed, HELLO.len() + CHANGE.len(), "in chunks of {size}");
        }
    }

    #[test]
    fn plaintext_before_the_handshake_is_none_of_it() {
        let mut records = Records::default();
        let plain = [b"<starttls/>".as_slice(), &[23]].concat();
        assert_eq!(records.before_application_data(&plain), plain.len());
        assert_eq!(records.before_application_data(HELLO), HELLO.len());
        assert_eq!(records.before_application_data(DATA), 0);
    }
}
