//! Pre-shared keys.

use std::fmt;
use std::str::FromStr;

use aegis::aegis128x2::Aegis128X2Mac;
use zeroize::Zeroize;

/// What the keys of the MAC and their ids are derived for. Other uses of a secret, such as
/// encryption, derive keys of their own from it.
const MAC_CONTEXT: &str = "homa-rpc 2026-11-21 packet authentication v1: MAC";
const ID_CONTEXT: &str = "homa-rpc 2026-11-21 packet authentication v1: key id";

/// A secret that endpoints share to authenticate each other's packets.
///
/// Written as 64 hexadecimal digits. It must be random (`homa key` makes one): keys made of
/// passwords can be guessed from a single packet.
///
/// What is kept of it is a key derived from it, which is never shown.
#[derive(Clone)]
pub struct AuthKey {
    mac_key: [u8; 16],
    id: KeyId,
    /// A MAC of nothing yet: cheaper to clone than to make.
    mac: Mac,
}

/// A MAC under computation.
pub(super) type Mac = Aegis128X2Mac<16>;

/// Which key a packet is authenticated with, as packets name it. It follows from the key but tells
/// nothing about it.
pub(super) type KeyId = [u8; 3];

/// Why a text is no key. It tells nothing of the text, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// A key has 32 bytes, 64 digits.
    #[error("a key is 64 hexadecimal digits, not {0} characters")]
    Length(usize),
    /// Something else than a digit, at this place, counted from 1.
    #[error("character {0} of the key is no hexadecimal digit")]
    Digit(usize),
}

impl AuthKey {
    /// The key of a secret.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let [a, b, c, ..] = blake3::derive_key(ID_CONTEXT, secret);
        let mut derived = blake3::derive_key(MAC_CONTEXT, secret);
        let mut mac_key = [0; 16];
        mac_key.copy_from_slice(&derived[..16]);
        derived.zeroize();
        Self { mac: Mac::new(&mac_key), mac_key, id: [a, b, c] }
    }

    pub(super) fn id(&self) -> KeyId {
        self.id
    }

    /// A MAC of nothing yet.
    pub(super) fn mac(&self) -> Mac {
        self.mac.clone()
    }
}

impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        self.mac_key == other.mac_key
    }
}

impl Eq for AuthKey {}

impl FromStr for AuthKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let mut secret = [0; 32];
        let length = text.chars().count();
        if length != 2 * secret.len() {
            return Err(ParseKeyError::Length(length));
        }
        for (index, digit) in text.chars().enumerate() {
            let value = digit.to_digit(16).ok_or(ParseKeyError::Digit(index + 1))?;
            secret[index / 2] = secret[index / 2] << 4 | value as u8;
        }
        let key = Self::new(&secret);
        secret.zeroize();
        Ok(key)
    }
}

impl Drop for AuthKey {
    fn drop(&mut self) {
        self.mac_key.zeroize();
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.id;
        write!(f, "AuthKey({a:02x}{b:02x}{c:02x})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    const SECRET: &str = "000102030405060708090A0B0C0D0E0F101112131415161718191a1b1c1d1e1f";

    #[test]
    fn from_str__hexadecimal_digits_in_either_case() {
        let secret: [u8; 32] = std::array::from_fn(|index| index as u8);
        assert_eq!(SECRET.parse(), Ok(AuthKey::new(&secret)));
    }

    #[test]
    fn from_str__says_what_is_wrong() {
        assert_eq!(SECRET[1..].parse::<AuthKey>(), Err(ParseKeyError::Length(63)));
        assert_eq!("".parse::<AuthKey>(), Err(ParseKeyError::Length(0)));
        let text = SECRET.replace("0F", "0G");
        assert_eq!(text.parse::<AuthKey>(), Err(ParseKeyError::Digit(32)));
        let text = format!("é{}", &SECRET[1..]);
        assert_eq!(text.parse::<AuthKey>(), Err(ParseKeyError::Digit(1)));
    }

    #[test]
    fn new__keys_of_different_uses_differ() {
        let (a, b) = (AuthKey::new(&[1; 32]), AuthKey::new(&[2; 32]));
        assert_ne!((a.id, a.mac_key), (b.id, b.mac_key));
        assert_ne!(a.mac_key, [1; 16]);
        assert_ne!(a.mac_key[..3], a.id);
    }

    #[test]
    fn debug__keeps_the_secret() {
        let key = AuthKey::new(&[1; 32]);
        let text = format!("{key:?}");
        assert_eq!(text.len(), "AuthKey(000000)".len(), "{text}");
    }
}
