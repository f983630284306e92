//! `/kernelspecs/{name}/{file}`: the pictures of launchers. Our own drawings, the same for
//! everybody, and no secret: browsers fetch them without a key.

use super::error::JupyterError;
use axum::{
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

/// They change with versions of this program only.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// The files of one kind of kernel.
struct Logo {
    /// Names that a kernelspec may have, its template aside.
    names: &'static [&'static str],
    svg: &'static [u8],
    png_32: &'static [u8],
    png_64: &'static [u8],
}

macro_rules! logo {
    ($file:literal, $names:expr) => {
        Logo {
            names: &$names,
            svg: include_bytes!(concat!("logos/", $file, ".svg")),
            png_32: include_bytes!(concat!("logos/", $file, "-32.png")),
            png_64: include_bytes!(concat!("logos/", $file, "-64.png")),
        }
    };
}

static LOGOS: [Logo; 5] = [
    logo!("python", ["python", "python3"]),
    logo!("javascript", ["javascript", "deno", "typescript"]),
    logo!("bash", ["bash"]),
    logo!("r", ["r", "ir"]),
    logo!("java", ["java"]),
];
/// Of a kernel that has none of its own.
static PLAIN: Logo = logo!("kernel", []);

/// Resource and file of each picture. The keys are the ones that clients look for.
const FILES: [(&str, &str); 3] = [
    ("logo-svg", "logo-svg.svg"),
    ("logo-32x32", "logo-32x32.png"),
    ("logo-64x64", "logo-64x64.png"),
];

/// One picture.
pub async fn logo(Path((name, file)): Path<(String, String)>) -> Result<Response, JupyterError> {
    let name = name.rsplit('.').next().unwrap_or_default();
    let logo = LOGOS
        .iter()
        .find(|logo| logo.names.contains(&name))
        .unwrap_or(&PLAIN);
    let (kind, bytes) = match file.as_str() {
        "logo-svg.svg" => ("image/svg+xml", logo.svg),
        "logo-32x32.png" => ("image/png", logo.png_32),
        "logo-64x64.png" => ("image/png", logo.png_64),
        _ => return Err(JupyterError::not_found(format!("No such file: {file}"))),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, KEEP),
    ];
    Ok((headers, bytes).into_response())
}

/// The pictures that every kernelspec has.
pub fn files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.into_iter()
}
