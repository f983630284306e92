//! A picture with shorter sides. Runs in the worker only, on bytes that nobody has checked.

use super::Kind;
use super::worker::Order;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use thiserror::Error;

/// Quality of the JPEGs that we write, of 100. Artefacts are not seen at this one.
const QUALITY: u8 = 88;

/// Why a picture stays as it is.
#[derive(Debug, Error)]
pub enum ScaleError {
    /// Decoded it would take too much memory.
    #[error("{0} bytes of pixels are more than what may be decoded")]
    TooLarge(u64),
    /// It is broken, or of a kind that is not known here.
    #[error(transparent)]
    Image(#[from] image::ImageError),
}

/// Scales such that no side is longer than ordered; the shape stays.
pub fn scale(bytes: &[u8], order: &Order) -> Result<Vec<u8>, ScaleError> {
    let format = match order.kind {
        Kind::Png => ImageFormat::Png,
        Kind::Jpeg => ImageFormat::Jpeg,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(order.memory);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    if decoder.total_bytes() > order.memory {
        return Err(ScaleError::TooLarge(decoder.total_bytes()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)?.thumbnail(order.side, order.side);
    picture.apply_orientation(orientation);
    let picture = in_eight_bits(picture);
    let mut scaled = Vec::new();
    match order.kind {
        Kind::Png => picture.write_with_encoder(PngEncoder::new_with_quality(
            &mut scaled,
            CompressionType::Fast,
            FilterType::Adaptive,
        ))?,
        Kind::Jpeg => {
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut scaled, QUALITY))?;
        }
    }
    Ok(scaled)
}

/// Nobody sees more on a screen.
fn in_eight_bits(picture: DynamicImage) -> DynamicImage {
    match picture {
        DynamicImage::ImageLuma16(_) => picture.into_luma8().into(),
        DynamicImage::ImageLumaA16(_) => picture.into_luma_alpha8().into(),
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgb32F(_) => picture.into_rgb8().into(),
        DynamicImage::ImageRgba16(_) | DynamicImage::ImageRgba32F(_) => picture.into_rgba8().into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GenericImageView as _, ImageBuffer, Luma, Rgb, Rgba};

    fn order(kind: Kind, side: u32) -> Order {
        Order {
            kind,
            side,
            memory: 64 << 20,
        }
    }

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("encoded");
        bytes.into_inner()
    }

    #[test]
    fn the_longer_side_fits_and_the_shape_and_the_colours_stay() {
        // Left half red and half transparent, right half blue.
        let picture = ImageBuffer::from_fn(600, 300, |x, _| {
            if x < 300 {
                Rgba([255, 0, 0, 128])
            } else {
                Rgba([0, 0, 255, 255u8])
            }
        });
        let bytes = written(&picture.into(), ImageFormat::Png);
        let scaled = scale(&bytes, &order(Kind::Png, 100)).expect("scaled");
        let scaled = image::load_from_memory(&scaled).expect("a picture");
        assert_eq!(scaled.dimensions(), (100, 50));
        assert_eq!(scaled.get_pixel(10, 25), Rgba([255, 0, 0, 128]));
        assert_eq!(scaled.get_pixel(90, 25), Rgba([0, 0, 255, 255]));
    }

    #[test]
    fn every_depth_of_png_and_jpeg_can_be_scaled() {
        let deep: DynamicImage = ImageBuffer::from_pixel(300, 3, Rgb([40_000u16, 1, 2])).into();
        let grey: DynamicImage = ImageBuffer::from_pixel(3, 300, Luma([7u8])).into();
        for (picture, kind, format) in [
            (&deep, Kind::Png, ImageFormat::Png),
            (&grey, Kind::Png, ImageFormat::Png),
            (&grey, Kind::Jpeg, ImageFormat::Jpeg),
        ] {
            let scaled = scale(&written(picture, format), &order(kind, 100)).expect("scaled");
            let scaled = image::load_from_memory_with_format(&scaled, format).expect("a picture");
            assert_eq!(scaled.width().max(scaled.height()), 100);
        }
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_not_decoded() {
        let bytes = written(&DynamicImage::new_luma8(3000, 3000), ImageFormat::Png);
        let small = Order {
            memory: 1 << 20,
            ..order(Kind::Png, 100)
        };
        let refused = scale(&bytes, &small).expect_err("too large");
        assert!(matches!(
            refused,
            ScaleError::TooLarge(9_000_000) | ScaleError::Image(_)
        ));
    }

    #[test]
    fn a_broken_picture_is_an_error() {
        let mut bytes = written(&DynamicImage::new_rgb8(300, 300), ImageFormat::Png);
        bytes.truncate(bytes.len() / 2);
        assert!(scale(&bytes, &order(Kind::Png, 100)).is_err());
        assert!(scale(b"\xff\xd8\xff", &order(Kind::Jpeg, 100)).is_err());
    }
}
