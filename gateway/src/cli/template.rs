//! `soulbox template build|list`.

use super::{data_dir, failed, misconfigured};
use clap::{Args, Subcommand};
use soulbox_image::{BuildOptions, ImageStore, ProgressLines, Recipe, build, recipes};
use std::{
    io::{IsTerminal, stderr},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Options of `template`.
#[derive(Debug, Args)]
pub struct Options {
    /// Where everything is kept [default: /var/lib/soulbox as root]
    #[arg(long, env = "SOULBOX_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build templates; what is built already is kept
    Build {
        /// Which ones [default: all]
        names: Vec<String>,
        /// Debian mirror to build from [default: the packaging tool's own]
        #[arg(long, env = "SOULBOX_MIRROR", value_name = "URL")]
        mirror: Option<String>,
    },
    /// List the templates, built or not
    List,
}

/// Does it.
pub fn run(options: Options) -> ExitCode {
    let directory = match data_dir(options.data_dir) {
        Ok(directory) => directory,
        Err(error) => return misconfigured(error),
    };
    let done = match options.action {
        Action::Build { names, mirror } => build_all(&directory, &names, mirror),
        Action::List => list(&directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(format!("{error:#}")),
    }
}

fn build_all(directory: &Path, names: &[String], mirror: Option<String>) -> anyhow::Result<()> {
    let known = recipes(directory)?;
    let chosen = choose(&known, names)?;
    let store = ImageStore::open(directory);
    let options = BuildOptions { mirror };
    let mut progress = ProgressLines::new(stderr(), stderr().is_terminal());
    for recipe in chosen {
        build(&store, recipe, &options, &mut progress)?;
    }
    Ok(())
}

fn choose<'a>(known: &'a [Recipe], names: &[String]) -> anyhow::Result<Vec<&'a Recipe>> {
    if names.is_empty() {
        return Ok(known.iter().collect());
    }
    let find = |name: &String| known.iter().find(|recipe| recipe.name.as_str() == name);
    let all = || {
        known
            .iter()
            .map(|recipe| recipe.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let chosen = names.iter().map(|name| {
        find(name)
            .ok_or_else(|| anyhow::anyhow!("no recipe is called `{name}`; there are: {}", all()))
    });
    chosen.collect()
}

fn list(directory: &Path) -> anyhow::Result<()> {
    let built = ImageStore::open(directory).list()?;
    println!(
        "{:<24}  {:<14}  {:>8}  {:<20}  SUMMARY",
        "NAME", "BUILD", "SIZE", "BUILT"
    );
    for recipe in recipes(directory)? {
        match built.iter().find(|image| image.name == recipe.name) {
            None => println!(
                "{:<24}  {:<14}  {:>8}  {:<20}  {}",
                recipe.name.as_str(),
                "-",
                "-",
                "-",
                recipe.summary
            ),
            Some(image) => {
                let size = format!("{} MB", image.size_bytes / 1_000_000);
                let (name, hash) = (image.name.as_str(), image.hash.to_string());
                println!(
                    "{name:<24}  {hash:<14}  {size:>8}  {:<20.0}  {}",
                    image.built_at, recipe.summary
                );
            }
        }
    }
    Ok(())
}
