//! Private keys as PKCS#8 (RFC 5958, RFC 8410) in PEM.

use ed25519_compact::{KeyPair, Seed};
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::zeroize::Zeroizing;
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use rand::rngs::SysRng;

use super::KeyError;
use crate::hex;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// What comes before the seed: the tag and the length of an octet string (RFC 8410, section 7).
const WRAPPING: [u8; 2] = [4, 32];

/// The file of a private key.
pub(super) fn write(seed: &[u8; 32], passphrase: &str) -> Result<Zeroizing<String>, KeyError> {
    let failed = |error: &dyn std::fmt::Display| KeyError::Private {
        place: "new private key".to_owned(),
        reason: format!("could not be encrypted: {error}"),
    };
    let wrapped = Zeroizing::new([&WRAPPING[..], seed].concat());
    let key = OctetStringRef::new(&wrapped).map_err(|error| failed(&error))?;
    let info = PrivateKeyInfoRef::new(AlgorithmIdentifierRef { oid: ED25519, parameters: None }, key);
    let params = Parameters::generate_scrypt(&mut SysRng).map_err(|error| failed(&error))?;
    let document = info.encrypt_with_params(params, passphrase).map_err(|error| failed(&error))?;
    document.to_pem(ENCRYPTED, LineEnding::LF).map_err(|error| failed(&error))
}

/// Reads a key out of 64 hexadecimal digits or PEM; asks for a passphrase where one is needed.
pub(super) fn read(
    place: &str,
    text: &str,
    passphrase: impl FnOnce() -> Result<String, KeyError>,
) -> Result<KeyPair, KeyError> {
    let wrong = |reason: &str| KeyError::Private { place: place.to_owned(), reason: reason.to_owned() };
    let mut seed = Zeroizing::new([0; 32]);
    if hex::parse(text.trim(), &mut *seed) {
        return Ok(KeyPair::from_seed(Seed::new(*seed)));
    }
    let (label, document) = SecretDocument::from_pem(text).map_err(|_| wrong("found something else"))?;
    let document = match label {
        PLAIN => document,
        ENCRYPTED => {
            let encrypted =
                EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| wrong("found damaged PEM"))?;
            let passphrase = Zeroizing::new(passphrase()?);
            encrypted.decrypt(passphrase.as_str()).map_err(|_| KeyError::WrongPassphrase { place: place.to_owned() })?
        }
        _ => return Err(wrong("found PEM of another kind")),
    };
    let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| wrong("found damaged PEM"))?;
    if info.algorithm.oid != ED25519 {
        return Err(wrong("found a key of another algorithm"));
    }
    let bytes = info.private_key.as_bytes().strip_prefix(&WRAPPING).filter(|bytes| bytes.len() == seed.len());
    seed.copy_from_slice(bytes.ok_or_else(|| wrong("found a key of another length"))?);
    Ok(KeyPair::from_seed(Seed::new(*seed)))
}
