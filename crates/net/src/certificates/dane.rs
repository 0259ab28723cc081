//! Which TLSA records fit a chain that is shown (RFC 6698, RFC 7671).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rustls_pki_types::CertificateDer;
use topology::tlsa::Tlsa;
use x509_parser::asn1_rs::FromDer as _;
use x509_parser::certificate::X509Certificate;

/// Certificates of a chain that are looked at; a peer may show any number.
const MOST: usize = 8;

/// All that fit: those of the certificate itself, and of each CA above it that is shown, too. A CA that isn't shown fits nothing,
/// because partners have nothing to compare with it (RFC 7671 §5.2.2). Nothing where the first is no certificate.
pub fn fitting(chain: &[CertificateDer<'_>]) -> Vec<Tlsa> {
    let mut shown = chain.iter().take(MOST).map(|der| Some((der, X509Certificate::from_der(der).ok()?.1)));
    let Some(Some((der, mut last))) = shown.next() else { return Vec::new() };
    let mut records = of(3, der, &last);
    let mut above: Vec<_> = shown.flatten().collect();
    // Peers show them in any order, and others among them.
    while let Some(next) = above.iter().position(|(_, ca)| ca.subject().as_raw() == last.issuer().as_raw()) {
        let (der, ca) = above.swap_remove(next);
        records.extend(of(2, der, &ca));
        last = ca;
    }
    records
}

fn of(usage: u8, der: &CertificateDer<'_>, read: &X509Certificate<'_>) -> Vec<Tlsa> {
    let record = |(selector, matching, _)| {
        let part = if selector == 1 { read.tbs_certificate.subject_pki.raw } else { &**der };
        let hash = digest(if matching == 1 { &SHA256 } else { &SHA512 }, part);
        Tlsa::new(usage, selector, matching, hash.as_ref())
    };
    Tlsa::KINDS.into_iter().filter_map(record).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData as _;

    use super::super::testing::{Ca, ca_params};
    use super::*;

    fn record(usage: u8, selector: u8, matching: u8, part: &[u8]) -> Tlsa {
        let hash = digest(if matching == 1 { &SHA256 } else { &SHA512 }, part);
        Tlsa::new(usage, selector, matching, hash.as_ref()).expect("a record")
    }

    #[test]
    fn the_certificate_and_each_ca_that_is_shown_above_it_fit() {
        let (root, other) = (Ca::root("a root"), Ca::root("another"));
        let below = root.below(ca_params("an intermediate"));
        let leaf = below.leaf(&["contoso.test"]);
        let (own, key) = (leaf.chain[0].clone(), leaf.key.subject_public_key_info());
        let alone = [record(3, 1, 1, &key), record(3, 0, 1, &own), record(3, 1, 2, &key), record(3, 0, 2, &own)];
        assert_eq!(fitting(&leaf.chain), alone);
        // In whatever order, and without what belongs to something else.
        let chain = [own, other.certificate, root.certificate.clone(), below.certificate.clone()];
        let fit = fitting(&chain);
        assert_eq!(fit.len(), 12);
        assert_eq!(fit[..4], alone);
        for ca in [&root, &below] {
            assert!(fit.contains(&record(2, 0, 1, &ca.certificate)), "{fit:?}");
            assert!(fit.contains(&record(2, 1, 2, &ca.issuer.key().subject_public_key_info())), "{fit:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_fits_nothing() {
        let junk = CertificateDer::from(vec![0x30, 3, 2, 1, 0]);
        assert_eq!(fitting(&[]), []);
        assert_eq!(fitting(std::slice::from_ref(&junk)), []);
        let leaf = Ca::root("a root").leaf(&["contoso.test"]);
        assert_eq!(fitting(&[leaf.chain[0].clone(), junk]).len(), 4);
    }
}
