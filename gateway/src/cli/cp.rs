//! `soulbox cp ID:PATH LOCAL` and `soulbox cp LOCAL ID:PATH`: one file, streamed.

use super::remote::{Envd, Remote, block_on};
use anyhow::{Context as _, bail};
use axum::body::Body;
use clap::Args;
use form_urlencoded::Serializer;
use http::{Method, header};
use http_body_util::BodyExt;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::{fs::File, io::AsyncWriteExt};
use tokio_util::io::ReaderStream;

/// Bytes that are read from a file at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Options of `cp`.
#[derive(Debug, Args)]
pub struct Options {
    /// From where: a file here, or ID:PATH
    from: String,
    /// To where: a file or directory here, or ID:PATH
    to: String,
    /// Whose home a relative path is in, and who will own the file [default: the template's user]
    #[arg(short, long)]
    user: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Copies.
pub fn run(options: Options) -> ExitCode {
    block_on(async {
        let user = options.user.as_deref();
        let (from, to) = (there(&options.from), there(&options.to));
        let gateway = options.remote.gateway()?;
        match (from, to) {
            (Some((id, path)), None) => {
                let envd = gateway.envd(id, user).await?;
                download(&envd, path, user, Path::new(&options.to)).await?;
            }
            (None, Some((id, path))) => {
                let envd = gateway.envd(id, user).await?;
                upload(&envd, Path::new(&options.from), path, user).await?;
            }
            _ => bail!("one side must be ID:PATH and the other a path here"),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// `ID:PATH`. A local path with a colon can be given as `./a:b`.
fn there(text: &str) -> Option<(&str, &str)> {
    let (id, path) = text.split_once(':')?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (!id.is_empty() && id.bytes().all(plain)).then_some((id, path))
}

fn query(path: &str, user: Option<&str>) -> String {
    let mut query = Serializer::new("/files?".to_owned());
    query.append_pair("path", path);
    if let Some(user) = user {
        query.append_pair("username", user);
    }
    query.finish()
}

async fn upload(envd: &Envd, from: &Path, to: &str, user: Option<&str>) -> anyhow::Result<()> {
    let shown = from.display();
    let file = File::open(from).await.with_context(|| format!("{shown}"))?;
    if !file.metadata().await?.is_file() {
        bail!("{shown} is no plain file; this version copies single files");
    }
    let mut to = to.to_owned();
    if to.is_empty() || to.ends_with('/') {
        to.push_str(&name(&from.to_string_lossy())?);
    }
    let request = envd
        .request(Method::POST, &query(&to, user))
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(Body::from_stream(ReaderStream::with_capacity(
            file,
            PIECE_BYTES,
        )))?;
    envd.gateway().send(request).await?;
    Ok(())
}

async fn download(envd: &Envd, from: &str, user: Option<&str>, to: &Path) -> anyhow::Result<()> {
    let to = match to.is_dir() {
        true => to.join(name(from)?),
        false => to.to_owned(),
    };
    let request = envd
        .request(Method::GET, &query(from, user))
        .header(header::ACCEPT_ENCODING, "identity")
        .body(Body::empty())?;
    let mut body = envd.gateway().send(request).await?.into_body();
    // Under another name until it is whole, so that a broken copy never looks like a good one.
    let mut partial = to.clone().into_os_string();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let shown = partial.display();
    let copying = async {
        let mut file = File::create(&partial)
            .await
            .with_context(|| format!("{shown}"))?;
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the copy broke off")?;
            if let Ok(data) = frame.into_data() {
                file.write_all(&data)
                    .await
                    .with_context(|| format!("{shown}"))?;
            }
        }
        file.flush().await?;
        tokio::fs::rename(&partial, &to)
            .await
            .with_context(|| format!("{}", to.display()))
    };
    let copied = copying.await;
    if copied.is_err() {
        let _ = tokio::fs::remove_file(&partial).await;
    }
    copied
}

fn name(path: &str) -> anyhow::Result<String> {
    let name = Path::new(path).file_name();
    let name = name.with_context(|| format!("{path} names no file"))?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::there;

    #[test]
    fn a_side_with_an_id_is_in_a_sandbox() {
        assert_eq!(there("iabc:/tmp/a:b"), Some(("iabc", "/tmp/a:b")));
        assert_eq!(there("iabc:"), Some(("iabc", "")));
        for here in ["a/b", "./a:b", "/a:b", ":x"] {
            assert_eq!(there(here), None, "{here}");
        }
    }
}
