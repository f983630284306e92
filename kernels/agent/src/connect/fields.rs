//! How protobuf's JSON mapping differs from plain JSON, field by field.
//!
//! `null` stands for the default, numbers may come as text, bytes are base64 of either
//! alphabet, with or without padding (proto3 JSON mapping; section 4.2 of the contract).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// `null` and absence are the default.
pub fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Bytes of a field.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .or_else(|_| URL_SAFE.decode(text.as_bytes()))
            .map(Self)
            .map_err(|_| de::Error::custom("not base64"))
    }
}

/// A number without sign that may come as text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Uint32(pub u32);

impl<'de> Deserialize<'de> for Uint32 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Text(String),
        }
        let number = match Either::deserialize(deserializer)? {
            Either::Number(number) => number,
            Either::Text(text) => text
                .parse()
                .map_err(|_| de::Error::custom("not a number"))?,
        };
        if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
            return Err(de::Error::custom("not a number of 32 bits"));
        }
        // In range and whole, as just checked.
        Ok(Self(number as u32))
    }
}

/// An enumeration: its name, or its number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum NameOrNumber {
    /// As in `SIGNAL_SIGKILL`.
    Name(String),
    /// As in 9.
    Number(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_come_in_many_spellings() {
        for text in ["7", "\"7\"", "7.0"] {
            assert_eq!(
                serde_json::from_str::<Uint32>(text).unwrap(),
                Uint32(7),
                "{text}"
            );
        }
        for text in ["-1", "4294967296", "1.5", "\"x\"", "null"] {
            assert!(serde_json::from_str::<Uint32>(text).is_err(), "{text}");
        }
        for text in ["\"+/8=\"", "\"+/8\"", "\"-_8\"", "\"-_8=\""] {
            assert_eq!(
                serde_json::from_str::<Base64>(text).unwrap().0,
                [0xfb, 0xff],
                "{text}"
            );
        }
        assert!(serde_json::from_str::<Base64>("\"*\"").is_err());
    }
}
