//! The size of a picture, from its first bytes: what is to be known of it before anybody decodes
//! it. A picture that lies is found out by the decoder, which has bounds of its own.

/// Base64 characters that hold the size of a PNG: its first 24 bytes.
pub const PNG_HEAD_BASE64: usize = 32;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Sides in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

impl Size {
    /// Whether one of its sides is longer; never when `side` is 0.
    pub fn exceeds(self, side: u32) -> bool {
        side > 0 && self.width.max(self.height) > side
    }

    /// How many there are.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// What the first chunk of a PNG says.
pub fn png(bytes: &[u8]) -> Option<Size> {
    let rest = bytes.strip_prefix(PNG)?;
    (rest.get(4..8)? == b"IHDR").then_some(())?;
    Some(Size {
        width: u32::from_be_bytes(rest.get(8..12)?.try_into().ok()?),
        height: u32::from_be_bytes(rest.get(12..16)?.try_into().ok()?),
    })
}

/// What the frame header of a JPEG says (ITU T.81, section B.2.2).
pub fn jpeg(bytes: &[u8]) -> Option<Size> {
    let mut rest = bytes.strip_prefix(b"\xff\xd8")?;
    loop {
        let start = rest.iter().position(|byte| *byte != 0xff)?;
        if start == 0 {
            return None;
        }
        let marker = rest[start];
        rest = &rest[start + 1..];
        match marker {
            // Without a length: restarts, and the marker for nothing.
            0x01 | 0xd0..=0xd7 => continue,
            // Scans begin and pictures end after the frame header only.
            0xd8..=0xda | 0x00 => return None,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
        let segment = rest.get(2..length)?;
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let side = |at: usize| {
                let pair = segment.get(at..at + 2)?.try_into().ok()?;
                Some(u32::from(u16::from_be_bytes(pair)))
            };
            return Some(Size {
                height: side(1)?,
                width: side(3)?,
            });
        }
        rest = rest.get(length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, ImageFormat};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut bytes, format)
            .expect("encoded");
        bytes.into_inner()
    }

    #[test]
    fn the_sizes_are_those_that_the_encoders_wrote() {
        let size = Size {
            width: 301,
            height: 7,
        };
        assert_eq!(png(&encoded(301, 7, ImageFormat::Png)), Some(size));
        assert_eq!(jpeg(&encoded(301, 7, ImageFormat::Jpeg)), Some(size));
        assert!(size.exceeds(300) && !size.exceeds(301) && !size.exceeds(0));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>, cut in 0usize..400) {
            let mut real = encoded(3, 3, ImageFormat::Jpeg);
            real.truncate(cut);
            real.extend(&bytes);
            for bytes in [bytes, real] {
                let _ = (png(&bytes), jpeg(&bytes));
            }
        }
    }
}
